//! What an error means for the way: whether the same is tried again, and whether Redis is looked for anew.

use redis::{ErrorKind, ServerErrorKind};

use super::Again;
use super::server::Undone;

/// What to do after work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    /// Try once more.
    pub(super) again: bool,
    /// Ask where Redis is by now.
    pub(super) look: bool,
}

/// Decides. `again`: whether what may have been done may be done twice.
pub(super) fn next(undone: &Undone, again: Again) -> Next {
    let error = &undone.error;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "foreign, non-exhaustive; any other is for the caller"
    )]
    match error.kind() {
        // refused before anything was done, by one who may not
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly) => {
            Next { again: true, look: true }
        }
        ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown) => {
            Next { again: false, look: true }
        }
        ErrorKind::Io if undone.unsent => Next { again: true, look: true },
        ErrorKind::Io if error.is_connection_dropped() => Next { again: again == Again::Safe, look: true },
        ErrorKind::Io if error.is_timeout() => Next { again: false, look: true },
        _ => Next { again: false, look: false },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::RedisError;

    use super::*;

    const BOTH: Next = Next { again: true, look: true };
    const LOOK: Next = Next { again: false, look: true };
    const NONE: Next = Next { again: false, look: false };

    #[test]
    fn what_surely_was_not_done_is_tried_again_and_what_may_have_been_only_if_that_is_safe() {
        let refusal = |line: &str| {
            redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
        };
        let io = |kind: io::ErrorKind| RedisError::from(io::Error::from(kind));
        let table: [(&str, RedisError, bool, Next, Next); 10] = [
            ("another node's", refusal("MOVED 3999 127.0.0.1:6381"), false, BOTH, BOTH),
            ("a demoted one", refusal("READONLY You can't write"), false, BOTH, BOTH),
            ("a cluster that is down", refusal("CLUSTERDOWN The cluster is down"), false, LOOK, LOOK),
            ("a slot on its way", refusal("ASK 3999 127.0.0.1:6381"), false, NONE, NONE),
            ("one that loads", refusal("LOADING Redis is loading"), false, NONE, NONE),
            ("a full one", refusal("OOM command not allowed"), false, NONE, NONE),
            ("nobody there", io(io::ErrorKind::ConnectionRefused), true, BOTH, BOTH),
            ("a lost connection", io(io::ErrorKind::BrokenPipe), false, BOTH, LOOK),
            ("no answer", io(io::ErrorKind::TimedOut), false, LOOK, LOOK),
            ("too few replicas", io(io::ErrorKind::Other), false, NONE, NONE),
        ];
        for (what, error, unsent, safe, unsafe_) in table {
            let undone = Undone { error, unsent };
            assert_eq!(next(&undone, Again::Safe), safe, "{what}, safe");
            assert_eq!(next(&undone, Again::IfNotMade), unsafe_, "{what}, if not made");
        }
    }
}
