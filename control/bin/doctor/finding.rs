//! What the checks found, and how it is shown.

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// The worker runs, but not as well or as safely as it could.
    Warn,
    /// The worker does not start, or does not do its work.
    Fail,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which check, in one or two words.
    pub check: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was looked at: a file, an address, a key with its value.
    pub looked_at: String,
    /// What was found there.
    pub found: String,
    /// What to do about it: a command or a line of the conf file. There whenever the status is not ok.
    pub remedy: Option<String>,
}

impl Finding {
    /// Nothing to do.
    pub fn ok(check: &'static str, looked_at: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, looked_at: looked_at.into(), found: found.into(), remedy: None }
    }

    /// Works, but could be better.
    pub fn warn(
        check: &'static str,
        looked_at: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { status: Status::Warn, remedy: Some(remedy.into()), ..Self::ok(check, looked_at, found) }
    }

    /// Does not work.
    pub fn fail(
        check: &'static str,
        looked_at: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { status: Status::Fail, remedy: Some(remedy.into()), ..Self::ok(check, looked_at, found) }
    }

    fn line(&self) -> String {
        let mut line = format!("{:<5} {:<12} {}: {}", self.status.name(), self.check, self.looked_at, self.found);
        if let Some(remedy) = &self.remedy {
            line.push_str("\n      remedy:      ");
            line.push_str(remedy);
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check, "status": self.status.name(), "lookedAt": self.looked_at, "found": self.found,
            "remedy": self.remedy,
        })
    }
}

/// All findings.
#[derive(Debug, Default)]
pub(crate) struct Report(pub Vec<Finding>);

impl Report {
    /// The worst of them.
    pub fn worst(&self) -> Status {
        self.0.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }

    fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|finding| finding.status == status).count()
    }

    /// For people: a line a finding, the remedy below it, and a last line that sums up.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.0.iter().map(Finding::line).collect();
        let (ok, warn, fail) = (self.count(Status::Ok), self.count(Status::Warn), self.count(Status::Fail));
        lines.push(format!("{ok} ok, {warn} warn, {fail} fail"));
        lines.join("\n")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "status": self.worst().name(),
            "ok": self.count(Status::Ok), "warn": self.count(Status::Warn), "fail": self.count(Status::Fail),
            "checks": self.0.iter().map(Finding::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_counts_and_a_remedy_stands_below_what_it_cures() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Status::Ok);
        report.0.push(Finding::ok("conf", "x.conf", "3 keys"));
        report.0.push(Finding::fail("port", "127.0.0.1:1", "in use", "httpPort=2"));
        report.0.push(Finding::warn("rest", "httpHost=0.0.0.0", "open", "httpHost=127.0.0.1"));
        assert_eq!(report.worst(), Status::Fail);
        let text = report.text();
        assert!(text.contains("fail  port         127.0.0.1:1: in use\n      remedy:      httpPort=2\n"), "{text}");
        assert!(text.ends_with("1 ok, 1 warn, 1 fail"), "{text}");
        let json = report.json();
        assert_eq!((&json["status"], &json["checks"][0]["remedy"]), (&json!("fail"), &Value::Null));
    }
}
