//! The closed list of what can happen, v1: one table gives the types, the canonical text, the strict reader and the JSON Schema.

use super::canonical::Writer;
use super::cursor::Cursor;
use super::hash::SubjectHash;
use super::member::{LongText, Member, Part};
use crate::model::Digest;
use serde_json::Value;
use std::sync::Arc;

/// Text of an event: a name, a code, a reason in words. Never personal data; what a person typed about a person goes into `fields`, sealed.
pub type Text = Arc<str>;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal { $($(#[doc = $about:literal])+ $member:ident: $type:ty),* $(,)? })+) => {
        /// What happened, with the members of the entry's `what`. Members that may be absent are `Option`s.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Event {
            $($(#[doc = $doc])+ $variant { $($(#[doc = $about])+ $member: $type,)* },)+
        }

        /// The name of what happened: an entry's `kind`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Kind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in entries.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Reads a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Event {
            /// Its kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant { .. } => Kind::$variant,)+ }
            }

            /// Writes the members of `what`, in the table's order, which is the canonical one.
            pub(super) fn write(&self, out: &mut Writer) {
                match self {
                    $(Self::$variant { $($member),* } => { $(Member::write($member, stringify!($member), out);)* })+
                }
            }

            /// Reads the members of `what`, up to its end.
            pub(super) fn read(kind: Kind, what: &mut Cursor<'_>) -> Option<Self> {
                Some(match kind {
                    $(Kind::$variant => Self::$variant { $($member: Member::read(stringify!($member), what)?,)* },)+
                })
            }
        }

        /// The table: kind, what it means, and each member with its meaning, schema and whether it must be there.
        pub(super) fn table() -> Vec<(Kind, String, Vec<(&'static str, String, Value, bool)>)> {
            vec![$((
                Kind::$variant,
                concat!($($doc),+).trim().to_owned(),
                vec![$((stringify!($member), concat!($($about),+).trim().to_owned(), <$type as Member>::schema(), <$type as Member>::REQUIRED),)*],
            ),)+]
        }
    };
}

// Members stand in canonical (here: byte) order. A new member or kind is a new version `v` of the entry, never a change of v1.
events! {
    /// The service began to write this state folder.
    ServiceStarted = "service.started" {
        /// Whether the last stop was clean; a crash is followed by `false`.
        clean: bool,
        /// Kith's version.
        version: Text,
    }
    /// The service stopped in order.
    ServiceStopped = "service.stopped" {
        /// Why: `drained`, `signal`, `asked`.
        reason: Text,
    }
    /// The configuration differs from the one of the last start.
    ConfigChanged = "config.changed" {
        /// SHA-256 of the new one, secrets left out.
        after: Digest,
        /// SHA-256 of the old one.
        before: Option<Digest>,
        /// What differs, line by line, secrets left out.
        diff: Option<Part<LongText>>,
        /// The file.
        name: Text,
    }
    /// Another mapping is active.
    MappingChanged = "mapping.changed" {
        /// SHA-256 of the canonical form of the new one.
        after: Digest,
        /// SHA-256 of the old one.
        before: Option<Digest>,
        /// What differs, line by line.
        diff: Option<Part<LongText>>,
        /// The mapping's name.
        name: Text,
    }
    /// Another linkage model is active.
    ModelChanged = "model.changed" {
        /// SHA-256 of the canonical form of the new one.
        after: Digest,
        /// SHA-256 of the old one.
        before: Option<Digest>,
        /// What differs, line by line.
        diff: Option<Part<LongText>>,
        /// The model's name.
        name: Text,
    }
    /// A key of the installation came into use. Keys of persons are not told: the store's table holds them.
    KeyCreated = "key.created" {
        /// The key's id; the C2SP key hash for the log's signing key.
        id: Text,
        /// What it is for: `log-signing`, `master`, `hash`.
        purpose: Text,
        /// The C2SP verifier key, for the log's signing key.
        verifier: Option<Text>,
    }
    /// A key of the installation was replaced.
    KeyRotated = "key.rotated" {
        /// The new key's id.
        id: Text,
        /// The old key's id.
        previous: Text,
        /// What it is for.
        purpose: Text,
        /// The new C2SP verifier key, for the log's signing key: signed by the old one through the checkpoint over this entry.
        verifier: Option<Text>,
    }
    /// Keys of persons were destroyed: what they sealed is gone.
    KeysDestroyed = "keys.destroyed" {
        /// The retention class.
        class: Text,
        /// How many.
        count: u64,
        /// Why: `retention`, `erasure`.
        reason: Text,
    }
    /// A part of a source was read and is durable.
    SourceRead = "source.read" {
        /// Exact repeats.
        duplicates: u64,
        /// SHA-256 of the file, where the source is a file.
        file: Option<Digest>,
        /// The name of the file or stream.
        name: Option<Text>,
        /// Lines or records that were malformed.
        parked: u64,
        /// Activity versions received, repeats left out, parked included.
        received: u64,
        /// The source's name in the configuration.
        source: Text,
    }
    /// A line or record was malformed and stands aside.
    InputParked = "input.parked" {
        /// The code of the problem.
        code: Text,
        /// SHA-256 of the file.
        file: Option<Digest>,
        /// The 1-based line.
        line: Option<u64>,
        /// What is wrong.
        message: Text,
        /// The source's name.
        source: Text,
    }
    /// An activity version was dropped by the rule that `why.rule` names.
    ActivityDropped = "activity.dropped" {
        /// The source's name.
        source: Option<Text>,
    }
    /// The CRM's customers were read as a whole.
    CustomersRead = "customers.read" {
        /// New ones.
        added: u64,
        /// Changed ones.
        changed: u64,
        /// SHA-256 of what was read.
        file: Option<Digest>,
        /// Merged into another one.
        merged: u64,
        /// Related records read with them.
        related: Option<u64>,
        /// Gone.
        retired: u64,
        /// Rows read.
        rows: u64,
        /// The name of `[customers.NAME]`.
        source: Text,
    }
    /// It was decided whose an identity is. Never for `not_permitted`, which is `policy.refused`.
    Decision = "decision" {
        /// Rule or model: the rule's id, `model`, `person`.
        by: Option<Text>,
        /// How many candidates were scored.
        candidates: u64,
        /// The match weight of the best candidate, in bits.
        match_weight: Option<f64>,
        /// Deliveries planned in the same step.
        planned: u64,
        /// The posterior of the best candidate.
        probability: Option<f64>,
        /// Why it was taken again, where it was: `profile`, `customer`, `person`, `rework`.
        prompted_by: Option<Text>,
    }
    /// A fault prevented a decision; it is retried.
    DecisionUndetermined = "decision.undetermined" {
        /// How often it was tried.
        attempt: u64,
        /// What went wrong.
        cause: Text,
    }
    /// Policy forbade to match, keep or write. Carries no evidence and no customer.
    PolicyRefused = "policy.refused" {
        /// What was refused: `match`, `keep`, `write`.
        action: Text,
        /// Why, in words.
        reason: Option<Text>,
    }
    /// An identity was linked to a customer.
    LinkMade = "link.made" {
        /// The rule's id, `model` or `person`.
        by: Text,
    }
    /// A link's customer, rule or basis changed.
    LinkChanged = "link.changed" {
        /// The keyed hash of the customer before.
        before: Option<SubjectHash>,
        /// The rule's id, `model` or `person`.
        by: Text,
    }
    /// A link ended.
    LinkEnded = "link.ended" {
        /// The rule's id, `model` or `person`.
        by: Option<Text>,
        /// Why: `decision`, `person`, `basis-withdrawn`, `customer-retired`, `erasure`.
        reason: Text,
    }
    /// A basis no longer holds.
    BasisWithdrawn = "basis.withdrawn" {
        /// Why.
        reason: Text,
    }
    /// A write to the CRM was planned: of a deletion or an edit on a network that wants them to arrive within a time. Other plans are told by `write.intended` alone.
    WritePlanned = "write.planned" {
        /// The id of the mapping's `deliver` entry.
        entry: Text,
        /// `write` or `withdraw`.
        intent: Text,
        /// The target's operation.
        operation: Text,
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// A write is about to leave; `fields` holds what it says, on the first attempt.
    WriteIntended = "write.intended" {
        /// 1 for the first attempt.
        attempt: u64,
        /// The id of the mapping's `deliver` entry.
        entry: Text,
        /// `write` or `withdraw`.
        intent: Text,
        /// The target's operation.
        operation: Text,
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// The target answered: `outcome` says what the write did, `fields` what changed from what to what.
    WriteReceipt = "write.receipt" {
        /// Which attempt was answered.
        attempt: u64,
        /// The id of the mapping's `deliver` entry.
        entry: Text,
        /// The target's operation.
        operation: Text,
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// The target refused for good: a dead letter.
    WriteParked = "write.parked" {
        /// How often it was tried.
        attempts: u64,
        /// The code of the problem.
        code: Text,
        /// The id of the mapping's `deliver` entry.
        entry: Text,
        /// What is wrong.
        message: Text,
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// A write without an answer was settled after a crash or a timeout.
    WriteRecovered = "write.recovered" {
        /// Which attempt had no answer.
        attempt: u64,
        /// The id of the mapping's `deliver` entry.
        entry: Text,
        /// How: `read-back`, `idempotent-write`.
        how: Text,
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// What was written was put back.
    WriteUndone = "write.undone" {
        /// The keyed hash of (target, record key).
        record: SubjectHash,
        /// The target.
        target: Text,
    }
    /// A dead letter was sent again.
    DeadLetterReplayed = "dead_letter.replayed" {
        /// How many.
        count: u64,
        /// The target.
        target: Option<Text>,
    }
    /// A dead letter was given up.
    DeadLetterDropped = "dead_letter.dropped" {
        /// How many.
        count: u64,
        /// The target.
        target: Option<Text>,
    }
    /// The sum of a day for a source: received = delivered + parked + dropped + erased + in flight, but for the gap.
    Conservation = "conservation" {
        /// The day, `2026-02-28`, UTC.
        day: Text,
        /// Delivered.
        delivered: u64,
        /// Dropped by a named rule.
        dropped: u64,
        /// Erased.
        erased: u64,
        /// Received less everything else: 0, or something is wrong.
        gap: i64,
        /// In flight.
        in_flight: u64,
        /// Parked.
        parked: u64,
        /// Received.
        received: u64,
        /// The source's name.
        source: Text,
    }
    /// Somebody read personal data.
    PersonalRead = "personal.read" {
        /// How many records were shown.
        count: u64,
        /// Where: the command or page.
        place: Text,
        /// For what, where it was asked.
        purpose: Option<Text>,
    }
    /// A person decided about a case that waited for review.
    ReviewDecided = "review.decided" {
        /// `link`, `no-link`, `unsure`.
        verdict: Text,
    }
    /// A person settled what waited for their word: a guarded pass, or a mapping that was a draft.
    ApprovalGiven = "approval.given" {
        /// What for.
        matter: Text,
    }
    /// A source or target was paused.
    Paused = "paused" {
        /// Its name.
        name: Text,
        /// `source` or `target`.
        part: Text,
    }
    /// A source or target goes on.
    Resumed = "resumed" {
        /// Its name.
        name: Text,
        /// `source` or `target`.
        part: Text,
    }
    /// Somebody signed in to the console.
    Login = "login" {
        /// `password`, `oidc`, `ldap`, `token`.
        method: Text,
    }
    /// Somebody signed out, or the session ended.
    Logout = "logout" {
        /// `asked`, `expired`, `revoked`.
        reason: Text,
    }
    /// Entries or records left as a file or stream.
    ExportMade = "export.made" {
        /// How many records.
        count: u64,
        /// SHA-256 of what left, where it is a file.
        file: Option<Digest>,
        /// `csv`, `ndjson`, `syslog`, `html`, `ocsf`, `cef`; `age` for sealed keys.
        format: Text,
        /// What: `log`, `links`, `report`; `keys`: the installation's keys left sealed, or were found in such a file.
        what: Text,
    }
    /// Everything about a person was handed out (GDPR Art. 15, 20).
    SubjectExported = "subject.exported" {
        /// How many records.
        count: u64,
        /// SHA-256 of the file.
        file: Option<Digest>,
        /// `json`, `html`.
        format: Text,
    }
    /// A person was erased (GDPR Art. 17).
    SubjectErased = "subject.erased" {
        /// SHA-256 of the certificate.
        certificate: Option<Digest>,
        /// CRM rows removed or blanked.
        crm_rows: u64,
        /// Keys destroyed.
        keys: u64,
        /// Stored records removed.
        records: u64,
    }
    /// An erasure was refused: a hold stands.
    ErasureRefused = "erasure.refused" {
        /// Why.
        reason: Text,
    }
    /// A person objected (GDPR Art. 21).
    SubjectObjected = "subject.objected" {}
    /// A person's data were corrected (GDPR Art. 16); `fields` names which.
    SubjectRectified = "subject.rectified" {}
    /// A person is not to be matched again.
    SubjectSuppressed = "subject.suppressed" {
        /// Why: `erasure`, `objection`, `opt-out`.
        reason: Text,
    }
    /// People due a notice were listed or told (GDPR Art. 14).
    NoticeGiven = "notice.given" {
        /// How many.
        count: u64,
        /// The last day on which it is in time.
        due: Option<Text>,
    }
    /// A legal hold was placed; its reason stands sealed in `fields`.
    HoldPlaced = "hold.placed" {
        /// The matter's number or name.
        matter: Option<Text>,
    }
    /// A legal hold was released; its reason stands sealed in `fields`.
    HoldReleased = "hold.released" {
        /// The matter's number or name.
        matter: Option<Text>,
    }
    /// A retention clock ended.
    RetentionEnded = "retention.ended" {
        /// The retention class.
        class: Text,
        /// How many records went.
        count: u64,
        /// The field, where the clock is a field's.
        field: Option<Text>,
        /// The kind of record, where the clock is a kind's.
        record_kind: Option<Text>,
    }
    /// A checkpoint left the machine.
    CheckpointPublished = "checkpoint.published" {
        /// The Merkle root.
        root: Digest,
        /// How many entries it covers.
        size: u64,
        /// Where to: `syslog`, `file`, `witness`.
        to: Text,
    }
    /// A witness cosigned a checkpoint.
    CheckpointCosigned = "checkpoint.cosigned" {
        /// How many entries it covers.
        size: u64,
        /// The witness's name.
        witness: Text,
    }
    /// The log was verified.
    LogVerified = "log.verified" {
        /// How many entries.
        size: u64,
    }
    /// A contradiction in the state folder was repaired.
    StoreRepaired = "store.repaired" {
        /// The check that found it.
        check: Text,
        /// How many rows it was about.
        count: u64,
        /// What was done.
        what: Text,
    }
    /// A backup was made.
    BackupMade = "backup.made" {
        /// SHA-256 of it.
        file: Option<Digest>,
        /// How many entries the log had.
        size: u64,
    }
    /// A backup was restored: the log goes on from it.
    BackupRestored = "backup.restored" {
        /// SHA-256 of it.
        file: Option<Digest>,
        /// How many entries the log had.
        size: u64,
    }
}

impl Event {
    /// The diff, where it has one that stands here.
    #[expect(clippy::wildcard_enum_match_arm, reason = "three kinds have a diff; a test of each kind's schema finds a fourth")]
    pub(super) const fn diff_mut(&mut self) -> Option<&mut Part<LongText>> {
        match self {
            Self::ConfigChanged { diff, .. } | Self::MappingChanged { diff, .. } | Self::ModelChanged { diff, .. } => diff.as_mut(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn members_stand_in_canonical_order_and_every_name_is_used_once() {
        let mut names = BTreeSet::new();
        for (kind, about, members) in table() {
            assert!(names.insert(kind.name()), "{} twice", kind.name());
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert!(!about.is_empty());
            assert!(members.is_sorted_by(|a, b| a.0 < b.0), "{}", kind.name());
        }
        assert_eq!(names.len(), Kind::ALL.len());
        assert_eq!(Kind::from_name("Decision"), None);
    }
}
