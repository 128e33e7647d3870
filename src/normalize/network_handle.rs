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

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in ".{0,40}", handles in "((x|ig|li):@?[A-Za-z_.]{1,8}[ ,;]){0,4}") {
            for text in [raw, handles] {
                let once = clean(&text);
                prop_assert_eq!(clean(&once.join(" ")), once);
            }
        }
    }
}
