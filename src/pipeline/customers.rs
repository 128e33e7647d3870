//! The CRM's side of a pass: customers read whole or not at all, compared with the last complete read, guarded, and brought into the index.

use super::decide::{Deciding, KnownSide};
use super::guards::{among, ways_out};
use super::leaves::Scribe;
use super::progress::{Progress, Stage};
use super::relating::Relating;
use super::{Clock, Fault, Parts, RunError, posts};
use crate::audit::{HashKey, SubjectHash};
use crate::customers::{
    Before, CustomersError, Mark, ParkedRow, ReadCustomer, ReadRow, ReadSummary, Related, mark, read_related, read_since,
};
use crate::declare::config::{Config, TableKind, TableSpec};
use crate::declare::mapping::Rulebook;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Customer, CustomerId, Digest, LinkedBy, Outcome, ParkReason, Timestamp, Value};
use crate::resolve::{Filling, Index};
use crate::store::{
    CustomersStep, GuardMatter, GuardRow, GuardState, GuardedPass, Guards, IdentityRow, KnownCustomers, Store, StoredProfile,
};
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

/// Rows handed from the reader to the index at once.
const BATCH: usize = 2_000;
/// Batches between two threads: 4 × 2,000 rows of some 500 bytes are 4 MB, 8 MB between the three.
const READ_AHEAD: usize = 4;
/// Profiles looked at together.
const PAGE: usize = 1_000;
/// Customers whom a guard's fault names.
const EXAMPLES: usize = 5;
/// Bad rows that are told one by one; the rest is counted.
const TOLD_ROWS: usize = 20;

const RETIRE_GUARD: Code = Code("KITH-U030");
const RELINK_GUARD: Code = Code("KITH-U031");
const NO_SECTION: Code = Code("KITH-U032");
const MORE_BAD_ROWS: Code = Code("KITH-U033");

/// A complete read, for the log.
#[derive(Clone, Debug)]
pub struct Read {
    /// `[customers.NAME]`.
    pub source: Arc<str>,
    /// Of the file or the rows.
    pub digest: Digest,
    /// Rows read.
    pub rows: u64,
    /// New customers.
    pub added: u64,
    /// Changed ones.
    pub changed: u64,
    /// Gone.
    pub retired: u64,
    /// Customers that were merged into another one.
    pub merged: u64,
    /// Related rows read.
    pub related: u64,
}

/// What came of looking at the customers.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Customers added, changed or retired.
    pub changed: u64,
    /// Rows that stand aside, as warnings.
    pub aside: Vec<Diagnostic>,
}

/// The customers as this process knows them.
#[derive(Debug, Default)]
pub struct CustomersSide {
    known: Option<Arc<KnownSide>>,
    /// Length and time of each file when it was last read whole.
    stamps: Vec<(u64, Option<SystemTime>)>,
    /// How far each server's table was when it was last read, in the same order; `None` for files.
    marks: Vec<Option<Asked>>,
    /// The customers that the last read showed as merged into another one.
    merged: Arc<HashSet<CustomerId>>,
    /// Customers that must not be matched: they are read as if they were not there.
    suppressed: Option<Arc<Suppressed>>,
}

/// Customers that were erased or objected, by keyed hash.
#[derive(Debug)]
struct Suppressed {
    hashes: HashKey,
    customers: HashSet<SubjectHash>,
}

impl Suppressed {
    fn is(&self, customer: &CustomerId) -> bool {
        self.customers.contains(&self.hashes.customer(customer))
    }
}

/// A server's table when it was last asked.
#[derive(Clone, Debug)]
struct Asked {
    mark: Mark,
    /// When it was last asked.
    at: Timestamp,
    /// Since when the answer is the same.
    same_since: Timestamp,
}

impl Asked {
    /// The next answer of the same table.
    fn next(before: Option<&Self>, mark: Mark, at: Timestamp) -> Self {
        let same_since = before.filter(|before| mark.is_as(&before.mark)).map_or(at, |before| before.same_since);
        Self { mark, at, same_since }
    }

    /// Whether the answer says for sure that nothing is new.
    fn nothing_new(&self, now: &Mark, at: Timestamp) -> bool {
        now.is_as(&self.mark) && past(self.same_since, at, now.settles_after())
    }
}

/// Whether so much time is between two moments. A clock that was set back makes nobody wait.
fn past(from: Timestamp, to: Timestamp, time: std::time::Duration) -> bool {
    let between = to.duration_since(from);
    between.is_negative() || between.unsigned_abs() >= time
}

/// Reads the customers and their related records whole, outside a service and its store: for commands that only look.
///
/// # Errors
/// [`RunError::Fault`] where the configuration lacks a section or a table can't be read whole.
pub fn read_known(config: &Config, rulebook: &Rulebook) -> Result<KnownSide, RunError> {
    known_without(config, rulebook, None)
}

/// As [`read_known`], without the customers who must not be matched.
///
/// # Errors
/// As [`read_known`].
pub fn read_permitted(config: &Config, rulebook: &Rulebook, suppressed: Vec<SubjectHash>, hashes: HashKey) -> Result<KnownSide, RunError> {
    known_without(config, rulebook, Some(&Suppressed { hashes, customers: suppressed.into_iter().collect() }))
}

fn known_without(config: &Config, rulebook: &Rulebook, suppressed: Option<&Suppressed>) -> Result<KnownSide, RunError> {
    let spec = section(config.customers(&rulebook.customers_from), "customers", &rulebook.customers_from)?;
    let fault = |error: CustomersError| RunError::Fault(Fault::of(error.diagnostic()));
    let mut related = Vec::with_capacity(rulebook.related.len());
    for set in &rulebook.related {
        let table = section(config.related(&set.from), "related", &set.from)?;
        related.push((set.name.clone(), read_related(table, &set.by, set.last).map_err(fault)?.0));
    }
    let relating = Relating::new(&rulebook.customers, &related)?;
    let compared =
        compare(rulebook, spec, &relating, (&KnownCustomers::default(), &HashSet::new(), suppressed), None, true).map_err(fault)?;
    Ok(KnownSide { index: compared.fresh.unwrap_or_else(|| empty_index(rulebook)), related })
}

/// The rows of one read, compared with the last complete one.
struct Compared {
    fresh: Option<Index>,
    changed: Vec<Customer>,
    upserted: Vec<(CustomerId, [u8; 16])>,
    added: u64,
    merged: HashSet<CustomerId>,
    seen: HashSet<CustomerId>,
    parked: Vec<ParkedRow>,
    summary: ReadSummary,
    mark: Option<Mark>,
}

/// What one look at the tables brings.
struct Looked {
    compared: Compared,
    related: Vec<(Arc<str>, Related)>,
    related_rows: u64,
    /// Of the related tables.
    marks: Vec<Option<Mark>>,
}

impl CustomersSide {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody yet, and these customers never.
    pub fn without(customers: HashSet<SubjectHash>, hashes: HashKey) -> Self {
        let suppressed = (!customers.is_empty()).then(|| Arc::new(Suppressed { hashes, customers }));
        Self { suppressed, ..Self::default() }
    }

    /// The CRM's side; `None` while it could not be read whole.
    pub fn known(&self) -> Option<Arc<KnownSide>> {
        self.known.clone()
    }

    /// Reads the customers if they changed since the last look, and brings index and store up to date.
    ///
    /// # Errors
    /// [`RunError::Fault`] where they can't be read whole or the guard holds them back: then nobody is decided until that is mended.
    /// Other errors where the store fails.
    pub async fn refresh<S: Store + Guards>(
        &mut self,
        store: &S,
        parts: &Parts,
        scribe: &Arc<Scribe>,
        clock: &dyn Clock,
        progress: &dyn Progress,
        approved: bool,
    ) -> Result<Refreshed, RunError> {
        let rulebook = &parts.rulebook;
        let spec = section(parts.config.customers(&rulebook.customers_from), "customers", &rulebook.customers_from)?.clone();
        let related: Vec<TableSpec> = rulebook
            .related
            .iter()
            .map(|r| section(parts.config.related(&r.from), "related", &r.from).cloned())
            .collect::<Result<_, _>>()?;
        let now = clock.now();
        let stamps: Vec<_> = std::iter::once(&spec).chain(&related).map(|spec| stamp(spec, now)).collect();
        if self.known.is_some() && stamps == self.stamps && self.servers_are_as_before(&spec, &related, now).await? {
            return Ok(Refreshed::default());
        }
        let before = Arc::new(store.known_customers(&spec.name).await?);
        let looked = self.read(rulebook.clone(), spec.clone(), related, before.clone()).await?;
        let Looked { mut compared, related, related_rows, marks } = looked;
        let marks = std::iter::once(compared.mark.take()).chain(marks);
        let asked: Vec<Option<Asked>> = marks
            .enumerate()
            .map(|(at, mark)| mark.map(|mark| Asked::next(self.marks.get(at).and_then(Option::as_ref), mark, now)))
            .collect();
        progress.advance(Stage::Customers, compared.summary.rows, None);
        let named_aside: HashSet<&CustomerId> = compared.parked.iter().filter_map(|p| p.customer.as_ref()).collect();
        let retired: Vec<CustomerId> = before
            .customers
            .iter()
            .filter(|(id, known)| !known.retired && !compared.seen.contains(*id) && !named_aside.contains(id))
            .map(|(id, _)| id.clone())
            .collect();
        let in_force = before.customers.values().filter(|k| !k.retired).count();
        if !approved && share(retired.len(), in_force) > rulebook.guard.retire {
            let pass =
                guarded(GuardMatter::Retire, &spec, compared.summary.digest, (retired.len(), in_force), rulebook.guard.retire, &retired);
            let row = store.guard(now, pass).await?;
            if row.state != GuardState::Approved {
                self.known = None;
                return Err(RunError::Fault(retire_guard(&spec, &row, rulebook.guard.retire)));
            }
        }
        self.bring_in(compared.fresh.take(), &compared.changed, &retired, related);
        if self.known.is_none() {
            return Ok(Refreshed::default());
        }
        let now = clock.now();
        let again = self.decide_again(store, rulebook, scribe, &compared.changed, &retired, now).await?;
        if !approved && again.links > 0 && share(again.relinked, again.links) > rulebook.guard.relink {
            let found = (again.relinked, again.links);
            let pass = guarded(GuardMatter::Relink, &spec, compared.summary.digest, found, rulebook.guard.relink, &again.examples);
            let row = store.guard(now, pass).await?;
            if row.state != GuardState::Approved {
                self.known = None;
                return Err(RunError::Fault(relink_guard(&spec, &row, rulebook.guard.relink)));
            }
        }
        let told = Read {
            source: spec.name.clone(),
            digest: compared.summary.digest,
            rows: compared.summary.rows,
            added: compared.added,
            changed: compared.upserted.len() as u64 - compared.added,
            retired: retired.len() as u64,
            merged: compared.merged.len() as u64,
            related: related_rows,
        };
        let changed = told.added + told.changed + told.retired;
        if changed > 0 || before.read_digest != Some(told.digest) {
            let leaves = vec![scribe.customers_read(&told, now)?];
            let step = CustomersStep {
                source: spec.name.clone(),
                read_digest: told.digest,
                upserted: compared.upserted,
                retired,
                decide_again: again.rows,
                leaves,
            };
            store.customers(step).await?;
        }
        // What waited for this read is done, or another one came.
        store.guard_ended(GuardMatter::Retire, spec.name.clone()).await?;
        store.guard_ended(GuardMatter::Relink, spec.name.clone()).await?;
        self.stamps = stamps;
        self.marks = asked;
        self.merged = Arc::new(compared.merged);
        Ok(Refreshed { changed, aside: aside(&spec, &compared.parked, compared.summary.parked) })
    }

    /// Asks the servers whose time has come whether something is new.
    async fn servers_are_as_before(&mut self, spec: &TableSpec, related: &[TableSpec], now: Timestamp) -> Result<bool, RunError> {
        for (at, table) in std::iter::once(spec).chain(related).enumerate() {
            let TableKind::SqlServer(rows) = &table.kind else { continue };
            let Some(asked) = self.marks.get_mut(at).and_then(Option::as_mut) else { return Ok(false) };
            if !past(asked.at, now, std::time::Duration::from_secs(60 * u64::from(rows.every_minutes.get()))) {
                continue;
            }
            let table = table.clone();
            let answer = tokio::task::spawn_blocking(move || mark(&table)).await.map_err(RunError::Task)?;
            match answer.map_err(|error| RunError::Fault(Fault::of(error.diagnostic())))? {
                Some(mark) if asked.nothing_new(&mark, now) => asked.at = now,
                Some(_) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Reads the table on one thread, prepares rows on another and brings them in on a third; with an index in force, only what changed is kept.
    async fn read(
        &self,
        rulebook: Arc<Rulebook>,
        spec: TableSpec,
        related: Vec<TableSpec>,
        before: Arc<KnownCustomers>,
    ) -> Result<Looked, RunError> {
        let first = self.known.is_none();
        // Without an index in force everything is read.
        let (merged, suppressed) = (self.merged.clone(), self.suppressed.clone());
        let known = self.known.clone();
        let since = if first { None } else { self.marks.first().cloned().flatten().map(|asked| asked.mark) };
        let reading = tokio::task::spawn_blocking(move || {
            let fault = |error: CustomersError| RunError::Fault(Fault::of(error.diagnostic()));
            let (mut rows, mut marks) = (0, Vec::with_capacity(related.len()));
            let mut sets = Vec::with_capacity(related.len());
            for (set, table) in rulebook.related.iter().zip(&related) {
                // Asked before the rows are: what is written meanwhile is new to the next look.
                marks.push(mark(table).map_err(fault)?);
                let (found, _parked, summary) = read_related(table, &set.by, set.last).map_err(fault)?;
                rows += summary.rows;
                sets.push((set.name.clone(), found));
            }
            let relating = Relating::new(&rulebook.customers, &sets)?;
            // A customer whose orders changed is another one, although its own row is as it was: then all are read.
            let since = since.filter(|_| known.is_some_and(|known| relating.is_as(&known.related)));
            let others = (&*before, &*merged, suppressed.as_deref());
            let compared = compare(&rulebook, &spec, &relating, others, since.as_ref(), first).map_err(fault)?;
            Ok(Looked { compared, related: sets, related_rows: rows, marks })
        });
        reading.await.map_err(RunError::Task)?
    }

    fn bring_in(&mut self, fresh: Option<Index>, changed: &[Customer], retired: &[CustomerId], related: Vec<(Arc<str>, Related)>) {
        match (fresh, self.known.as_mut().and_then(Arc::get_mut)) {
            (Some(index), _) => self.known = Some(Arc::new(KnownSide { index, related })),
            (None, Some(side)) => {
                for customer in changed {
                    let prepared = side.index.prepare(customer);
                    side.index.insert(prepared);
                }
                for id in retired {
                    side.index.retire(id);
                }
                side.related = related;
            }
            // Passes are one after the other and workers hold no index, so nobody else holds it. Were it shared all the same, nobody is
            // decided now and the next pass reads everything afresh: an index with holes would unlink people.
            (None, None) => self.known = None,
        }
    }

    /// Whom the changes concern: identities that share a key with a changed customer, or whose decision names one that changed or is gone.
    async fn decide_again<S: Store>(
        &self,
        store: &S,
        rulebook: &Arc<Rulebook>,
        scribe: &Arc<Scribe>,
        changed: &[Customer],
        retired: &[CustomerId],
        now: Timestamp,
    ) -> Result<Again, RunError> {
        let mut again = Again::default();
        let Some(known) = self.known() else { return Ok(again) };
        if changed.is_empty() && retired.is_empty() {
            return Ok(again);
        }
        let mut small: Option<Index> = None;
        let named: HashSet<&CustomerId> = changed.iter().map(|c| &c.id).chain(retired).collect();
        let deciding = Deciding::new(rulebook, &known, scribe, now);
        let mut after = None;
        loop {
            let page = store.profiles(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(again) };
            after = Some(last.row);
            let index = small.get_or_insert_with(|| {
                let mut index = empty_index(rulebook);
                for customer in changed {
                    let prepared = index.prepare(customer);
                    index.insert(prepared);
                }
                index
            });
            let posts = posts::of_page(rulebook, store, &page).await?;
            for (profile, posts) in page.into_iter().zip(&posts) {
                again.links += usize::from(profile.linked.is_some());
                let cleaned = posts::cleaned_stored(rulebook, &profile, posts);
                if profile.candidates.iter().any(|c| named.contains(c)) || index.touches(&cleaned) {
                    if relinks(&deciding, &profile, &cleaned) {
                        again.relinked += 1;
                        if again.examples.len() < EXAMPLES {
                            again.examples.extend(profile.linked.clone());
                        }
                    }
                    again.rows.push(profile.row);
                }
            }
        }
    }
}

#[derive(Default)]
struct Again {
    rows: Vec<IdentityRow>,
    links: usize,
    relinked: usize,
    examples: Vec<CustomerId>,
}

/// Whether a link would end or move to another customer. A link to a customer that was merged moves by the CRM's own word and does not count.
fn relinks(deciding: &Deciding<'_>, stored: &StoredProfile, cleaned: &[Value]) -> bool {
    let Some(linked) = &stored.linked else { return false };
    if stored.decided.as_ref().is_some_and(|(current, _)| current.by == Some(LinkedBy::Person)) {
        // A person's link moves with the CRM's own word only, and ends where the customer is gone.
        return deciding.survivor(linked).is_none();
    }
    let decision = deciding.decision(&stored.id, &stored.profile, cleaned);
    let survivor = deciding.survivor(linked);
    !(decision.outcome == Outcome::Linked && decision.customer == survivor)
}

fn empty_index(rulebook: &Rulebook) -> Index {
    Index::new(rulebook.customers.clone(), rulebook.identities.clone(), rulebook.matching.clone())
}

/// The other side ends only after this one, unless it fails.
fn hand_on<T>(to: &mpsc::SyncSender<T>, rows: T) {
    if to.send(rows).is_err() {
        tracing::debug!("nobody takes the rows");
    }
}

/// A row on its way into the index.
enum Ready<P> {
    Customer(Option<P>, ReadCustomer),
    Unchanged(CustomerId),
    Parked(ParkedRow),
}

/// Reads, prepares and brings in, each on a thread of its own.
fn compare(
    rulebook: &Rulebook,
    spec: &TableSpec,
    relating: &Relating<'_>,
    (before, merged_before, suppressed): (&KnownCustomers, &HashSet<CustomerId>, Option<&Suppressed>),
    since: Option<&Mark>,
    first: bool,
) -> Result<Compared, CustomersError> {
    // On the very first read everything is new and nobody was decided: no copy of the changed rows is needed.
    let keep_changed = !first || before.read_digest.is_some();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Vec<ReadRow>>(READ_AHEAD);
        let fields = &rulebook.customers;
        let reader = scope.spawn(move || {
            let in_force =
                |id: &CustomerId| before.customers.get(id).filter(|known| !known.retired).map(|known| relating.with(id, known.digest));
            let since = since.map(|mark| Before { mark, digest: &in_force });
            read_since(spec, fields, BATCH, since.as_ref(), &mut |rows| hand_on(&send, rows))
        });
        let empty = first.then(|| empty_index(rulebook));
        let preparer = empty.as_ref().map(Index::preparer);
        let mut index = empty.map(Index::filling);
        let (send, prepared) = mpsc::sync_channel(READ_AHEAD);
        scope.spawn(move || {
            for rows in receive {
                let there = |row: &ReadRow| !matches!((row, suppressed), (ReadRow::Customer(row), Some(gone)) if gone.is(&row.customer.id));
                let prepare = |row: ReadRow| match row {
                    ReadRow::Customer(mut row) => {
                        relating.bring_into(&mut row);
                        Ready::Customer(preparer.as_ref().map(|preparer| preparer.prepare(&row.customer)), row)
                    }
                    ReadRow::Unchanged(id) => Ready::Unchanged(id),
                    ReadRow::Parked(aside) => Ready::Parked(aside),
                };
                hand_on(&send, rows.into_iter().filter(there).map(prepare).collect::<Vec<_>>());
            }
        });
        let (mut changed, mut upserted, mut parked, mut seen) = (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
        let (mut added, mut merged) = (0, HashSet::new());
        for row in prepared.into_iter().flatten() {
            let (prepared, ReadCustomer { customer, digest }) = match row {
                Ready::Customer(prepared, row) => (prepared, row),
                Ready::Unchanged(id) => {
                    // How many were merged is told as of a whole read.
                    if merged_before.contains(&id) {
                        merged.insert(id.clone());
                    }
                    seen.insert(id);
                    continue;
                }
                Ready::Parked(aside) => {
                    if parked.len() < TOLD_ROWS || aside.customer.is_some() {
                        parked.push(aside);
                    }
                    continue;
                }
            };
            if customer.merged_into.is_some() {
                merged.insert(customer.id.clone());
            }
            seen.insert(customer.id.clone());
            if let Some((index, prepared)) = index.as_mut().zip(prepared) {
                index.insert(prepared);
            }
            let known = before.customers.get(&customer.id);
            if known.is_none_or(|k| k.retired || k.digest != digest) {
                added += u64::from(known.is_none_or(|k| k.retired));
                upserted.push((customer.id.clone(), digest));
                if keep_changed {
                    changed.push(customer);
                }
            }
        }
        let (summary, mark) = match reader.join() {
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok(Compared { fresh: index.map(Filling::done), changed, upserted, added, merged, seen, parked, summary, mark })
    })
}

fn section<'a>(found: Option<&'a TableSpec>, kind: &str, name: &str) -> Result<&'a TableSpec, RunError> {
    found.ok_or_else(|| {
        RunError::Fault(Fault {
            code: NO_SECTION.0,
            place: format!("[{kind}.{name}]"),
            message: format!("the mapping reads `{name}`, and the configuration has no [{kind}.{name}]"),
            remedy: "add the section, or correct the mapping's `from`".into(),
        })
    })
}

/// What changes where a table is to be read again: length and time of a file, the count of the spans of time for a service.
fn stamp(spec: &TableSpec, now: Timestamp) -> (u64, Option<SystemTime>) {
    let path: &Path = match &spec.kind {
        TableKind::SqlServer(_) => Path::new(""),
        TableKind::Csv { path, .. } | TableKind::Sqlite { path, .. } => path,
        TableKind::Soap(rows) => {
            let seconds = u64::try_from(now.as_second()).unwrap_or_default();
            return (seconds / rows.every.as_secs().max(1), None);
        }
    };
    std::fs::metadata(path).map_or((0, None), |m| (m.len(), m.modified().ok()))
}

#[expect(clippy::cast_precision_loss, reason = "counts of customers are far below 2^53")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn path_of(spec: &TableSpec) -> String {
    match &spec.kind {
        TableKind::SqlServer(rows) => rows.server.address.to_string(),
        TableKind::Csv { path, .. } | TableKind::Sqlite { path, .. } => path.display().to_string(),
        TableKind::Soap(rows) => format!("query `{}` of target `{}`", rows.query, rows.target),
    }
}

/// A read that would change more than the mapping's guard lets pass.
fn guarded(
    matter: GuardMatter,
    spec: &TableSpec,
    digest: Digest,
    (found, whole): (usize, usize),
    guard: f64,
    examples: &[CustomerId],
) -> GuardedPass {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share from 0 to 1 of a count of customers, rounded down"
    )]
    #[expect(clippy::cast_precision_loss, reason = "counts of customers are far below 2^53")]
    let allowed = (whole as f64 * guard) as u64;
    GuardedPass {
        matter,
        place: spec.name.clone(),
        subject: digest.0.to_vec(),
        found: found as u64,
        whole: whole as u64,
        allowed,
        examples: examples.iter().take(EXAMPLES).map(|id| id.as_str().to_owned()).collect(),
        last: 0,
    }
}

fn retire_guard(spec: &TableSpec, row: &GuardRow, guard: f64) -> Fault {
    let GuardedPass { found, whole, examples, .. } = &row.pass;
    Fault {
        code: RETIRE_GUARD.0,
        place: path_of(spec),
        message: format!(
            "{found} of {whole} customers are missing{}; the mapping's guard lets {} % retire in one read",
            among(examples),
            guard * 100.0
        ),
        remedy: format!(
            "bring the whole file; or, if they are really gone, settle it: {}; `--approve-customers` approves within one run. Until then nobody is decided",
            ways_out(row)
        ),
    }
}

fn relink_guard(spec: &TableSpec, row: &GuardRow, guard: f64) -> Fault {
    let GuardedPass { found, whole, examples, .. } = &row.pass;
    Fault {
        code: RELINK_GUARD.0,
        place: path_of(spec),
        message: format!(
            "{found} of {whole} links would end or move{}; the mapping's guard lets {} % in one read",
            among(examples),
            guard * 100.0
        ),
        remedy: format!(
            "look at what changed in the file or the mapping; if it is right, settle it: {}; `--approve-customers` approves within one run. Until then \
             nobody is decided",
            ways_out(row)
        ),
    }
}

fn aside(spec: &TableSpec, parked: &[ParkedRow], count: u64) -> Vec<Diagnostic> {
    let mut told: Vec<Diagnostic> = parked
        .iter()
        .take(TOLD_ROWS)
        .map(|row| {
            let ParkReason { code, message } = &row.reason;
            let remedy = "correct the row in the CRM's export; the other rows went on, and a customer known from before stays as it was";
            Diagnostic::warning(Code(code), Place::Line(path_of(spec), row.line), message.to_string(), remedy)
        })
        .collect();
    let more = count.saturating_sub(told.len() as u64);
    if more > 0 {
        let remedy = "correct the first ones: the rest is often of the same kind";
        told.push(Diagnostic::warning(MORE_BAD_ROWS, Place::Path(path_of(spec)), format!("{more} more rows stand aside"), remedy));
    }
    told
}
