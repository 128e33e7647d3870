//! Backups of the state folder: a tar archive, packed by gzip, encrypted in the age format (age-encryption.org/v1) to public keys whose secret halves
//! are elsewhere.
//!
//! Its first member is a signed manifest ([`Manifest`]); the others are the database as it stood at one moment, and what of the log can't be made anew
//! from the database's rows: the newest checkpoint, last checkpoints of earlier keys, cosigned ones, beginnings of epochs, and public keys. Secret keys
//! are never in it. Tools that nobody here wrote open it: `age -d -i KEY FILE | tar tz`.

mod error;
mod manifest;
mod read;
mod seal;
mod write;

pub use error::BackupError;
pub use manifest::{Manifest, Named};
pub use read::{Opened, digest_of, open, unpack};
pub use seal::{Identities, Recipients, unseal_small};
pub use write::{Making, seal_small};

/// How a backup's name ends.
pub const ENDING: &str = ".tar.gz.age";

/// The manifest's name in the archive.
const MANIFEST: &str = "manifest";

/// Members that are not the database: notes and public keys, each below a note's limit.
const MAX_SMALL: u64 = crate::audit::MAX_NOTE_BYTES as u64;

/// Whether a member's name is one that a backup may have: nothing leads out of the folder that it is unpacked into.
fn is_member(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 128
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [file] => *file == crate::store::sqlite::DATABASE_FILE,
        ["log", file] => *file == crate::store::log::CHECKPOINT_FILE,
        ["log", "rotations" | "cosigned" | "epochs", file] => plain(file),
        ["keys", file] => plain(file) && std::path::Path::new(file).extension().is_some_and(|ending| ending == "pub"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_member;

    #[test]
    fn members_stay_in_their_folders_and_no_secret_key_is_one() {
        for name in
            ["kith.db", "log/checkpoint", "log/rotations/17", "log/cosigned/witness.example.cosigned", "log/epochs/4", "keys/log.pub"]
        {
            assert!(is_member(name), "{name}");
        }
        for name in [
            "",
            "/kith.db",
            "../kith.db",
            "log/../kith.db",
            "log/rotations/..",
            "log/rotations/.x",
            "keys/master.key",
            "keys/a/b.pub",
            "log/tile/0",
            "kith.db/",
        ] {
            assert!(!is_member(name), "{name}");
        }
    }
}
