//! What a network was asked about what is held of it, in the log.

use super::{Leaf, Scribe};
use crate::audit::{Entry, EntryOutcome, Event};
use crate::model::Timestamp;
use crate::pipeline::compliance::Standing;
use std::sync::Arc;

impl Scribe {
    /// A round has ended: all that is held was asked about. The read of a source in which nothing came, by the rule that says why; the Deletes have
    /// entries of their own.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub(in crate::pipeline) fn asked_what_stands(&self, source: &Arc<str>, name: &str, standing: &Standing, now: Timestamp) -> Leaf {
        let event =
            Event::SourceRead { duplicates: 0, file: None, name: Some(name.into()), parked: 0, received: 0, source: source.clone() };
        let mut entry = Entry::new(now, event);
        entry.why.rule = Some("asked-what-stands".into());
        entry.why.since = standing.round.map(|at| at.to_string().into());
        entry.why.record = Some(
            format!(
                "{} asked about, {} gone, {} deleted, {} newer, since the first round",
                standing.asked, standing.gone, standing.deleted, standing.changed
            )
            .into(),
        );
        entry.outcome = Some(EntryOutcome::Done);
        self.encode(&entry)
    }
}
