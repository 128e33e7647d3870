//! Guards of a pass: what would change more than is allowed waits for a person, and nothing of it is applied meanwhile.

use super::{Fault, RunError, Service};
use crate::diagnose::Code;
use crate::store::{Deletions, GuardMatter, GuardRow, GuardState, GuardedPass, Guards};
use std::sync::Arc;

const DELETE_GUARD: Code = Code("KITH-U042");
const FIRST_WRITES_GUARD: Code = Code("KITH-U043");

/// So many records may always be withdrawn: in a small CRM one deletion is a large share.
const ALWAYS_ALLOWED: u64 = 20;
/// Whatever deletions withdraw.
const ACTIVITIES: &str = "activities";
/// Wherever the first writes go.
const TARGETS: &str = "targets";

/// `, among them C1, C2`.
pub(super) fn among(examples: &[String]) -> String {
    if examples.is_empty() { String::new() } else { format!(", among them customers {}", examples.join(", ")) }
}

/// What a person can say.
pub(super) fn ways_out(row: &GuardRow) -> String {
    match row.state {
        GuardState::Waits => format!("`kith approve {0}` lets it on, `kith reject {0}` refuses it", row.id),
        GuardState::Rejected => format!("{} rejected it as pass {}", row.author.as_deref().unwrap_or("somebody"), row.id),
        GuardState::Approved => format!("it was approved as pass {}", row.id),
    }
}

impl Service {
    /// Whether waiting deletions may be followed. Beyond the guard nobody is decided in this pass.
    pub(super) async fn may_delete(&mut self) -> Result<bool, RunError> {
        let share = u64::from(self.parts.config.guard.deletes_percent.get());
        let allowed = |found: &Deletions| (found.written.saturating_mul(share) / 100).max(ALWAYS_ALLOWED);
        let found = self.store.deletions(ALWAYS_ALLOWED).await?;
        let Some(found) = found.filter(|found| found.waiting > allowed(found)) else {
            self.store.guard_ended(GuardMatter::Delete, ACTIVITIES.into()).await?;
            return Ok(true);
        };
        let allowed = allowed(&found);
        let pass = GuardedPass {
            matter: GuardMatter::Delete,
            place: ACTIVITIES.into(),
            subject: Vec::new(),
            found: found.waiting,
            whole: found.written,
            allowed,
            examples: found.examples,
            last: found.last,
        };
        let row = self.store.guard(self.clock.now(), pass).await?;
        if row.state == GuardState::Approved {
            return Ok(true);
        }
        let GuardedPass { found, whole, allowed, examples, .. } = &row.pass;
        self.fault(Fault {
            code: DELETE_GUARD.0,
            place: "[guard]".into(),
            message: format!(
                "deletions upstream would withdraw {found} of {whole} records in the CRM, and {allowed} may be in one pass{}",
                among(examples)
            ),
            remedy: format!("see whether the network really deleted so much; {}. Until then nobody is decided", ways_out(&row)),
        });
        Ok(false)
    }

    /// At the start: where nothing was ever sent and the configuration has a limit for that, nothing leaves before the pass is judged.
    pub(super) async fn hold_first_writes(&self) -> Result<(), RunError> {
        if self.parts.config.guard.first_writes.is_some() && self.store.first_writes().await?.is_some() {
            self.stops.hold("the first writes wait until all of them are planned");
        }
        Ok(())
    }

    /// After deciding: whether the first writes may leave.
    pub(super) async fn judge_first_writes(&mut self) -> Result<(), RunError> {
        if !self.stops.is_held() {
            return Ok(());
        }
        let planned = self.store.first_writes().await?;
        let allowed = self.parts.config.guard.first_writes.map(|most| u64::from(most.get()));
        let place: Arc<str> = TARGETS.into();
        if let (Some(found), Some(allowed)) = (planned, allowed)
            && found > allowed
        {
            let pass = GuardedPass {
                matter: GuardMatter::FirstWrites,
                place,
                subject: Vec::new(),
                found,
                whole: found,
                allowed,
                examples: Vec::new(),
                last: 0,
            };
            let row = self.store.guard(self.clock.now(), pass).await?;
            if row.state != GuardState::Approved {
                self.stops.hold(format!("the first {found} writes wait for a person: {}", ways_out(&row)));
                self.fault(Fault {
                    code: FIRST_WRITES_GUARD.0,
                    place: "[guard]".into(),
                    message: format!("the first run would write {found} records, and {allowed} may be written without asking"),
                    remedy: format!("look at them with `kith plan`; {}. Until then nothing is sent", ways_out(&row)),
                });
                return Ok(());
            }
        }
        self.store.guard_ended(GuardMatter::FirstWrites, TARGETS.into()).await?;
        self.stops.let_on();
        self.planned.ring();
        Ok(())
    }
}
