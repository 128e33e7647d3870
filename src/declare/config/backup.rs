//! `[backup]`: where backups go, who can open them, and where the ledger of erasures is kept.

use super::check::{Checker, Table};
use super::keys::{Form, Key, Need, Section, Tables, key};
use super::settings::Backup;

const TO: Key = key(
    "to",
    Form::Path,
    Need::Optional("`kith backup --to` says it each time."),
    "The folder that gets backups, best one of another machine. Its files are encrypted; what is older than your shortest promise must be deleted there.",
    "\"/mnt/backup/kith\"",
);
const RECIPIENTS: Key = key(
    "recipients",
    Form::Path,
    Need::Optional("No backup is made."),
    "A file of public keys, one `age1…` a line, as `age-keygen -y` prints them: who has one of the secret keys can open backups and escrowed keys. \
     Keep the secret keys off this machine.",
    "\"/etc/kith/backup.recipients\"",
);
const ERASURES_TO: Key = key(
    "erasures_to",
    Form::Path,
    Need::Optional("No ledger is kept: after a restore every erasure since the backup must be asked for again by hand."),
    "A folder of another machine that gets the proof of each erasure and objection, one file a day, only ever added to. `kith restore` reads it, so that \
     nobody who was erased comes back. It holds keyed hashes, no names.",
    "\"/mnt/reviewers/kith\"",
);
pub(super) const BACKUP: Section = Section {
    name: "backup",
    tables: Tables::One,
    required: false,
    doc: "Backups of the state folder (`kith backup`, `kith restore`), and what must outlive the machine so that a restore is lawful.",
    keys: &[TO, RECIPIENTS, ERASURES_TO],
};

impl<'a> Checker<'a> {
    /// The whole section.
    pub(super) fn backup(&mut self, table: &Table<'a>) -> Backup {
        Backup { to: self.path(table, &TO), recipients: self.path(table, &RECIPIENTS), erasures_to: self.path(table, &ERASURES_TO) }
    }
}
