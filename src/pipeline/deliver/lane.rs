//! One send from its intents to its receipts.

use super::endpoint::{Endpoint, Verdict, why};
use super::report::{Gate, WorkerReport};
use crate::declare::connector::{DeliveryRules, FaultAction, FaultClass};
use crate::deliver::{DeliveryError, Exchange, Next, Settled, Target, Written, after_failure};
use crate::model::{DropRule, Intended, ParkReason, TargetId, Timestamp};
use crate::pipeline::leaves::Scribe;
use crate::pipeline::progress::{Progress, Stage};
use crate::pipeline::stops::Stops;
use crate::pipeline::{Clock, Meter, RunError, Stopwatch};
use crate::store::{
    EndpointReason, EndpointState, FailedAttempt, OutboxRow, ReceiptBatch, ReceiptStep, SendBatch, SendOutcome, SendStep, Store,
};
use std::sync::Arc;

/// What is shared by everything that sends to one target.
pub struct Lane<S, T> {
    /// `[targets.NAME]`.
    pub id: TargetId,
    /// The outbox.
    pub store: Arc<S>,
    /// Where to.
    pub target: T,
    /// How it wants to be treated.
    pub rules: Arc<DeliveryRules>,
    /// What limits, waits and the breaker belong to.
    pub endpoint: Arc<Endpoint>,
    /// Writes audit leaves.
    pub scribe: Arc<Scribe>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Closed when the log fails.
    pub gate: Arc<Gate>,
    /// Counts.
    pub meter: Arc<Meter>,
    /// Who looks.
    pub progress: Arc<dyn Progress>,
    /// What people stopped.
    pub stops: Arc<Stops>,
}

/// A batch whose intents are durable.
pub(super) struct Departing {
    pub(super) rows: Vec<OutboxRow>,
    intended: Vec<Intended>,
    /// How often somebody had logged in.
    logins: u64,
}

/// What one delivery came to.
struct Judged {
    outcome: SendOutcome,
    failed: Option<FailedAttempt>,
}

impl<S: Store, T: Target> Lane<S, T> {
    /// Makes the intents of a batch durable, with the quotas that it took, and waits for its moment. Nothing leaves where the endpoint asked meanwhile to be left alone.
    ///
    /// # Errors
    /// When the store fails: then nothing was sent.
    pub(super) async fn intend(&self, rows: Vec<OutboxRow>, leaves: Timestamp) -> Result<Option<Departing>, RunError> {
        let now = self.clock.now();
        let intents = rows
            .iter()
            .map(|row| Ok(SendStep { leaf: self.scribe.intended(row, now)?, delivery: row.delivery.clone() }))
            .collect::<Result<Vec<_>, RunError>>()?;
        self.scribe.keep_parts(&*self.store).await?;
        let intended = self.store.send(SendBatch { intents, spent: self.endpoint.spent() }).await?;
        let logins = self.endpoint.logins().await;
        // Its place in the rate may be a moment ahead.
        let early = leaves.duration_since(self.clock.now());
        if early.is_positive() {
            tokio::time::sleep(early.unsigned_abs()).await;
        }
        let now = self.clock.now();
        if self.endpoint.departs(now) && !self.gate.is_closed() {
            return Ok(Some(Departing { rows, intended, logins }));
        }
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in &rows {
            let reason = "not sent: the endpoint asked to be left alone".into();
            let outcome = SendOutcome::Retry { not_before: None, counts: false, reason };
            let leaf = self.scribe.outcome(row, &outcome, now)?;
            outcomes.push(ReceiptStep { delivery: row.delivery.id, outcome, leaf, failed: None });
        }
        self.scribe.keep_parts(&*self.store).await?;
        self.store(now, outcomes).await?;
        Ok(None)
    }

    /// Makes outcomes durable, and how the endpoint stands.
    async fn store(&self, at: Timestamp, outcomes: Vec<ReceiptStep>) -> Result<(), RunError> {
        // Receipts that bring nothing new about the endpoint need no turn.
        let _turn = if self.endpoint.unstored().is_some() { Some(self.endpoint.storing.lock().await) } else { None };
        let endpoint = self.endpoint.unstored();
        let spent = self.endpoint.spent();
        self.store.receipt(ReceiptBatch { at, outcomes, endpoint: endpoint.clone(), spent }).await?;
        if let Some(state) = endpoint {
            self.endpoint.stored(state);
        }
        Ok(())
    }

    /// Makes durable how the endpoint stands, where a step that should have done so failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(in crate::pipeline) async fn store_endpoint(&self) -> Result<(), RunError> {
        if self.endpoint.unstored().is_some() { self.store(self.clock.now(), Vec::new()).await } else { Ok(()) }
    }

    /// Writes what departs; receipts become durable, and what has no answer is settled.
    ///
    /// # Errors
    /// When the store fails: then nobody knows what may be sent.
    pub(super) async fn carry(&self, departing: Departing) -> Result<WorkerReport, RunError> {
        let Departing { rows, intended, logins } = departing;
        let watch = Stopwatch::start();
        let written = self.target.write(&intended).await;
        self.meter.sent(&self.id, rows.len(), watch.seconds());
        let (report, unknown) = self.receipts(rows, written, logins).await?;
        for row in unknown {
            self.settle(row).await?;
        }
        Ok(report)
    }

    async fn receipts(&self, rows: Vec<OutboxRow>, written: Written, logins: u64) -> Result<(WorkerReport, Vec<OutboxRow>), RunError> {
        let now = self.clock.now();
        let login = if written.answers.iter().flatten_err().any(|error| self.action(error) == FaultAction::Login) {
            Some(self.endpoint.login(&self.target, logins).await)
        } else {
            None
        };
        let refused = written.answers.iter().flatten_err().filter(|error| error.class() == FaultClass::BatchRefused).count();
        let verdict = self.verdict(&written, login.as_ref());
        let (mut report, mut outcomes, mut unknown) = (WorkerReport::default(), Vec::with_capacity(rows.len()), Vec::new());
        let count = rows.len();
        let mut exchanges = written.exchanges.into_iter();
        // An answer that is missing is no receipt.
        let lacking = || Err(DeliveryError::OutcomeUnknown { message: "the target answered less than it was asked".into() });
        let answers = written.answers.into_iter().chain(std::iter::repeat_with(lacking));
        for (row, answer) in rows.into_iter().zip(answers) {
            let exchange = exchanges.next().flatten();
            let Judged { outcome, failed } = match answer {
                Ok(receipt) => Judged { outcome: SendOutcome::Delivered(receipt), failed: None },
                Err(error) => self.judge(&row, &error, exchange.as_ref(), refused, now),
            };
            match &outcome {
                SendOutcome::Delivered(_) => {
                    report.delivered += 1;
                    if let Some((_, version)) = &row.version {
                        self.meter.arrived(&self.id, row.priority, now.duration_since(version.at).as_secs_f64());
                    }
                }
                SendOutcome::Parked(_) | SendOutcome::Dropped(..) => report.parked += 1,
                SendOutcome::Unknown { .. } => unknown.push(row.clone()),
                SendOutcome::Retry { .. } | SendOutcome::Split { .. } | SendOutcome::NotThere => {}
            }
            self.meter.outcome(&self.id, outcome.name());
            let leaf = self.scribe.outcome(&row, &outcome, now)?;
            outcomes.push(ReceiptStep { delivery: row.delivery.id, outcome, leaf, failed });
        }
        tell(self.endpoint.heard(verdict, now).as_ref());
        self.scribe.keep_parts(&*self.store).await?;
        self.store(now, outcomes).await?;
        self.progress.advance(Stage::Deliver, count as u64, None);
        Ok((report, unknown))
    }

    fn action(&self, error: &DeliveryError) -> FaultAction {
        self.rules.action(error.class(), error.code().0)
    }

    /// What becomes of a delivery that was not written.
    fn judge(&self, row: &OutboxRow, error: &DeliveryError, exchange: Option<&Exchange>, refused: usize, now: Timestamp) -> Judged {
        let reason = error.park_reason();
        let failed = || {
            Some(FailedAttempt {
                number: row.delivery.attempt,
                identity: row.identity.clone(),
                idempotency: row.delivery.idempotency,
                class: error.class().name(),
                code: reason.code,
                message: reason.message.clone(),
                exchange: exchange.map(|exchange| (exchange.request.clone(), exchange.answer.clone())),
            })
        };
        let again = |counts| SendOutcome::Retry { not_before: None, counts, reason: reason.message.clone() };
        match self.action(error) {
            FaultAction::Park => Judged { outcome: SendOutcome::Parked(reason.clone()), failed: failed() },
            FaultAction::Drop => Judged { outcome: SendOutcome::Dropped(DropRule::FaultRule, reason.clone()), failed: failed() },
            // Alone there is nothing to split: it is the bad one.
            FaultAction::Split if refused <= 1 => Judged { outcome: SendOutcome::Parked(reason.clone()), failed: failed() },
            FaultAction::Split => {
                let part = u32::try_from(refused / 2).unwrap_or(u32::MAX).max(1);
                Judged { outcome: SendOutcome::Split { part, reason: reason.message }, failed: None }
            }
            FaultAction::Wait | FaultAction::Login => Judged { outcome: again(false), failed: None },
            FaultAction::Settle => Judged { outcome: SendOutcome::Unknown { reason: reason.message }, failed: None },
            FaultAction::Retry => {
                let asked = match error {
                    DeliveryError::Failed { retry_after, .. } | DeliveryError::Unavailable { retry_after, .. } => *retry_after,
                    DeliveryError::Refused { .. }
                    | DeliveryError::BatchRefused { .. }
                    | DeliveryError::Throttled { .. }
                    | DeliveryError::LoginExpired { .. }
                    | DeliveryError::OutcomeUnknown { .. } => None,
                };
                let seed = row.delivery.idempotency.0.0.iter().take(8).fold(0_u64, |seed, byte| (seed << 8) | u64::from(*byte));
                let outcome = match after_failure(&self.rules.retry, row.failures + 1, now, asked, seed) {
                    Next::At(at) => SendOutcome::Retry { not_before: Some(at), counts: true, reason: reason.message.clone() },
                    Next::GiveUp => SendOutcome::Parked(reason.clone()),
                };
                Judged { outcome, failed: failed() }
            }
        }
    }

    /// How the send went for the endpoint. Throttling is heard before all, an outage before what went well beside it; a failure counts only
    /// where nothing went well.
    fn verdict(&self, written: &Written, login: Option<&Result<(), DeliveryError>>) -> Verdict {
        let (mut away, mut answered) = (None, false);
        for answer in &written.answers {
            match answer {
                Err(error @ DeliveryError::Throttled { wait, .. }) => return Verdict::Throttled { why: why(error), wait: *wait },
                Err(error @ DeliveryError::Unavailable { retry_after, .. }) if self.action(error) == FaultAction::Wait => {
                    away = Some(Verdict::Away { why: why(error), wait: *retry_after });
                    answered = false;
                    break;
                }
                Err(error @ (DeliveryError::Failed { .. } | DeliveryError::OutcomeUnknown { .. })) => {
                    away.get_or_insert_with(|| Verdict::Away { why: why(error), wait: None });
                }
                Err(DeliveryError::LoginExpired { .. }) => {}
                Ok(_) | Err(DeliveryError::Refused { .. } | DeliveryError::BatchRefused { .. } | DeliveryError::Unavailable { .. }) => {
                    answered = true;
                }
            }
        }
        match (login, away) {
            // Who can't log in can't send.
            (Some(Err(error)), _) => Verdict::Away { why: why(error), wait: None },
            (Some(Ok(())), None) if !answered => {
                let expired = written.answers.iter().flatten_err().next().map(why);
                Verdict::LoggedIn {
                    why: expired.unwrap_or_else(|| EndpointReason { code: "KITH-D001".into(), message: "logged in".into() }),
                }
            }
            (_, Some(away)) if !answered => away,
            (_, _) => Verdict::Fine(written.pause.clone()),
        }
    }

    /// Settles a delivery without an answer; whether it could be told what became of it. While it can't, it stays `unknown` and holds back
    /// later writes to the same record.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(&self, row: OutboxRow) -> Result<bool, RunError> {
        let now = self.clock.now();
        if self.rules.counts == crate::declare::connector::Counted::Requests {
            let _departure = self.endpoint.departure.lock().await;
            // A look-up is a request like any other, but nothing is lost by asking later.
            if self.endpoint.take(None, now).is_err() {
                return Ok(false);
            }
            self.store.spend(self.endpoint.spent()).await?;
            self.endpoint.departs(self.clock.now());
        }
        let (settled, verdict) = self.ask(row).await?;
        if let Some(verdict) = verdict {
            tell(self.endpoint.heard(verdict, self.clock.now()).as_ref());
            self.store_endpoint().await?;
        }
        self.meter.outcome(&self.id, if settled { "settled" } else { "unsettled" });
        Ok(settled)
    }

    /// Asks the target what became of a delivery without an answer; whether it could say, and where it could not, what that says of the endpoint.
    async fn ask(&self, row: OutboxRow) -> Result<(bool, Option<Verdict>), RunError> {
        let logins = self.endpoint.logins().await;
        let (how, outcome, failed) = match self.target.settle(&row.delivery).await {
            Ok(Settled::Delivered(receipt)) => ("read-back", SendOutcome::Delivered(receipt), None),
            Ok(Settled::NotThere) => ("read-back", SendOutcome::NotThere, None),
            Ok(Settled::Repeatable) => ("repeatable", SendOutcome::NotThere, None),
            Ok(Settled::Undecidable { code, message }) => {
                ("nobody can tell", SendOutcome::Parked(ParkReason { code: code.0, message }), Some(FaultClass::OutcomeUnknown))
            }
            Err(error @ DeliveryError::Refused { .. }) => {
                ("read-back", SendOutcome::Parked(error.park_reason()), Some(FaultClass::Refused))
            }
            Err(error) => {
                tracing::warn!(target_name = %row.delivery.target.0, reason = %error, "a delivery without an answer can't be settled yet");
                let why = why(&error);
                let verdict = match error {
                    DeliveryError::Throttled { wait, .. } => Verdict::Throttled { why, wait },
                    DeliveryError::Unavailable { retry_after: wait, .. } | DeliveryError::Failed { retry_after: wait, .. } => {
                        Verdict::Away { why, wait }
                    }
                    DeliveryError::LoginExpired { .. } => match self.endpoint.login(&self.target, logins).await {
                        Ok(()) => return Ok((false, None)),
                        Err(_) => Verdict::Away { why, wait: None },
                    },
                    DeliveryError::Refused { .. } | DeliveryError::BatchRefused { .. } | DeliveryError::OutcomeUnknown { .. } => {
                        Verdict::Away { why, wait: None }
                    }
                };
                return Ok((false, Some(verdict)));
            }
        };
        let now = self.clock.now();
        let failed =
            failed.zip(if let SendOutcome::Parked(reason) = &outcome { Some(reason.clone()) } else { None }).map(|(class, reason)| {
                FailedAttempt {
                    number: row.delivery.attempt.saturating_sub(1),
                    identity: row.identity.clone(),
                    idempotency: row.delivery.idempotency,
                    class: class.name(),
                    code: reason.code,
                    message: reason.message,
                    exchange: None,
                }
            });
        let leaf = self.scribe.recovered(&row, &outcome, how, now)?;
        self.scribe.keep_parts(&*self.store).await?;
        let outcomes = vec![ReceiptStep { delivery: row.delivery.id, outcome, leaf, failed }];
        self.store.receipt(ReceiptBatch { at: now, outcomes, endpoint: None, spent: Vec::new() }).await?;
        Ok((true, None))
    }
}

/// Tells the operator how an endpoint stands from now on.
fn tell(endpoint: Option<&EndpointState>) {
    let Some(state) = endpoint else { return };
    if let Some((until, why)) = state.closed_until(state.changed_at) {
        let (failures, opened) = (state.failures, state.times);
        tracing::warn!(endpoint = %state.name, code = %why.code, %until, failures, opened, "not sending: {}", why.message);
    } else if state.is_well() {
        tracing::info!(endpoint = %state.name, "sending again");
    }
}

/// The errors among answers.
trait FlattenErr<'a> {
    fn flatten_err(self) -> impl Iterator<Item = &'a DeliveryError>;
}

impl<'a, I: Iterator<Item = &'a crate::deliver::Answer>> FlattenErr<'a> for I {
    fn flatten_err(self) -> impl Iterator<Item = &'a DeliveryError> {
        self.filter_map(|answer| answer.as_ref().err())
    }
}
