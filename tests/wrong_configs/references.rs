//! References: stored and shown as they stand, resolved only for the task.

use base64::Engine as _;
use rmqc_core::command::ShardEvent;
use rmqc_core::state::TaskState;

use crate::port::{Room, files_below, properties, run};

/// Every text in the stores, decoded.
fn stored(dir: &std::path::Path) -> String {
    let raw = files_below(dir);
    let base64 = base64::engine::general_purpose::STANDARD;
    let decoded = raw.split('"').filter_map(|part| base64.decode(part).ok());
    let texts: Vec<_> = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    raw + &texts.join("\n")
}

#[test]
fn what_a_reference_stands_for_reaches_the_task_and_nobody_else() {
    run(async {
        let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(root.path().join("db.properties"), "file=hidden-1.txt,hidden-2.txt\npass=hunter2\n").unwrap();
        let at = root.path().display();
        let reference = format!("${{file:{at}/db.properties:file}}");
        let config = properties(&[
            ("connector.class", "file-source"),
            ("filename", &reference),
            ("topic", "t"),
            ("max.tasks", "2"),
            ("db.password", "swordfish"),
            ("url", &format!("jdbc:x://u:${{file:{at}/db.properties:pass}}@h/d")),
        ]);
        let room = Room::start(dir.path(), root.path());
        room.controller.create("c", config.clone()).await.unwrap();
        let running = |snapshot: &rmqc_control::controller::Snapshot| {
            let tasks = snapshot.connector("c").map(|one| one.tasks.as_slice()).unwrap_or_default();
            tasks.len() == 2 && tasks.iter().all(|task| task.state == TaskState::Running)
        };
        let snapshot = room.wait("two running tasks", running).await;

        // The list behind the reference was split, so the tasks have its parts.
        let started = room.port.started.lock().unwrap().clone();
        let names: Vec<_> = started.iter().map(|spec| spec.config["filename"].as_str()).collect();
        assert_eq!(names, ["hidden-1.txt", "hidden-2.txt"]);
        assert_eq!(started[0].config["url"], "jdbc:x://u:hunter2@h/d");

        let connector = snapshot.connector("c").unwrap();
        assert_eq!(*connector.properties, config);
        for task in &connector.tasks {
            assert_eq!((&task.config["filename"], &task.config["url"]), (&config["filename"], &config["url"]));
        }

        // What the tasks say themselves is cleaned.
        let spec = &started[0];
        room.port.say(ShardEvent::TaskFailed {
            task: spec.task.clone(),
            generation: spec.generation,
            cause: "login with hunter2 or swordfish at hidden-1.txt,hidden-2.txt failed".to_owned(),
            kind: rmqc_core::command::FailureKind::Final,
        });
        let snapshot = room
            .wait("the failure", |snapshot| {
                snapshot.connector("c").unwrap().tasks.iter().any(|task| task.state == TaskState::Failed)
            })
            .await;
        let cause = snapshot.connector("c").unwrap().tasks[0].cause.clone().unwrap();
        let pass = format!("${{file:{at}/db.properties:pass}}");
        assert_eq!(cause, format!("login with {pass} or ****** at {reference} failed"));
        // So is what anybody logs.
        assert_eq!(room.secrets.scrub("hunter2 swordfish x"), format!("{pass} ****** x"));

        room.controller.shutdown(crate::port::DEADLINE).await.unwrap();
        let stored = stored(dir.path());
        assert!(stored.contains("db.properties:pass") && stored.contains("login with"), "{stored}");
        assert!(!stored.contains("hunter2") && !stored.contains("hidden-1"), "{stored}");
    });
}

#[test]
fn a_reference_is_looked_up_anew_at_every_start_and_after_a_restart_of_the_worker() {
    run(async {
        let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = root.path().join("token");
        std::fs::write(&file, "first-value\n").unwrap();
        let config = properties(&[
            ("connector.class", "file-source"),
            ("filename", "f"),
            ("topic", "t"),
            ("api.token", &format!("${{dir:{}:token}}", root.path().display())),
        ]);
        let room = Room::start(dir.path(), root.path());
        room.controller.create("c", config).await.unwrap();
        let token_of_last =
            |room: &Room| room.port.started.lock().unwrap().last().map(|spec| spec.config["api.token"].clone());
        room.wait("the start", |_| token_of_last(&room).as_deref() == Some("first-value")).await;
        room.controller.shutdown(crate::port::DEADLINE).await.unwrap();

        std::fs::write(&file, "second-value").unwrap();
        let room = Room::start(dir.path(), root.path());
        room.wait("the start", |_| token_of_last(&room).as_deref() == Some("second-value")).await;
        room.controller.shutdown(crate::port::DEADLINE).await.unwrap();

        // Without it the connector stays, and says what is missing.
        std::fs::remove_file(&file).unwrap();
        let room = Room::start(dir.path(), root.path());
        let snapshot = room.controller.look().await.unwrap();
        let failure = snapshot.connector("c").unwrap().failure.clone().unwrap();
        assert!(failure.contains("Config api.token refers to ${dir:") && failure.contains("cannot read"), "{failure}");
        room.controller.shutdown(crate::port::DEADLINE).await.unwrap();
    });
}
