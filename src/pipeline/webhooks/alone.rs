//! The listener for webhooks that runs alone, in a DMZ: its spool, encrypted, is all that it has, and it connects to nobody.

use super::book::Book;
use super::{Building, Doors, Spools, UNFIT, bounds, micros, no_listener};
use crate::declare::config::Listener;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{Clock as _, Fault, Manager, RunError, SystemClock, metrics};
use crate::source::webhook::{Bounds, Draining, Receiving, Sealer, Spool, listen, serve, shortest_drain_secret};
use crate::wire::http::secret;
use crate::wire::scrape;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A listener that runs alone, as its files say.
pub struct Alone {
    listener: Listener,
    sealer: Sealer,
    drain_secret: SecretString,
}

impl Alone {
    /// With its secrets; nothing is opened.
    ///
    /// # Errors
    /// A key can't be used.
    pub fn new(listener: Listener) -> Result<Self, RunError> {
        let wrong = |message: String| {
            let place = Place::Named("[webhooks]".into());
            RunError::Fault(Fault::of(Diagnostic::error(UNFIT, place, message, "`kith explain KITH-N050` says more")))
        };
        let sealer = Sealer::of(&listener.recipient).map_err(|error| wrong(error.to_string()))?;
        let known = secret(&listener.drain_secret).map_err(|error| wrong(error.to_string()))?;
        let drain_secret = SecretString::from(known.expose().trim());
        if known.expose().trim().len() < shortest_drain_secret() {
            return Err(wrong(format!("`drain_secret` has less than {} characters", shortest_drain_secret())));
        }
        Ok(Self { listener, sealer, drain_secret })
    }

    fn doors(&self, spools: &Spools, book: &Book) -> Result<Doors, RunError> {
        book.follow(&self.listener.sources);
        let building = Building { book, questions: None, sealer: Some(&self.sealer) };
        let open = |name: &str| spools.open(&self.listener.spool.join(name), &self.listener.webhooks);
        let built = self.listener.sources.iter().filter_map(|spec| Some((spec.name.to_string(), building.door(spec, open)?)));
        built.map(|(name, door)| Ok((name, Arc::new(door?)))).collect()
    }

    fn spools(doors: &Doors) -> BTreeMap<String, Spool> {
        doors.iter().map(|(name, door)| (name.clone(), door.spool.clone())).collect()
    }

    /// What other files would change that holds for the whole life of the process.
    fn fixed(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.listener.webhooks.clone(), one.listener.drain_listen, one.listener.spool.clone(), one.listener.metrics);
        of(self) == of(other)
    }
}

/// How a listener that runs alone reads its files anew.
pub struct AloneAgain {
    /// Reads and checks them, with the secrets.
    pub load: Box<dyn Fn() -> Result<Alone, RunError> + Send>,
    /// A word for each SIGHUP.
    pub hangups: mpsc::Receiver<()>,
}

/// A listener that runs alone: it keeps what networks deliver, encrypted, until who is inside fetches it. It connects to nobody.
///
/// # Errors
/// A spool or an address can't be used.
pub async fn serve_webhooks(
    alone: Alone,
    mut again: AloneAgain,
    manager: &Manager,
    mut stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let (spools, book, since) = (Spools::default(), Arc::new(Book::default()), SystemClock.now());
    let doors = alone.doors(&spools, &book)?;
    let draining = Arc::new(Draining::new(Alone::spools(&doors), alone.drain_secret.clone(), micros));
    let (bounds, longest) = bounds(&alone.listener.webhooks);
    let webhooks = doors.len();
    let receiving = Arc::new(Receiving::new(doors, Arc::default(), longest, micros));
    let bind = |address| listen(address).map_err(|error| no_listener(address, &error));
    let Listener { listen: outward, drain_listen: inward, metrics, .. } = alone.listener;
    let (at_outward, at_inward) = (bind(outward)?, bind(inward)?);
    let at_metrics = metrics.map(&bind).transpose()?;
    tracing::info!(listen = %outward, drain = %inward, webhooks, "webhooks are taken in, and wait to be fetched");
    manager.ready();
    let alive = async {
        match manager.heartbeat() {
            None => std::future::pending().await,
            Some(pause) => loop {
                manager.alive();
                tokio::time::sleep(pause).await;
            },
        }
    };
    let measured = async {
        match at_metrics {
            None => std::future::pending().await,
            Some(listener) => {
                let book = book.clone();
                scrape::serve(listener, move |asked| std::future::ready(metrics::alone(&book, since, SystemClock.now(), asked))).await;
            }
        }
    };
    let reloaded = async {
        while again.hangups.recv().await.is_some() {
            let loaded = (again.load)().and_then(|new| {
                if !alone.fixed(&new) {
                    return Err(changed_for_life());
                }
                new.doors(&spools, &book).map(|doors| (new, doors))
            });
            match loaded {
                Ok((new, doors)) => {
                    draining.change(Alone::spools(&doors), new.drain_secret);
                    tracing::info!(webhooks = doors.len(), "the reload was accepted: the new files are in force");
                    receiving.change(doors);
                }
                Err(error) => {
                    let problem = error.diagnostic();
                    book.follow(&alone.listener.sources);
                    tracing::error!(code = "KITH-R031", cause = problem.code.0, place = %problem.place, "the reload was refused, what was in force is: {}; {}", problem.message, problem.remedy);
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let stopped = async {
        // Who stops it is gone where the channel is.
        drop(stop.wait_for(|stop| *stop).await);
    };
    tokio::select! {
        () = serve(at_outward, receiving.clone(), bounds) => {}
        () = serve(at_inward, draining.clone(), Bounds { connections: 16 }) => {}
        () = alive => {}
        () = measured => {}
        () = reloaded => {}
        () = stopped => {}
    }
    manager.stopping();
    Ok(())
}

fn changed_for_life() -> RunError {
    let message = "`[webhooks]` and `[metrics]` can't change while the listener runs, but for `drain_secret` and `recipient`";
    let remedy = "put them back, or start the listener again";
    RunError::Fault(Fault::of(Diagnostic::error(Code("KITH-R032"), Place::Named("[webhooks]".into()), message, remedy)))
}
