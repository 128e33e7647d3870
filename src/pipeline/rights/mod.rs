//! People's rights: what is asked for, through the running service or with the folder's lock, and what follows from it until it is done.

mod asking;
mod clocks;
mod files;

pub use asking::{SubjectAct, SubjectAnswer, SubjectName, ask_subjects, export_told, finish_removals, notices_told};
pub(super) use clocks::Clocks;

use super::decide::idempotency;
use super::leaves::{Reasons, Scribe, WhoAsks};
use super::{Parts, RunError};
use crate::audit::{Kind, SubjectHash};
use crate::enrich::Standing;
use crate::model::{Decision, Digest, IdentityId, Priority, SubjectId, Timestamp};
use crate::store::ring::RequestId;
use crate::store::{
    Certify, DecideStep, DecisionRecord, FinishStep, Finished, PlannedDelivery, RemovalReason, Rights, StopOutcome, StopStep,
    StoppedAccount, Store, StoreError, TellOf, WithdrawStep, WrittenRecord,
};
use serde_json::json;
use std::sync::Arc;

/// Accounts withdrawn in one step: with 1,000 records each at 2 KB, 100 MB at the very most; usually some ten records each.
const ACCOUNTS_AT_ONCE: usize = 50;
/// Removals that end in one step.
const ENDS_AT_ONCE: usize = 200;

/// Acts for somebody over one store.
pub(super) struct Acting<'a, S> {
    pub parts: &'a Parts,
    pub store: &'a Arc<S>,
    pub scribe: &'a Arc<Scribe>,
    /// Who asked through the control socket; none where the command itself holds the folder.
    pub asker: Option<WhoAsks>,
    pub now: Timestamp,
}

impl<S: Store + Rights> Acting<'_, S> {
    fn reasons(&self, request: RequestId, reason: &str, kinds: &[Kind]) -> Result<Reasons, RunError> {
        self.scribe.reasons(request, reason, kinds, self.asker.as_ref())
    }

    /// Erases, or hears the objection of, these persons: stopped at once, withdrawn from the CRM by ordinary deliveries.
    pub async fn remove(
        &self,
        request: RequestId,
        removal: RemovalReason,
        persons: Vec<SubjectId>,
        reason: &str,
    ) -> Result<Vec<StopOutcome>, RunError> {
        let kinds = [Kind::ErasureRefused, Kind::PolicyRefused, Kind::SubjectObjected, Kind::SubjectSuppressed];
        let reasons = self.reasons(request, reason, &kinds)?;
        let whom: Vec<_> = persons.iter().map(|person| self.scribe.subject(person)).collect();
        let (scribe, now) = (self.scribe.clone(), self.now);
        let tell = TellOf(Arc::new(move |(number, outcome): &(usize, StopOutcome)| {
            let Some(whom) = whom.get(*number) else { return Ok(Vec::new()) };
            scribe.stopped_person(&reasons, removal, *whom, outcome, now).map_err(|error| StoreError::Refused(error.to_string()))
        }));
        let outcomes = self.store.stop(StopStep { at: self.now, request, reason: removal, persons, tell }).await?;
        self.withdraw().await?;
        Ok(outcomes)
    }

    /// Takes up every removal that is stopped and not withdrawn yet: also what a crash left.
    pub async fn withdraw(&self) -> Result<(), RunError> {
        loop {
            let stopped = self.store.stopped(ACCOUNTS_AT_ONCE).await?;
            if stopped.is_empty() {
                return Ok(());
            }
            let steps = stopped.iter().map(|account| self.step(account)).collect::<Result<Vec<_>, _>>()?;
            self.store.withdraw(self.now, steps).await?;
        }
    }

    fn step(&self, account: &StoppedAccount) -> Result<WithdrawStep, RunError> {
        let decision = Decision::not_permitted();
        // Where nothing was kept nothing is sealed for it, and the keyed hash alone says who it is.
        let id = account.id.clone().unwrap_or(IdentityId { network: account.network, id: "".into() });
        let before = account.current.as_ref().map_or(Digest([0; 32]), |current| current.reference);
        let reference = self.scribe.decision_reference(&id, before, &decision, Digest([0; 32]));
        let step = DecideStep {
            row: account.row,
            link: account.written.iter().map(|written| self.withdrawal(written, reference)).collect(),
            decision: Some(DecisionRecord {
                decision,
                reference,
                evidence_digest: Digest([0; 32]),
                mapping: self.parts.rulebook.digest,
                grounds: None,
                at: self.now,
            }),
            id,
            profile_as_of: None,
            activities: Vec::new(),
            wrote: Vec::new(),
            leaves: self.scribe.withdrawn_account(account, reference, self.now)?,
        };
        Ok(WithdrawStep { removal: account.removal, person: account.person, reason: account.reason, step })
    }

    /// What stands written is taken back as its `on_delete` says, before everything else that waits.
    fn withdrawal(&self, written: &WrittenRecord, reference: Digest) -> PlannedDelivery {
        let standing = Standing {
            entry: written.entry.clone(),
            target: written.target.clone(),
            operation: written.operation.clone(),
            key: written.record.clone(),
        };
        let write = self.parts.rulebook.enrich.withdraw(&standing);
        PlannedDelivery {
            idempotency: idempotency(&write, "removal", reference),
            priority: Priority::Urgent,
            entry: write.entry,
            target: write.target,
            operation: write.operation,
            intent: write.intent,
            record: write.key,
            payload: write.payload,
            expects: None,
            object: written.object.clone(),
        }
    }

    /// Ends what is settled. Returns what ended.
    pub async fn finish(&self) -> Result<Vec<Finished>, RunError> {
        let mut all = Vec::new();
        loop {
            let (scribe, now) = (self.scribe.clone(), self.now);
            let tell = TellOf(Arc::new(move |(finished, certificate): &(Finished, String)| {
                scribe.finished(finished, certificate, now).map_err(|error| StoreError::Refused(error.to_string()))
            }));
            let at = self.now;
            let certify = Certify(Arc::new(move |finished| certificate(finished, at)));
            let finished = self.store.finish(FinishStep { at: self.now, limit: ENDS_AT_ONCE, certify, tell }).await?;
            if finished.is_empty() {
                break;
            }
            all.extend(finished);
        }
        if all.iter().any(|finished| finished.reason == RemovalReason::Erasure) {
            self.store.fold().await?;
        }
        Ok(all)
    }
}

/// What a removal did, as JSON with its members in order: the log's entry holds its SHA-256.
fn certificate(finished: &Finished, at: Timestamp) -> String {
    let crm = &finished.crm;
    let hex = |hash: &SubjectHash| hash.to_string();
    json!({
        "kith": 1,
        "certificate": finished.reason.name(),
        "person": hex(&finished.person),
        "person_is": if finished.is_customer { "customer" } else { "account" },
        "asked": finished.begun.to_string(),
        "done": at.to_string(),
        "stored_records_removed": finished.records,
        "keys_destroyed": finished.keys,
        "lines_taken_out_of_files": finished.lines,
        "crm_rows": { "removed": crm.removed, "blanked": crm.blanked, "kept": crm.kept, "given_up": crm.given_up },
    })
    .to_string()
}
