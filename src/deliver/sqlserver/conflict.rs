//! When the CRM and the network both changed a record: three versions of each field (what Kith wrote last, what stands, what is to be written), and
//! the mapping's word. Pure, so that a preview and a write can't differ.

use crate::declare::connector::sqlserver::Compare;
use crate::enrich::OnConflict;
use crate::model::{Timestamp, Value};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Bytes of a field's digest: the first four of its name's, the first eight of its value's hash. Two values of one field are taken for the same
/// with a chance of 2⁻⁶⁴.
const ENTRY: usize = 12;

/// What Kith wrote last about a record: a digest of each field. The values themselves stand in the row beside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Base(Vec<u8>);

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn entry(name: &str, value: &Value) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let content = format!("{}\0{}", value.kind(), value.to_json());
    let bytes = digest(name.to_lowercase().as_bytes()).into_iter().take(4).chain(digest(content.as_bytes()).into_iter().take(8));
    for (slot, byte) in entry.iter_mut().zip(bytes) {
        *slot = byte;
    }
    entry
}

impl Base {
    /// From what the record table holds; what is no digest is nothing.
    pub(super) fn read(bytes: &[u8]) -> Self {
        if bytes.len().is_multiple_of(ENTRY) { Self(bytes.to_vec()) } else { Self::default() }
    }

    /// Whether a field was written with this value; `None`: it was never written.
    fn was(&self, name: &str, value: &Value) -> Option<bool> {
        let wanted = entry(name, value);
        let (name, value) = wanted.split_at_checked(4)?;
        self.0.chunks_exact(ENTRY).find_map(|known| {
            let (known_name, known_value) = known.split_at_checked(4)?;
            (known_name == name).then_some(known_value == value)
        })
    }

    /// With these fields written now; the others stay as they were.
    pub(super) fn with<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut bytes = self.0.clone();
        for (name, value) in fields {
            let new = entry(name, value);
            let old = bytes.chunks_exact_mut(ENTRY).find(|known| known.get(..4) == new.get(..4));
            match old {
                Some(old) => old.copy_from_slice(&new),
                None => bytes.extend_from_slice(&new),
            }
        }
        Self(bytes)
    }

    /// For the record table.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A field of a record that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    /// What stands.
    pub(super) theirs: &'a Value,
    /// What is to be written.
    pub(super) ours: &'a Value,
}

/// What is known of the two edits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// When the CRM's row was edited.
    pub(super) edited: Option<Timestamp>,
    /// When what is to be written was said.
    pub(super) said: Option<Timestamp>,
}

/// What becomes of the fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Merged {
    /// Each field is written, but these, which keep the CRM's value.
    Keep(Vec<Arc<str>>),
    /// A person decides: these fields changed on both sides.
    Park(Vec<Arc<str>>),
}

/// Which fields keep the CRM's value. A field is in conflict where the CRM's value is neither what Kith wrote last nor what it would write now, and where
/// Kith has something new to say about it. A row that Kith never wrote is all the CRM's own, but for what is empty in it.
pub(super) fn merge<'a>(
    base: Option<&Base>,
    compare: &Compare,
    word: OnConflict,
    times: Times,
    fields: impl IntoIterator<Item = Field<'a>>,
) -> Merged {
    let (mut kept, mut open) = (Vec::new(), Vec::new());
    for Field { name, theirs, ours } in fields {
        let compared = match compare {
            Compare::Off => false,
            Compare::RowVersion => true,
            Compare::Fields(named) => named.iter().any(|n| **n == *name),
        };
        if !compared || theirs == ours {
            continue;
        }
        let unchanged_by_them = match base.and_then(|base| base.was(name, theirs)) {
            Some(same) => same,
            // Never written by Kith: an empty field is nobody's.
            None => theirs.is_missing(),
        };
        if unchanged_by_them {
            continue;
        }
        let nothing_new = base.and_then(|base| base.was(name, ours)) == Some(true);
        let theirs_stays = match word {
            // What the network said before is no answer to what the CRM said since.
            _ if nothing_new => true,
            OnConflict::Theirs => true,
            OnConflict::Ours => false,
            OnConflict::Newest => times.edited.zip(times.said).is_none_or(|(edited, said)| edited >= said),
            OnConflict::Park => {
                open.push(Arc::from(name));
                true
            }
        };
        if theirs_stays {
            kept.push(Arc::from(name));
        }
    }
    if open.is_empty() { Merged::Keep(kept) } else { Merged::Park(open) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::text(text)
    }

    fn merged(base: Option<&Base>, word: OnConflict, times: Times, theirs: &Value, ours: &Value) -> Merged {
        merge(base, &Compare::RowVersion, word, times, [Field { name: "Topic", theirs, ours }])
    }

    const NO_TIMES: Times = Times { edited: None, said: None };

    #[test]
    fn what_the_crm_left_alone_is_written() {
        let base = Base::default().with([("Topic", &text("complaint"))]);
        assert_eq!(merged(Some(&base), OnConflict::Theirs, NO_TIMES, &text("complaint"), &text("question")), Merged::Keep(vec![]));
        // Never written and empty: nobody's.
        assert_eq!(merged(None, OnConflict::Theirs, NO_TIMES, &Value::Missing, &text("question")), Merged::Keep(vec![]));
    }

    #[test]
    fn what_the_crm_changed_goes_by_the_word() {
        let base = Base::default().with([("Topic", &text("complaint"))]);
        let both = |word, times| merged(Some(&base), word, times, &text("praise"), &text("question"));
        let kept = Merged::Keep(vec!["Topic".into()]);
        assert_eq!(both(OnConflict::Theirs, NO_TIMES), kept);
        assert_eq!(both(OnConflict::Ours, NO_TIMES), Merged::Keep(vec![]));
        assert_eq!(both(OnConflict::Park, NO_TIMES), Merged::Park(vec!["Topic".into()]));
        let times = |edited: &str, said: &str| Times { edited: Some(edited.parse().unwrap()), said: Some(said.parse().unwrap()) };
        assert_eq!(both(OnConflict::Newest, times("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")), kept);
        assert_eq!(both(OnConflict::Newest, times("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")), Merged::Keep(vec![]));
        // A time that is not known is no reason to overwrite.
        assert_eq!(both(OnConflict::Newest, NO_TIMES), kept);
        // Only the CRM changed it: nothing new is said, whatever the word.
        for word in OnConflict::ALL {
            assert_eq!(merged(Some(&base), word, NO_TIMES, &text("praise"), &text("complaint")), kept, "{word:?}");
        }
        // A row of the CRM's own.
        assert_eq!(merged(None, OnConflict::Theirs, NO_TIMES, &text("praise"), &text("question")), kept);
    }

    #[test]
    fn what_was_kept_once_is_kept_again() {
        // Kith wanted `question`, the CRM's `praise` stayed; the same version comes again, then a newer one.
        let base = Base::default().with([("Topic", &text("question"))]);
        assert_eq!(merged(Some(&base), OnConflict::Ours, NO_TIMES, &text("praise"), &text("question")), Merged::Keep(vec!["Topic".into()]));
        assert_eq!(merged(Some(&base), OnConflict::Theirs, NO_TIMES, &text("praise"), &text("order")), Merged::Keep(vec!["Topic".into()]));
    }

    #[test]
    fn only_named_fields_are_compared() {
        let (theirs, ours) = (text("a"), text("b"));
        let compare = Compare::Fields(vec!["Other".into()]);
        let merged = merge(None, &compare, OnConflict::Theirs, NO_TIMES, [Field { name: "Topic", theirs: &theirs, ours: &ours }]);
        assert_eq!(merged, Merged::Keep(vec![]));
    }

    proptest! {
        #[test]
        fn a_base_knows_what_was_written_last(writes in proptest::collection::vec((0..5_u8, "[a-c]{0,3}"), 0..20)) {
            let (mut base, mut last) = (Base::default(), std::collections::BTreeMap::new());
            for (field, value) in writes {
                let value = text(&value);
                base = base.with([(format!("F{field}").as_str(), &value)]);
                last.insert(field, value);
            }
            let again = Base::read(base.bytes());
            for field in 0..5 {
                let name = format!("F{field}");
                let expected = last.get(&field).map(|_| true);
                let value = last.get(&field).cloned().unwrap_or_default();
                prop_assert_eq!(again.was(&name, &value), expected);
                prop_assert_ne!(again.was(&name, &text("zzz")), Some(true));
            }
        }
    }
}
