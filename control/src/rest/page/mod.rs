//! The status page: static files that the program carries in itself. The page gets all it shows from `/v1`, as any client
//! does; nothing is asked of another host, and the browser is told to refuse it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;

use super::Answer;

/// What the browser may load and do for the page: only what comes from this worker, and in no other site's frame.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

/// Names a file by what the page calls it.
macro_rules! file {
    ($path:literal, $kind:expr, $name:literal) => {
        File { path: $path, kind: $kind, content: include_str!($name) }
    };
}

/// All files of the page.
const FILES: &[File] = &[
    file!("/", HTML, "index.html"),
    file!("/page/app.css", CSS, "app.css"),
    file!("/page/icon.svg", SVG, "icon.svg"),
    file!("/page/theme.js", SCRIPT, "theme.js"),
    file!("/page/app.js", SCRIPT, "app.js"),
    file!("/page/actions.js", SCRIPT, "actions.js"),
    file!("/page/api.js", SCRIPT, "api.js"),
    file!("/page/connector.js", SCRIPT, "connector.js"),
    file!("/page/details.js", SCRIPT, "details.js"),
    file!("/page/dom.js", SCRIPT, "dom.js"),
    file!("/page/flow.js", SCRIPT, "flow.js"),
    file!("/page/form.js", SCRIPT, "form.js"),
    file!("/page/format.js", SCRIPT, "format.js"),
    file!("/page/letters.js", SCRIPT, "letters.js"),
    file!("/page/overview.js", SCRIPT, "overview.js"),
    file!("/page/plot.js", SCRIPT, "plot.js"),
];

/// One tag for all files: they are of one build, and change together.
static TAG: LazyLock<String> = LazyLock::new(|| {
    // FNV-1a: it tells builds apart and keeps nobody from anything.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = FILES.iter().flat_map(|file| file.content.bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    format!("\"{hash:016x}\"")
});

/// The answer to a request for a file of the page; none if it is for something else. At `/`, who does not ask
/// for HTML, as browsers do, gets what the Java worker answers.
pub(super) fn answer(request: &Parts) -> Option<Answer> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return None;
    }
    let file = FILES.iter().find(|file| file.path == request.uri.path())?;
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if file.kind == HTML && !header(ACCEPT).contains("text/html") {
        return None;
    }
    let known = header(IF_NONE_MATCH).split(',').any(|tag| tag.trim().trim_start_matches("W/") == *TAG);
    // With the tag, a worker of another build is never taken for the one before.
    let headers = [
        (CONTENT_TYPE, file.kind),
        (ETAG, TAG.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let (status, body) = match known {
        true => (StatusCode::NOT_MODIFIED, Body::empty()),
        false => (StatusCode::OK, Body::from(file.content)),
    };
    Some((status, headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn browsers_get_the_page_and_programs_what_they_got_before() {
        for (method, path, accept, there) in [
            ("GET", "/", "text/html,application/xhtml+xml", true),
            ("HEAD", "/", "text/html", true),
            ("GET", "/", "*/*", false),
            ("GET", "/", "", false),
            ("GET", "/", "application/json", false),
            ("POST", "/", "text/html", false),
            ("GET", "/page/app.js", "application/json", true),
            ("GET", "/page/", "*/*", false),
            ("GET", "/page/../app.js", "*/*", false),
            ("GET", "/connectors/list", "text/html", false),
        ] {
            assert_eq!(ask(method, path, &[("accept", accept)]).is_some(), there, "{method} {path} {accept}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = ask("GET", "/page/app.css", &[]).unwrap();
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for header in ["content-security-policy", "x-content-type-options", "cache-control"] {
            assert!(first.headers().contains_key(header), "{header}");
        }
        assert_eq!(ask("GET", "/page/app.css", &[("if-none-match", &tag)]).unwrap().status(), StatusCode::NOT_MODIFIED);
        let weak = format!("\"other\", W/{tag}");
        assert_eq!(ask("GET", "/page/app.js", &[("if-none-match", &weak)]).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask("GET", "/page/app.js", &[("if-none-match", "\"other\"")]).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn the_page_stays_small_and_asks_nothing_of_other_hosts() {
        let bytes: usize = FILES.iter().map(|file| file.content.len()).sum();
        assert!(bytes < 150 * 1024, "the page has {bytes} bytes");
        for file in FILES {
            for foreign in ["https://", "//cdn", "@import", "innerHTML", "insertAdjacentHTML", "eval("] {
                assert!(!file.content.contains(foreign), "{} has {foreign}", file.path);
            }
            assert!(!file.content.replace("http://www.w3.org/", "").contains("http://"), "{}", file.path);
        }
    }

    #[test]
    fn every_module_that_a_module_names_is_there() {
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            let imported = file.content.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            for name in imported {
                let path = format!("/page/{name}");
                assert!(FILES.iter().any(|file| file.path == path), "{} imports {path}", file.path);
            }
        }
    }
}
