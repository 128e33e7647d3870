//! *Intake* of what a network says is gone: what is held of it is asked about in jobs or looked up, and each thing that is gone becomes a Delete, in one transaction
//! with how far the answer was taken. A job is told to the store before it is made, under a name of its own: whoever is killed finds it again.

mod standing;
mod taking;

use super::budget::{Account, Till};
use super::intake::{Inlet, Intake, Read, Step};
use super::network::reader;
use super::rotated::Rotated;
use super::supervise::{Board, ComplianceStanding};
use super::{Fault, RunError};
use crate::declare::config::{NetworkSource, SourceKind, SourceSpec};
use crate::declare::manifest::{By, Compliance, Connector, LookUp, Subject, Within};
use crate::model::{Digest, Network, Timestamp};
use crate::normalize::activity_streams;
use crate::source::compliance::{ComplianceError, Job, Jobs, LookUps, State};
use crate::source::manifest::{PurseError, ReadError, Reader};
use crate::source::{Access, Source};
use crate::store::sqlite::SqliteStore;
use crate::store::{Held, Holding as _, Store as _};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
pub(super) use standing::Standing;
use standing::{Asked, Phase};
use std::sync::Arc;
use std::time::Duration;

/// Numbers in one list: with 20 bytes each, 2 MB.
const MOST_ASKED: usize = 100_000;
/// Rows that are looked at at once for a list: some 1 MB of what is sealed.
const PAGE: usize = 1_000;
/// Look-ups in one pass: some seconds of a network's time, so that nothing else waits for a round that has thousands.
const LOOK_UPS: u32 = 20;
/// How long after its list a job is asked about first; then twice as long each time.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// No longer: 60 questions an hour, of the 600 that X allows.
const LONGEST_LOOK: Duration = Duration::from_mins(1);
/// A job that has its list and does not say so for so long will not: its place for the list ends after 15 minutes.
const UNNOTICED: SignedDuration = SignedDuration::from_hours(1);
/// After a failure; then twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(5);
/// No longer: an answer lies there for a week.
const LONGEST_REST: Duration = Duration::from_hours(6);

/// What asking needs.
pub struct Asking<'a> {
    pub inlet: Inlet<'a, SqliteStore>,
    pub rotated: &'a Rotated,
    pub board: &'a Board,
    pub till: &'a Arc<Till<SqliteStore>>,
}

/// How a question is asked.
enum Way {
    Jobs(Box<Jobs>),
    LookUps(Box<LookUps>),
}

impl Way {
    const fn reader(&self) -> &Reader {
        match self {
            Self::Jobs(jobs) => jobs.reader(),
            Self::LookUps(look_ups) => look_ups.reader(),
        }
    }
}

/// One question of one source.
struct One<'a> {
    asking: &'a Asking<'a>,
    spec: &'a SourceSpec,
    asked: &'a Arc<Compliance>,
    network: Network,
    every: Duration,
    way: Way,
    /// What look-ups are paid out of, where the connector has prices.
    account: Option<Account<SqliteStore>>,
    source: Source,
    lines: activity_streams::Reader,
    /// What stands before the network's own ids.
    begins: String,
    /// Its place among the source's cursors.
    file: String,
}

/// What follows a step.
enum After {
    Another,
    /// Another, where this pass has had few look-ups.
    LookedUp,
    Wait,
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX)).min(most)
}

impl Asking<'_> {
    /// Brings every question on as far as it can be without waiting.
    ///
    /// # Errors
    /// When the store fails. A network that fails is a fault; the others go on.
    pub async fn drain(&self, read: &mut Read) -> Result<(), RunError> {
        for spec in &self.inlet.parts.config.sources {
            let SourceKind::Network(network) = &spec.kind else { continue };
            let Some(connector) = &network.loaded else { continue };
            for asked in connector.compliance_of(&network.compliance) {
                if *self.inlet.stop.borrow() {
                    return Ok(());
                }
                let file = format!("compliance/{}", asked.name);
                let stored = self.inlet.store.cursor(&spec.name, &file).await?;
                let mut standing = stored.as_deref().map(Standing::from_bytes).unwrap_or_default();
                let due = !self.inlet.stops.source(&spec.name) && standing.is_due(self.inlet.clock.now(), network.compliance_every);
                if due {
                    match self.one(spec, network, connector, asked, file) {
                        Ok(one) => one.on(&mut standing, read).await?,
                        Err(fault) => read.faults.push(fault),
                    }
                }
                self.board.compliance(standing.shown(&spec.name, &asked.name));
            }
        }
        Ok(())
    }

    fn one<'a>(
        &'a self,
        spec: &'a SourceSpec,
        network: &NetworkSource,
        connector: &'a Connector,
        asked: &'a Arc<Compliance>,
        file: String,
    ) -> Result<One<'a>, Fault> {
        let account = self.till.account(spec, connector).filter(|_| matches!(asked.by, By::LookUp(_)));
        let purse = account.as_ref().map(Account::purse);
        let (reader, connection) = reader(spec, network, connector, self.rotated, purse).map_err(Fault::of)?;
        let place = format!("[sources.{}], compliance {}", spec.name, asked.name);
        let begins = reader.text(&asked.begins).map_err(|error| Fault::of(ComplianceError::from(error).diagnostic(&place)))?;
        let way = match &asked.by {
            By::Jobs { asks, files } => {
                let jobs = Jobs::new(reader, asked.clone(), (asks.clone(), files.clone()), &connection);
                Way::Jobs(Box::new(jobs.map_err(|error| Fault::of(error.diagnostic(&place)))?))
            }
            By::LookUp(_) => Way::LookUps(Box::new(LookUps::new(reader, asked.clone()))),
        };
        let Some(on) = spec.network.or(connector.network) else {
            return Err(Fault::of(ComplianceError::NotUnderstood("the connector names no network").diagnostic(&place)));
        };
        Ok(One {
            asking: self,
            spec,
            asked,
            network: on,
            every: network.compliance_every,
            way,
            account,
            source: Source::new(spec.clone(), Access::ReadOnly),
            lines: activity_streams::Reader::new(&self.inlet.parts.rulebook.identities, Some(on)),
            begins,
            file,
        })
    }
}

impl One<'_> {
    fn now(&self) -> Timestamp {
        self.asking.inlet.clock.now()
    }

    fn intake(&self) -> Intake<'_, SqliteStore> {
        self.asking.inlet.intake(&self.source)
    }

    /// Steps until there is something to wait for.
    async fn on(&self, standing: &mut Standing, read: &mut Read) -> Result<(), RunError> {
        let mut look_ups = 0;
        while !*self.asking.inlet.stop.borrow() {
            let stepped = self.step(standing, read).await?;
            read.faults.extend(self.asking.rotated.keep_of(self.way.reader(), self.spec).err().map(Fault::of));
            match stepped {
                Ok(After::LookedUp) => {
                    look_ups += 1;
                    if look_ups == LOOK_UPS {
                        break;
                    }
                }
                Ok(After::Another) => {}
                Ok(After::Wait) => break,
                Err(error) => {
                    self.failed(standing, &error, read).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// What failed is tried again after a while. A job that brings nothing is given up, and its list asked about in another one.
    async fn failed(&self, standing: &mut Standing, error: &ComplianceError, read: &mut Read) -> Result<(), RunError> {
        let place = format!("[sources.{}], compliance {}", self.spec.name, self.asked.name);
        let rest = error.wait().unwrap_or_else(|| doubled(FIRST_REST, standing.failures, LONGEST_REST));
        if error.wait().is_none() {
            standing.failures = standing.failures.saturating_add(1);
        }
        if matches!(error, ComplianceError::Ended(_)) {
            standing.job = None;
        }
        standing.not_before = self.now().checked_add(rest).ok();
        self.keep(standing, Vec::new(), read).await?;
        read.faults.push(Fault::of(error.diagnostic(&place)));
        Ok(())
    }

    /// Stores where the question stands.
    async fn keep(&self, standing: &Standing, leaves: Vec<Vec<u8>>, read: &mut Read) -> Result<(), RunError> {
        let (source, file, cursor) = (&self.spec.name, &*self.file, standing.to_bytes());
        let step = Step { source, file, digest: Digest([0; 32]), lines: Vec::new(), cursor, told: false, leaves };
        self.intake().step(step, read).await
    }

    async fn step(&self, standing: &mut Standing, read: &mut Read) -> Result<Result<After, ComplianceError>, RunError> {
        if !standing.is_due(self.now(), self.every) {
            return Ok(Ok(After::Wait));
        }
        standing.not_before = None;
        if standing.job.is_none() && !standing.running {
            (standing.running, standing.round, standing.after) = (true, Some(self.now()), 0);
        }
        let jobs = match &self.way {
            Way::Jobs(jobs) => jobs,
            Way::LookUps(look_ups) => return self.look_up(look_ups, standing, read).await,
        };
        let Some(job) = standing.job.clone() else { return self.begin(standing, read).await.map(Ok) };
        match job.phase {
            Phase::Making => self.make(jobs, standing, job, read).await,
            Phase::Made { ref id } => {
                let id = id.clone();
                let shown = match jobs.job(&id).await {
                    Ok(shown) => shown,
                    Err(error) => return Ok(Err(error)),
                };
                self.made(jobs, standing, job, &shown, read).await
            }
        }
    }

    /// Nothing is left to ask about: the round is done.
    async fn end(&self, standing: &mut Standing, read: &mut Read) -> Result<After, RunError> {
        standing.running = false;
        standing.ended = Some(self.now());
        let leaf = self.asking.inlet.scribe.asked_what_stands(&self.spec.name, &self.file, standing, self.now())?;
        self.keep(standing, vec![leaf], read).await?;
        tracing::info!(
            source = &*self.spec.name,
            compliance = self.asked.name,
            asked = standing.asked,
            gone = standing.gone,
            "asked what still stands"
        );
        Ok(After::Wait)
    }

    /// Looks the next ones up, and takes what is said about them.
    async fn look_up(
        &self,
        look_ups: &LookUps,
        standing: &mut Standing,
        read: &mut Read,
    ) -> Result<Result<After, ComplianceError>, RunError> {
        let By::LookUp(by) = &self.asked.by else { return Ok(Ok(After::Wait)) };
        let mut asked: Vec<(String, String)> = Vec::new();
        let take = |own: &str, id: &str| asked.push((own.to_owned(), id.to_owned()));
        let to = self.held(standing.after, i64::MAX, (1, by.at_most()), take).await?;
        let ids: Vec<&str> = asked.iter().map(|(own, _)| own.as_str()).collect();
        if ids.is_empty() {
            return self.end(standing, read).await.map(Ok);
        }
        if self.waits_for_budget(look_ups, by, read).await? {
            return Ok(Ok(After::Wait));
        }
        match look_ups.ask(by, &ids).await {
            Ok(found) => self.looked_up(standing, found, (&asked, to), read).await.map(|()| Ok(After::LookedUp)),
            // Told with the wait, at the next look.
            Err(ComplianceError::Interface(ReadError::Purse(PurseError::Spent { .. }))) => Ok(Ok(After::Wait)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether the source's budget does not reach for another look-up; told once.
    async fn waits_for_budget(&self, look_ups: &LookUps, by: &LookUp, read: &mut Read) -> Result<bool, RunError> {
        let Some(account) = &self.account else { return Ok(false) };
        match account.waits(&format!("compliance {}", self.asked.name), look_ups.dearest(by), self.asking.inlet.scribe).await {
            Ok(until) => Ok(until.is_some()),
            Err(RunError::Fault(fault)) => {
                // Where what is spent can't be known, nothing is asked.
                read.faults.push(fault);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the next job of a round; where nothing is left, the round is done.
    async fn begin(&self, standing: &mut Standing, read: &mut Read) -> Result<After, RunError> {
        let (list, to) = self.list(standing.after, i64::MAX, (MOST_ASKED, PAGE)).await?;
        if list.is_empty() {
            return self.end(standing, read).await;
        }
        let parts = format!("{}/{}/{:?}/{}/{}", self.spec.name, self.asked.name, standing.round, standing.after, self.now());
        let name: String = Digest(Sha256::digest(parts.as_bytes()).into()).to_string().chars().take(24).collect();
        let count = memchr::memchr_iter(b'\n', &list).count() as u64;
        standing.job = Some(Asked {
            name: format!("kith-{name}"),
            phase: Phase::Making,
            to,
            count,
            at: self.now(),
            uploaded: None,
            looks: 0,
            taken: 0,
        });
        self.keep(standing, Vec::new(), read).await?;
        Ok(After::Another)
    }

    /// What is asked about of the rows after one and up to another: a number a line, and the last row that was looked at.
    async fn list(&self, after: i64, to: i64, amount: (usize, usize)) -> Result<(Vec<u8>, i64), RunError> {
        let mut list = Vec::new();
        let take = |own: &str, _id: &str| {
            list.extend_from_slice(own.as_bytes());
            list.push(b'\n');
        };
        let to = self.held(after, to, amount, take).await?;
        Ok((list, to))
    }

    /// What is asked about of the rows after one and up to another: the network's own id of each, and its id here. The last row that was looked at. `enough`
    /// ends it, and so many rows are looked at at once.
    async fn held(&self, after: i64, to: i64, (enough, page): (usize, usize), mut take: impl FnMut(&str, &str)) -> Result<i64, RunError> {
        let (mut count, mut at) = (0, after);
        loop {
            // What one page brings is all taken: there is more than wanted by less than a page.
            let last = match self.asked.about {
                Subject::Objects => {
                    let page = self.asking.inlet.store.held_objects(self.network, at, page).await?;
                    for held in &page.held {
                        if let Some(own) = self.own(held) {
                            take(own, &held.object);
                            count += 1;
                        }
                    }
                    page.last
                }
                Subject::Accounts => {
                    let page = self.asking.inlet.store.held_accounts(self.network, at, page).await?;
                    for account in &page.held {
                        if let Some(own) = self.asked.number(&self.begins, account) {
                            take(own, account);
                            count += 1;
                        }
                    }
                    page.last
                }
            };
            let Some(last) = last else { break };
            at = last;
            if count >= enough || at >= to {
                break;
            }
        }
        Ok(at)
    }

    /// The network's own id of something that is held.
    fn own<'h>(&self, held: &'h Held) -> Option<&'h str> {
        let id = match self.asked.within {
            Within::Object => &*held.object,
            Within::Activity => held.activity.as_deref()?,
        };
        self.asked.number(&self.begins, id)
    }

    async fn make(
        &self,
        jobs: &Jobs,
        standing: &mut Standing,
        job: Asked,
        read: &mut Read,
    ) -> Result<Result<After, ComplianceError>, RunError> {
        // One that was made before this process was there has this name.
        let there = match jobs.named(&job.name).await {
            Ok(Some(there)) => Ok(there),
            Ok(None) => jobs.make(&job.name).await,
            Err(error) => Err(error),
        };
        let there = match there {
            Ok(there) => there,
            Err(error) => return Ok(Err(error)),
        };
        standing.job = Some(Asked { phase: Phase::Made { id: there.id }, ..job });
        self.keep(standing, Vec::new(), read).await?;
        Ok(Ok(After::Another))
    }

    async fn made(
        &self,
        jobs: &Jobs,
        standing: &mut Standing,
        job: Asked,
        shown: &Job,
        read: &mut Read,
    ) -> Result<Result<After, ComplianceError>, RunError> {
        match (shown.state, job.uploaded) {
            (State::Created, None) => {
                // What was deleted here meanwhile is left out, what is new waits for the next round.
                let (list, _to) = self.list(standing.after, job.to, (MOST_ASKED, PAGE)).await?;
                if let Err(error) = jobs.upload(shown, list).await {
                    return Ok(Err(error));
                }
                self.wait(standing, Asked { uploaded: Some(self.now()), ..job }, read).await.map(Ok)
            }
            (State::Created, Some(at)) if self.now().duration_since(at) > UNNOTICED => {
                Ok(Err(ComplianceError::Ended("its list was not noticed")))
            }
            (State::Created | State::InProgress, _) => self.wait(standing, job, read).await.map(Ok),
            (State::Failed, _) => Ok(Err(ComplianceError::Ended("it failed"))),
            (State::Expired, _) => Ok(Err(ComplianceError::Ended("it expired"))),
            (State::Complete, _) => match jobs.answer(shown).await {
                Ok(answer) => self.take(standing, job, answer, read).await,
                Err(error) => Ok(Err(error)),
            },
        }
    }

    async fn wait(&self, standing: &mut Standing, job: Asked, read: &mut Read) -> Result<After, RunError> {
        let wait = doubled(FIRST_LOOK, job.looks, LONGEST_LOOK);
        standing.not_before = self.now().checked_add(wait).ok();
        standing.job = Some(Asked { looks: job.looks.saturating_add(1), ..job });
        self.keep(standing, Vec::new(), read).await?;
        Ok(After::Wait)
    }
}

impl Standing {
    fn shown(&self, source: &str, name: &str) -> ComplianceStanding {
        ComplianceStanding {
            question: format!("{source}/{name}"),
            ended: self.ended.map(|at| at.to_string()),
            round_since: self.round.filter(|_| self.running).map(|at| at.to_string()),
            failures: self.failures,
            asked: self.asked,
            gone: self.gone,
            deleted: self.deleted,
            changed: self.changed,
            unknown: self.unknown,
            unread: self.unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_end() {
        let waits: Vec<u64> = (0..8).map(|times| doubled(FIRST_LOOK, times, LONGEST_LOOK).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(doubled(FIRST_REST, u32::MAX, LONGEST_REST), LONGEST_REST);
    }
}
