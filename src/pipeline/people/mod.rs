//! What people ask and decide beside the flow, through the control socket or with the folder's lock: cases for review, and their words about them.

mod again;
mod review;
mod stops;
mod told;
mod undo;

pub use again::AGAIN_AT_ONCE;
pub use told::{
    AgainAsk, CandidateTold, CasePage, CaseTold, ComparisonTold, OpinionTold, PeopleAsk, PeopleTold, WhichCases, WordAnswer, WordAsked,
};

use super::asked::Desk;
use super::control::{self, Answer, Request};
use super::{Clock, Parts, RunError, Service, WhoAsks, asked, roles};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;

/// Cases listed in one answer: with ids of 2 KiB at most, 600 KB of the 1 MiB that an answer may have.
pub const CASES_AT_ONCE: usize = 300;
/// Cases with all that they show in one answer: some 10 KB each.
pub const SHEET_AT_ONCE: usize = 40;
/// Words in one request: each with a reason of 2,000 bytes, six times as many where JSON escapes each.
pub const WORDS_AT_ONCE: usize = 20;

impl Desk {
    /// Answers what people ask; `asker` is none where the command itself holds the folder. `account` is who they are to each other.
    pub(super) async fn people(&self, ask: &PeopleAsk, asker: Option<WhoAsks>, account: Arc<str>) -> Result<PeopleTold, RunError> {
        match ask {
            PeopleAsk::Cases { which, from, limit } => self.cases(which, (*from, *limit), asker.as_ref()).await,
            PeopleAsk::Sheet { which, from, limit, blind } => self.sheet(which, (*from, *limit), *blind, asker.as_ref()).await,
            PeopleAsk::Case { network, identity, blind } => self.case(network, identity, *blind, asker.as_ref()).await,
            PeopleAsk::Judge { words } => self.judge(words, asker.as_ref(), account).await,
            PeopleAsk::Again { list } => self.again(list, asker.as_ref()).await,
            PeopleAsk::Pause { name, stops } => self.pause(name, *stops, asker.as_ref(), account).await,
            PeopleAsk::Undo { since, mapping, account: whose, apply } => {
                let whose = whose.as_ref().map(|(network, id)| (network.as_str(), id.as_str()));
                let which = undo::UndoAsked { since: since.as_deref(), mapping: mapping.as_deref(), account: whose };
                self.undo(&which, *apply, asker.as_ref()).await
            }
            PeopleAsk::Settle { pass, approve } => self.settle(*pass, *approve, asker.as_ref(), account).await,
        }
    }
}

/// The way to who answers: a running service, else the folder itself, taken once.
#[derive(Default)]
pub struct PeopleHand(Option<Box<Service>>);

impl std::fmt::Debug for PeopleHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeopleHand")
    }
}

impl PeopleHand {
    /// Asks the running service of a state folder; `None` where none runs: then [`PeopleHand::take`] the folder.
    ///
    /// # Errors
    /// When the service refuses, or does not answer.
    pub async fn service(&self, state: &Path, ask: &PeopleAsk, user: &str) -> Result<Option<PeopleTold>, RunError> {
        if self.0.is_some() {
            return Ok(None);
        }
        let request = Request::People { ask: ask.clone(), user: user.to_owned() };
        match control::ask(state, &request).await.map_err(RunError::Control)? {
            None => Ok(None),
            Some(Answer::People { told }) => Ok(Some(*told)),
            Some(Answer::Refused { code, reason }) => Err(RunError::Refused { code, reason }),
            Some(_) => Err(RunError::Refused { code: "KITH-R010".into(), reason: "the service answered something else".into() }),
        }
    }

    /// Whether the folder is ours.
    pub const fn is_ours(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the folder, where no service runs.
    ///
    /// # Errors
    /// When another process has it, or it can't be opened.
    pub async fn take(&mut self, parts: Parts, who: WhoAsks, clock: Arc<dyn Clock>) -> Result<(), RunError> {
        if self.0.is_none() {
            self.0 = Some(asked::open_soon(&parts, &who, &clock).await?);
        }
        Ok(())
    }

    /// Answers in the folder that was taken.
    ///
    /// # Errors
    /// When the role does not allow it, or the store fails.
    pub async fn here(&self, ask: &PeopleAsk, who: &WhoAsks) -> Result<PeopleTold, RunError> {
        let Some(service) = &self.0 else {
            return Err(RunError::Refused { code: "KITH-R010".into(), reason: "nobody has the state folder".into() });
        };
        let request = Request::People { ask: ask.clone(), user: who.user.to_string() };
        roles::permit(&service.parts.config.roles, &who.user, who.role, &request)?;
        service.desk(&Arc::new(Notify::new())).people(ask, None, who.user.clone()).await
    }

    /// Brings what was said to the log's files, and lets the folder go.
    ///
    /// # Errors
    /// When the log can't be written.
    pub async fn end(self) -> Result<(), RunError> {
        match self.0 {
            Some(service) => service.integrate().await,
            None => Ok(()),
        }
    }
}
