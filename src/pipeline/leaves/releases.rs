//! What the log says about releases of mappings.

use super::{Leaf, Scribe, WhoAsks};
use crate::audit::{Entry, EntryOutcome, Event};
use crate::declare::mapping::Rulebook;
use crate::model::{Digest, Timestamp};
use crate::pipeline::releases::ReleaseOrder;

impl Scribe {
    /// The account that runs this process, with its role.
    pub(in crate::pipeline) const fn who(&self) -> &WhoAsks {
        &self.who
    }

    /// Somebody released a mapping, or went back to one: which, and why. What it changes stands in the `mapping.changed` that follows.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub(in crate::pipeline) fn released(&self, rulebook: &Rulebook, order: &ReleaseOrder, now: Timestamp) -> Leaf {
        let what = if order.rollback { "rollback" } else { "release" };
        let note = order.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        let matter = format!("mapping {what} {}{note}", rulebook.hash());
        let mut entry = Entry::new(now, Event::ApprovalGiven { matter: matter.into() });
        entry.outcome = Some(EntryOutcome::Done);
        entry.actor = self.asker(order.asker.as_ref());
        entry.why.mapping = Some(rulebook.digest);
        entry.why.model = rulebook.matching.model.as_ref().map(|model| model.digest);
        self.encode(&entry)
    }

    /// Somebody has a work-list decided again: how many accounts, under which mapping. Each decision is told by itself.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub(in crate::pipeline) fn decided_again(&self, hash: Digest, accounts: usize, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let matter = format!("decide again {accounts} accounts under the mapping {hash}");
        let mut entry = Entry::new(now, Event::ApprovalGiven { matter: matter.into() });
        entry.outcome = Some(EntryOutcome::Done);
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }
}
