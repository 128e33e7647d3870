//! Deletions and edits on networks that want them to arrive within a time, followed through the log: from the entry that says that one came to the
//! receipts of the targets. Made of entries alone, so that whoever has the log comes to the same.

use super::entry::{Entry, EntryOutcome};
use super::event::{Event, Text};
use super::hash::{CorrelationId, SubjectHash};
use crate::model::{Network, Timestamp};
use jiff::SignedDuration;
use std::collections::BTreeMap;

/// Before the moment until which a change must have arrived, in `why.record`.
const BY: &str = "by ";

/// What was changed on the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChangeKind {
    /// It was deleted.
    Deletion,
    /// It was edited.
    Edit,
}

impl ChangeKind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deletion => "deletion",
            Self::Edit => "edit",
        }
    }

    /// The rule by which a `source.read` tells of one.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Deletion => "deletion-received",
            Self::Edit => "edit-received",
        }
    }
}

/// What `why.record` says of a change that came: until when it must have arrived.
pub fn due_text(due: Timestamp) -> Text {
    format!("{BY}{due}").into()
}

/// How a change stands at a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeState {
    /// The target has it since then.
    Arrived(Timestamp),
    /// It is on its way, or not planned yet.
    Waits,
    /// The target refused it: a dead letter.
    Parked,
    /// A person has to say whose the account is: nothing of it stands in a CRM.
    Review,
    /// Nothing of it stood, or it was given up; since then.
    Nothing(Timestamp),
}

impl ChangeState {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrived(_) => "arrived",
            Self::Waits => "waits",
            Self::Parked => "parked",
            Self::Review => "review",
            Self::Nothing(_) => "nothing to do",
        }
    }
}

/// A change on its way to one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The number of the entry that says that it came.
    pub entry: u64,
    /// Where it was changed.
    pub network: Network,
    /// What was done.
    pub kind: ChangeKind,
    /// The target; `None` where nothing was planned.
    pub target: Option<Text>,
    /// When the network says that it happened.
    pub happened: Timestamp,
    /// When Kith received it.
    pub received: Timestamp,
    /// How long the network gave on that day.
    pub within: SignedDuration,
    /// How it stands.
    pub state: ChangeState,
}

impl Change {
    /// Until when it was open, `now` where it still is; `None` where no time runs.
    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            ChangeState::Arrived(at) => Some(at),
            ChangeState::Waits | ChangeState::Parked => Some(now),
            ChangeState::Review | ChangeState::Nothing(_) => None,
        }
    }

    /// How long it took from the network to the target, or has taken by `now`.
    pub fn took(&self, now: Timestamp) -> Option<SignedDuration> {
        self.until(now).map(|until| until.duration_since(self.happened))
    }

    /// Whether it took longer than the network gives, from when it happened there.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.took(now).is_some_and(|took| took > self.within)
    }

    /// Whether it took longer from when Kith received it: the rest is how late Kith was told.
    pub fn is_late_here(&self, now: Timestamp) -> bool {
        self.until(now).is_some_and(|until| until.duration_since(self.received) > self.within)
    }
}

/// A change that came.
struct Came {
    change: Change,
    identity: Option<SubjectHash>,
    /// By delivery: target and state.
    deliveries: BTreeMap<CorrelationId, (Text, ChangeState)>,
}

impl Came {
    fn is_open(&self) -> bool {
        self.deliveries.is_empty() || self.deliveries.values().any(|(_, state)| matches!(state, ChangeState::Waits | ChangeState::Parked))
    }

    fn told(self) -> Vec<Change> {
        if self.deliveries.is_empty() {
            return vec![self.change];
        }
        let of = |(target, state): (Text, ChangeState)| Change { target: Some(target), state, ..self.change.clone() };
        self.deliveries.into_values().map(of).collect()
    }
}

/// Changes that are followed.
#[derive(Default)]
pub struct Changes {
    open: BTreeMap<CorrelationId, Came>,
    decided: BTreeMap<SubjectHash, EntryOutcome>,
    last: Option<Timestamp>,
}

impl Changes {
    /// Takes the next entry in. Returns the changes that it ended, one for each target.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are about no change")]
    pub fn add(&mut self, number: u64, entry: &Entry) -> Vec<Change> {
        self.last = self.last.max(Some(entry.time));
        match &entry.event {
            Event::SourceRead { .. } => self.came(number, entry),
            Event::Decision { .. } => {
                if let (Some(identity), Some(outcome)) = (entry.subject.identity, entry.outcome) {
                    self.decided.insert(identity, outcome);
                }
            }
            Event::WritePlanned { target, .. } | Event::DeadLetterReplayed { target: Some(target), .. } => {
                self.delivery(entry, target, ChangeState::Waits);
            }
            Event::WriteParked { target, .. } => self.delivery(entry, target, ChangeState::Parked),
            Event::WriteReceipt { target, .. } | Event::WriteRecovered { target, .. } => {
                if let Some(state) = answered(entry) {
                    self.delivery(entry, target, state);
                    return self.ended(entry);
                }
            }
            Event::DeadLetterDropped { target: Some(target), .. } => {
                self.delivery(entry, target, ChangeState::Nothing(entry.time));
                return self.ended(entry);
            }
            Event::ActivityDropped { .. } => {
                if let Some(mut came) = entry.correlation.activity.and_then(|activity| self.open.remove(&activity)) {
                    came.change.state = ChangeState::Nothing(entry.time);
                    return came.told();
                }
            }
            Event::SubjectErased { .. } => return self.erased(entry),
            _ => {}
        }
        Vec::new()
    }

    fn came(&mut self, number: u64, entry: &Entry) {
        let rule = entry.why.rule.as_deref();
        let Some(kind) = [ChangeKind::Deletion, ChangeKind::Edit].into_iter().find(|kind| rule == Some(kind.rule())) else { return };
        let time = |text: Option<&str>| text.and_then(|text| text.parse::<Timestamp>().ok());
        let due = time(entry.why.record.as_deref().and_then(|text| text.strip_prefix(BY)));
        let (Some(activity), Some(network), Some(due)) = (entry.correlation.activity, entry.network, due) else { return };
        let change = Change {
            entry: number,
            network,
            kind,
            target: None,
            happened: time(entry.why.since.as_deref()).unwrap_or(entry.time),
            received: entry.time,
            within: due.duration_since(entry.time),
            state: ChangeState::Waits,
        };
        self.open.insert(activity, Came { change, identity: entry.subject.identity, deliveries: BTreeMap::new() });
    }

    fn delivery(&mut self, entry: &Entry, target: &Text, state: ChangeState) {
        let (Some(activity), Some(delivery)) = (entry.correlation.activity, entry.correlation.delivery) else { return };
        if let Some(came) = self.open.get_mut(&activity) {
            came.deliveries.insert(delivery, (target.clone(), state));
        }
    }

    fn ended(&mut self, entry: &Entry) -> Vec<Change> {
        let Some(activity) = entry.correlation.activity else { return Vec::new() };
        if self.open.get(&activity).is_none_or(Came::is_open) {
            return Vec::new();
        }
        self.open.remove(&activity).map(Came::told).unwrap_or_default()
    }

    /// Of somebody who was erased nothing stands anywhere.
    fn erased(&mut self, entry: &Entry) -> Vec<Change> {
        let Some(person) = entry.subject.identity else { return Vec::new() };
        let of: Vec<CorrelationId> = self.open.iter().filter(|(_, came)| came.identity == Some(person)).map(|(id, _)| *id).collect();
        let mut told = Vec::new();
        for mut came in of.iter().filter_map(|id| self.open.remove(id)) {
            came.change.state = ChangeState::Nothing(entry.time);
            for (_, state) in came.deliveries.values_mut().filter(|(_, state)| matches!(state, ChangeState::Waits | ChangeState::Parked)) {
                *state = ChangeState::Nothing(entry.time);
            }
            told.extend(came.told());
        }
        told
    }

    /// What has not ended, and the time of the newest entry: whatever waits has waited until then.
    pub fn rest(self) -> (Vec<Change>, Option<Timestamp>) {
        let mut told = Vec::new();
        for mut came in self.open.into_values() {
            let outcome = came.identity.and_then(|identity| self.decided.get(&identity));
            if came.deliveries.is_empty() && outcome == Some(&EntryOutcome::Review) {
                came.change.state = ChangeState::Review;
            }
            told.extend(came.told());
        }
        told.sort_by_key(|change| change.entry);
        (told, self.last)
    }
}

/// How a change stands after an answer; `None` where it goes on.
const fn answered(entry: &Entry) -> Option<ChangeState> {
    let Some(outcome) = entry.outcome else { return None };
    match outcome {
        EntryOutcome::Inserted
        | EntryOutcome::Updated
        | EntryOutcome::Unchanged
        | EntryOutcome::Removed
        | EntryOutcome::Blanked
        | EntryOutcome::Kept
        | EntryOutcome::Delivered => Some(ChangeState::Arrived(entry.time)),
        EntryOutcome::Dropped => Some(ChangeState::Nothing(entry.time)),
        EntryOutcome::Parked => Some(ChangeState::Parked),
        EntryOutcome::Linked
        | EntryOutcome::NotLinked
        | EntryOutcome::Review
        | EntryOutcome::NotPermitted
        | EntryOutcome::Undetermined
        | EntryOutcome::Absent
        | EntryOutcome::Done
        | EntryOutcome::Refused
        | EntryOutcome::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Correlation, HashKey, Subject};
    use crate::model::{IdentityId, RecordKey, TargetId};

    fn at(minute: i64) -> Timestamp {
        "2026-11-28T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }

    fn entry(minute: i64, event: Event, activity: u8, delivery: Option<u8>, outcome: Option<EntryOutcome>) -> Entry {
        let mut entry = Entry::new(at(minute), event);
        let hash = HashKey::new([7; 32]);
        entry.network = Some(Network::X);
        entry.subject = Subject { identity: Some(hash.identity(&IdentityId { network: Network::X, id: "1".into() })), customer: None };
        entry.correlation = Correlation {
            activity: Some(CorrelationId([activity; 16])),
            delivery: delivery.map(|id| CorrelationId([id; 16])),
            ..Correlation::default()
        };
        entry.outcome = outcome;
        entry
    }

    /// Happened 30 minutes before it came, to arrive within an hour.
    fn came(minute: i64, activity: u8, kind: ChangeKind) -> Entry {
        let event =
            Event::SourceRead { duplicates: 0, file: None, name: Some("stream".into()), parked: 0, received: 0, source: "x".into() };
        let mut entry = entry(minute, event, activity, None, None);
        entry.why.rule = Some(kind.rule().into());
        entry.why.since = Some(at(minute - 30).to_string().into());
        entry.why.record = Some(due_text(at(minute + 60)));
        entry
    }

    fn record() -> SubjectHash {
        HashKey::new([7; 32]).record(&TargetId("crm".into()), &RecordKey("[1]".into()))
    }

    fn planned(minute: i64, activity: u8, delivery: u8, target: &str) -> Entry {
        let event = Event::WritePlanned {
            entry: "e".into(),
            intent: "remove".into(),
            operation: "o".into(),
            record: record(),
            target: target.into(),
        };
        entry(minute, event, activity, Some(delivery), None)
    }

    fn receipt(minute: i64, activity: u8, delivery: u8, target: &str, outcome: EntryOutcome) -> Entry {
        let event = Event::WriteReceipt { attempt: 1, entry: "e".into(), operation: "o".into(), record: record(), target: target.into() };
        entry(minute, event, activity, Some(delivery), Some(outcome))
    }

    fn follow(entries: &[Entry]) -> (Vec<Change>, Vec<Change>, Timestamp) {
        let mut changes = Changes::default();
        let ended = entries.iter().zip(0..).flat_map(|(entry, number)| changes.add(number, entry)).collect();
        let (rest, last) = changes.rest();
        (ended, rest, last.unwrap())
    }

    #[test]
    fn a_change_ends_when_every_target_has_it_and_each_is_late_for_itself() {
        let entries = [
            came(0, 1, ChangeKind::Deletion),
            planned(1, 1, 10, "crm"),
            planned(1, 1, 11, "archive"),
            receipt(2, 1, 10, "crm", EntryOutcome::Failed),
            receipt(20, 1, 10, "crm", EntryOutcome::Removed),
            receipt(61, 1, 11, "archive", EntryOutcome::Blanked),
        ];
        let (ended, rest, last) = follow(&entries);
        let told: Vec<_> = ended.iter().map(|c| (&**c.target.as_ref().unwrap(), c.is_late(last), c.is_late_here(last))).collect();
        assert_eq!(told, [("crm", false, false), ("archive", true, true)]);
        assert_eq!(ended[0].took(last), Some(SignedDuration::from_mins(50)));
        assert!(rest.is_empty());
    }

    #[test]
    fn late_by_the_networks_own_time_is_not_yet_late_here() {
        let entries = [came(0, 1, ChangeKind::Edit), planned(1, 1, 10, "crm"), receipt(40, 1, 10, "crm", EntryOutcome::Updated)];
        let (ended, _, last) = follow(&entries);
        assert_eq!((ended[0].is_late(last), ended[0].is_late_here(last)), (true, false));
    }

    #[test]
    fn what_has_not_arrived_waits_until_the_newest_entry() {
        let mut entries = vec![came(0, 1, ChangeKind::Deletion), came(5, 2, ChangeKind::Deletion), planned(6, 2, 20, "crm")];
        let mut parked = receipt(7, 2, 20, "crm", EntryOutcome::Parked);
        parked.event = Event::WriteParked {
            attempts: 1,
            code: "KITH-D001".into(),
            entry: "e".into(),
            message: "no".into(),
            record: record(),
            target: "crm".into(),
        };
        entries.push(parked);
        let (ended, rest, last) = follow(&entries);
        assert!(ended.is_empty());
        assert_eq!(
            rest.iter().map(|c| (c.entry, c.state, c.is_late(last))).collect::<Vec<_>>(),
            [(0, ChangeState::Waits, false), (1, ChangeState::Parked, false)]
        );
        // Nobody decided about the first: it was held back.
        entries.push(entry(120, Event::ServiceStopped { reason: "asked".into() }, 9, None, None));
        let (_, rest, last) = follow(&entries);
        assert!(rest.iter().all(|change| change.is_late(last) && change.is_late_here(last)));
    }

    #[test]
    fn nothing_that_stands_is_nothing_that_is_late() {
        let dropped = entry(500, Event::ActivityDropped { source: None }, 1, None, Some(EntryOutcome::Dropped));
        let (ended, rest, last) = follow(&[came(0, 1, ChangeKind::Deletion), dropped]);
        assert_eq!((ended[0].state, ended[0].is_late(last), rest.len()), (ChangeState::Nothing(at(500)), false, 0));
        let erased = Event::SubjectErased { certificate: None, crm_rows: 1, keys: 1, records: 1 };
        let (ended, rest, last) =
            follow(&[came(0, 1, ChangeKind::Deletion), planned(1, 1, 10, "crm"), entry(600, erased, 9, None, Some(EntryOutcome::Done))]);
        assert_eq!((ended[0].state, ended[0].is_late(last), rest.len()), (ChangeState::Nothing(at(600)), false, 0));
    }

    #[test]
    fn an_account_that_waits_for_a_person_has_nothing_in_a_crm() {
        let decision = Event::Decision { by: None, candidates: 2, match_weight: None, planned: 0, probability: None, prompted_by: None };
        let (_, rest, last) = follow(&[came(0, 1, ChangeKind::Edit), entry(900, decision, 9, None, Some(EntryOutcome::Review))]);
        assert_eq!((rest[0].state, rest[0].is_late(last)), (ChangeState::Review, false));
    }
}
