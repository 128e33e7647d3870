//! Reload while the service runs: a new set is loaded and checked as at start; refused, the old one runs on; accepted, it takes over between
//! two passes.

use super::control::Answer;
use super::leaves::WhoAsks;
use super::releases::ReleaseOrder;
use super::supervise::{Board, Reloaded};
use super::{Clock, Parts};
use crate::declare::config::{Config, TargetSpec};
use crate::declare::connector::TargetFile;
use crate::declare::mapping::Rulebook;
use crate::diagnose::{Code, Diagnostic, Place, Problems, Severity};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Reasons that an answer holds at most: 100 of some hundred bytes fit a line of the control socket.
const MOST_REASONS: usize = 100;
/// Each is cut here.
const LONGEST_REASON: usize = 400;

const REFUSED: Code = Code("KITH-R031");
const FIXED: Code = Code("KITH-R032");

/// A new set, checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `kith.toml`.
    pub config: Config,
    /// The active mapping.
    pub rulebook: Arc<Rulebook>,
    /// Targets with their files, in the configuration's order.
    pub targets: Vec<(TargetSpec, Arc<TargetFile>)>,
    /// Who runs the service, with the role that the new configuration grants.
    pub who: WhoAsks,
    /// What was found on the way that is no error.
    pub warnings: Problems,
}

/// Loads and checks a new set as at start.
pub type Loader = Arc<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// Reads and checks the mapping's file as it stands, to release it.
pub type Drafts = Arc<dyn Fn() -> Result<Rulebook, Problems> + Send + Sync>;

/// How a service reloads.
pub struct Reloading {
    /// Loads and checks.
    pub load: Loader,
    /// Reads a draft.
    pub draft: Drafts,
    /// A word for each SIGHUP.
    pub hangups: mpsc::Receiver<()>,
}

/// Where the answer goes: to who asked through the control socket.
pub(super) type AnswerTo = Option<oneshot::Sender<Answer>>;

/// Somebody asks for a reload, or for a release.
pub(super) struct Asked {
    /// The mapping alone, as somebody released it; else everything.
    pub release: Option<ReleaseOrder>,
    pub answer: AnswerTo,
}

impl Asked {
    /// By a signal: nobody waits for an answer.
    pub const fn hangup() -> Self {
        Self { release: None, answer: None }
    }
}

/// What comes into force.
pub(super) enum New {
    /// Everything.
    Set(Box<Loaded>),
    /// Another mapping: as it was read for a release, or one of the store's.
    Mapping { order: ReleaseOrder, read: Option<Box<Rulebook>> },
}

/// What may take over.
pub(super) struct Prepared {
    pub new: New,
    pub asked: AnswerTo,
    pub notes: Vec<String>,
}

/// How new sets are read.
pub(super) struct Loading {
    pub load: Loader,
    pub draft: Drafts,
}

/// On a thread of its own. A panic while reading refuses what is new; the old runs on.
async fn read<T: Send + 'static>(load: Arc<dyn Fn() -> Result<T, Problems> + Send + Sync>) -> Result<T, Problems> {
    tokio::task::spawn_blocking(move || load()).await.unwrap_or_else(|_panicked| {
        let remedy = "report this with the files";
        Err(Diagnostic::error(REFUSED, Place::Named("the new set".into()), "kith panicked while loading it", remedy).into())
    })
}

/// Loads whenever somebody asks; what may take over goes to `prepared`, and `give_way` tells a long pass to pause for it.
pub(super) async fn prepare(
    loading: Loading,
    config: Config,
    mut asked: mpsc::Receiver<Asked>,
    prepared: mpsc::Sender<Prepared>,
    give_way: Arc<watch::Sender<bool>>,
    told: Teller,
) {
    while let Some(Asked { release, answer: asked }) = asked.recv().await {
        let found = match release {
            Some(order) if order.rollback => Ok((New::Mapping { order, read: None }, Vec::new())),
            Some(order) => read(loading.draft.clone()).await.map(|draft| (New::Mapping { order, read: Some(Box::new(draft)) }, Vec::new())),
            None => {
                tracing::info!("reloading: configuration, connectors and mapping are loaded and checked");
                read(loading.load.clone()).await.and_then(|loaded| may_take_over(&config, loaded))
            }
        };
        match found {
            Err(problems) => told.refused(asked, &problems),
            Ok((new, notes)) => {
                if prepared.send(Prepared { new, asked, notes }).await.is_err() {
                    return;
                }
                give_way.send_replace(true);
            }
        }
    }
}

fn may_take_over(config: &Config, loaded: Loaded) -> Result<(New, Vec<String>), Problems> {
    let fixed = fixed(config, &loaded.config);
    if !fixed.0.is_empty() {
        return Err(fixed);
    }
    let mut notes: Vec<String> = loaded.warnings.0.iter().map(|problem| shortened(&problem.to_string())).collect();
    if loaded.config.log != config.log {
        notes.push("[log] takes effect at the next start".into());
    }
    Ok((New::Set(Box::new(loaded)), notes))
}

/// Settings that hold for a service's whole life and are other ones now.
fn fixed(before: &Config, after: &Config) -> Problems {
    let mut problems = Problems::default();
    let mut same = |same: bool, name: &str| {
        if !same {
            let message = format!("`{name}` can't change while the service runs");
            let remedy = "put it back, or stop the service and start it with the new one";
            problems.push(Diagnostic::error(FIXED, Place::Named(name.into()), message, remedy));
        }
    };
    same(before.service.state == after.service.state, "[service] state");
    same(before.keys == after.keys, "[keys]");
    same(before.audit.origin == after.audit.origin, "[audit] origin");
    problems
}

fn shortened(text: &str) -> String {
    let one_line = text.replace(['\n', '\r'], " ");
    one_line.chars().take(LONGEST_REASON).collect()
}

/// Tells what came of a reload: the log, the board, and who asked.
#[derive(Clone)]
pub(super) struct Teller {
    pub board: Arc<Board>,
    pub clock: Arc<dyn Clock>,
}

impl Teller {
    pub fn refused(&self, asked: AnswerTo, problems: &Problems) {
        let errors: Vec<&Diagnostic> = problems.0.iter().filter(|problem| problem.severity == Severity::Error).collect();
        for problem in &errors {
            tracing::error!(code = REFUSED.0, cause = problem.code.0, place = %problem.place, "reload refused: {}; {}", problem.message, problem.remedy);
        }
        tracing::error!(code = REFUSED.0, problems = errors.len(), "the reload was refused; the service goes on with what it had");
        let reasons = errors.iter().take(MOST_REASONS).map(|problem| shortened(&problem.to_string())).collect();
        self.tell(asked, false, reasons, Vec::new());
    }

    pub fn accepted(&self, prepared: Prepared, parts: &Parts) {
        tracing::info!(mapping = %parts.rulebook.digest, targets = parts.targets.len(), "the reload was accepted: the new set is in force");
        for note in &prepared.notes {
            tracing::warn!("{note}");
        }
        self.tell(prepared.asked, true, Vec::new(), prepared.notes);
    }

    fn tell(&self, asked: AnswerTo, accepted: bool, reasons: Vec<String>, mut notes: Vec<String>) {
        notes.truncate(MOST_REASONS);
        let now = self.clock.now();
        let reloaded = Reloaded { at: now.to_string(), accepted, reasons, notes };
        self.board.reloaded(now, reloaded.clone());
        if let Some(asked) = asked
            && asked.send(Answer::Reloaded { reloaded }).is_err()
        {
            tracing::debug!("who asked for a reload is gone");
        }
    }
}
