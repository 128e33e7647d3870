//! The way of each activity in the service's log: one event a step under the target `kith::flow`, at `debug`, with the correlation ids that the
//! audit log writes. Never a name, an address or a word that somebody said. An event tells what is being done; the audit log, what is durable.

use crate::audit::CorrelationId;
use crate::store::{OutboxRow, Placed, SendOutcome};

/// The target of these events.
pub const FLOW: &str = "kith::flow";

/// Whether anybody listens.
pub(super) fn heard() -> bool {
    tracing::enabled!(target: FLOW, tracing::Level::DEBUG)
}

/// An activity arrived and was placed.
pub(super) fn received(activity: CorrelationId, source: &str, line: u64, placed: Placed) {
    let (step, why) = match placed {
        Placed::Repeat => ("repeated", ""),
        Placed::Waiting => ("received", ""),
        Placed::Dropped(rule) => ("dropped", rule.name()),
        Placed::Parked(code) => ("parked", code),
    };
    tracing::debug!(target: FLOW, step, %activity, source, line, why, "{step}");
}

/// A line that is no activity was parked.
pub(super) fn parked_line(line_id: CorrelationId, source: &str, line: u64, code: &str) {
    tracing::debug!(target: FLOW, step = "parked", activity = %line_id, source, line, why = code, "parked");
}

/// A decision was taken about the author of an activity, and what follows for the activity.
pub(super) fn decided(activity: CorrelationId, decision: CorrelationId, outcome: &str) {
    tracing::debug!(target: FLOW, step = "decided", %activity, %decision, outcome, "decided");
}

/// An activity was dropped, or waits.
pub(super) fn disposed(activity: CorrelationId, step: &'static str, why: &str) {
    tracing::debug!(target: FLOW, step, %activity, why, "{step}");
}

/// A delivery was planned.
pub(super) fn planned(activity: Option<CorrelationId>, decision: CorrelationId, delivery: CorrelationId, target: &str, entry: &str) {
    let activity = activity.map(|activity| activity.to_string()).unwrap_or_default();
    tracing::debug!(target: FLOW, step = "planned", activity, %decision, %delivery, target_name = target, entry, "planned");
}

/// A write is about to leave, or what came of it.
pub(super) fn sent(ids: &Ids, row: &OutboxRow, step: &'static str, why: &str) {
    let Ids { activity, decision, delivery } = ids;
    let activity = activity.map(|activity| activity.to_string()).unwrap_or_default();
    let (target, attempt) = (&*row.delivery.target.0, row.delivery.attempt);
    tracing::debug!(target: FLOW, step, activity, %decision, %delivery, target_name = target, attempt, why, "{step}");
}

/// What names a delivery.
pub(super) struct Ids {
    pub activity: Option<CorrelationId>,
    pub decision: CorrelationId,
    pub delivery: CorrelationId,
}

/// The word and reason of an outcome.
pub(super) fn word(outcome: &SendOutcome) -> (&'static str, &str) {
    let why = match outcome {
        SendOutcome::Delivered(receipt) => receipt.effect.name(),
        SendOutcome::Retry { reason, .. } | SendOutcome::Split { reason, .. } | SendOutcome::Unknown { reason } => reason,
        SendOutcome::Parked(reason) | SendOutcome::Dropped(_, reason) => reason.code,
        SendOutcome::NotThere => "",
    };
    (outcome.name(), why)
}
