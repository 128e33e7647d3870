//! A paged query of a SOAP service: one page in memory at a time. A page that fails is asked for again; a read that does not come to its end, or whose
//! counts do not fit, is no update.

use super::table::{Cell, EachRow, Scanned, hash_cell};
use super::{CustomersError, RowFault};
use crate::declare::config::SoapRows;
use crate::declare::connector::http::Meaning;
use crate::declare::connector::soap::{Call, ElementPath, Entries, Expected, Paging, Query, Select, Slot, Step};
use crate::declare::connector::{self, TargetFile};
use crate::diagnose::SourceFile;
use crate::model::{Digest, Value};
use crate::wire::caller::{Answered, CallError, Caller, Opened, find, fits, unescape};
use crate::wire::http::Extent;
use crate::wire::session::SessionError;
use crate::wire::soap::Reading;
use crate::wire::xml::Element;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// A page is asked for so often before the read is given up.
const ATTEMPTS: u32 = 4;
/// Before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A service that asks to wait longer is read another time.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Rows of one read: far above the customers of any CRM, and an end to a service that pages for ever.
const MOST_ROWS: u64 = 200_000_000;
/// Columns of a row: `SugarCRM`'s widest modules have some hundred.
const MOST_COLUMNS: usize = 2_000;

/// A query with its first page: what stands there, and what the WSDL declares, are the columns.
pub(super) struct Soap {
    source: Source,
    page: Option<Page>,
}

struct Source {
    caller: Caller,
    query: Query,
    runtime: tokio::runtime::Runtime,
    name: String,
}

/// Where a page begins.
#[derive(Clone, PartialEq, Debug)]
enum From {
    Start,
    Offset(u64),
    After(String),
    Token(String),
}

struct Page {
    /// Names and texts of each row, in the row's order.
    rows: Vec<Vec<(Arc<str>, Option<String>)>>,
    /// Where the next page begins; `None`: there is none.
    next: Option<From>,
    total: Option<u64>,
}

/// Why a page could not be had.
enum PageError {
    /// It may be had later.
    Again(String, Option<Duration>),
    /// The session ended.
    Login,
    /// It will not get better.
    Final(CustomersError),
}

impl Soap {
    /// Logs in, and reads the first page. Returns the columns, too.
    pub(super) fn open(rows: &SoapRows) -> Result<(Self, Vec<Arc<str>>), CustomersError> {
        let name = format!("query `{}` of target `{}`", rows.query, rows.target);
        let fail = |message: String| CustomersError::Service { name: name.clone(), message };
        let file = target_file(rows).map_err(&fail)?;
        let service = file.soap.as_ref().ok_or_else(|| fail("its target file is not of kind `soap`".into()))?;
        let query = service.query(&rows.query).cloned().ok_or_else(|| {
            let near = crate::diagnose::nearest(&rows.query, service.queries.iter().map(|q| &*q.name));
            fail(near.map_or_else(
                || "the target file has no such query".to_owned(),
                |n| format!("the target file has no such query; `{n}` is near"),
            ))
        })?;
        let caller =
            Caller::new((*rows.service).clone(), Arc::new(file)).ok_or_else(|| fail("its target file is not of kind `soap`".into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| fail(format!("no runtime can be had: {error}")))?;
        let source = Source { caller, query, runtime, name: name.clone() };
        let page = source.page(&From::Start, 0)?;
        let mut header: Vec<Arc<str>> = source.query.columns.iter().map(|(name, _)| name.clone()).collect();
        // An element that nobody on the first page has is a column all the same, where the WSDL declares it.
        let declared = if source.query.entries.is_none() {
            source.caller.answer_names(&source.query.call.operation, &source.query.rows).map_err(|error| fail(error.to_string()))?
        } else {
            Vec::new()
        };
        let mut seen: std::collections::HashSet<Arc<str>> = header.iter().cloned().collect();
        for name in page.rows.iter().flatten().map(|(name, _)| name).chain(&declared) {
            if header.len() < MOST_COLUMNS && seen.insert(name.clone()) {
                header.push(name.clone());
            }
        }
        Ok((Self { source, page: Some(page) }, header))
    }

    /// Whether nothing stands in the table: then nothing is known of its columns.
    pub(super) fn is_empty(&self) -> bool {
        self.page.as_ref().is_none_or(|page| page.rows.is_empty())
    }

    pub(super) fn rows(self, header: &[Arc<str>], pick: &[Option<usize>], each: &mut EachRow<'_>) -> Result<Scanned, CustomersError> {
        let Self { source, mut page } = self;
        let (mut count, mut hash) = (0_u64, Sha256::new());
        let total = page.as_ref().and_then(|page| page.total);
        while let Some(Page { rows, next, total: now }) = page.take() {
            if now != total {
                return Err(source.incomplete("the number of rows changed while they were read".into()));
            }
            for row in &rows {
                count += 1;
                let cell = |at: &Option<usize>| {
                    let name = at.and_then(|at| header.get(at));
                    let found = name.and_then(|name| row.iter().find(|(n, _)| n == name));
                    found.and_then(|(_, text)| text.as_deref()).map_or(Cell::Missing, Cell::Text)
                };
                let cells: Vec<Cell<'_>> = pick.iter().map(cell).collect();
                for cell in &cells {
                    hash_cell(&mut hash, *cell);
                }
                each(count, Ok::<_, (RowFault, Option<&str>)>(&cells));
            }
            if count > MOST_ROWS {
                return Err(source.incomplete(format!("there are more than {MOST_ROWS} rows")));
            }
            page = match next {
                Some(from) => Some(source.page(&from, count)?),
                None => None,
            };
        }
        if let Some(total) = total
            && total != count
        {
            return Err(source.incomplete(format!("the service said {total} rows and gave {count}")));
        }
        Ok(Scanned { rows: count, digest: Digest(hash.finalize().into()) })
    }
}

/// The target file that the configuration names, as it stands now.
fn target_file(rows: &SoapRows) -> Result<TargetFile, String> {
    let text = std::fs::read_to_string(&rows.connector).map_err(|error| format!("its target file can't be read: {error}"))?;
    let source = Arc::new(SourceFile { name: rows.connector.display().to_string(), text });
    let checked = connector::read(&source);
    let first = checked.problems.0.first().map(std::string::ToString::to_string).unwrap_or_default();
    checked.value.ok_or_else(|| format!("its target file has errors: {first}"))
}

impl Source {
    fn incomplete(&self, message: String) -> CustomersError {
        CustomersError::Incomplete { name: self.name.clone(), message }
    }

    /// A page, asked for again where that may help.
    fn page(&self, from: &From, so_far: u64) -> Result<Page, CustomersError> {
        self.runtime.block_on(async {
            let mut wait = FIRST_WAIT;
            let mut login = false;
            let mut attempt = 1;
            loop {
                let (message, asked) = match self.asked(from, so_far).await {
                    Ok(page) => return Ok(page),
                    Err(PageError::Final(error)) => return Err(error),
                    Err(PageError::Login) if !login => {
                        login = true;
                        match self.caller.renew().await {
                            Ok(()) => continue,
                            Err(error) => (error.to_string(), None),
                        }
                    }
                    Err(PageError::Login) => ("the service does not take the login".to_owned(), None),
                    Err(PageError::Again(message, asked)) => (message, asked),
                };
                if attempt >= ATTEMPTS || asked.is_some_and(|asked| asked > LONGEST_WAIT) {
                    return Err(CustomersError::Service { name: self.name.clone(), message });
                }
                tokio::time::sleep(asked.unwrap_or(wait)).await;
                wait *= 2;
                attempt += 1;
            }
        })
    }

    async fn asked(&self, from: &From, so_far: u64) -> Result<Page, PageError> {
        let query = &self.query;
        let (call, rows_at): (&Call, &ElementPath) = match (from, &query.paging) {
            (From::Token(_), Paging::Next { call, rows, .. }) => (call, rows.as_ref().unwrap_or(&query.rows)),
            _ => (&query.call, &query.rows),
        };
        let values = |slot: &Slot| match (slot, from) {
            (Slot::PageSize, _) => Some(Value::Integer(query.size.into())),
            (Slot::Offset, From::Offset(at)) => Some(Value::Integer(i64::try_from(*at).unwrap_or(i64::MAX))),
            (Slot::Offset, _) => Some(Value::Integer(0)),
            (Slot::After, From::After(key)) => Some(Value::Text(key.as_str().into())),
            (Slot::PageToken, From::Token(token)) => Some(Value::Text(token.as_str().into())),
            _ => None,
        };
        let opened = self.caller.open().await.map_err(|error| self.failed(error))?;
        let envelope = self.caller.envelope(call, &opened, &values, &|_| Ok(())).await.map_err(|error| self.failed(error))?;
        let answered = self.caller.send(&envelope).await.map_err(|error| self.failed(error.into()))?;
        let body = self.understood(&opened, &answered).await?;
        let Some(body) = body else { return Ok(Page { rows: Vec::new(), next: None, total: None }) };
        let found: Vec<&Element> = elements(body, rows_at);
        let number = |path: &Option<ElementPath>| {
            let text = path.as_ref().and_then(|path| find::text(body, path));
            text.and_then(|text| text.trim().parse::<u64>().ok())
        };
        if query.count.is_some() && number(&query.count) != u64::try_from(found.len()).ok() {
            let message = "a page does not hold as many rows as it says".to_owned();
            return Err(PageError::Again(message, None));
        }
        let rows: Vec<Vec<(Arc<str>, Option<String>)>> = found.iter().map(|row| self.row(row)).collect();
        let total = number(&query.total);
        if query.total.is_some() && total.is_none() {
            return Err(PageError::Again("a page does not say how many rows there are in all".to_owned(), None));
        }
        let next = self.next(from, body, &rows, so_far, total)?;
        Ok(Page { rows, next, total })
    }

    /// The element of an answer that is one; `None` where it says that there is nothing.
    async fn understood<'a>(&self, opened: &Opened, answered: &'a Answered) -> Result<Option<&'a Element>, PageError> {
        let heard = answered.heard();
        if self.query.missing.iter().any(|when| fits(when, heard)) {
            return Ok(None);
        }
        let status = answered.reply.status;
        let label = answered.label();
        let asked = crate::wire::pace::throttled(&answered.reply.headers, jiff::Timestamp::UNIX_EPOCH).map(|asked| asked.wait);
        let meaning = self.caller.service.answers.iter().find(|rule| fits(&rule.when, heard)).map(|rule| rule.is);
        if meaning == Some(Meaning::LoginExpired) || (meaning.is_none() && status == 401) {
            self.caller.heard(opened, true).await.map_err(|error| self.failed(error.into()))?;
            return Err(PageError::Login);
        }
        let refused = |what: &str| CustomersError::Service { name: self.name.clone(), message: format!("{label}: {what}") };
        match (meaning, &answered.reading) {
            (Some(Meaning::Refused | Meaning::BatchRefused), _) => Err(PageError::Final(refused("the service refuses the query"))),
            (None | Some(Meaning::Delivered | Meaning::Unchanged), Reading::Answer(answer))
                if (200..300).contains(&status) && answered.reply.extent == Extent::Whole =>
            {
                self.caller.heard(opened, false).await.map_err(|error| self.failed(error.into()))?;
                let body = answer.first();
                body.map(Some).ok_or_else(|| PageError::Again(format!("{label}: the answer is empty"), None))
            }
            (None, Reading::Fault(fault)) if fault.is_senders() == Some(true) => {
                Err(PageError::Final(refused("the service refuses the query")))
            }
            _ => Err(PageError::Again(format!("{label}: the service gives no page"), asked)),
        }
    }

    fn failed(&self, error: CallError) -> PageError {
        match error {
            CallError::Refused(refused) => {
                PageError::Final(CustomersError::Service { name: self.name.clone(), message: refused.message.to_string() })
            }
            CallError::Session(SessionError::Throttled { message, wait, .. }) => PageError::Again(message.to_string(), wait),
            CallError::Session(SessionError::Unavailable { message, retry_after, .. }) => {
                PageError::Again(message.to_string(), retry_after)
            }
            CallError::Session(SessionError::Unanswered { message }) => PageError::Again(message.to_string(), None),
        }
    }

    fn text(&self, text: &str) -> String {
        if self.caller.service.escaped { unescape::html(text).into_owned() } else { text.to_owned() }
    }

    /// The columns of a row.
    fn row(&self, row: &Element) -> Vec<(Arc<str>, Option<String>)> {
        let mut cells: Vec<(Arc<str>, Option<String>)> =
            self.query.columns.iter().map(|(name, path)| (name.clone(), find::text(row, path).map(|text| self.text(&text)))).collect();
        let named = match &self.query.entries {
            Some(entries) => entry_cells(row, entries),
            None => row
                .children()
                .filter(|child| child.children().next().is_none())
                .map(|child| (child.name.local.clone(), (!find::is_nil(child)).then(|| child.text().into_owned())))
                .collect(),
        };
        // What the file declares goes before what the row calls so; of several of one name the first counts.
        for (name, text) in named.into_iter().take(MOST_COLUMNS) {
            if !cells.iter().any(|(known, _)| *known == name) {
                cells.push((name, text.map(|text| self.text(&text))));
            }
        }
        cells
    }

    /// Where the next page begins.
    fn next(
        &self,
        from: &From,
        body: &Element,
        rows: &[Vec<(Arc<str>, Option<String>)>],
        so_far: u64,
        total: Option<u64>,
    ) -> Result<Option<From>, PageError> {
        let round = || PageError::Final(self.incomplete("the pages lead round in a circle".into()));
        let now = so_far + u64::try_from(rows.len()).unwrap_or(u64::MAX);
        match &self.query.paging {
            Paging::Offset { next } => {
                if rows.is_empty() || total.is_some_and(|total| now >= total) {
                    return Ok(None);
                }
                let told = next.as_ref().and_then(|path| find::text(body, path)).and_then(|text| text.trim().parse::<u64>().ok());
                let at = told.unwrap_or(now);
                let before = if let From::Offset(before) = from { *before } else { 0 };
                if at <= before { Err(round()) } else { Ok(Some(From::Offset(at))) }
            }
            Paging::After(column) => {
                let Some(last) = rows.last() else { return Ok(None) };
                let key = last.iter().find(|(name, _)| name == column).and_then(|(_, text)| text.clone()).filter(|key| !key.is_empty());
                let lacking = || {
                    PageError::Final(self.incomplete(format!("the last row of a page has no `{column}`, by which pages follow each other")))
                };
                let key = key.ok_or_else(lacking)?;
                if matches!(from, From::After(before) if *before == key) { Err(round()) } else { Ok(Some(From::After(key))) }
            }
            Paging::Next { token, done, .. } => {
                if done.iter().all(|expected: &Expected| find::holds(body, expected)) {
                    return Ok(None);
                }
                let told = find::text(body, token).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
                let lacking = || PageError::Again("a page that is not the last does not name the next".to_owned(), None);
                let told = told.ok_or_else(lacking)?;
                if matches!(from, From::Token(before) if *before == told) { Err(round()) } else { Ok(Some(From::Token(told))) }
            }
        }
    }
}

fn elements<'e>(body: &'e Element, path: &ElementPath) -> Vec<&'e Element> {
    let element = |found| match found {
        find::Found::Element(element) => Some(element),
        find::Found::Attribute(_) => None,
    };
    find::all(body, path).into_iter().filter_map(element).collect()
}

/// The entries of a name/value list.
fn entry_cells(row: &Element, entries: &Entries) -> Vec<(Arc<str>, Option<String>)> {
    let child = |name: &crate::declare::connector::soap::ElementName| ElementPath(vec![Step::Element(name.clone(), Select::First)]);
    let (name, value) = (child(&entries.name), child(&entries.value));
    let cell = |entry: &Element| {
        let name = find::text(entry, &name)?;
        Some((Arc::from(name.trim()), find::text(entry, &value).map(std::borrow::Cow::into_owned)))
    };
    elements(row, &entries.item).into_iter().filter_map(cell).collect()
}
