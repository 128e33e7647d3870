//! The way of commands to what people decide: the running service, else the state folder itself. Where a service runs, only the configuration is read:
//! whoever asks needs no key.

use super::opened::{parts_for_reading, runtime, who};
use super::{Exit, Session};
use crate::declare::config::Config;
use crate::pipeline::{PeopleAsk, PeopleHand, PeopleTold, RunError, SystemClock, WhoAsks};
use std::sync::Arc;

/// One command's talk with whoever answers.
pub(super) struct Talk {
    config: Config,
    who: WhoAsks,
    runtime: tokio::runtime::Runtime,
    hand: PeopleHand,
}

impl Talk {
    /// Reads the configuration.
    pub(super) fn new(session: &mut Session) -> Result<Self, Exit> {
        let configured = super::project::configuration(&session.global.config, &session.environment);
        let Some(config) = configured.config else {
            session.terminal.problems(&configured.problems);
            return Err(Exit::Wrong);
        };
        let who = who(session, &config);
        Ok(Self { config, who, runtime: runtime(session)?, hand: PeopleHand::default() })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, session: &mut Session, ask: &PeopleAsk) -> Result<PeopleTold, Exit> {
        let failed = |session: &mut Session, error: &RunError| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        };
        let service = self.runtime.block_on(self.hand.service(&self.config.service.state, ask, &self.who.user));
        if let Some(told) = service.map_err(|error| failed(session, &error))? {
            return Ok(told);
        }
        if !self.hand.is_ours() {
            let (_, parts) = parts_for_reading(session)?;
            let taken = self.runtime.block_on(self.hand.take(parts, self.who.clone(), Arc::new(SystemClock)));
            taken.map_err(|error| failed(session, &error))?;
        }
        self.runtime.block_on(self.hand.here(ask, &self.who)).map_err(|error| failed(session, &error))
    }

    /// Brings what was said to the log's files.
    pub(super) fn end(self, session: &mut Session) -> Result<(), Exit> {
        self.runtime.block_on(self.hand.end()).map_err(|error| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        })
    }
}

/// The answer was another one than the request has: both sides are one program, so it is another version's.
pub(super) fn strange(session: &mut Session) -> Exit {
    let error = RunError::Refused { code: "KITH-R010".into(), reason: "the service of another version answered something else".into() };
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}
