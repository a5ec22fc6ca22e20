//! Real folders with files of every kind.

use std::os::unix::fs::symlink;

use super::jar::tests::zip;
use super::*;

/// A transform and a converter that core has, and connectors that nobody has.
const TRANSFORM: &str = "org.apache.kafka.connect.transforms.Cast";
const CONVERTER: &str = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter";

fn class_file(class: &str) -> String {
    class.replace('.', "/") + ".class"
}

fn one(path: &Path) -> PathReport {
    let mut reports = scan(&[path.to_str().unwrap().to_owned()]);
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

#[test]
fn a_jar_is_told_by_what_is_built_in_and_what_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jar");
    let names = [
        &*class_file(TRANSFORM),
        &*format!("META-INF/versions/11/{}", class_file(CONVERTER)),
        "com/example/JdbcSinkConnector.class",
        "com/example/JdbcSinkConnector$Inner.class",
        "com/example/AbstractJdbcConnector.class",
        "io/openmessaging/connector/api/component/connector/SinkConnector.class",
        "com/example/Other.class",
        "META-INF/MANIFEST.MF",
    ];
    fs::write(&path, zip(&names)).unwrap();
    let report = one(&path);
    let [finding] = report.found.as_slice() else { panic!("{report:?}") };
    assert_eq!(finding.built_in, [TRANSFORM, CONVERTER]);
    assert_eq!(finding.not_available, ["com.example.JdbcSinkConnector"]);
    assert!(finding.reason.contains("lacks 1 connectors") && !finding.is_answered(), "{finding:?}");

    fs::write(&path, zip(&[&class_file(TRANSFORM)])).unwrap();
    assert!(one(&path).found[0].is_answered());
    fs::write(&path, zip(&["lib/a.jar", "lib/b.jar"])).unwrap();
    assert!(one(&path).found[0].reason.contains("holds 2 jars"));
    fs::write(&path, zip(&["README"])).unwrap();
    assert!(one(&path).found[0].reason.contains("no connector is in it"));
}

#[test]
fn every_file_has_its_kind_or_a_reason_and_none_stops_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("cut.jar"), &zip(&["a.class", "b.class"])[..40]).unwrap();
    fs::write(deep.join("Cast.class"), "").unwrap();
    fs::write(deep.join("native.SO"), "").unwrap();
    fs::write(deep.join("notes.txt"), "").unwrap();
    symlink(dir.path(), deep.join("circle")).unwrap();
    let notes = deep.join("notes.txt");
    let entries = ["/no/such/folder", dir.path().to_str().unwrap(), notes.to_str().unwrap()];
    let reports = scan(&entries.map(str::to_owned));
    assert_eq!(reports.len(), 3);
    assert!(reports[0].problems[0].contains("/no/such/folder can't be looked at"), "{:?}", reports[0]);
    let first: Vec<_> = reports[1].found.iter().filter(|one| one.path.parent() == Some(&deep)).collect();
    let told: Vec<_> = first.iter().map(|one| (one.kind.name(), one.reason.as_str())).collect();
    assert_eq!(told[0], ("class", "not loaded and not needed: this binary has 1 of its classes built in"));
    assert!(told[1].0 == "jar" && told[1].1.contains("no whole zip file"), "{told:?}");
    assert!(told[2].0 == "library" && told[2].1.contains("new connector"), "{told:?}");
    assert_eq!(told.len(), 3);
    assert_eq!(reports[2].found[0].kind, FileKind::Other);
}

#[test]
fn a_star_stands_for_any_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jar", "b.jar", "a.zip"] {
        fs::write(dir.path().join(name), zip(&[])).unwrap();
    }
    for (pattern, count) in [("*", 3), ("*.jar", 2), ("a*", 2), ("a*.jar", 1), ("x*", 0)] {
        let report = one(&dir.path().join(pattern));
        assert_eq!((report.found.len(), report.problems.len()), (count, 0), "{pattern}");
    }
    assert_eq!(one(&dir.path().join("gone/*")).problems.len(), 1);
}

#[test]
fn many_files_are_told_up_to_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..FINDINGS_MAX + 5 {
        fs::write(dir.path().join(format!("{number}.class")), "").unwrap();
    }
    let report = one(dir.path());
    assert_eq!(report.found.len(), FINDINGS_MAX);
    assert!(report.problems[0].contains("the rest is not told"), "{:?}", report.problems);
    let names: Vec<String> = (0..CLASSES_MAX + 7).map(|number| format!("a/C{number}Connector.class")).collect();
    let path = dir.path().join("many.jar");
    fs::write(&path, zip(&names.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    let finding = &one(&path).found[0];
    assert_eq!(finding.not_available.len(), CLASSES_MAX);
    assert!(finding.reason.ends_with("7 further classes are not named"), "{}", finding.reason);
}

#[test]
fn a_scan_aside_ends_with_its_reports() {
    let paths = Arc::new(PluginPaths::new(vec!["/no/such/folder".to_owned()]));
    assert_eq!(paths.last(), None);
    let (send, done) = std::sync::mpsc::channel();
    paths.scan_aside(move || send.send(()).unwrap()).unwrap();
    done.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert_eq!(paths.last().unwrap()[0].problems.len(), 1);
}
