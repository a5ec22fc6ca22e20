//! From method and path to what is asked. The rules are the Java server's: case counts, one trailing slash does not, path
//! segments are percent-decoded after splitting, no segment is empty, and an unknown method is an unknown path.

use axum::http::{Method, Uri};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    ClusterInfo,
    List,
    AllocatedConnectors,
    AllocatedTasks,
    Config(String),
    Status(String),
    Tasks(String),
    TaskStatus(String, String),
    Create(String),
    CreateByGet(String),
    Stop(String),
    Pause(String),
    Resume(String),
    StopAll,
    PauseAll,
    ResumeAll,
    Plugins,
    PluginConnectors,
    PluginReload,
    PluginConfig,
    PluginValidate,
    Health,
    Ready,
    Metrics,
    OldAllocatedInfo,
    OldAllocatedConnectors,
    OldAllocatedTasks,
}

impl Route {
    /// Whether it changes something.
    pub(super) fn changes(&self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::CreateByGet(_)
                | Self::Stop(_)
                | Self::Pause(_)
                | Self::Resume(_)
                | Self::StopAll
                | Self::PauseAll
                | Self::ResumeAll
                | Self::PluginReload
        )
    }
}

/// Finds the route; `HEAD` finds what `GET` does.
pub(super) fn route(method: &Method, uri: &Uri) -> Option<Route> {
    let path = uri.path().strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<String> = path.split('/').map(decode).collect();
    if segments.iter().any(String::is_empty) {
        return None;
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let has_config = uri.query().is_some_and(|query| query.starts_with("config=") || query.contains("&config="));
    if *method == Method::GET || *method == Method::HEAD {
        reading(&segments).or_else(|| changing(&segments)).or_else(|| super::legacy::route(&segments, has_config))
    } else if *method == Method::POST || *method == Method::PUT {
        match segments.as_slice() {
            ["connectors", name] => Some(Route::Create((*name).to_owned())),
            other => changing(other),
        }
    } else if *method == Method::DELETE {
        match segments.as_slice() {
            ["connectors", name] => Some(Route::Stop((*name).to_owned())),
            _ => None,
        }
    } else {
        None
    }
}

/// Routes that change nothing.
fn reading(segments: &[&str]) -> Option<Route> {
    let owned = |name: &&str| (*name).to_owned();
    Some(match segments {
        ["getClusterInfo"] => Route::ClusterInfo,
        ["connectors", "list"] => Route::List,
        ["allocated", "connectors"] => Route::AllocatedConnectors,
        ["allocated", "tasks"] => Route::AllocatedTasks,
        ["connectors", name, "config"] => Route::Config(owned(name)),
        ["connectors", name, "status"] => Route::Status(owned(name)),
        ["connectors", name, "tasks"] => Route::Tasks(owned(name)),
        ["connectors", name, "tasks", task, "status"] => Route::TaskStatus(owned(name), owned(task)),
        ["plugin", "list"] => Route::Plugins,
        ["plugin", "list", "connectors"] => Route::PluginConnectors,
        ["plugin", "config"] => Route::PluginConfig,
        ["health"] => Route::Health,
        ["ready"] => Route::Ready,
        ["metrics"] => Route::Metrics,
        _ => return None,
    })
}

/// Routes that change something. The Java worker's clients reach them by `GET`; `POST` and `PUT` do as well.
fn changing(segments: &[&str]) -> Option<Route> {
    let owned = |name: &&str| (*name).to_owned();
    Some(match segments {
        ["connectors", "stop", "all"] => Route::StopAll,
        ["connectors", "pause", "all"] => Route::PauseAll,
        ["connectors", "resume", "all"] => Route::ResumeAll,
        ["connectors", name, "stop"] => Route::Stop(owned(name)),
        ["connectors", name, "pause"] => Route::Pause(owned(name)),
        ["connectors", name, "resume"] => Route::Resume(owned(name)),
        ["plugin", "reload"] => Route::PluginReload,
        // Changes nothing, but its configuration may be too long for a query.
        ["plugin", "config", "validate"] => Route::PluginValidate,
        // The Java project's README names it, its server does not have it.
        ["connectors", name, "delete"] => Route::Stop(owned(name)),
        _ => return None,
    })
}

/// Decodes `%XX`; what is no such escape stays as it is, what is not UTF-8 is replaced.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, uri: &str, expected: Option<Route>) {
        assert_eq!(route(method, &uri.parse().unwrap()), expected, "{method} {uri}");
    }

    fn name(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn paths_are_matched_as_the_java_server_does() {
        for (uri, expected) in [
            ("/getClusterInfo", Some(Route::ClusterInfo)),
            ("/getClusterInfo/", Some(Route::ClusterInfo)),
            ("/getclusterinfo", None),
            // Browsers get the page there, before this table is asked.
            ("/", None),
            ("/connectors", None),
            ("/connectors/", None),
            ("/connectors//stop", None),
            ("/connectors/list", Some(Route::List)),
            ("/connectors/a%20b%2Fc/stop", Some(Route::Stop(name("a b/c")))),
            ("/connectors/%E6%96%87/config", Some(Route::Config(name("文")))),
            ("/connectors/100%/config", Some(Route::Config(name("100%")))),
            ("/connectors/a+b/config", Some(Route::Config(name("a+b")))),
            ("/connectors/x", Some(Route::CreateByGet(name("x")))),
            ("/connectors/stopAll", Some(Route::StopAll)),
            ("/connectors/stopAll?config={}", Some(Route::CreateByGet(name("stopAll")))),
            ("/connectors/x/unknown", None),
        ] {
            check(&Method::GET, uri, expected);
        }
    }

    #[test]
    fn changes_come_by_their_own_methods_too() {
        check(&Method::POST, "/connectors/list", Some(Route::Create(name("list"))));
        check(&Method::PUT, "/connectors/x", Some(Route::Create(name("x"))));
        check(&Method::DELETE, "/connectors/x", Some(Route::Stop(name("x"))));
        check(&Method::POST, "/connectors/x/pause", Some(Route::Pause(name("x"))));
        check(&Method::POST, "/connectors/x/delete", Some(Route::Stop(name("x"))));
        check(&Method::PUT, "/plugin/config/validate", Some(Route::PluginValidate));
        check(&Method::POST, "/plugin/reload/", Some(Route::PluginReload));
        check(&Method::POST, "/plugin/config", None);
        check(&Method::POST, "/getClusterInfo", None);
        check(&Method::DELETE, "/connectors/x/config", None);
        check(&Method::OPTIONS, "/connectors/list", None);
        check(&Method::HEAD, "/connectors/list", Some(Route::List));
    }
}
