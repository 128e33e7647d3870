//! What a store can't do, told to people: code, place, cause and remedy.

use super::StoreError;
use crate::diagnose::{Code, Diagnostic, Place};

impl StoreError {
    /// The error as a problem with a page.
    pub fn diagnostic(&self) -> Diagnostic {
        let state = || Place::Named("the state folder".to_owned());
        let path = |path: &String| Place::Path(path.clone());
        let (code, place, remedy) = match self {
            Self::Locked(who) => (
                Code("KITH-S001"),
                path(who),
                "stop the other Kith, or let the running service do what you asked: `kith status` reads beside it",
            ),
            Self::Full(at) => (Code("KITH-S002"), path(at), "free space on that disk and start again: nothing was half-written"),
            Self::ReadOnly(at) => (
                Code("KITH-S003"),
                path(at),
                "make the folder and its files writable for the user who runs Kith, or name another `[service] state`",
            ),
            Self::Newer { .. } => (Code("KITH-S004"), state(), "run the newer Kith, or restore the backup that was made before it"),
            Self::Damaged(_) => (Code("KITH-S005"), state(), "keep the folder as it is and restore the last backup into another one"),
            Self::Absent(at) => (Code("KITH-S006"), path(at), "run `kith run` first, or name the right folder with `[service] state`"),
            Self::Refused(_) => (Code("KITH-S007"), state(), "nothing of the step happened; this is a fault of Kith: please report it"),
            Self::Stopped => (Code("KITH-S008"), state(), "the log tells what happened before; start again: what was durable is there"),
            Self::Database(_) => {
                (Code("KITH-S009"), state(), "check the disk and the system's log; start again: what was durable is there")
            }
        };
        Diagnostic::error(code, place, self.to_string(), remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_its_own_with_a_page() {
        let text = || "state".to_owned();
        let errors = [
            StoreError::Locked(text()),
            StoreError::Full(text()),
            StoreError::ReadOnly(text()),
            StoreError::Newer { found: 2, known: 1 },
            StoreError::Damaged(text()),
            StoreError::Absent(text()),
            StoreError::Refused(text()),
            StoreError::Stopped,
            StoreError::Database(text()),
        ];
        let codes: std::collections::BTreeSet<Code> = errors.iter().map(|e| e.diagnostic().code).collect();
        assert_eq!(codes.len(), errors.len());
        assert!(codes.iter().all(|code| crate::diagnose::page(code.0).is_some()));
    }
}
