//! Handles with the network they belong to: `x:ada_rossi`.

use super::text::fold;
use crate::model::Network;

/// Longest handle of any network of the list (a DNS name on Bluesky: 253).
const MOST_CHARS: usize = 253;

/// Handles of one cell: more than this is no list of handles.
const MOST_HANDLES: usize = 32;

/// Each `network:handle` of a list separated by blanks, commas or semicolons, in order, each once. What names no known network is left out:
/// a handle counts only with its network.
pub(super) fn clean(raw: &str) -> Vec<String> {
    let mut handles: Vec<String> = Vec::new();
    for item in raw.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|item| !item.is_empty()) {
        if let Some((network, handle)) = item.split_once(':')
            && let Ok(network) = network.parse::<Network>()
            && let Some(handle) = pair(network, handle)
            && !handles.contains(&handle)
            && handles.len() < MOST_HANDLES
        {
            handles.push(handle);
        }
    }
    handles
}

/// Accounts that a text names together with their network: `ig: @ada`, `twitter @ada`, `insta/ada`; in order, each once.
///
/// Without the `@` a colon or slash must stand between, and the word must be a network's: `x marks` names nobody.
pub(super) fn find(raw: &str) -> Vec<String> {
    let text = super::email::removed(raw);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || matches!(c, '|' | '•' | ',' | ';' | '(' | ')')).filter(|w| !w.is_empty()).collect();
    let mut handles: Vec<String> = Vec::new();
    let mut add = |network: &str, handle: &str| {
        let handle = handle.trim_end_matches(['.', '!', '?']);
        if let Ok(network) = network.trim_end_matches(':').parse::<Network>()
            && let Some(handle) = pair(network, handle)
            && !handles.contains(&handle)
            && handles.len() < MOST_HANDLES
        {
            handles.push(handle);
        }
    };
    for (at, word) in words.iter().enumerate() {
        if let Some((network, handle)) = word.split_once([':', '/', '@'])
            && !handle.trim_start_matches(['/', '@']).is_empty()
        {
            add(network, handle);
        } else if let Some(handle) = words.get(at + 1).filter(|next| next.starts_with('@')) {
            add(word, handle);
        }
    }
    handles
}

/// A network and a handle that stand apart.
pub(super) fn pair(network: Network, handle: &str) -> Option<String> {
    let handle = fold(handle.trim().trim_start_matches('@'));
    let fits = !handle.is_empty() && handle.chars().count() <= MOST_CHARS;
    (fits && !handle.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '/')))
        .then(|| format!("{network}:{handle}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn aliases_of_a_network_and_case_make_no_difference() {
        assert_eq!(clean("twitter:@Ada_Rossi"), ["x:ada_rossi"]);
        assert_eq!(clean("X:ada_rossi"), ["x:ada_rossi"]);
        assert_eq!(clean("linkedin:@ada, ig:ada.r; fb:ada  linkedin:Ada"), ["linkedin:ada", "instagram:ada.r", "facebook:ada"]);
        assert_eq!(clean("mastodon:@ada@social.example"), ["mastodon:ada@social.example"]);
        assert_eq!(pair(Network::X, " @Daniela.Bianchi20 ").as_deref(), Some("x:daniela.bianchi20"));
    }

    #[test]
    fn a_handle_without_its_network_is_none() {
        for junk in ["", "@ada", "ada", "friendster:ada", "x:", "x:@"] {
            assert!(clean(junk).is_empty(), "{junk}");
        }
    }

    #[test]
    fn accounts_elsewhere_are_found_in_bios() {
        assert_eq!(find("nurse | ig: @Ada.Rossi | coffee"), ["instagram:ada.rossi"]);
        assert_eq!(find("twitter: @ada_rossi84. insta: @ada"), ["x:ada_rossi84", "instagram:ada"]);
        assert_eq!(find("x: @ada • ada@rossi.it"), ["x:ada"]);
        assert!(find("great at chess, x marks the spot, see: @ Apex, ig: , http://x.com").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_found_is_clean(bio in ".{0,60}", handle in "[A-Za-z0-9._]{1,12}") {
            for text in [bio.clone(), format!("{bio} ig: @{handle} end")] {
                let found = find(&text);
                prop_assert_eq!(clean(&found.join(" ")), found);
            }
        }

        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}", handles in "((x|ig|li):@?[A-Za-z_.]{1,8}[ ,;]){0,4}") {
            for text in [raw, handles] {
                let once = clean(&text);
                prop_assert_eq!(clean(&once.join(" ")), once);
            }
        }
    }
}
