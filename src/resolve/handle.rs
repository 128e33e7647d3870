//! Handles read as people make them: a name in one of its usual spellings, a word around it, digits behind it.

use super::cell::each;
use super::{HandleAgreement, Reuse};
use crate::normalize::{formal_names, short_names, without_handle_words};
use memchr::memmem;
use std::borrow::Cow;

/// What stands after the network of `network:handle`, without the host of a federated handle.
pub(super) fn bare(handle: &str) -> &str {
    let handle = handle.split_once(':').map_or(handle, |(_, handle)| handle);
    handle.split_once('@').map_or(handle, |(user, _)| user)
}

/// What stands before the `@` of an address.
pub(super) fn local_part(email: &str) -> &str {
    email.split_once('@').map_or(email, |(local, _)| local)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

/// A name part as handles spell it: letters only.
pub(super) fn spelled(name: &str) -> Cow<'_, str> {
    if name.chars().all(char::is_alphabetic) { name.into() } else { letters(name).into() }
}

/// The last run of digits.
fn number(text: &str) -> &str {
    let end = text.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
    let digits = text.get(..end).unwrap_or_default();
    let start = digits
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + digits.get(at..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8));
    digits.get(start..).unwrap_or_default()
}

fn without_marks(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric())
}

/// A handle taken apart once, to be compared with many customers.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    whole: String,
    number: String,
    spellings: Vec<String>,
}

impl Handle {
    pub(super) fn new(handle: &str) -> Self {
        let whole = bare(handle).to_owned();
        let mut spellings = vec![letters(&whole)];
        if let Some(read) = digits_as_letters(&whole) {
            spellings.push(read);
        }
        for at in 0..spellings.len() {
            if let Some(inner) = spellings.get(at).and_then(|s| without_handle_words(s)).map(str::to_owned) {
                spellings.push(inner);
            }
        }
        spellings.retain(|s| s.chars().count() >= 3);
        Self { number: number(&whole).to_owned(), whole, spellings }
    }

    /// What the letters may spell.
    pub(super) fn spellings(&self) -> &[String] {
        &self.spellings
    }

    /// How the letters stand to a name; both parts as [`spelled`] gives them.
    pub(super) fn agreement(&self, given: &str, family: &str) -> HandleAgreement {
        self.spellings.iter().map(|s| agreement(s, given, family)).min().unwrap_or(HandleAgreement::Unrelated)
    }

    /// What of it comes back in other accounts; `None` where there is nothing to compare. `name` is the customer's, as [`spelled`] gives it.
    pub(super) fn reuse(
        &self,
        handles: Option<&str>,
        email: Option<&str>,
        birth_date: Option<&str>,
        name: Option<(&str, &str)>,
    ) -> Option<Reuse> {
        let others = || handles.into_iter().flat_map(each).map(bare).chain(email.map(local_part));
        let numbered = self.number.len() >= 2;
        if others().any(|other| without_marks(other).eq(without_marks(&self.whole))) {
            let made_up = name.is_some_and(|(given, family)| self.agreement(given, family) == HandleAgreement::Unrelated);
            return Some(if made_up {
                Reuse::WholeMadeUp
            } else if numbered {
                Reuse::WholeWithDigits
            } else {
                Reuse::Whole
            });
        }
        if !numbered {
            return others().next().map(|_| Reuse::Nothing);
        }
        if others().any(|other| number(other) == self.number) {
            return Some(if self.number.len() >= 3 { Reuse::LongNumber } else { Reuse::ShortNumber });
        }
        let year = birth_date.and_then(|date| date.get(..4));
        if year.is_some_and(|year| self.number == year || (self.number.len() == 2 && year.ends_with(&self.number))) {
            return Some(Reuse::BirthYear);
        }
        (year.is_some() || others().next().is_some()).then_some(Reuse::OtherNumber)
    }
}

/// `j0hnsm1th` read as `johnsmith`: a single 0 or 1 after a letter stands for o or i.
fn digits_as_letters(whole: &str) -> Option<String> {
    let chars: Vec<char> = whole.chars().collect();
    let mut read = String::with_capacity(whole.len());
    let mut changed = false;
    for (i, c) in chars.iter().enumerate() {
        let neighbour = |at: Option<usize>| at.and_then(|at| chars.get(at)).copied();
        let (before, after) = (neighbour(i.checked_sub(1)), neighbour(i.checked_add(1)));
        let letter = match c {
            '0' => Some('o'),
            '1' => Some('i'),
            _ => None,
        };
        let alone = !before.is_some_and(|c| c.is_ascii_digit()) && !after.is_some_and(|c| c.is_ascii_digit());
        match letter.filter(|_| alone && before.or(after).is_some_and(char::is_alphabetic)) {
            Some(letter) => {
                changed = true;
                read.push(letter);
            }
            None if c.is_alphabetic() => read.push(*c),
            None => {}
        }
    }
    changed.then_some(read)
}

fn agreement(spelling: &str, given: &str, family: &str) -> HandleAgreement {
    let initial = |name: &str| name.chars().next();
    let long = |name: &str| name.chars().nth(1).is_some();
    if !long(family) {
        return HandleAgreement::Unrelated;
    }
    // What is left of the handle on either side of the family name.
    let before = spelling.strip_suffix(family);
    let after = spelling.strip_prefix(family);
    let is_given = |rest: &str| long(given) && (rest == given || short_names(given).contains(&rest) || formal_names(given).contains(&rest));
    if before.is_some_and(is_given) || after.is_some_and(is_given) {
        return HandleAgreement::Full;
    }
    if long(given)
        && let Some(middle) = before.and_then(|rest| rest.strip_prefix(given))
        && middle.chars().count() == 1
    {
        return HandleAgreement::Full;
    }
    let is_initial = |rest: &str| rest.chars().count() == 1 && initial(rest) == initial(given) && initial(given).is_some();
    if before.is_some_and(is_initial) || after.is_some_and(is_initial) {
        return HandleAgreement::InitialFamily;
    }
    if long(given)
        && let Some(family_initial) = initial(family)
        && spelling.strip_suffix(family_initial).is_some_and(is_given)
    {
        return HandleAgreement::GivenInitial;
    }
    if family.chars().count() >= 4 && memmem::find(spelling.as_bytes(), family.as_bytes()).is_some() {
        HandleAgreement::HoldsFamily
    } else {
        HandleAgreement::Unrelated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_spellings_of_a_name_are_seen() {
        use HandleAgreement as H;
        for (handle, expected) in [
            ("x:ada.rossi", H::Full),
            ("x:rossi_ada84", H::Full),
            ("x:adamrossi71", H::Full),
            ("x:iamada.rossi", H::Full),
            ("x:therealadarossi", H::Full),
            ("x:ada_r0ssi", H::Full),
            ("x:ar0ss1", H::InitialFamily),
            ("x:arossi12", H::InitialFamily),
            ("x:rossia", H::InitialFamily),
            ("x:adar71", H::GivenInitial),
            ("x:rossifan", H::HoldsFamily),
            ("mastodon:ada.rossi@social.example", H::Full),
            ("x:shadowkid101", H::Unrelated),
            ("x:", H::Unrelated),
        ] {
            assert_eq!(Handle::new(handle).agreement("ada", "rossi"), expected, "{handle}");
        }
        assert_eq!(Handle::new("x:beckyjacoby72").agreement("rebecca", "jacoby"), H::Full);
    }

    #[test]
    fn what_comes_back_in_other_accounts_is_seen() {
        let handle = Handle::new("x:ada.rossi84");
        let name = Some(("ada", "rossi"));
        assert_eq!(handle.reuse(Some("linkedin:adarossi84"), None, None, name), Some(Reuse::WholeWithDigits));
        assert_eq!(handle.reuse(None, Some("ada.rossi84@x.it"), None, name), Some(Reuse::WholeWithDigits));
        assert_eq!(handle.reuse(None, Some("arossi84@x.it"), None, name), Some(Reuse::ShortNumber));
        assert_eq!(handle.reuse(None, Some("arossi@x.it"), Some("1984-02-01"), name), Some(Reuse::BirthYear));
        assert_eq!(handle.reuse(None, None, Some("1985-02-01"), name), Some(Reuse::OtherNumber));
        assert_eq!(handle.reuse(None, None, None, name), None);
        assert_eq!(Handle::new("x:ada417").reuse(None, Some("rossi417@x.it"), None, name), Some(Reuse::LongNumber));
        assert_eq!(Handle::new("x:adarossi").reuse(Some("reddit:adarossi"), None, None, name), Some(Reuse::Whole));
        assert_eq!(Handle::new("x:adarossi").reuse(None, Some("ada84@x.it"), None, name), Some(Reuse::Nothing));
        assert_eq!(Handle::new("x:neon.gamer605").reuse(Some("instagram:neongamer605"), None, None, name), Some(Reuse::WholeMadeUp));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(handle in ".{0,30}", given in ".{0,8}", family in ".{0,8}", other in ".{0,20}") {
            let handle = Handle::new(&handle);
            let _any = (handle.agreement(&given, &family), handle.reuse(Some(&other), Some(&other), Some(&other), Some((&given, &family))));
        }
    }
}
