//! What the control socket asks is answered on a task of its own: a long pass keeps nobody waiting.

use super::asked::Desk;
use super::control::{self, Answer, Asked, Request};
use super::releases::ReleaseOrder;
use super::supervise::{Board, Watched, survive};
use super::{Clock as _, Meter, RunError, SystemClock, WhoAsks, account_name, reload, role_of};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// What answering needs.
pub(super) struct Answering {
    pub state: PathBuf,
    /// Who answers: a reload brings another one.
    pub desk: watch::Receiver<Arc<Desk>>,
    pub board: Arc<Board>,
    pub meter: Arc<Meter>,
    /// Asks for a reload; `None`: this run does not reload.
    pub reloads: Option<mpsc::Sender<reload::Asked>>,
}

/// Listens and answers until dropped.
pub(super) async fn keep_answering(answering: Answering, mut watched: Watched) {
    loop {
        let listening = async {
            let (mut requests, _listening) = control::listen(&answering.state).map_err(RunError::Control)?;
            watched.well();
            while let Some(asked) = requests.recv().await {
                answering.take(asked).await;
            }
            Ok(())
        };
        let pause = match survive(listening).await {
            Ok(()) => return,
            // The socket's path has at most 107 bytes, for good. The work does not need it; commands that change something beside us do.
            Err(RunError::Control(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                let problem = RunError::Control(error).diagnostic();
                tracing::warn!(code = problem.code.0, "no control socket: {}; {}", problem.message, problem.remedy);
                return;
            }
            Err(error) => watched.failed(error),
        };
        match pause {
            Ok(pause) => tokio::time::sleep(pause).await,
            Err(_told) => return,
        }
    }
}

impl Answering {
    async fn take(&self, asked: Asked) {
        let Asked { request, uid, answer } = asked;
        let release = if let Request::Release { hash, rollback, note, .. } = &request {
            let account = account_name(uid);
            let role = role_of(&self.desk.borrow().parts.config.roles, &account);
            let asker = WhoAsks { user: format!("{account} (uid {uid})").into(), role };
            let note = note.as_deref().map(Into::into);
            Some(ReleaseOrder { rollback: *rollback, hash: hash.clone(), note, asker: Some(asker), account })
        } else if request == Request::Reload {
            None
        } else {
            return self.answer(&request, uid, answer).await;
        };
        if let Err(error) = self.desk.borrow().may(&request, uid) {
            drop(answer.send(Answer::Refused { code: error.code().0.into(), reason: error.to_string() }));
            return;
        }
        // Answered when it is done.
        let Some(reloads) = &self.reloads else {
            let reason = "`kith run --once` does not reload; what it does ends soon".into();
            drop(answer.send(Answer::Refused { code: "KITH-R031".into(), reason }));
            return;
        };
        let asked = reload::Asked { release, answer: Some(answer) };
        if let Err(mpsc::error::TrySendError::Full(asked) | mpsc::error::TrySendError::Closed(asked)) = reloads.try_send(asked)
            && let Some(answer) = asked.answer
        {
            let reason = "others asked for a reload and are not answered yet".into();
            drop(answer.send(Answer::Refused { code: "KITH-R031".into(), reason }));
        }
    }

    async fn answer(&self, request: &Request, uid: u32, answer: oneshot::Sender<Answer>) {
        let said = if *request == Request::Standing {
            Answer::Standing { standing: Box::new(self.board.standing(&self.meter, SystemClock.now())) }
        } else {
            let desk = self.desk.borrow().clone();
            Box::pin(desk.answer(request, uid)).await
        };
        if answer.send(said).is_err() {
            tracing::debug!("who asked is gone");
        }
    }
}
