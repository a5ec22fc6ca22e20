//! Other sites' pages change nothing; programs and the worker's own page go on as before.

use serde_json::json;

use crate::world::{Wishes, World};

#[test]
fn requests_of_other_sites_pages_change_nothing() {
    let world = World::start(Wishes::default());
    let config = json!({
        "connector.class": "org.apache.rocketmq.connect.file.FileSourceConnector",
        "filename": "/data/in.txt",
        "connect.topicname": "t",
    });
    world.create("c", &config);
    let body = config.to_string();
    let created = json!({"name": "d", "config": config}).to_string();
    let foreign = "Origin: http://evil.example\r\n";
    let image = "Sec-Fetch-Site: cross-site\r\n";
    for (method, path, body, headers) in [
        ("POST", "/connectors/d", Some(body.as_str()), foreign),
        ("POST", "/v1/connectors", Some(created.as_str()), foreign),
        ("PUT", "/v1/connectors/c/stop", None, "Origin: null\r\n"),
        ("DELETE", "/v1/connectors/c", None, foreign),
        ("GET", "/connectors/c/stop", None, image),
        ("GET", "/connectors/stopAll", None, image),
        ("GET", "/connectors/d?config=%7B%7D", None, image),
        ("GET", "/plugin/reload", None, foreign),
    ] {
        let answer = world.ask_with(method, path, body, headers);
        assert_eq!(answer.status, 403, "{method} {path} {headers}");
        let code = if path.starts_with("/v1") { "error_code" } else { "errorCode" };
        assert!(answer.json()[code].is_u64() && answer.body.contains("httpAllowedOrigins"), "{answer:?}");
    }
    assert_eq!(world.get("/v1/connectors"), json!(["c"]));
    // Reading stays open: the browser keeps the answer from the other page by itself.
    assert_eq!(world.ask_with("GET", "/connectors/list", None, image).status, 200);
    for headers in ["", "Origin: http://test\r\n", "Origin: https://console.example\r\n", "Sec-Fetch-Site: none\r\n"] {
        assert_eq!(world.ask_with("GET", "/connectors/c/pause", None, headers).json()["status"], 200, "{headers}");
    }
}

#[test]
fn the_page_is_at_the_root_and_programs_get_what_the_java_worker_answers_there() {
    let world = World::start(Wishes::default());
    let page = world.ask_with("GET", "/", None, "Accept: text/html\r\n");
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("<main id=\"main\""), "{}", page.body);
    assert_eq!(world.ask("GET", "/page/app.js", None).content_type, "text/javascript; charset=utf-8");
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        assert_eq!(world.ask_with("GET", "/", None, accept).status, 404, "{accept}");
    }
    assert_eq!(world.ask("GET", "/page/other.js", None).status, 404);
    assert_eq!(world.ask("POST", "/", None).status, 404);
}
