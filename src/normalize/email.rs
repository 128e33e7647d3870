//! E-mail addresses: trimmed, lower case; found in text even where `@` and dots are written out.

use regex::Regex;
use std::sync::LazyLock;

/// Longest address (RFC 5321: 64 + 1 + 255, less what a path needs).
const MOST_CHARS: usize = 254;

/// `None` where this is no address.
pub(super) fn clean(raw: &str) -> Option<String> {
    let text = raw.trim();
    let text = text.rsplit_once('<').map_or(text, |(_, inner)| inner.trim_end_matches('>'));
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix("mailto:").unwrap_or(&text).trim_end_matches('.').to_owned();
    is_address(&text).then_some(text)
}

/// The first address in a text.
pub(super) fn find(raw: &str) -> Option<String> {
    pattern(&ADDRESS)?.find_iter(&spelled_out(raw)).find_map(|found| clean(found.as_str()))
}

/// The text without its addresses: their digits are no telephone number, their hosts no place of work.
pub(super) fn removed(raw: &str) -> String {
    let text = spelled_out(raw);
    match pattern(&ADDRESS) {
        Some(address) => address.replace_all(&text, " ").into_owned(),
        None => text,
    }
}

/// `ada [dot] rossi [at] host (dot) it` as `ada.rossi@host.it`.
fn spelled_out(raw: &str) -> String {
    let (Some(at), Some(dot)) = (pattern(&AT), pattern(&DOT)) else { return raw.to_owned() };
    dot.replace_all(&at.replace_all(raw, "@"), ".").into_owned()
}

type Pattern = LazyLock<Option<Regex>>;

static ADDRESS: Pattern = LazyLock::new(|| Regex::new(r"(?i)[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+").ok());
static AT: Pattern = LazyLock::new(|| Regex::new(r"(?i)\s*[\[({<]\s*(?:at|@|chiocciola)\s*[\])}>]\s*").ok());
static DOT: Pattern = LazyLock::new(|| Regex::new(r"(?i)\s*[\[({<]\s*(?:dot|punto|\.)\s*[\])}>]\s*").ok());

fn pattern(pattern: &'static Pattern) -> Option<&'static Regex> {
    pattern.as_ref()
}

fn is_address(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '-');
    text.len() <= MOST_CHARS
        && !local.is_empty()
        && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"@<>,;:()[]\"\\".contains(c))
        && host.contains('.')
        && host.split('.').all(word)
        && host.rsplit('.').next().is_some_and(|top| top.chars().count() >= 2 && !top.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_lower_case_and_junk_is_missing() {
        assert_eq!(clean(" KLINEJ24@GMAIL.COM ").as_deref(), Some("klinej24@gmail.com"));
        assert_eq!(clean("Ada Rossi <ada@rossi.it>").as_deref(), Some("ada@rossi.it"));
        assert_eq!(clean("mailto:ada@rossi.it").as_deref(), Some("ada@rossi.it"));
        for junk in ["", "none", "n/a", "@", "ada@", "@rossi.it", "ada@rossi", "ada rossi@x.it", "a@b@c d.it", "a@127.0.0.1"] {
            assert_eq!(clean(junk), None, "{junk}");
        }
    }

    #[test]
    fn addresses_are_found_where_people_hide_them() {
        for bio in [
            "Project manager / ✉ ada.rossi@libero.it",
            "contact: ada.rossi@libero.it. hiking. art",
            "DM or ada [dot] rossi [at] libero [dot] it | chess",
            "ada(dot)rossi(at)libero(dot)it",
            "Barista, ADA.ROSSI@LIBERO.IT, yoga",
        ] {
            assert_eq!(find(bio).as_deref(), Some("ada.rossi@libero.it"), "{bio}");
        }
        assert_eq!(find("@ Apex • gardening • ig: @ada"), None);
        assert_eq!(removed("a ada@x.it b").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn every_pattern_compiles() {
        assert!([&ADDRESS, &AT, &DOT].into_iter().all(|p| pattern(p).is_some()));
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}", local in "[a-zA-Z.]{1,8}", host in "[a-z]{1,8}") {
            for text in [raw, format!("{local}@{host}.it")] {
                drop(find(&text));
                if let Some(once) = clean(&text) {
                    prop_assert_eq!(clean(&once), Some(once));
                }
            }
        }
    }
}
