//! Comparison levels: which level of each comparison a pair falls on.

use super::cell::{each, first, meet};
use super::distance::{jaro_winkler, levenshtein_at_most};
use super::handle::{Handle, local_part, spelled};
use super::{Compared, Comparison, HandleAgreement, LevelTest, Model, NameAgreement};
use crate::normalize::same_given_name;
use crate::splink::{Settings, Side};
use std::sync::Arc;

/// Where a model's fields stand in the cells of both sides; `None` where the mapping does not declare the field.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    comparisons: Vec<Columns>,
    /// Positions of the customer's fields that are read, each once.
    reads: Vec<usize>,
    /// log2(m/u) by comparison and level.
    bits: Vec<Vec<f64>>,
}

/// Positions of one comparison's fields.
#[derive(Clone, Debug)]
enum Columns {
    Field {
        identity: Option<usize>,
        customer: Option<usize>,
    },
    NameAndHandle {
        identity: [Option<usize>; 3],
        customer: [Option<usize>; 2],
    },
    HandleReuse {
        handle: Option<usize>,
        handles: Option<usize>,
        email: Option<usize>,
        birth_date: Option<usize>,
        name: [Option<usize>; 2],
    },
    /// By the number of the Splink model's column.
    Sql {
        settings: Arc<Settings>,
        comparison: usize,
        identity: Vec<Option<usize>>,
        customer: Vec<Option<usize>>,
    },
}

impl Columns {
    /// Positions in the customer's cells.
    fn of_customer(&self) -> Vec<usize> {
        match self {
            Self::Field { customer, .. } => customer.iter().copied().collect(),
            Self::NameAndHandle { customer, .. } => customer.iter().flatten().copied().collect(),
            Self::HandleReuse { handles, email, birth_date, name, .. } => {
                [handles, email, birth_date].into_iter().chain(name).flatten().copied().collect()
            }
            Self::Sql { customer, .. } => customer.iter().flatten().copied().collect(),
        }
    }
}

/// The identity's side, taken apart once.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Its cells, aligned with the identity's fields.
    pub cells: Vec<Option<String>>,
    /// The handle of each comparison that reads one.
    handles: Vec<Option<Handle>>,
}

pub(super) fn position(names: &[Arc<str>], name: &str) -> Option<usize> {
    names.iter().position(|n| &**n == name)
}

/// Where the columns of a Splink model stand, by their number.
pub(super) fn places(settings: &Settings, names: &[Arc<str>]) -> Vec<Option<usize>> {
    settings.columns().map(|column| names.iter().position(|name| name.eq_ignore_ascii_case(column))).collect()
}

impl Plan {
    pub(super) fn new(model: &Model, identity: &[Arc<str>], customer: &[Arc<str>]) -> Self {
        let columns = |comparison: &Comparison| match &comparison.compared {
            Compared::Field { identity: i, customer: c } => {
                Columns::Field { identity: position(identity, i), customer: position(customer, c) }
            }
            Compared::NameAndHandle { given, family, handle } => Columns::NameAndHandle {
                identity: [given, family, handle].map(|name| position(identity, name)),
                customer: [given, family].map(|name| position(customer, name)),
            },
            Compared::HandleReuse { handle, handles, email, birth_date, name } => {
                let of = |name: Option<&Arc<str>>| name.and_then(|name| position(customer, name));
                Columns::HandleReuse {
                    handle: position(identity, handle),
                    handles: of(handles.as_ref()),
                    email: of(email.as_ref()),
                    birth_date: of(birth_date.as_ref()),
                    name: [of(name.as_ref().map(|(given, _)| given)), of(name.as_ref().map(|(_, family)| family))],
                }
            }
            Compared::Sql { settings, comparison } => Columns::Sql {
                settings: settings.clone(),
                comparison: *comparison,
                identity: places(settings, identity),
                customer: places(settings, customer),
            },
        };
        let comparisons: Vec<Columns> = model.comparisons.iter().map(columns).collect();
        let counted = model.term_frequencies.iter().flat_map(|frequency| &frequency.of).filter_map(|part| position(customer, &part.field));
        let mut reads: Vec<usize> = comparisons.iter().flat_map(Columns::of_customer).chain(counted).collect();
        reads.sort_unstable();
        reads.dedup();
        let bits = model.comparisons.iter().map(|comparison| comparison.levels.iter().map(super::score::bits).collect()).collect();
        Self { comparisons, reads, bits }
    }

    /// Positions of the customer's fields that comparing reads, term frequencies included.
    pub(super) fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// log2(m/u) of a level.
    pub(super) fn bits(&self, comparison: usize, level: usize) -> f64 {
        self.bits.get(comparison).and_then(|levels| levels.get(level)).copied().unwrap_or(0.0)
    }

    pub(super) fn subject(&self, cells: Vec<Option<String>>) -> Subject {
        let at = |at: &Option<usize>| at.and_then(|at| cells.get(at)).and_then(Option::as_deref);
        let handles = self
            .comparisons
            .iter()
            .map(|columns| match columns {
                Columns::NameAndHandle { identity: [_, _, handle], .. } | Columns::HandleReuse { handle, .. } => {
                    at(handle).map(|h| Handle::new(first(h)))
                }
                Columns::Field { .. } | Columns::Sql { .. } => None,
            })
            .collect();
        Subject { cells, handles }
    }

    /// The level of the comparison with this number, by position in its levels; `None` for the null level.
    pub(super) fn level(&self, number: usize, comparison: &Comparison, subject: &Subject, customer: &[Option<&str>]) -> Option<usize> {
        let left = |at: &Option<usize>| at.and_then(|at| subject.cells.get(at)).and_then(Option::as_deref);
        let right = |at: &Option<usize>| at.and_then(|at| customer.get(at)).copied().flatten();
        let handle = subject.handles.get(number).and_then(Option::as_ref);
        match self.comparisons.get(number)? {
            Columns::Field { identity, customer } => {
                let (a, b) = (left(identity)?, right(customer)?);
                comparison.levels.iter().position(|level| field_test(&level.test, a, b))
            }
            Columns::NameAndHandle { identity: [given, family, _], customer: [customer_given, customer_family] } => {
                let (g, f) = (right(customer_given), right(customer_family));
                let (shown_given, shown_family) = (left(given), left(family));
                if (g.is_none() && f.is_none()) || (shown_given.is_none() && shown_family.is_none() && handle.is_none()) {
                    return None;
                }
                let name = name_agreement(shown_given, shown_family, g.unwrap_or_default(), f.unwrap_or_default());
                let by_handle = handle.map_or(HandleAgreement::Unrelated, |handle| {
                    handle.agreement(&spelled(g.unwrap_or_default()), &spelled(f.unwrap_or_default()))
                });
                comparison.levels.iter().position(|level| {
                    if let LevelTest::NameAndHandle { name: names, handle: handles } = &level.test {
                        (names.is_empty() || names.contains(&name)) && (handles.is_empty() || handles.contains(&by_handle))
                    } else {
                        level.test == LevelTest::Else
                    }
                })
            }
            Columns::HandleReuse { handles, email, birth_date, name: [given, family], .. } => {
                let name = right(given).zip(right(family)).map(|(given, family)| (spelled(given), spelled(family)));
                let name = name.as_ref().map(|(given, family)| (&**given, &**family));
                let reuse = handle?.reuse(right(handles), right(email), right(birth_date), name)?;
                comparison.levels.iter().position(|level| {
                    if let LevelTest::Reuse(kinds) = &level.test { kinds.contains(&reuse) } else { level.test == LevelTest::Else }
                })
            }
            Columns::Sql { settings, comparison: number, identity, customer } => {
                let cells = |side: Side, column: usize| match side {
                    Side::Left => left(identity.get(column)?),
                    Side::Right => right(customer.get(column)?),
                };
                let gamma = settings.gamma(*number, &cells);
                comparison.levels.iter().position(|level| level.test == LevelTest::Gamma(gamma))
            }
        }
    }
}

/// A test of two single fields; of lists, any pair of members.
fn field_test(test: &LevelTest, a: &str, b: &str) -> bool {
    let any = |holds: &dyn Fn(&str, &str) -> bool| each(a).any(|x| each(b).any(|y| holds(x, y)));
    match test {
        LevelTest::Exact => meet(a, b),
        LevelTest::JaroWinkler(least) => any(&|x, y| jaro_winkler(x, y) >= *least),
        LevelTest::Levenshtein(most) => any(&|x, y| levenshtein_at_most(x, y, *most)),
        LevelTest::Nickname => any(&same_given_name),
        LevelTest::StartsWith => any(&starts_with_words),
        LevelTest::SameLocalPart => any(&|x, y| local_part(x) == local_part(y)),
        LevelTest::Else => true,
        LevelTest::NameAndHandle { .. } | LevelTest::Reuse(_) | LevelTest::Gamma(_) => false,
    }
}

fn starts_with_words(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn is_initial(name: &str) -> bool {
    name.chars().nth(1).is_none() && !name.is_empty()
}

fn one_is_initial_of_other(a: &str, b: &str) -> bool {
    (is_initial(a) || is_initial(b)) && a.chars().next() == b.chars().next()
}

fn first_word(name: &str) -> &str {
    name.split([' ', '-']).next().unwrap_or_default()
}

/// Equal, or equal in the first of several given names.
fn same_given(a: &str, b: &str) -> bool {
    let (x, y) = (first_word(a), first_word(b));
    a == b || (x == y && (x.len() == a.len() || y.len() == b.len()))
}

fn form_of_given(a: &str, b: &str) -> bool {
    let (x, y) = (first_word(a), first_word(b));
    same_given_name(a, b) || ((x.len() < a.len() || y.len() < b.len()) && same_given_name(x, y))
}

/// A typing error at most: one edit in four letters or more, or nearly equal by Jaro–Winkler (exchanged letters, two errors in a long name).
fn alike(a: &str, b: &str) -> bool {
    a == b || (a.chars().count().min(b.chars().count()) >= 4 && (levenshtein_at_most(a, b, 1) || jaro_winkler(a, b) >= 0.93))
}

/// How a displayed name stands to a customer's name; an empty part is one that the customer lacks.
fn name_agreement(shown_given: Option<&str>, shown_family: Option<&str>, given: &str, family: &str) -> NameAgreement {
    use NameAgreement as N;
    let Some(g) = shown_given else {
        return if shown_family.is_some_and(|f| f == family) { N::FamilyOnly } else { N::Unrelated };
    };
    let initials = is_initial(g) || is_initial(given);
    let given_equal = !initials && same_given(g, given);
    let given_form = given_equal || (!initials && !given.is_empty() && form_of_given(g, given));
    let Some(f) = shown_family else {
        return if given_form { N::GivenOnly } else { N::Unrelated };
    };
    let family_equal = f == family && !is_initial(f);
    if family_equal && given_form {
        return if given_equal { N::Full } else { N::Nickname };
    }
    if family_equal && one_is_initial_of_other(g, given) {
        return N::GivenInitial;
    }
    if g == family && !is_initial(g) && !is_initial(f) && (f == given || form_of_given(f, given)) {
        return N::Swapped;
    }
    if given_form && one_is_initial_of_other(f, family) {
        return N::FamilyInitial;
    }
    if !initials && (family_equal || alike(f, family)) && (given_form || alike(g, given)) {
        return N::Alike;
    }
    if family_equal {
        return N::FamilyOnly;
    }
    if given_form { N::GivenDiffersInFamily } else { N::Unrelated }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn displayed_names_stand_to_names_on_file_as_people_would_say() {
        use NameAgreement as N;
        for (given, family, expected) in [
            (Some("rebecca"), Some("jacoby"), N::Full),
            (Some("becky"), Some("jacoby"), N::Nickname),
            (Some("jacoby"), Some("rebecca"), N::Swapped),
            (Some("rebeca"), Some("jacobi"), N::Alike),
            (Some("rebecca"), Some("jacobi"), N::Alike),
            (Some("r"), Some("jacoby"), N::GivenInitial),
            (Some("rebecca"), Some("j"), N::FamilyInitial),
            (Some("becky"), Some("j"), N::FamilyInitial),
            (Some("rebecca"), None, N::GivenOnly),
            (Some("thomas"), Some("jacoby"), N::FamilyOnly),
            (Some("rebecca"), Some("smith"), N::GivenDiffersInFamily),
            (Some("vintage"), Some("soul"), N::Unrelated),
            (None, None, N::Unrelated),
        ] {
            assert_eq!(name_agreement(given, family, "rebecca", "jacoby"), expected, "{given:?} {family:?}");
        }
        assert_eq!(name_agreement(Some("fiona"), Some("ainsworth"), "f", "ainsworth"), N::GivenInitial);
        assert_eq!(name_agreement(Some("maria"), Some("rossi"), "maria grazia", "rossi"), N::Full);
        assert_eq!(name_agreement(Some("maria luisa"), Some("rossi"), "maria grazia", "rossi"), N::Nickname);
    }

    #[test]
    fn single_fields_are_tested_as_the_level_says() {
        assert!(field_test(&LevelTest::StartsWith, "delta insurance", "delta"));
        assert!(!field_test(&LevelTest::StartsWith, "deltas", "delta"));
        assert!(field_test(&LevelTest::SameLocalPart, "ada@x.it", "ada@y.com"));
        assert!(field_test(&LevelTest::Levenshtein(1), "totino", "torino"));
        assert!(field_test(&LevelTest::Nickname, "bob", "robert"));
        assert!(!field_test(&LevelTest::Exact, "a", "b"));
    }

    proptest! {
        #[test]
        fn no_names_make_it_panic(a in proptest::option::of(".{0,12}"), b in proptest::option::of(".{0,12}"), c in ".{0,12}", d in ".{0,12}") {
            let _any = name_agreement(a.as_deref(), b.as_deref(), &c, &d);
        }
    }
}
