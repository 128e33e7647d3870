//! An entry, v1: who did what to whom, when, why, and what came of it, as one canonical JSON text of at most 65,535 bytes.

use super::canonical::{NotCanonical, Writer};
use super::cursor::Cursor;
use super::event::{Event, Kind, Text};
use super::evidence::SealedEvidence;
use super::fields::Fields;
use super::hash::{CorrelationId, SubjectHash};
use super::member::{Item, Member, Part, PartDigest};
use super::tape::{Json, Tape};
use crate::model::{Digest, Network, Outcome, Timestamp, WriteEffect};
use std::sync::Arc;

/// The format's version: each entry carries it.
pub const VERSION: u64 = 1;

/// An entry's bytes at most: C2SP tlog-tiles writes the length as 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_535;

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])+ $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$about])+ $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in entries.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Item for $name {
            fn write(&self, out: &mut Writer) {
                out.plain(self.name().as_bytes());
            }
            fn read(from: &mut Cursor<'_>) -> Option<Self> {
                Self::from_name(from.plain()?)
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": Self::ALL.iter().map(|it| it.name()).collect::<Vec<_>>() })
            }
        }
    };
}

closed_list! {
    /// What kind of actor acted.
    ActorKind {
        /// Kith itself.
        Service = "service",
        /// A person: an account of the operating system or of the console.
        Person = "person",
        /// A program with a token of the HTTP API.
        Program = "program",
    }
}

closed_list! {
    /// In which role.
    Role {
        /// Kith itself.
        Service = "service",
        /// Runs the service.
        Operator = "operator",
        /// Keeps mappings and reviews cases.
        Steward = "steward",
        /// Reads the log.
        Reviewer = "reviewer",
        /// No role is configured for this actor.
        None = "none",
    }
}

closed_list! {
    /// What came of it.
    EntryOutcome {
        /// Decided: one customer.
        Linked = "linked",
        /// Decided: nobody we know.
        NotLinked = "not_linked",
        /// Decided: a person decides.
        Review = "review",
        /// No lawful basis.
        NotPermitted = "not_permitted",
        /// A fault prevented the decision.
        Undetermined = "undetermined",
        /// The record is new.
        Inserted = "inserted",
        /// The record changed.
        Updated = "updated",
        /// The record read so already.
        Unchanged = "unchanged",
        /// The record is gone.
        Removed = "removed",
        /// Its fields are empty now.
        Blanked = "blanked",
        /// It stays as it is.
        Kept = "kept",
        /// The target holds it after all.
        Delivered = "delivered",
        /// The target does not hold it; it is sent again.
        Absent = "absent",
        /// Dropped by a named rule.
        Dropped = "dropped",
        /// Stands aside until a person looks at it.
        Parked = "parked",
        /// Done.
        Done = "done",
        /// Refused.
        Refused = "refused",
        /// Failed.
        Failed = "failed",
    }
}

impl From<Outcome> for EntryOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Linked => Self::Linked,
            Outcome::NotLinked => Self::NotLinked,
            Outcome::Review => Self::Review,
            Outcome::NotPermitted => Self::NotPermitted,
            Outcome::Undetermined => Self::Undetermined,
        }
    }
}

impl From<WriteEffect> for EntryOutcome {
    fn from(effect: WriteEffect) -> Self {
        match effect {
            WriteEffect::Inserted => Self::Inserted,
            WriteEffect::Updated => Self::Updated,
            WriteEffect::Unchanged => Self::Unchanged,
            WriteEffect::Removed => Self::Removed,
            WriteEffect::Blanked => Self::Blanked,
            WriteEffect::Kept => Self::Kept,
        }
    }
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])+ $member:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$about])+ pub $member: $type,)+ }

        impl $name {
            fn write_members(&self, out: &mut Writer) {
                $(Member::write(&self.$member, stringify!($member), out);)+
            }
        }

        impl Item for $name {
            fn write(&self, out: &mut Writer) {
                out.begin_object();
                self.write_members(out);
                out.end_object();
            }
            fn read(from: &mut Cursor<'_>) -> Option<Self> {
                from.begin_object()?;
                let read = Self { $($member: Member::read(stringify!($member), from)?,)+ };
                from.end_object()?;
                Some(read)
            }
            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                let mut required: Vec<&str> = Vec::new();
                $(
                    properties.insert(stringify!($member).to_owned(), <$type as Member>::schema());
                    if <$type as Member>::REQUIRED {
                        required.push(stringify!($member));
                    }
                )+
                serde_json::json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
            }
        }
    };
}

record! {
    /// Who acted.
    Actor {
        /// What kind of actor.
        kind: ActorKind,
        /// The account's name as the system knows it. It stands in clear: who acted must stay readable.
        name: Text,
        /// In which role.
        role: Role,
    }
}

impl Actor {
    /// Kith itself.
    pub fn service() -> Self {
        Self { kind: ActorKind::Service, name: "kith".into(), role: Role::Service }
    }

    /// A person by their account's name.
    pub fn person(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { kind: ActorKind::Person, name: name.into(), role }
    }
}

record! {
    /// About whom: keyed hashes, so that only who holds the hash key can search for a person.
    #[derive(Copy, Default)]
    Subject {
        /// The customer.
        customer: Option<SubjectHash>,
        /// The identity.
        identity: Option<SubjectHash>,
    }
}

record! {
    /// Why: the rule and everything that the decision rests on.
    #[derive(Default)]
    Why {
        /// The name of the lawful basis.
        basis: Option<Text>,
        /// The keyed digest of the evidence ([`super::evidence_digest`]).
        evidence: Option<Digest>,
        /// The law's ground: `GDPR 6(1)(f)`.
        law: Option<Text>,
        /// SHA-256 of the built-in lookup tables.
        lookups: Option<Digest>,
        /// SHA-256 of the canonical form of the mapping.
        mapping: Option<Digest>,
        /// SHA-256 of the canonical form of the linkage model.
        model: Option<Digest>,
        /// What the link is for.
        purpose: Option<Text>,
        /// The record that justifies the basis: `DPIA-2026-03`.
        record: Option<Text>,
        /// The rule's id.
        rule: Option<Text>,
        /// Since when the basis holds.
        since: Option<Text>,
    }
}

record! {
    /// What belongs together: activity → decision → delivery → receipt.
    #[derive(Copy, Default)]
    Correlation {
        /// The activity version.
        activity: Option<CorrelationId>,
        /// The decision.
        decision: Option<CorrelationId>,
        /// The delivery.
        delivery: Option<CorrelationId>,
        /// The receipt.
        receipt: Option<CorrelationId>,
    }
}

/// One entry of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// When; written with microseconds, the rest cut off.
    pub time: Timestamp,
    /// Who.
    pub actor: Actor,
    /// About whom.
    pub subject: Subject,
    /// On which network.
    pub network: Option<Network>,
    /// What.
    pub event: Event,
    /// Why.
    pub why: Why,
    /// Before and after by field, sealed.
    pub fields: Option<Fields>,
    /// The evidence of a decision, personal values sealed. Written for [`Kind::Decision`] only.
    pub evidence: Option<Part<SealedEvidence>>,
    /// What came of it.
    pub outcome: Option<EntryOutcome>,
    /// What it belongs to.
    pub correlation: Correlation,
}

/// An entry as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The leaf of the log: canonical JSON, at most [`MAX_ENTRY_BYTES`].
    pub bytes: Vec<u8>,
    /// Parts that stand in it by digest only; the store keeps them by that digest.
    pub parts: Vec<LargePart>,
}

/// A part that an entry names by its digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LargePart {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Canonical JSON.
    pub bytes: Vec<u8>,
}

/// An entry that cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an audit entry of kind `{kind}` has {bytes} bytes without its large parts; 65,535 is the limit")]
pub struct TooLarge {
    /// The entry's kind.
    pub kind: &'static str,
    /// How many bytes it has.
    pub bytes: usize,
}

/// Bytes that are no entry of version 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAnEntry {
    /// Longer than an entry may be.
    #[error("{0} bytes; an entry has at most 65,535")]
    TooLong(usize),
    /// Not canonical JSON.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// `v` is not 1.
    #[error("an entry of an unknown version")]
    Version,
    /// `kind` is none of the closed list.
    #[error("an entry of an unknown kind")]
    Kind,
    /// A member is missing or has a wrong value.
    #[error("member `{0}` is missing or wrong")]
    Member(&'static str),
    /// A member does not belong.
    #[error("a member that version 1 does not have in {0}")]
    Surplus(&'static str),
}

impl Entry {
    /// An entry by Kith itself with only the event; the rest is added by field.
    pub fn new(time: Timestamp, event: Event) -> Self {
        Self {
            time,
            actor: Actor::service(),
            subject: Subject::default(),
            network: None,
            event,
            why: Why::default(),
            fields: None,
            evidence: None,
            outcome: None,
            correlation: Correlation::default(),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.event.kind()
    }

    /// The canonical bytes. Where they would exceed the limit, the evidence, then the fields' box, then a diff stand by digest, in
    /// that order, and are returned beside.
    ///
    /// # Errors
    /// [`TooLarge`] where even that does not suffice: texts are cut at 2 KiB and field names number at most a mapping's, so it takes
    /// hundreds of long field names.
    pub fn encode(&self) -> Result<Encoded, TooLarge> {
        let bytes = self.write();
        if bytes.len() <= MAX_ENTRY_BYTES {
            return Ok(Encoded { bytes, parts: Vec::new() });
        }
        let mut smaller = self.clone();
        let mut parts = Vec::new();
        let mut length = bytes.len();
        for replace in [
            (|entry, parts| entry.evidence.as_mut().is_some_and(|part| by_digest(part, parts)))
                as fn(&mut Self, &mut Vec<LargePart>) -> bool,
            |entry, parts| entry.fields.as_mut().and_then(|f| f.sealed.as_mut()).is_some_and(|part| by_digest(part, parts)),
            |entry, parts| entry.event.diff_mut().is_some_and(|part| by_digest(part, parts)),
        ] {
            if replace(&mut smaller, &mut parts) {
                let bytes = smaller.write();
                length = bytes.len();
                if length <= MAX_ENTRY_BYTES {
                    return Ok(Encoded { bytes, parts });
                }
            }
        }
        Err(TooLarge { kind: self.kind().name(), bytes: length })
    }

    /// Members in canonical order; empty objects are left out.
    fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.begin_object();
        Member::write(&self.actor, "actor", &mut out);
        Member::write(&Some(self.correlation).filter(|c| *c != Correlation::default()), "correlation", &mut out);
        // Whatever the caller gave: only a decision carries evidence, a refusal above all does not (design §7).
        if let Some(evidence) = self.evidence.as_ref().filter(|_| self.kind() == Kind::Decision) {
            out.key("evidence");
            Item::write(evidence, &mut out);
        }
        if let Some(fields) = &self.fields {
            out.key("fields");
            Item::write(fields, &mut out);
        }
        out.key("kind");
        out.plain(self.kind().name().as_bytes());
        if let Some(network) = self.network {
            out.key("network");
            out.plain(network.name().as_bytes());
        }
        Member::write(&self.outcome, "outcome", &mut out);
        Member::write(&Some(self.subject).filter(|s| *s != Subject::default()), "subject", &mut out);
        out.key("time");
        out.plain(time_text(self.time).as_bytes());
        Member::write(&VERSION, "v", &mut out);
        out.key("what");
        out.begin_object();
        self.event.write(&mut out);
        out.end_object();
        if self.why != Why::default() {
            out.key("why");
            Item::write(&self.why, &mut out);
        }
        out.end_object();
        out.into_bytes()
    }

    /// Reads an entry. Strict: the bytes are exactly what [`Entry::encode`] writes for what they say.
    ///
    /// # Errors
    /// [`NotAnEntry`]: not canonical JSON, or not an entry of version 1.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAnEntry> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(NotAnEntry::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| NotCanonical { at: e.valid_up_to(), reason: "not UTF-8" })?;
        let entry = Self::read(&mut Cursor::new(text)).map_err(|stumbled| first_fault(bytes, stumbled))?;
        debug_assert!(entry.write() == bytes, "what is read has one spelling");
        Ok(entry)
    }

    fn read(from: &mut Cursor<'_>) -> Result<Self, NotAnEntry> {
        from.begin_object().ok_or(NotAnEntry::Version)?;
        let actor = read_member("actor", from)?;
        let correlation = read_or_default("correlation", from)?;
        let evidence: Option<_> = read_member("evidence", from)?;
        let fields = read_member("fields", from)?;
        let kind = if from.key("kind") { from.plain().and_then(Kind::from_name) } else { None }.ok_or(NotAnEntry::Kind)?;
        let network =
            if from.key("network") { Some(from.plain().and_then(read_network).ok_or(NotAnEntry::Member("network"))?) } else { None };
        let outcome = read_member("outcome", from)?;
        let subject = read_or_default("subject", from)?;
        let time = if from.key("time") { from.plain().and_then(read_time) } else { None }.ok_or(NotAnEntry::Member("time"))?;
        if read_member::<u64>("v", from)? != VERSION {
            return Err(NotAnEntry::Version);
        }
        let event = if from.key("what") { from.begin_object().and_then(|()| Event::read(kind, from)) } else { None };
        let event = event.ok_or(NotAnEntry::Member("what"))?;
        from.end_object().ok_or(NotAnEntry::Surplus("what"))?;
        let why = read_or_default("why", from)?;
        if from.end_object().is_none() || !from.ended() || (evidence.is_some() && kind != Kind::Decision) {
            return Err(NotAnEntry::Surplus("the entry"));
        }
        Ok(Self { time, actor, subject, network, event, why, fields, evidence, outcome, correlation })
    }
}

/// What is wrong with bytes that are no entry: the form first, then version, kind and members that version 1 does not have, and else what the
/// reader stumbled over.
#[cold]
fn first_fault(bytes: &[u8], stumbled: NotAnEntry) -> NotAnEntry {
    const MEMBERS: [&str; 12] =
        ["actor", "correlation", "evidence", "fields", "kind", "network", "outcome", "subject", "time", "v", "what", "why"];
    let tape = match Tape::read(bytes) {
        Ok(tape) => tape,
        Err(wrong) => return wrong.into(),
    };
    let json = tape.json();
    if json.get("v").and_then(Json::as_u64) != Some(VERSION) {
        return NotAnEntry::Version;
    }
    if json.get("kind").and_then(|kind| Kind::from_name(kind.as_str()?)).is_none() {
        return NotAnEntry::Kind;
    }
    let surplus = json.names().any(|name| !MEMBERS.contains(&name));
    if surplus { NotAnEntry::Surplus("the entry") } else { stumbled }
}

fn read_member<T: Member>(name: &'static str, from: &mut Cursor<'_>) -> Result<T, NotAnEntry> {
    Member::read(name, from).ok_or(NotAnEntry::Member(name))
}

/// A member that is left out where it says nothing, so that an empty one is another spelling.
fn read_or_default<T: Item + Default + PartialEq>(name: &'static str, from: &mut Cursor<'_>) -> Result<T, NotAnEntry> {
    match read_member::<Option<T>>(name, from)? {
        None => Ok(T::default()),
        Some(read) if read == T::default() => Err(NotAnEntry::Member(name)),
        Some(read) => Ok(read),
    }
}

/// A network by its own name: an alias is another spelling.
fn read_network(name: &str) -> Option<Network> {
    name.parse().ok().filter(|network: &Network| network.name() == name)
}

/// Puts a part's digest in its place; whether there was something to put away.
fn by_digest<T: Item>(part: &mut Part<T>, parts: &mut Vec<LargePart>) -> bool {
    let Part::Here(value) = part else { return false };
    let mut out = Writer::default();
    value.write(&mut out);
    let bytes = out.into_bytes();
    let digest = PartDigest::of(&bytes);
    *part = Part::ByDigest(digest);
    parts.push(LargePart { digest: digest.digest, bytes });
    true
}

/// RFC 3339 in UTC with six digits of the second.
fn time_text(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Reads exactly what [`time_text`] writes: other spellings of the same moment are none.
fn read_time(text: &str) -> Option<Timestamp> {
    const FORM: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if !bytes.iter().zip(FORM).all(fits) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0_i32, |number, digit| number * 10 + i32::from(digit - b'0'));
    let [y0, y1, y2, y3, _, o0, o1, _, d0, d1, _, h0, h1, _, m0, m1, _, s0, s1, _, fraction @ .., _] = bytes;
    let two = |tens: &u8, ones: &u8| i8::try_from(number(&[*tens, *ones])).ok();
    let year = i16::try_from(number(&[*y0, *y1, *y2, *y3])).ok()?;
    let nanosecond = number(fraction) * 1_000;
    let civil = jiff::civil::DateTime::new(year, two(o0, o1)?, two(d0, d1)?, two(h0, h1)?, two(m0, m1)?, two(s0, s1)?, nanosecond).ok()?;
    jiff::tz::Offset::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
