//! One connection that is logged in. Every answer is read to its end: on some engines an error comes after results that look fine.
//! After a time-out, a broken connection or an answer that is not understood the session is never used again.

use super::fault::TdsFault;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tiberius::{Client, ColumnData, TokenRow};
use tokio::net::TcpStream;
use tokio_util::compat::Compat;

/// A value as it travels.
pub type Cell = ColumnData<'static>;

/// A row of a result: cells in the result's order.
pub type Row = Vec<Cell>;

/// Names and rows of one result.
#[derive(Debug, Default)]
pub struct Answered {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Rows that each statement of a command touched.
pub type Counted = Vec<u64>;

/// Rows for a bulk load.
pub type Bulk = Vec<Row>;

/// One connection.
pub struct Session {
    client: Option<Client<Compat<TcpStream>>>,
    timeout: Duration,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("usable", &self.client.is_some()).finish_non_exhaustive()
    }
}

/// What every session begins with. An error ends the whole transaction, never half of it; dates and NULLs follow the standard, which indexed
/// views and computed columns need; a lock is waited for as long as a person would; nothing uncommitted is ever read.
const SETTINGS: &str = "SET XACT_ABORT ON; SET ANSI_NULLS ON; SET ANSI_WARNINGS ON; SET ANSI_PADDING ON; SET ARITHABORT ON; \
                        SET QUOTED_IDENTIFIER ON; SET CONCAT_NULL_YIELDS_NULL ON; SET DATEFORMAT ymd; SET LOCK_TIMEOUT 15000; \
                        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

fn gone() -> TdsFault {
    TdsFault::Lost { message: "the connection was given up before".into() }
}

impl Session {
    pub(super) const fn new(client: Client<Compat<TcpStream>>, timeout: Duration) -> Self {
        Self { client: Some(client), timeout }
    }

    /// The settings of [`SETTINGS`]. An engine that does not know one of them is asked for the ones that count.
    pub(super) async fn prepare(&mut self) -> Result<(), TdsFault> {
        match self.batch(SETTINGS).await {
            Ok(_) => Ok(()),
            Err(TdsFault::Server { class, .. }) if class < 20 => {
                self.batch("SET XACT_ABORT ON; SET LOCK_TIMEOUT 15000; SET TRANSACTION ISOLATION LEVEL READ COMMITTED;").await.map(drop)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Closes it: a transaction that is open in it is rolled back by the server.
    pub fn give_up(&mut self) {
        self.client = None;
    }

    /// Whether it may be used.
    pub const fn is_usable(&self) -> bool {
        self.client.is_some()
    }

    /// Runs one command within the time; what breaks the session ends it.
    async fn within<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client<Compat<TcpStream>>) -> Result<T, tiberius::error::Error>,
    ) -> Result<T, TdsFault> {
        // Taken out: a caller that is cancelled in the middle leaves no session behind that is out of step.
        let mut client = self.client.take().ok_or_else(gone)?;
        match bounded(self.timeout, work(&mut client)).await {
            None => Err(TdsFault::Lost { message: format!("no whole answer within {} s", self.timeout.as_secs()).into() }),
            Some(Ok(value)) => {
                self.client = Some(client);
                Ok(value)
            }
            Some(Err(error)) => {
                let fault = TdsFault::of(&error);
                if fault.leaves_a_session() {
                    self.client = Some(client);
                }
                Err(fault)
            }
        }
    }

    /// Runs a batch as it is, and returns all its results.
    ///
    /// # Errors
    /// See [`TdsFault`].
    pub async fn batch(&mut self, sql: &str) -> Result<Vec<Answered>, TdsFault> {
        let results = self.within(async |client| client.simple_query(sql).await?.into_results().await).await?;
        Ok(results.into_iter().map(answered).collect())
    }

    /// Runs statements with parameters `@P1`, `@P2`, …, and returns all their results.
    ///
    /// # Errors
    /// See [`TdsFault`].
    pub async fn query(&mut self, sql: &str, parameters: Vec<Cell>) -> Result<Vec<Answered>, TdsFault> {
        let results = self
            .within(async |client| {
                let mut query = tiberius::Query::new(sql);
                for parameter in parameters {
                    query.bind(parameter);
                }
                query.query(client).await?.into_results().await
            })
            .await?;
        Ok(results.into_iter().map(answered).collect())
    }

    /// Runs statements with parameters and counts the rows that they touch.
    ///
    /// # Errors
    /// See [`TdsFault`].
    pub async fn execute(&mut self, sql: &str, parameters: Vec<Cell>) -> Result<Counted, TdsFault> {
        self.within(async |client| {
            let mut query = tiberius::Query::new(sql);
            for parameter in parameters {
                query.bind(parameter);
            }
            Ok(query.execute(client).await?.rows_affected().to_vec())
        })
        .await
    }

    /// Loads rows into a table whose columns have the rows' order.
    ///
    /// # Errors
    /// See [`TdsFault`]. A failed load may leave the server waiting for rows: the session is given up.
    pub async fn bulk(&mut self, table: &str, rows: Bulk) -> Result<u64, TdsFault> {
        let loaded = self
            .within(async |client| {
                let mut request = client.bulk_insert(table).await?;
                for row in rows {
                    let mut token = TokenRow::with_capacity(row.len());
                    for cell in row {
                        token.push(cell);
                    }
                    request.send(token).await?;
                }
                Ok(request.finalize().await?.total())
            })
            .await;
        if loaded.is_err() {
            self.client = None;
        }
        loaded
    }
}

async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

fn answered(rows: Vec<tiberius::Row>) -> Answered {
    let columns = rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect()).unwrap_or_default();
    Answered { columns, rows: rows.into_iter().map(|row| row.into_iter().collect()).collect() }
}
