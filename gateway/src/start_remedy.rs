//! What an operator can do where the system does not let a gateway start, in a line.

use std::error::Error;
use std::io::{self, ErrorKind};

use tidegate_store::disk::is_full;

/// What to do about an error of the system somewhere below `error`; none where the error's own words say it.
pub(crate) fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut below = Some(error);
    while let Some(error) = below {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return of_system(error);
        }
        below = error.source();
    }
    None
}

fn of_system(error: &io::Error) -> Option<&'static str> {
    if is_full(error) {
        return Some(
            "the disk is full: free room on it, then start again; nothing has to be removed from the data directory",
        );
    }
    match error.kind() {
        ErrorKind::PermissionDenied => Some(
            "this user may not: start the gateway as the owner of its files, or give them to it with chown; a port below 1024 \
             needs CAP_NET_BIND_SERVICE",
        ),
        ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: see dmesg for why, check it, and mount it for writing")
        }
        ErrorKind::AddrInUse => {
            Some("another process listens there: find it with `ss -ltnp`, or take another address")
        }
        ErrorKind::AddrNotAvailable => Some("this machine has no such address: take one of `ip address`"),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Some(
            "a file lies where a directory is to be, or the other way round: see what the configuration names",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::OpenError;
    use crate::run::StartError;

    #[test]
    fn what_the_system_said_is_found_below_every_error_of_a_start() {
        let io = |kind: ErrorKind| {
            StartError::Installation(OpenError::Io {
                path: "data".into(),
                source: kind.into(),
            })
        };
        for (kind, word) in [
            (ErrorKind::PermissionDenied, "chown"),
            (ErrorKind::ReadOnlyFilesystem, "mount it for writing"),
            (ErrorKind::StorageFull, "free room"),
            (ErrorKind::AddrInUse, "ss -ltnp"),
        ] {
            assert!(remedy(&io(kind)).unwrap().contains(word), "{kind}");
        }
        let socket = StartError::Io {
            what: "listen".to_owned(),
            source: ErrorKind::AddrInUse.into(),
        };
        assert!(remedy(&socket).is_some());
        assert_eq!(remedy(&io(ErrorKind::TimedOut)), None);
        assert_eq!(
            remedy(&StartError::Installation(OpenError::NotMade)),
            None,
            "it says what to do itself"
        );
    }
}
