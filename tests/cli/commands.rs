//! Every command against a worker that is told what to answer: request, output, exit code.

use serde_json::{Value, json};

use super::fake::{Fake, Request};
use super::run::{ask, ask_with};
use super::support::TempDir;

const STATUS: &str = r#"{"name":"in","type":"source","connector":{"state":"RUNNING","worker_id":"w"},
    "health":{"state":"DEGRADED","cause":"it retries"},
    "last_change":{"kind":"rolled back","at_ms":1000,"cause":"no file"},
    "tasks":[{"id":0,"state":"RUNNING","worker_id":"w","shard":1,"restarts":2,"lag_records":7,"holding":{"stage":"put","cause":"refused","tries":3}},
             {"id":1,"state":"FAILED","worker_id":"w","trace":"cannot open x\nno such file",
              "history":[{"at_ms":5,"cause":"cannot open x","then":"restart in 3 ms"}]}]}"#;
const INFO: &str = r#"{"name":"in","type":"source","config":{"filename":"/x","name":"in"},
    "tasks":[{"connector":"in","task":0},{"connector":"in","task":1}]}"#;
const REFUSED: &str = r#"{"error_code":400,"message":"m","errors":[
    {"key":"filename","value":"/y","reason":"is a folder","remedy":"name a file"},
    {"key":"max.tasks","value":null,"reason":"is no number","remedy":null}]}"#;

/// Sends one command, and gives the one request that came.
#[track_caller]
fn sent(line: &str, status: u16, answer: &str, arguments: &[&str]) -> Value {
    let fake = Fake::start(&[(line, status, answer)]);
    ask(fake.address, arguments).expect(0);
    let requests = fake.requests();
    assert_eq!(requests.iter().map(|request| request.line.as_str()).collect::<Vec<_>>(), [line]);
    requests[0].body.clone()
}

#[test]
fn each_command_asks_for_what_it_says() {
    const ODD: &str = "a b/ü";
    for (arguments, line, status) in [
        (&["connectors", "pause", ODD][..], "PUT /v1/connectors/a%20b%2F%C3%BC/pause", 202),
        (&["connectors", "resume", "in"], "PUT /v1/connectors/in/resume", 202),
        (&["connectors", "stop", "in"], "PUT /v1/connectors/in/stop", 204),
        (&["connectors", "restart", "in"], "POST /v1/connectors/in/restart?includeTasks=false&onlyFailed=false", 204),
        (
            &["connectors", "restart", "in", "--tasks"],
            "POST /v1/connectors/in/restart?includeTasks=true&onlyFailed=false",
            202,
        ),
        (
            &["connectors", "restart", "in", "--only-failed"],
            "POST /v1/connectors/in/restart?includeTasks=true&onlyFailed=true",
            202,
        ),
        (&["connectors", "delete", "in", "--yes"], "DELETE /v1/connectors/in", 204),
        (
            &["connectors", "delete", "in", "-y", "--positions", "--group"],
            "DELETE /v1/connectors/in?positions=true&group=true",
            204,
        ),
        (&["connectors", "config", "in"], "GET /v1/connectors/in/config", 200),
        (&["tasks", "list", "in"], "GET /v1/connectors/in/status", 200),
        (&["tasks", "restart", "in", "1"], "POST /v1/connectors/in/tasks/1/restart", 204),
        (&["offsets", "get", "in"], "GET /v1/connectors/in/offsets", 200),
        (&["offsets", "reset", "in"], "DELETE /v1/connectors/in/offsets", 200),
        (&["offsets", "reset", "in", "--dry-run"], "DELETE /v1/connectors/in/offsets?dry_run=true", 200),
        (&["dlq", "list", "in"], "GET /v1/connectors/in/dlq/summary", 200),
        (&["dlq", "show", "in"], "GET /v1/connectors/in/dlq?limit=20", 200),
        (
            &["dlq", "show", "in", "--queue", "2", "--from", "7", "--limit", "3"],
            "GET /v1/connectors/in/dlq?queue=2&from=7&limit=3",
            200,
        ),
        (&["plugins"], "GET /v1/connector-plugins?connectorsOnly=false", 200),
        (&["plugins", "list"], "GET /v1/connector-plugins?connectorsOnly=false", 200),
        (&["plugins", "show", "file-sink"], "GET /v1/connector-plugins/file-sink/config", 200),
        (&["tap", "in"], "GET /v1/connectors/in/tap?every=1&limit=100&seconds=10", 200),
        (
            &["tap", "in", "--stage", "put", "--task", "1", "--every", "5", "--limit", "6", "--seconds", "7"],
            "GET /v1/connectors/in/tap?stage=put&task=1&every=5&limit=6&seconds=7",
            200,
        ),
        (&["worker"], "GET /v1/worker", 200),
        (&["loggers", "get"], "GET /v1/admin/loggers", 200),
        (&["loggers", "get", "a::b"], "GET /v1/admin/loggers/a%3A%3Ab", 200),
    ] {
        let answer = if status == 204 { "" } else { "{}" };
        assert_eq!(sent(line, status, answer, arguments), Value::Null, "{arguments:?}");
        // The same with one JSON document.
        let fake = Fake::start(&[(line, status, answer)]);
        let outcome = ask(fake.address, &[arguments, &["--json"]].concat()).expect(0);
        if arguments[0] != "tap" {
            outcome.json();
        }
    }
}

#[test]
fn changes_carry_what_was_given() {
    let offsets = "PATCH /v1/connectors/in/offsets";
    assert_eq!(
        sent(offsets, 200, "{}", &["offsets", "set", "in", "--partition", r#"{"f":"x"}"#, "--offset", "null"]),
        json!({"offsets": [{"partition": {"f": "x"}, "offset": null}]})
    );
    assert_eq!(
        sent(offsets, 200, "{}", &["offsets", "set", "in", "--partition", "{}", "--offset", "latest"]),
        json!({"offsets": [{"partition": {}, "offset": "latest"}]})
    );
    let replay = "POST /v1/connectors/in/dlq/replay";
    assert_eq!(
        sent(replay, 200, "{}", &["dlq", "replay", "in", "--dry-run", "--limit", "5", "--topic", "t"]),
        json!({"queue": null, "from": null, "to": null, "limit": 5, "topic": "t", "dry_run": true})
    );
    assert_eq!(
        sent("PUT /v1/admin/loggers/root", 200, "[]", &["loggers", "set", "root", "DEBUG"]),
        json!({"level": "DEBUG"})
    );
}

#[test]
fn a_list_and_a_connector_are_shown() {
    let all = format!("{{\"in\":{{\"status\":{STATUS},\"info\":{INFO}}}}}");
    let fake = Fake::start(&[
        ("GET /v1/connectors?expand=status&expand=info", 200, &all),
        ("GET /v1/connectors/in", 200, INFO),
        ("GET /v1/connectors/in/status", 200, STATUS),
        ("GET /v1/connectors/in/config", 200, r#"{"filename":"/x","password":"******"}"#),
        ("GET /v1/connectors/in/tasks/1/status", 200, r#"{"id":1,"state":"FAILED","trace":"cannot open x"}"#),
        ("GET /v1/connectors/in/tasks", 200, r#"[{"id":{"connector":"in","task":1},"config":{"task.id":"1"}}]"#),
    ]);
    let list = ask(fake.address, &["connectors", "list"]).expect(0);
    assert_eq!(
        list.out,
        "NAME  TYPE    STATE    RUNNING  HEALTH    CAUSE\nin    source  RUNNING  1/2      DEGRADED  it retries\n"
    );
    assert_eq!(ask(fake.address, &["connectors", "list", "--json"]).json()["in"]["info"]["name"], "in");
    let page = ask(fake.address, &["connectors", "describe", "in"]).expect(0);
    page.says("Last change: rolled back at 1970-01-01T00:00:01.000Z: no file").says("put: refused (3 tries)");
    page.says("Health:      DEGRADED")
        .says("cannot open x\n    no such file")
        .says("1970-01-01T00:00:00.005Z  cannot open x; restart in 3 ms")
        .says("filename = /x");
    let json = ask(fake.address, &["connectors", "describe", "in", "--json"]).json();
    assert_eq!((&json["info"]["name"], &json["status"]["tasks"][1]["id"]), (&json!("in"), &json!(1)));
    assert_eq!(ask(fake.address, &["connectors", "config", "in"]).out, "filename=/x\npassword=******\n");
    ask(fake.address, &["tasks", "show", "in", "1"]).expect(0).says("FAILED").says("task.id = 1");
    assert_eq!(ask(fake.address, &["tasks", "list", "in", "--json"]).json()[0]["shard"], 1);
}

#[test]
fn a_connector_is_created_from_json_properties_and_stdin() {
    let dir = TempDir::new("cli");
    let (json_file, properties) = (dir.file("x.json"), dir.file("x.properties"));
    std::fs::write(&json_file, r#"{"connector.class":"C","max.tasks":2}"#).unwrap();
    std::fs::write(&properties, "name=in\nconnector.class=C\n").unwrap();
    let line = "POST /v1/connectors";
    let config = json!({"connector.class": "C", "max.tasks": "2"});
    let arguments = ["connectors", "create", "in", "-f", json_file.to_str().unwrap()];
    assert_eq!(sent(line, 201, INFO, &arguments), json!({"name": "in", "config": config, "initial_state": "RUNNING"}));
    let arguments = ["connectors", "create", "--state", "paused", "-f", properties.to_str().unwrap()];
    assert_eq!(
        sent(line, 201, INFO, &arguments),
        json!({"name": "in", "config": {"connector.class": "C", "name": "in"}, "initial_state": "PAUSED"})
    );
    let fake = Fake::start(&[(line, 409, r#"{"error_code":409,"message":"Connector in already exists"}"#)]);
    let text = r#"{"name":"in","config":{}}"#;
    ask_with(fake.address, &["connectors", "create", "in", "-f", "-"], text).expect(1).complains("already exists");
    assert_eq!(fake.lines(), [line]);
    // A name that is not the file's.
    ask_with(fake.address, &["connectors", "create", "out", "-f", "-"], text).expect(2).complains("describes in");
    assert_eq!(fake.lines(), [line], "nobody was asked");
}

#[test]
fn apply_tells_what_became_of_each() {
    let fake = Fake::start(&[
        ("GET /v1/connectors/same/config", 200, r#"{"a":"1","name":"same"}"#),
        ("GET /v1/connectors/other/config", 200, r#"{"a":"1","name":"other"}"#),
        ("GET /v1/connectors/secret/config", 200, r#"{"password":"******"}"#),
        ("PUT /v1/connectors/new/config", 201, "{}"),
        ("PUT /v1/connectors/other/config", 200, "{}"),
        ("PUT /v1/connectors/secret/config", 200, "{}"),
        ("PUT /v1/connectors/bad/config", 400, REFUSED),
    ]);
    let text = r#"{"name":"same","config":{"a":"1"}} {"name":"other","config":{"a":2}}
        [{"name":"new","config":{"a":"1"}},{"name":"secret","config":{"password":"p"}}]"#;
    let outcome = ask_with(fake.address, &["connectors", "apply", "-f", "-"], text).expect(0);
    assert_eq!(outcome.out, "same unchanged\nother updated\nnew created\nsecret updated\n");
    let put: Vec<Request> = fake.requests().into_iter().filter(|one| one.line.starts_with("PUT")).collect();
    assert_eq!(put.len(), 3);
    assert_eq!(put[0].body, json!({"a": "2"}));
    // One that is refused does not keep the others from being applied.
    let text = r#"{"name":"bad","a":"1"} {"name":"other","config":{"a":2}}"#;
    let outcome = ask_with(fake.address, &["connectors", "apply", "-f", "-", "--json"], text).expect(1);
    let json = outcome.json();
    assert_eq!((&json[0]["result"], &json[1]["result"]), (&json!("refused"), &json!("updated")));
    assert_eq!(json[0]["errors"][0]["remedy"], "name a file");
    outcome.complains("filename=/y: is a folder; name a file");
}

#[test]
fn diff_says_equal_or_different_by_its_exit_code() {
    let fake = Fake::start(&[("GET /v1/connectors/in/config", 200, r#"{"a":"1","password":"******","name":"in"}"#)]);
    let diff = |text: &str| ask_with(fake.address, &["connectors", "diff", "in", "-f", "-"], text);
    diff(r#"{"a":"1","password":"secret-word"}"#).expect(0).says("in: equal");
    let different = diff(r#"{"a":"2","password":"secret-word","token":"hush"}"#).expect(1);
    different.says("- a = 1").says("+ a = 2").says("+ token = ******");
    assert!(!different.out.contains("secret-word") && !different.out.contains("hush"));
    let json =
        ask_with(fake.address, &["connectors", "diff", "out", "-f", "-", "--json"], r#"{"a":"1"}"#).expect(1).json();
    assert_eq!((&json["equal"], &json["connectors"][0]["change"]), (&json!(false), &json!("create")));
}

#[test]
fn all_of_a_sinks_queues_are_moved() {
    let fake = Fake::start(&[
        ("GET /v1/connectors/out", 200, r#"{"name":"out","type":"sink"}"#),
        ("GET /v1/connectors/in", 200, r#"{"name":"in","type":"source"}"#),
        (
            "GET /v1/connectors/out/offsets",
            200,
            r#"{"offsets":[{"partition":{"topic":"t","broker":"b","queue":0},"offset":{"queue_offset":5},"min":1,"max":9,"lag":4}]}"#,
        ),
        ("GET /v1/connectors/in/offsets", 200, r#"{"offsets":[{"partition":{"f":"x"},"offset":{"n":"5"}}]}"#),
        (
            "PATCH /v1/connectors/out/offsets?dry_run=true",
            200,
            r#"{"dry_run":true,"refused":"stop it first","offsets":[{"partition":{"queue":0},"from":5,"to":1,"records_again":4,"records_skipped":0}]}"#,
        ),
        ("PATCH /v1/connectors/in/offsets", 200, r#"{"message":"altered"}"#),
    ]);
    ask(fake.address, &["offsets", "get", "out"])
        .expect(0)
        .says("LAG")
        .says("t      b       0      1    5          9    4");
    ask(fake.address, &["offsets", "get", "in"]).expect(0).says(r#"{"f":"x"}"#).says(r#"{"n":"5"}"#);
    let time = ["offsets", "reset", "out", "--to", "1970-01-01T00:00:01Z", "--dry-run"];
    ask(fake.address, &time)
        .expect(0)
        .says("Nothing was changed")
        .says("READ AGAIN")
        .says("refused now: stop it first");
    let last = fake.requests().pop().unwrap().body;
    assert_eq!(last["offsets"][0]["offset"], json!({"timestamp_ms": 1000}));
    assert_eq!(last["offsets"][0]["partition"], json!({"topic": "t", "broker": "b", "queue": 0}));
    ask(fake.address, &["offsets", "reset", "in", "--to", "earliest"]).expect(0).says("altered");
    assert_eq!(fake.requests().pop().unwrap().body["offsets"][0]["offset"], Value::Null);
    ask(fake.address, &["offsets", "reset", "in", "--to", "latest"]).expect(2).complains("is a source");
    ask(fake.address, &["offsets", "reset", "in", "--to", "noon"]).expect(2).complains("2026-05-01T12:00:00Z");
}

#[test]
fn every_fault_of_a_configuration_is_named() {
    let report = r#"{"name":"C","error_count":1,"configs":[],
        "errors":[{"key":"filename","value":"/y","reason":"is a folder","remedy":"name a file"}],
        "warnings":[{"key":"max.task","reason":"is no key","likely":"max.tasks"}]}"#;
    let fine = r#"{"name":"D","error_count":0,"configs":[],"errors":[],"warnings":[]}"#;
    let fake = Fake::start(&[
        ("PUT /v1/connector-plugins/C/config/validate", 200, report),
        ("PUT /v1/connector-plugins/D/config/validate", 200, fine),
    ]);
    let check = |text: &str, more: &[&str]| ask_with(fake.address, &[&["validate", "-f", "-"], more].concat(), text);
    check(r#"{"connector.class":"D"}"#, &[]).expect(0).says("accepted");
    let faulty = check(r#"{"connector.class":"C","filename":"/y"}"#, &[]).expect(1);
    faulty.says("filename = /y\n    is a folder\n    remedy: name a file").says("did you mean max.tasks?");
    let json =
        check(r#"{"name":"x","config":{"connector.class":"C"}} {"connector.class":"D"}"#, &["--json"]).expect(1).json();
    assert_eq!((&json["valid"], &json["connectors"][0]["name"]), (&json!(false), &json!("x")));
    assert_eq!(json["connectors"][1]["errors"], json!([]));
    check("{}", &[]).expect(1).says("connector.class").says("remedy");
}

#[test]
fn a_configuration_is_checked_without_a_worker() {
    let fake = Fake::start(&[]);
    let check = |text: &str, more: &[&str]| {
        ask_with(fake.address, &[&["validate", "--offline", "-f", "-"], more].concat(), text)
    };
    let good = r#"{"name":"in","config":{"connector.class":"file-source","filename":"x","connect.topicname":"t"}}"#;
    check(good, &[]).expect(0).says("in: accepted");
    let json = check(r#"{"connector.class":"file-source","max.tasks":"many"}"#, &["--json"]).expect(1).json();
    let errors = json["connectors"][0]["errors"].as_array().unwrap().clone();
    let keys: Vec<&str> = errors.iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"filename") && keys.contains(&"max.tasks"), "{errors:?}");
    check(r#"{"connector.class":"fil-source"}"#, &[]).expect(1).says("connector.class = fil-source");
    check(good, &["-c", "/nowhere.conf"]).expect(2).complains("/nowhere.conf");
    check("{", &["--json"]).expect(2).says(r#""kind":"usage""#);
    assert_eq!(fake.lines(), [] as [&str; 0]);
}

#[test]
fn dead_letters_are_counted_shown_and_replayed() {
    let summary = r#"{"topic":"dead","letters":2,"looked_at":2,"newest_ms":1000,"by_stage":{"CONVERTER":2},"by_exception":{},
        "queues":[{"broker":"b","queue":0,"min":0,"max":0,"letters":0,"replayed_to":null},
                  {"broker":"b","queue":1,"min":3,"max":5,"letters":2,"replayed_to":4}]}"#;
    let letters = r#"{"topic":"dead","letters":[{"queue":1,"queue_offset":4,"body":"bad","cut":false,
        "error":{"stage":"CONVERTER"},"properties":{}}],"of_others":0,"next":null}"#;
    let replayed = r#"{"topic":"dead","dry_run":false,"replayed":1,"of_others":0,"left":1,"by_topic":{"t":1},
        "queues":[{"broker":"b","queue":1,"from":4,"to":5,"replayed":1,"left":1}]}"#;
    let fake = Fake::start(&[
        ("GET /v1/connectors/out/dlq/summary", 200, summary),
        ("GET /v1/connectors/out/dlq?limit=20", 200, letters),
        ("POST /v1/connectors/out/dlq/replay", 200, replayed),
    ]);
    let list = ask(fake.address, &["dlq", "list", "out"]).expect(0);
    assert_eq!(
        list.out,
        "2 dead letters in topic dead, the newest of 1970-01-01T00:00:01.000Z\n\nOf the last 2:\nLETTERS  WHY\n\
         2        CONVERTER\n\nBROKER  QUEUE  MIN  MAX  LETTERS  REPLAYED TO\nb       1      3    5    2        4\n"
    );
    ask(fake.address, &["dlq", "show", "out"]).expect(0).says("queue 1 offset 4\n").says("    stage = CONVERTER\n");
    let replay = ask(fake.address, &["dlq", "replay", "out"]).expect(0);
    replay.says("1 dead letters replayed, 1 left\n  1 to topic t\n");
}

#[test]
fn tapped_records_come_line_by_line() {
    let records = "{\"connector\":\"in\",\"task\":0,\"stage\":\"poll\",\"value\":\"one\"}\n\
                   {\"connector\":\"in\",\"task\":0,\"stage\":\"poll\",\"value\":\"two\"}\n";
    let fake = Fake::start(&[("GET /v1/connectors/in/tap?every=1&limit=100&seconds=10", 200, records)]);
    assert_eq!(ask(fake.address, &["tap", "in", "--json"]).expect(0).out, records);
    let lines = ask(fake.address, &["tap", "in"]).expect(0).out;
    assert_eq!(lines, "connector=in  poll  task=0  value=one\nconnector=in  poll  task=0  value=two\n");
}

#[test]
fn health_is_an_exit_code() {
    let status = |state: &str| format!(r#"{{"in":{{"status":{{"health":{{"state":"{state}","cause":"c"}}}}}}}}"#);
    for (worker, state, code) in
        [(200, "healthy", 0), (200, "degraded", 0), (200, "failed", 1), (200, "STALLED", 1), (503, "healthy", 1)]
    {
        let all = status(state);
        let fake = Fake::start(&[("GET /health", worker, "text\n"), ("GET /v1/connectors?expand=status", 200, &all)]);
        ask(fake.address, &["health"]).expect(code).says("CONNECTOR").says("c");
        let json = ask(fake.address, &["health", "--json"]).expect(code).json();
        assert_eq!(json["healthy"], json!(code == 0));
    }
}

/// A command of every kind, with arguments that are right.
const ONE_OF_EACH: &[&[&str]] = &[
    &["connectors", "list"],
    &["connectors", "describe", "x"],
    &["connectors", "config", "x"],
    &["connectors", "pause", "x"],
    &["connectors", "resume", "x"],
    &["connectors", "restart", "x"],
    &["connectors", "stop", "x"],
    &["connectors", "delete", "x", "--yes"],
    &["tasks", "list", "x"],
    &["tasks", "show", "x", "0"],
    &["tasks", "restart", "x", "0"],
    &["offsets", "get", "x"],
    &["offsets", "set", "x", "--partition", "{}", "--offset", "null"],
    &["offsets", "reset", "x"],
    &["offsets", "reset", "x", "--to", "earliest"],
    &["dlq", "list", "x"],
    &["dlq", "show", "x"],
    &["dlq", "replay", "x"],
    &["plugins", "list"],
    &["plugins", "show", "x"],
    &["tap", "x"],
    &["worker"],
    &["loggers", "get"],
    &["loggers", "get", "x"],
    &["loggers", "set", "x", "INFO"],
    &["health"],
];

#[test]
fn a_refusal_and_an_unreachable_worker_have_their_exit_codes() {
    let fake = Fake::start(&[]);
    // Ports that were given back are taken by the tests beside this one; this one never is.
    let nobody = ([127, 0, 0, 1], 1).into();
    for arguments in ONE_OF_EACH {
        ask(fake.address, arguments).expect(1).complains("HTTP 404");
        let outcome = ask(fake.address, &[arguments, &["--json"][..]].concat()).expect(1);
        let error = &outcome.json()["error"];
        assert_eq!((&error["kind"], &error["status"]), (&json!("refused"), &json!(404)), "{arguments:?}");
        ask(nobody, arguments).expect(3).complains("is it running?");
        let outcome = ask(nobody, &[arguments, &["--json"][..]].concat()).expect(3);
        assert_eq!(outcome.json()["error"]["kind"], "unreachable", "{arguments:?}");
    }
}

#[test]
fn wrong_flags_and_files_are_found_before_anyone_is_asked() {
    let fake = Fake::start(&[]);
    for (arguments, complaint) in [
        (&["connectors", "create", "x"][..], "--file"),
        (&["connectors", "apply", "-f", "/nowhere.json"], "/nowhere.json"),
        (&["connectors", "delete", "x"], "--yes"),
        (&["connectors", "lost"], "list"),
        (&["offsets", "set", "x"], "--partition"),
        (&["offsets", "set", "x", "--partition", "{", "--offset", "1"], "no JSON"),
        (&["dlq", "show", "x", "--limit", "0"], "--limit"),
        (&["tap", "x", "--stage", "nowhere"], "transform"),
        (&["conectors", "list"], "connectors"),
    ] {
        ask(fake.address, arguments).expect(2).complains(complaint);
    }
    let bad = |text: &str| ask_with(fake.address, &["connectors", "apply", "-f", "-"], text).expect(2);
    bad("{").complains("no JSON");
    bad(r#"{"connector.class":"x"}"#).complains("name");
    bad(r#"{"name":"a","b":"1"} {"name":"a","b":"1"}"#).complains("twice");
    bad(r#"{"name":"a","password":"******"}"#).complains("password");
    assert_eq!(fake.lines(), [] as [&str; 0]);
}

#[test]
fn an_answer_that_is_no_json_is_no_success() {
    let fake = Fake::start(&[("GET /v1/worker", 200, "<html>")]);
    ask(fake.address, &["worker"]).expect(1).complains("is it an rmqc-fast worker?");
    let fake = Fake::start(&[("GET /v1/worker", 502, "<html>bad gateway</html>")]);
    ask(fake.address, &["worker"]).expect(1).complains("bad gateway");
}
