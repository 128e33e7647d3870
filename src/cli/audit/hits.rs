//! The entries that a search must look at: by the index where it reaches, else those whose bytes hold what is looked for.

use super::PAGE;
use crate::audit::{Entry, Kind};
use crate::store::log::{SEGMENT, Term, Terms};
use crate::store::sqlite::SqliteReader;
use memchr::memmem::Finder;
use std::ops::ControlFlow;
use std::path::Path;

/// Hits in a segment from which on reading it through is faster than one by one.
const READ_THROUGH: usize = 2_048;

/// What an entry must hold to be looked at.
pub(super) struct Needle {
    term: Term,
    text: Finder<'static>,
}

impl Needle {
    /// A keyed hash or correlation id; `None` where it is none.
    pub(super) fn hash(text: &str) -> Option<Self> {
        Some(Self { term: Term::of_hash(text)?, text: Finder::new(&format!("\"{text}\"")).into_owned() })
    }

    /// A kind.
    pub(super) fn kind(kind: Kind) -> Self {
        Self { term: Term::of_kind(kind), text: Finder::new(&format!("\"kind\":\"{}\"", kind.name())).into_owned() }
    }
}

/// Shows every entry that holds one of the needles, in order, until `visit` breaks; without needles, every entry.
///
/// # Errors
/// In words, what can't be read.
pub(super) fn each_with(
    reader: &SqliteReader,
    state: &Path,
    needles: &[Needle],
    mut visit: impl FnMut(u64, &Entry, &[u8]) -> ControlFlow<()>,
) -> Result<(), String> {
    walk(reader, &Terms::new(state), needles, &mut visit).map(drop)
}

fn walk(
    reader: &SqliteReader,
    terms: &Terms,
    needles: &[Needle],
    visit: &mut impl FnMut(u64, &Entry, &[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let mut look = |number: u64, bytes: &[u8]| -> Result<ControlFlow<()>, String> {
        if !needles.is_empty() && !needles.iter().any(|needle| needle.text.find(bytes).is_some()) {
            return Ok(ControlFlow::Continue(()));
        }
        let entry = Entry::decode(bytes).map_err(|error| format!("entry {number}: {error}"))?;
        Ok(visit(number, &entry, bytes))
    };
    for segment in 0.. {
        let first = segment * SEGMENT;
        if let Some(numbers) = indexed(reader, terms, needles, segment)? {
            for number in numbers {
                let leaf = reader.leaves(number, 1).map_err(|e| e.to_string())?;
                if let Some(bytes) = leaf.first()
                    && look(number, bytes)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            continue;
        }
        let mut number = first;
        while number < first + SEGMENT {
            let rest = usize::try_from(first + SEGMENT - number).unwrap_or(PAGE);
            let page = reader.leaves(number, rest.min(PAGE)).map_err(|e| e.to_string())?;
            if page.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            for bytes in &page {
                if look(number, bytes)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                number += 1;
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The numbers that the index has; `None` where the segment is to be read through.
fn indexed(reader: &SqliteReader, terms: &Terms, needles: &[Needle], segment: u64) -> Result<Option<Vec<u64>>, String> {
    if needles.is_empty() {
        return Ok(None);
    }
    let last = reader.leaves(segment * SEGMENT + SEGMENT - 1, 1).map_err(|e| e.to_string())?.into_iter().next();
    let mut numbers = Vec::new();
    for needle in needles {
        match terms.find(segment, needle.term, || last.clone()).map_err(|e| e.to_string())? {
            Some(found) => numbers.extend(found),
            None => return Ok(None),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers).filter(|numbers| numbers.len() < READ_THROUGH))
}
