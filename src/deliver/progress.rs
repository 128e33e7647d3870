//! The answers of a write as they come, and when it stops: shared by the targets that send several requests in one write.

use super::{Answer, DeliveryError, Exchange, Pause, Written};
use crate::diagnose::Code;
use crate::wire::pace;
use std::time::Duration;

/// The answers of a batch as they come.
#[derive(Debug)]
pub(super) struct Progress {
    answers: Vec<Option<Answer>>,
    exchanges: Vec<Option<Exchange>>,
    pause: Option<Pause>,
    /// Why nothing more is sent.
    stop: Option<DeliveryError>,
    /// Time that went by for requests without an answer.
    in_vain: Duration,
    /// Whether what travelled is kept where all went well, too.
    keeps_all: bool,
}

impl Progress {
    /// Nothing is known yet.
    pub(super) fn of(records: usize) -> Self {
        Self {
            answers: vec![None; records],
            exchanges: vec![None; records],
            pause: None,
            stop: None,
            in_vain: Duration::ZERO,
            keeps_all: false,
        }
    }

    /// For a call by hand: what travelled is shown, whatever comes of it.
    #[must_use]
    pub(super) fn keeping_all(mut self) -> Self {
        self.keeps_all = true;
        self
    }

    /// Whether what travelled is kept where all went well, too.
    pub(super) const fn keeps_all(&self) -> bool {
        self.keeps_all
    }

    /// Why nothing more is sent.
    pub(super) const fn stopped(&self) -> Option<&DeliveryError> {
        self.stop.as_ref()
    }

    /// What came of the record at a place.
    pub(super) fn tell(&mut self, at: usize, answer: Answer, exchange: Option<Exchange>) {
        if let Err(error @ (DeliveryError::Unavailable { .. } | DeliveryError::Throttled { .. } | DeliveryError::LoginExpired { .. })) =
            &answer
        {
            self.stop.get_or_insert_with(|| error.clone());
        }
        if let Some(slot) = self.answers.get_mut(at) {
            *slot = Some(answer);
        }
        if let Some(slot) = self.exchanges.get_mut(at) {
            *slot = exchange;
        }
    }

    /// The server asks for a pause.
    pub(super) fn asked(&mut self, asked: &pace::Asked) {
        if self.pause.as_ref().is_none_or(|pause| pause.wait < asked.wait) {
            self.pause = Some(Pause { wait: asked.wait, said: asked.said.clone() });
        }
        let message = format!("the service has said that nothing more is left for now ({})", asked.said).into();
        self.stop.get_or_insert(DeliveryError::Throttled { code: Code("KITH-D015"), message, wait: Some(asked.wait) });
    }

    /// A connection that is cut costs no time, and the next may hold. A server that is silent is not asked for the whole batch.
    pub(super) fn no_answer(&mut self, took: Duration, patience: Duration) {
        self.in_vain += took;
        if self.in_vain >= patience {
            self.stop.get_or_insert_with(|| DeliveryError::unavailable("KITH-D018", "the service did not answer in time"));
        }
    }

    /// One answer for each record.
    pub(super) fn finish(self) -> Written {
        // A place without an answer was not sent.
        let unsent = self.stop.unwrap_or_else(|| DeliveryError::unavailable("KITH-D018", "it was not sent"));
        let answers = self.answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unsent.clone()))).collect();
        Written { answers, exchanges: self.exchanges, pause: self.pause }
    }
}
