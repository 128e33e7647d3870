//! A session that is made again where it breaks: a question that only reads may be asked twice.

use super::super::CustomersError;
use crate::declare::config::ServerSpec;
use crate::wire::tds::{Answered, Cell, Policy, Session, TdsFault, connect, meaning};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Attempts at one question. With the waits between them (0.5, 1, 2, 4, 8 s) a server that restarts has 15 seconds.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// One server, asked from a thread that may wait.
pub(super) struct Link {
    runtime: Runtime,
    session: Option<Session>,
    spec: ServerSpec,
    /// Server and table, for messages.
    pub(super) place: Arc<str>,
}

/// Whether the same question may have an answer later.
pub(super) fn passes(fault: &TdsFault) -> bool {
    match fault {
        TdsFault::Unreachable { .. } | TdsFault::Lost { .. } => true,
        TdsFault::Server { number, .. } => matches!(meaning(*number).policy, Policy::Race | Policy::Away | Policy::Throttled),
        TdsFault::Tls { .. } | TdsFault::NoTicket { .. } | TdsFault::NotUnderstood { .. } => false,
    }
}

impl Link {
    pub(super) fn new(spec: &ServerSpec, place: Arc<str>) -> Result<Self, CustomersError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| CustomersError::Server {
            place: place.clone(),
            fault: TdsFault::Unreachable { message: format!("no runtime for the connection: {error}").into() },
        })?;
        let mut link = Self { runtime, session: None, spec: spec.clone(), place };
        // A server that is away at the start is told at once; the next pass asks again.
        link.session = Some(link.runtime.block_on(connect(&link.spec)).map_err(|fault| link.failed(fault))?);
        Ok(link)
    }

    pub(super) fn failed(&self, fault: TdsFault) -> CustomersError {
        CustomersError::Server { place: self.place.clone(), fault }
    }

    /// Runs something that only reads, again on a new connection where the old one broke.
    pub(super) fn run<T>(&mut self, mut work: impl AsyncFnMut(&mut Session) -> Result<T, TdsFault>) -> Result<T, CustomersError> {
        let (mut attempt, mut wait) = (1, FIRST_WAIT);
        loop {
            let session = &mut self.session;
            let spec = &self.spec;
            let tried = self.runtime.block_on(async {
                if !session.as_ref().is_some_and(Session::is_usable) {
                    *session = Some(connect(spec).await?);
                }
                match session {
                    Some(session) => work(session).await,
                    None => Err(TdsFault::Lost { message: "no connection".into() }),
                }
            });
            match tried {
                Ok(value) => return Ok(value),
                Err(fault) if passes(&fault) && attempt < TRIES => {
                    tracing::warn!(server = %self.spec.address, attempt, %fault, "customers: the question is asked again");
                    let rest = fault.number().and_then(|number| meaning(number).rest).unwrap_or_default();
                    // Made inside of the runtime: a timer needs its clock.
                    self.runtime.block_on(async { tokio::time::sleep(wait.max(rest)).await });
                    attempt += 1;
                    wait *= 2;
                }
                Err(fault) => return Err(self.failed(fault)),
            }
        }
    }

    /// The rows of the first result that has some.
    pub(super) fn ask(&mut self, sql: &str, parameters: &[Cell]) -> Result<Answered, CustomersError> {
        let answered =
            self.run(
                async |session| {
                    if parameters.is_empty() { session.batch(sql).await } else { session.query(sql, parameters.to_vec()).await }
                },
            )?;
        Ok(answered.into_iter().find(|result| !result.rows.is_empty()).unwrap_or_default())
    }
}
