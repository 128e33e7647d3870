//! E-mail addresses: trimmed, lower case; found in text even where `@` and dots are written out.

use regex::{Captures, Regex};
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

/// Every address in a text, each once.
pub(super) fn find_all(raw: &str) -> Vec<String> {
    let text = spelled_out(raw);
    let mut found: Vec<String> = Vec::new();
    for address in pattern(&ADDRESS).iter().flat_map(|address| address.find_iter(&text)).filter_map(|found| clean(found.as_str())) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// The text without its addresses: their digits are no telephone number, their hosts no place of work.
pub(super) fn removed(raw: &str) -> String {
    let text = spelled_out(raw);
    match pattern(&ADDRESS) {
        Some(address) => address.replace_all(&text, " ").into_owned(),
        None => text,
    }
}

/// `ada [dot] rossi [at] host (dot) it` and `ada dot rossi at host dot it` as `ada.rossi@host.it`.
///
/// Without brackets the whole must be spelled, dot and a usual ending included: `nurse at apple.com` is where somebody works.
fn spelled_out(raw: &str) -> String {
    let (Some(at), Some(dot), Some(spelled), Some(word)) = (pattern(&AT), pattern(&DOT), pattern(&SPELLED), pattern(&DOT_WORD)) else {
        return raw.to_owned();
    };
    let text = dot.replace_all(&at.replace_all(raw, "@"), ".").into_owned();
    if !word.is_match(&text) {
        return text;
    }
    let address = |found: &Captures<'_>| {
        let part = |name: &str| word.replace_all(found.name(name).map_or("", |m| m.as_str()), ".").into_owned();
        format!("{}@{}", part("local"), part("host"))
    };
    spelled.replace_all(&text, address).into_owned()
}

type Pattern = LazyLock<Option<Regex>>;

static ADDRESS: Pattern = LazyLock::new(|| Regex::new(r"(?i)[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+").ok());
static AT: Pattern = LazyLock::new(|| Regex::new(r"(?i)\s*[\[({<]\s*(?:at|a|ät|@|chiocciola|arroba|arobase)\s*[\])}>]\s*").ok());
static DOT: Pattern = LazyLock::new(|| Regex::new(r"(?i)\s*[\[({<]\s*(?:dot|d0t|punto|punkt|point|ponto|\.)\s*[\])}>]\s*").ok());
static DOT_WORD: Pattern = LazyLock::new(|| Regex::new(r"(?i)[\s_]+(?:dot|punto|punkt|point|ponto)[\s_]+").ok());
static SPELLED: Pattern = LazyLock::new(|| {
    Regex::new(
        r"(?ix)\b
        (?<local> [\p{L}\p{N}.%+'-]+ (?: [\s_]+(?:dot|punto|punkt|point|ponto)[\s_]+ [\p{L}\p{N}.%+'-]+ )* )
        [\s_]+ (?: at | ät | chiocciola | arroba | arobase ) [\s_]+
        (?<host> (?: [\p{L}\p{N}-]+ [\s_]+(?:dot|punto|punkt|point|ponto)[\s_]+ )+ (?: com|net|org|info|edu|io|me|eu|uk|it|de|fr|es|pt|br|nl|ch|us|ie ) )
        \b",
    )
    .ok()
});

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
            "write me: ada.rossi at libero dot it",
            "Ada Dot Rossi AT Libero DOT It",
            "ada punto rossi chiocciola libero punto it, ciao",
            "ada_dot_rossi_at_libero_dot_it",
            "ada.rossi {a} libero {d0t} it",
        ] {
            assert_eq!(find(bio).as_deref(), Some("ada.rossi@libero.it"), "{bio}");
        }
        for bio in ["@ Apex • gardening • ig: @ada", "nurse at apple.com", "good at polka dot dresses", "Engineer at Apex dot, chess"] {
            assert_eq!(find(bio), None, "{bio}");
        }
        assert_eq!(find_all("me: ada@x.it, work b@y.com (not ADA@x.it)"), ["ada@x.it", "b@y.com"]);
        assert!(find_all("nurse at apple.com").is_empty());
        assert_eq!(find("ada at bt dot co dot uk").as_deref(), Some("ada@bt.co.uk"));
        assert_eq!(removed("a ada@x.it b").split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn every_pattern_compiles() {
        assert!([&ADDRESS, &AT, &DOT, &DOT_WORD, &SPELLED].into_iter().all(|p| pattern(p).is_some()));
    }

    proptest! {
        #[test]
        fn however_an_address_is_hidden_it_is_the_same(
            local in "[a-z]{1,8}(\\.[a-z]{1,8})?", host in "[a-z]{2,8}", how in 0_usize..6,
        ) {
            prop_assume!(!["at", "dot", "punto", "punkt", "point", "ponto"].iter().any(|word| local.split('.').any(|part| part == *word) || host == *word));
            let address = format!("{local}@{host}.com");
            let (at, dot) = [("@", "."), (" [at] ", " [dot] "), ("(at)", "(.)"), (" at ", " dot "), ("_at_", "_dot_"), (" chiocciola ", " punto ")][how];
            let hidden = address.replace('.', dot).replace('@', at);
            prop_assert_eq!(find(&format!("chess | {hidden} | art")), Some(address));
        }

        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}", local in "[a-zA-Z.]{1,8}", host in "[a-z]{1,8}") {
            for text in [raw, format!("{local}@{host}.it")] {
                drop((find(&text), removed(&text)));
                if let Some(once) = clean(&text) {
                    prop_assert_eq!(clean(&once), Some(once));
                }
            }
        }
    }
}
