//! What an answer to a send request means for its messages.

use rmqc_core::error::Retry;

use crate::remoting::code::response;
use crate::remoting::connection::{CallError, Response};

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The messages are stored.
    Stored,
    /// Try again later; `reroute` when the route may have changed.
    Again {
        /// Ask the name server first.
        reroute: bool,
    },
    /// Try again a few times, since the cause is not known; then give up.
    Doubtful,
    /// Give up: the same request will always fail.
    Never(Retry),
}

/// Judges the outcome of one attempt.
#[must_use]
pub fn judge(outcome: &Result<Response, CallError>) -> Verdict {
    let code = match outcome {
        Ok(answer) => answer.header.code,
        Err(CallError::Refused { code, .. }) => *code,
        Err(CallError::Malformed { .. }) => return Verdict::Doubtful,
        Err(CallError::Connect { .. } | CallError::Broken { .. } | CallError::Timeout { .. }) => {
            return Verdict::Again { reroute: true };
        }
    };
    match code {
        response::SUCCESS
        | response::FLUSH_DISK_TIMEOUT
        | response::SLAVE_NOT_AVAILABLE
        | response::FLUSH_SLAVE_TIMEOUT => Verdict::Stored,
        response::SYSTEM_BUSY | response::FLOW_CONTROL => Verdict::Again { reroute: false },
        response::SERVICE_NOT_AVAILABLE | response::TOPIC_NOT_EXIST => Verdict::Again { reroute: true },
        response::MESSAGE_ILLEGAL => Verdict::Never(Retry::BadRecord),
        response::NO_PERMISSION => Verdict::Never(Retry::Fatal),
        _ => Verdict::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning() {
        let refused = |code| Err(CallError::Refused { address: "a".into(), request: 320, code, remark: String::new() });
        let cases = [
            (10, Verdict::Stored),
            (2, Verdict::Again { reroute: false }),
            (14, Verdict::Again { reroute: true }),
            (13, Verdict::Never(Retry::BadRecord)),
            (16, Verdict::Never(Retry::Fatal)),
            (1, Verdict::Doubtful),
            (29, Verdict::Doubtful),
        ];
        for (code, verdict) in cases {
            assert_eq!(judge(&refused(code)), verdict, "code {code}");
        }
        let broken = Err(CallError::Broken { address: "a".into(), reason: "reset".into() });
        assert_eq!(judge(&broken), Verdict::Again { reroute: true });
    }
}
