//! Stopping, going on, and settling what waits at a guard.

use super::told::{PeopleTold, WordAnswer};
use crate::pipeline::asked::Desk;
use crate::pipeline::{RunError, WhoAsks};
use crate::store::{Guards, Pause, PauseStep, PausedPart, SettleStep, Settlement};
use std::sync::Arc;

const UNKNOWN_PART: &str = "KITH-R062";
const NOT_WAITING: &str = "KITH-R063";

fn done(told: String) -> WordAnswer {
    WordAnswer { code: None, told }
}

fn not(code: &str, told: String) -> WordAnswer {
    WordAnswer { code: Some(code.into()), told }
}

impl Desk {
    /// Pauses a source, a target or all of them, or lets them go on.
    pub(super) async fn pause(&self, name: &str, stops: bool, asker: Option<&WhoAsks>, account: Arc<str>) -> Result<PeopleTold, RunError> {
        let config = &self.parts.config;
        let sources = config.sources.iter().map(|source| (PausedPart::Source, source.name.clone()));
        let targets = config.targets.iter().map(|target| (PausedPart::Target, target.name.clone()));
        let mut named: Vec<(PausedPart, Arc<str>)> = sources.chain(targets).filter(|(_, own)| name == "all" || **own == *name).collect();
        if !stops {
            // What the configuration no longer has can be let go all the same.
            let standing = self.store.pauses().await?.into_iter().map(|pause| (pause.part, pause.name));
            named.extend(standing.filter(|(_, own)| name == "all" || **own == *name));
            named.sort();
            named.dedup();
        }
        if named.is_empty() {
            let told = format!("the configuration has no source or target `{name}`");
            return Ok(PeopleTold::Words { words: vec![not(UNKNOWN_PART, told)] });
        }
        let now = self.clock.now();
        let mut pauses = Vec::with_capacity(named.len());
        for (part, name) in &named {
            let leaf = self.scribe.paused(*part, name, stops, asker, now)?;
            pauses.push((Pause { part: *part, name: name.clone(), author: account.clone(), at: now }, leaf));
        }
        let changed = self.store.pause(PauseStep { stops, pauses }).await?;
        self.stops.set(&self.store.pauses().await?);
        if !stops {
            self.wake.notify_one();
        }
        self.planned.ring();
        let words = named.into_iter().zip(changed).map(|((part, name), changed)| {
            done(match (stops, changed) {
                (true, true) => format!("{} {name}: paused; nothing new is begun, and this survives restarts", part.name()),
                (true, false) => format!("{} {name}: it was paused already", part.name()),
                (false, true) => format!("{} {name}: goes on", part.name()),
                (false, false) => format!("{} {name}: it was not paused", part.name()),
            })
        });
        Ok(PeopleTold::Words { words: words.collect() })
    }

    /// Lets a guarded pass on, or refuses it.
    pub(super) async fn settle(
        &self,
        pass: i64,
        approve: bool,
        asker: Option<&WhoAsks>,
        account: Arc<str>,
    ) -> Result<PeopleTold, RunError> {
        let waiting = || not(NOT_WAITING, format!("no pass {pass} waits: `kith status` shows which do"));
        let Some(row) = self.store.guarded().await?.into_iter().find(|row| row.id == pass) else {
            return Ok(PeopleTold::Words { words: vec![waiting()] });
        };
        let now = self.clock.now();
        let leaf = self.scribe.settled(&row.pass, approve, asker, now)?;
        let settled = self.store.settle_guard(SettleStep { id: pass, approve, author: account, at: now, leaf }).await?;
        let answer = match settled {
            Settlement::NotWaiting => waiting(),
            Settlement::Done(_) if approve => done(format!("pass {pass} is let on: the next one applies it")),
            Settlement::Done(0) => done(format!("pass {pass} is refused: nothing of it is applied")),
            Settlement::Done(dropped) => done(format!("pass {pass} is refused: {dropped} are dropped, nothing of it is applied")),
        };
        self.wake.notify_one();
        Ok(PeopleTold::Words { words: vec![answer] })
    }
}
