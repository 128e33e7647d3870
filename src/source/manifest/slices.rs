//! The slices of a stream: several are read at once, and what they give goes out in their own order, so that records, states and errors are those of
//! reading one after the other.

use super::error::ReadError;
use super::records::Plan;
use super::walk::{Memory, Out};
use super::{Batch, Item, Reader};
use crate::manifest::cursor::DateCursor;
use crate::manifest::slice::partition_key;
use crate::manifest::{Engine, Json, Members, Slice};
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::FuturesUnordered;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Slices that are read at once, whatever a manifest says.
pub const MOST_AT_ONCE: usize = 16;
/// 32 MiB: pages that wait for the slices before them. A slice that is ahead asks for no more beyond it.
const MOST_WAITING: usize = 32 << 20;
/// Between states that are told while a stream is read by partition: each holds all of its partitions.
const STATE_EVERY_MICROS: i64 = 60_000_000;

/// A slice that is to be read.
pub(super) struct Job {
    slice: Slice,
    /// The last of its partition.
    last: bool,
    /// Its cursor before anything was read, where who reads it looks at that.
    before: Option<Arc<DateCursor>>,
}

/// A partition, its cursor before anything was read, and its slices that are left.
type Partition = (Slice, Option<Arc<DateCursor>>, IntoIter<Arc<Members>>);

/// The slices of a stream, made as they are wanted.
pub(super) struct Jobs {
    partitions: IntoIter<Slice>,
    seen: HashSet<u64>,
    hasher: RandomState,
    looks: bool,
    current: Option<Partition>,
}

impl Jobs {
    /// `looks`: who reads a slice looks at its cursor.
    pub(super) fn new(partitions: Vec<Slice>, looks: bool) -> Self {
        Self { partitions: partitions.into_iter(), seen: HashSet::new(), hasher: RandomState::new(), looks, current: None }
    }

    pub(super) fn next(&mut self, memory: &mut Memory, engine: &Engine, config: &Json) -> Result<Option<Job>, ReadError> {
        // Each turn takes a slice of a partition, or a partition.
        loop {
            if let Some((partition, before, slices)) = &mut self.current
                && let Some(cursor) = slices.next()
            {
                let slice = Slice { cursor, ..partition.clone() };
                return Ok(Some(Job { slice, last: slices.len() == 0, before: before.clone() }));
            }
            let Some(partition) = self.partitions.next() else { return Ok(None) };
            if matches!(memory, Memory::Partitions(_)) && !self.seen.insert(self.hasher.hash_one(partition_key(&partition.partition))) {
                continue;
            }
            let slices = memory.slices(&partition.partition, engine, config)?;
            let before = if self.looks { memory.cursor(&partition.partition) } else { None };
            self.current = Some((partition, before, slices.into_iter()));
        }
    }
}

/// A page of a slice, on its way to whoever takes the records.
struct Waiting {
    items: Vec<Item>,
    page: Option<Json>,
    /// Bytes that it is counted with.
    size: usize,
}

/// Where the pages of a slice go.
pub(super) enum Lane<'a> {
    /// Kept: what a record holds.
    Keep(Vec<Json>),
    /// The first record is kept, and what comes after it is not read.
    First(Option<Json>),
    /// To whoever puts them in order.
    Queue {
        /// The slice's number.
        number: usize,
        /// Its pages; the queue holds one.
        to: Sender<Page>,
        ahead: &'a Ahead,
        /// Who is told at once what a login changed.
        config: Option<&'a Sender<Batch>>,
    },
}

/// See [`Waiting`].
pub(super) struct Page(Waiting);

impl Lane<'_> {
    /// Waits until this slice may ask for a page. The answer is to be given back with the page.
    pub(super) async fn turn(&self) -> usize {
        match self {
            Self::Keep(_) | Self::First(_) => 0,
            Self::Queue { number, ahead, .. } => ahead.turn(*number).await,
        }
    }

    /// Gives back what `turn` set aside for a page that does not come.
    pub(super) fn no_page(&self, aside: usize) {
        if let Self::Queue { ahead, .. } = self {
            ahead.counted(aside, 0);
        }
    }

    /// Hands a page over; `size` is counted for it instead of what `turn` set aside.
    pub(super) async fn page(&mut self, items: Vec<Item>, page: Option<Json>, aside: usize, size: usize) -> Result<(), ReadError> {
        match self {
            Self::Keep(kept) => {
                kept.extend(items.iter().map(Item::json));
                Ok(())
            }
            Self::First(found) => {
                *found = items.first().map(Item::json);
                if found.is_some() { Err(ReadError::Abandoned) } else { Ok(()) }
            }
            Self::Queue { to, ahead, .. } => {
                ahead.counted(aside, size);
                to.send(Page(Waiting { items, page, size })).await.map_err(|_gone| ReadError::Abandoned)
            }
        }
    }

    pub(super) async fn config(&self, reader: &Reader) -> Result<(), ReadError> {
        // What is read for another stream leaves it for that one.
        let Self::Queue { config: Some(to), .. } = self else { return Ok(()) };
        match reader.take_changed_config() {
            Some(config) => to.send(Batch::Config(config)).await.map_err(|_gone| ReadError::Abandoned),
            None => Ok(()),
        }
    }
}

/// How much the slices that are ahead may hold.
#[derive(Default)]
pub(super) struct Ahead {
    counts: Mutex<Counts>,
    moved: Notify,
}

#[derive(Default)]
struct Counts {
    /// The slice whose pages go out.
    front: usize,
    /// Bytes of pages that wait, and of those that are asked for.
    held: usize,
    /// The largest page so far: the next may be as large.
    largest: usize,
}

impl Ahead {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self, number: usize) -> usize {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let mut counts = self.counts();
                if number <= counts.front || counts.held + counts.largest <= MOST_WAITING {
                    let aside = counts.largest;
                    counts.held += aside;
                    return aside;
                }
            }
            moved.await;
        }
    }

    fn counted(&self, aside: usize, size: usize) {
        let mut counts = self.counts();
        counts.held = (counts.held + size).saturating_sub(aside);
        counts.largest = counts.largest.max(size);
    }

    fn taken(&self, size: usize) {
        let mut counts = self.counts();
        counts.held = counts.held.saturating_sub(size);
        drop(counts);
        self.moved.notify_waiters();
    }

    fn goes_on(&self) {
        self.counts().front += 1;
        self.moved.notify_waiters();
    }
}

/// A slice that is being read.
struct Slot {
    job: Job,
    pages: Receiver<Page>,
    stop: AbortHandle,
    outcome: Option<Result<(), ReadError>>,
}

impl Reader {
    /// Reads slices, `at_once` of them at the same time. A slice is closed, and its state told, when everything before it is out; what fails ends the
    /// stream there, and what was read beyond it is thrown away.
    pub(super) async fn slices(
        &self,
        plan: &Plan<'_>,
        first: Job,
        jobs: &mut Jobs,
        at_once: usize,
        (memory, out): (&mut Memory, &mut Out<'_>),
    ) -> Result<(), ReadError> {
        let engine = &self.source.engine;
        let (ahead, to) = (Ahead::default(), out.sender());
        let (mut works, mut slots) = (FuturesUnordered::new(), VecDeque::<Slot>::new());
        let (mut next, mut number, mut fault, mut told) = (Some(first), 0_usize, None, self.tick());
        // What goes out next; nothing more is taken from a slice while something waits here.
        let mut outgoing: VecDeque<Batch> = VecDeque::new();
        loop {
            while let Some(job) = next.take_if(|_| slots.len() < at_once) {
                let (sender, pages) = mpsc::channel(1);
                let mut lane = Lane::Queue { number, to: sender, ahead: &ahead, config: to };
                let (stop, registration) = AbortHandle::new_pair();
                let (slice, before) = (job.slice.clone(), job.before.clone());
                let work = async move { (number, self.pages(plan, &slice, before.as_deref(), &mut lane).await) };
                works.push(Abortable::new(Box::pin(work), registration));
                slots.push_back(Slot { job, pages, stop, outcome: None });
                number += 1;
                match jobs.next(memory, engine, &self.config()) {
                    Ok(job) => next = job,
                    Err(error) => fault = Some(error),
                }
            }
            if outgoing.is_empty() && slots.is_empty() {
                return fault.map_or(Ok(()), Err);
            }
            let front = slots.front_mut();
            let waits = !outgoing.is_empty();
            let step = tokio::select! {
                biased;
                permit = ready(to), if waits => Step::Room(permit?),
                page = page_of(front), if !waits => page.map_or(Step::Ended, Step::Page),
                Some(done) = works.next(), if !works.is_empty() => Step::Done(done),
            };
            match step {
                Step::Room(permit) => {
                    if let Some(batch) = outgoing.pop_front() {
                        permit.send(batch);
                    }
                }
                Step::Page(Page(Waiting { items, page, size })) => {
                    ahead.taken(size);
                    if let Some(slot) = slots.front() {
                        memory.observe(&slot.job.slice, plan.field.as_deref(), &items);
                        outgoing.extend(out.records(items, page, &slot.job.slice)?);
                    }
                }
                Step::Ended => {
                    let Some(slot) = slots.pop_front() else { continue };
                    ahead.goes_on();
                    if let Some(Ok(())) = slot.outcome {
                        let now = (self.clock)();
                        let due = plan.tells_early() && now - told >= STATE_EVERY_MICROS;
                        if memory.close(&slot.job.slice, slot.job.last, due)? {
                            told = now;
                            outgoing.extend(out.state(memory.state()));
                        }
                    } else {
                        stop(slots.drain(..));
                        fault = Some(slot.outcome.and_then(Result::err).unwrap_or(ReadError::Abandoned));
                    }
                }
                Step::Done(done) => {
                    // What was stopped says nothing.
                    let Ok((done, outcome)) = done else { continue };
                    let at = number.checked_sub(done).and_then(|behind| slots.len().checked_sub(behind));
                    let Some(at) = at.filter(|at| *at < slots.len()) else { continue };
                    if outcome.is_err() {
                        // Nothing beyond it is wanted.
                        next = None;
                        stop(slots.drain(at + 1..));
                        number = done + 1;
                    }
                    if let Some(slot) = slots.get_mut(at) {
                        slot.outcome = Some(outcome);
                    }
                }
            }
        }
    }
}

/// What happened to the slices.
enum Step<'a> {
    /// There is room for a batch.
    Room(mpsc::Permit<'a, Batch>),
    /// The first slice gave a page.
    Page(Page),
    /// The first slice gave its last page.
    Ended,
    /// A slice was read to its end, or failed, or was stopped.
    Done(Result<(usize, Result<(), ReadError>), Aborted>),
}

fn stop(slots: impl Iterator<Item = Slot>) {
    for slot in slots {
        slot.stop.abort();
    }
}

/// Until whoever takes the records takes one more batch.
async fn ready(to: Option<&Sender<Batch>>) -> Result<mpsc::Permit<'_, Batch>, ReadError> {
    match to {
        Some(to) => to.reserve().await.map_err(|_gone| ReadError::Abandoned),
        None => std::future::pending().await,
    }
}

async fn page_of(slot: Option<&mut Slot>) -> Option<Page> {
    match slot {
        Some(slot) => slot.pages.recv().await,
        None => std::future::pending().await,
    }
}
