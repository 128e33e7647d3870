//! Calls that cost money: the dearest that a call can become is set aside before it is made, and what it cost is settled after.
//!
//! Where a call's outcome is not known (no answer, half an answer, one that can't be read) all that was set aside counts as spent.

use super::Reader;
use super::error::ReadError;
use crate::manifest::Stream;
use crate::manifest::cost::{Money, Price};
use crate::manifest::source::Router;
use crate::model::Timestamp;
use std::pin::Pin;
use std::sync::Arc;

/// What a purse answers, later.
pub type Answered<'a, T> = Pin<Box<dyn Future<Output = Result<T, PurseError>> + Send + 'a>>;

/// Who keeps what was spent.
pub trait Purse: Send + Sync {
    /// Sets aside the most that a call can cost; the call is made only after that is kept.
    ///
    /// # Errors
    /// Where the month's budget does not reach, or it can't be kept: the call is not made.
    fn reserve(&self, most: Money) -> Answered<'_, Reserved>;

    /// The call cost so much, and not what was set aside.
    ///
    /// # Errors
    /// Where it can't be kept: what was set aside stays spent.
    fn settle(&self, reserved: Reserved, cost: Money) -> Answered<'_, ()>;
}

/// What was set aside for a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// So much.
    pub most: Money,
    /// In this month, by its number.
    pub month: i32,
}

/// Why a call is not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PurseError {
    /// It could cost more than what is left of the month's budget.
    #[error("what is left of the month's budget does not reach for the next call; it goes on at {until}")]
    Spent {
        /// When the next month begins.
        until: Timestamp,
    },
    /// What is spent can't be kept.
    #[error("what calls cost can't be kept: {0}")]
    Unkept(String),
}

/// What a call is billed by.
pub(in crate::source) struct Bill<'a> {
    pub(in crate::source) price: &'a Price,
    pub(in crate::source) most: Money,
}

impl Reader {
    /// The same reader, which pays for its calls out of this purse.
    #[must_use]
    pub fn paying(self, purse: Option<Arc<dyn Purse>>) -> Self {
        Self { purse, ..self }
    }

    /// The most that one call can cost which reading this stream makes: its own, or one of the streams that it is read for. Nothing, where the
    /// manifest names no prices.
    ///
    /// # Errors
    /// Where the configuration does not say how many records a call brings.
    pub fn dearest_call(&self, stream: &str) -> Result<Money, ReadError> {
        self.stream(stream).map_or(Ok(Money::NONE), |stream| self.dearest_of(stream))
    }

    fn dearest_of(&self, stream: &Stream) -> Result<Money, ReadError> {
        let Some(cost) = &self.source.cost else { return Ok(Money::NONE) };
        let mut dearest = cost.of(&stream.name).dearest(stream, &self.source.engine, &self.config())?;
        for parent in stream.routers.iter().flat_map(Router::parents) {
            dearest = dearest.max(self.dearest_of(&parent.stream)?);
        }
        if let Some(resumed) = &stream.resumed {
            dearest = dearest.max(self.dearest_of(resumed)?);
        }
        Ok(dearest)
    }

    /// What a call of this stream is billed by, where anybody keeps it.
    pub(super) fn bill(&self, stream: &Stream) -> Result<Option<Bill<'_>>, ReadError> {
        let (Some(cost), Some(_)) = (&self.source.cost, &self.purse) else { return Ok(None) };
        let price = cost.of(&stream.name);
        let most = price.dearest(stream, &self.source.engine, &self.config())?;
        Ok((most > Money::NONE).then_some(Bill { price, most }))
    }

    /// What a look-up is billed by, by its name, that brings so many records at most.
    pub(in crate::source) fn look_up_bill(&self, name: &str, most_records: u64) -> Option<Bill<'_>> {
        let (Some(cost), Some(_)) = (&self.source.cost, &self.purse) else { return None };
        let price = cost.of_look_up(name);
        let most = price.with_records(most_records);
        (most > Money::NONE).then_some(Bill { price, most })
    }

    /// Whether what a stream's calls cost is seen from what stands beside its records.
    pub(super) fn bills_beside(&self, stream: &Stream) -> bool {
        self.purse.is_some() && self.source.cost.as_ref().is_some_and(|cost| !cost.of(&stream.name).beside.is_empty())
    }

    pub(super) async fn reserve(&self, bill: Option<&Bill<'_>>) -> Result<Option<Reserved>, ReadError> {
        match (bill, &self.purse) {
            (Some(bill), Some(purse)) => Ok(Some(purse.reserve(bill.most).await?)),
            (None, _) | (_, None) => Ok(None),
        }
    }

    pub(in crate::source) async fn settle(&self, reserved: Option<Reserved>, cost: Money) -> Result<(), ReadError> {
        if let (Some(reserved), Some(purse)) = (reserved, &self.purse) {
            purse.settle(reserved, cost).await?;
        }
        Ok(())
    }
}
