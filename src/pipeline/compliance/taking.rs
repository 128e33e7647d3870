//! An answer: what is gone and held becomes Deletes, some hundred lines a transaction, each with how far the answer was taken.

use super::standing::{Asked, Standing};
use super::{After, One};
use crate::declare::manifest::Subject;
use crate::model::{Digest, IdentityId, Personal, Timestamp};
use crate::pipeline::RunError;
use crate::pipeline::intake::{Read, Step};
use crate::source::SourceLine;
use crate::source::compliance::{Answer, ComplianceError, Line, LookedUp};
use crate::store::{Held, Holding as _};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// Lines of an answer that become one transaction: with a Delete each, some 500 kB.
const AT_ONCE: usize = 500;
/// Objects of one account that become one transaction.
const OF_ACCOUNT: usize = 500;

/// A line that says that something is gone.
struct Gone {
    id: String,
    /// When, where it says so.
    at: Option<Timestamp>,
}

/// What lines of an answer say.
#[derive(Default)]
struct Said {
    gone: Vec<Gone>,
    /// Versions that are newer than those that are held.
    newer: Vec<SourceLine>,
    lines: u64,
    unread: u64,
}

impl One<'_> {
    /// Takes what was said about ids that were looked up: the network's own, each with its id here, up to this row.
    pub(super) async fn looked_up(
        &self,
        standing: &mut Standing,
        found: LookedUp,
        (asked, to): (&[(String, String)], i64),
        read: &mut Read,
    ) -> Result<(), RunError> {
        let of = |own: &String| asked.iter().find(|(asked, _)| asked == own);
        let gone = found.gone.iter().filter_map(of).map(|(_, id)| Gone { id: id.clone(), at: None }).collect();
        let count = asked.len() as u64;
        let (newer, unread) = self.newer(found.lines, asked).await?;
        let said = Said { gone, newer, lines: count, unread: found.unsaid + unread };
        let end = |standing: &mut Standing| {
            (standing.after, standing.failures) = (to, 0);
            standing.asked = standing.asked.saturating_add(count);
        };
        self.store(standing, self.now(), said, end, read).await
    }

    /// Of what is shown, what is newer than what is held; and how much of it is not understood, or is about what was not asked about.
    async fn newer(&self, lines: Vec<Vec<u8>>, asked: &[(String, String)]) -> Result<(Vec<SourceLine>, u64), RunError> {
        let (mut shown, mut unread) = (Vec::new(), 0);
        for raw in lines {
            match self.lines.parse(&raw) {
                Ok(activity) if asked.iter().any(|(_, id)| **id == *activity.object.id) => shown.push((activity, raw)),
                Ok(_) | Err(_) => unread += 1,
            }
        }
        let ids = shown.iter().map(|(activity, _)| activity.object.id.to_string()).collect();
        let held = self.asking.inlet.store.held_by_id(self.network, ids).await?;
        let newer =
            shown.into_iter().zip(held).filter(|((activity, _), held)| held.as_ref().is_some_and(|held| activity.version().at > held.at));
        Ok((newer.map(|((activity, raw), _)| SourceLine { line: 1, outcome: Ok(activity), raw: Personal::new(raw) }).collect(), unread))
    }

    /// Takes an answer from where it was taken before.
    pub(super) async fn take(
        &self,
        standing: &mut Standing,
        job: Asked,
        mut answer: Answer,
        read: &mut Read,
    ) -> Result<Result<After, ComplianceError>, RunError> {
        let mut before = job.taken;
        let mut said = Said::default();
        loop {
            let lines = match answer.next().await {
                Ok(Some(lines)) => lines,
                Ok(None) => break,
                Err(error) => {
                    // What was understood of it holds.
                    self.store_lines(standing, &job, std::mem::take(&mut said), read).await?;
                    return Ok(Err(error));
                }
            };
            for line in lines {
                if before > 0 {
                    before -= 1;
                    continue;
                }
                self.understand(&mut said, &line);
                if said.gone.len() >= AT_ONCE {
                    self.store_lines(standing, &job, std::mem::take(&mut said), read).await?;
                }
            }
            if *self.asking.inlet.stop.borrow() {
                self.store_lines(standing, &job, said, read).await?;
                return Ok(Ok(After::Wait));
            }
        }
        self.store_lines(standing, &job, said, read).await?;
        // The list is answered; the next begins after it.
        (standing.job, standing.after, standing.failures) = (None, job.to, 0);
        standing.asked = standing.asked.saturating_add(job.count);
        self.keep(standing, Vec::new(), read).await?;
        Ok(Ok(After::Another))
    }

    fn understand(&self, said: &mut Said, line: &Line) {
        said.lines += 1;
        let json = match line {
            Line::Whole(line) => serde_json::from_slice::<Json>(line).ok(),
            Line::TooLong => None,
        };
        let id = json.as_ref().and_then(|json| self.asked.id(&self.begins, json.get("id")?.as_str()?));
        let (Some(json), Some(id)) = (json, id) else {
            said.unread += 1;
            return;
        };
        if self.asked.says_gone(&json) {
            let at = json.get("redacted_at").and_then(Json::as_str).and_then(|at| at.parse().ok());
            said.gone.push(Gone { id, at });
        }
    }

    /// Stores what lines of a job's answer say, with how far the answer is taken.
    async fn store_lines(&self, standing: &mut Standing, job: &Asked, said: Said, read: &mut Read) -> Result<(), RunError> {
        if said.lines == 0 {
            return Ok(());
        }
        let lines = said.lines;
        let end = |standing: &mut Standing| {
            if let Some(of) = &mut standing.job {
                of.taken = of.taken.saturating_add(lines);
            }
        };
        self.store(standing, job.at, said, end, read).await
    }

    /// Stores what was said; `end` moves on, with the last of it: whoever is killed before takes all of it again. `at`: when it went, where nobody says.
    async fn store(
        &self,
        standing: &mut Standing,
        at: Timestamp,
        said: Said,
        end: impl FnOnce(&mut Standing),
        read: &mut Read,
    ) -> Result<(), RunError> {
        let mut deletes = Vec::new();
        standing.unread = standing.unread.saturating_add(said.unread);
        standing.gone = standing.gone.saturating_add(said.gone.len() as u64);
        match self.asked.about {
            Subject::Objects => {
                let ids = said.gone.iter().map(|gone| gone.id.clone()).collect();
                let held = self.asking.inlet.store.held_by_id(self.network, ids).await?;
                for (gone, held) in said.gone.iter().zip(held) {
                    match held {
                        Some(held) => deletes.push(self.delete(&held, gone.at.unwrap_or(at))),
                        None => standing.unknown = standing.unknown.saturating_add(1),
                    }
                }
            }
            Subject::Accounts => {
                for gone in &said.gone {
                    if !self.account(standing, at, gone, &mut deletes, read).await? {
                        standing.unknown = standing.unknown.saturating_add(1);
                    }
                }
            }
        }
        end(standing);
        standing.changed = standing.changed.saturating_add(said.newer.len() as u64);
        standing.deleted = standing.deleted.saturating_add(deletes.len() as u64);
        deletes.extend(said.newer);
        self.take_in(standing, deletes, read).await
    }

    /// Everything that an account said; whether anything was held. What is stored before the end is not held the next time.
    async fn account(
        &self,
        standing: &mut Standing,
        at: Timestamp,
        gone: &Gone,
        deletes: &mut Vec<SourceLine>,
        read: &mut Read,
    ) -> Result<bool, RunError> {
        let account = IdentityId { network: self.network, id: gone.id.as_str().into() };
        let Some(row) = self.asking.inlet.store.account_row(account).await? else { return Ok(false) };
        let (mut after, mut any) = (0, false);
        loop {
            let page = self.asking.inlet.store.held_of(row, after, OF_ACCOUNT).await?;
            for held in &page.held {
                any = true;
                deletes.push(self.delete(held, gone.at.unwrap_or(at)));
            }
            let Some(last) = page.last else { return Ok(any) };
            after = last;
            if deletes.len() >= OF_ACCOUNT {
                standing.deleted = standing.deleted.saturating_add(deletes.len() as u64);
                self.take_in(standing, std::mem::take(deletes), read).await?;
            }
        }
    }

    /// A Delete, later than all that is known of the object and not later than now.
    fn delete(&self, held: &Held, at: Timestamp) -> SourceLine {
        let at = at.min(self.now()).max(held.at).to_string();
        let line = json!({
            "@context": "https://www.w3.org/ns/activitystreams",
            "type": "Delete",
            "id": format!("{}#gone", held.object),
            "published": at,
            "to": ["https://www.w3.org/ns/activitystreams#Public"],
            "actor": { "type": "Person", "id": &*held.author.id },
            "object": { "type": "Tombstone", "id": &*held.object, "deleted": at },
        });
        let line = line.to_string().into_bytes();
        SourceLine { line: 1, outcome: self.lines.parse(&line), raw: Personal::new(line) }
    }

    /// Takes lines in, with where the question stands.
    async fn take_in(&self, standing: &Standing, found: Vec<SourceLine>, read: &mut Read) -> Result<(), RunError> {
        let mut all = Sha256::new();
        let mut lines = Vec::with_capacity(found.len());
        for line in found {
            all.update(line.raw.reveal());
            lines.push(SourceLine { line: lines.len() as u64 + 1, ..line });
        }
        let (told, digest, cursor) = (!lines.is_empty(), Digest(all.finalize().into()), standing.to_bytes());
        let step = Step { source: &self.spec.name, file: &self.file, digest, lines, cursor, told, leaves: Vec::new() };
        self.intake().step(step, read).await
    }
}
