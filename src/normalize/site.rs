//! The name under which a person or company stands on the web: `royalfoods` from an address, an e-mail address, or the company's name.

use super::email;
use super::lookup::is_shared_host;
use super::organisation;
use super::text::fold;

/// Longest label of a host (RFC 1035).
const MOST_CHARS: usize = 63;

/// Endings of two parts under which anybody registers: `.co.uk`.
const SECOND_LEVEL: [&str; 9] = ["co", "com", "org", "net", "ac", "gov", "edu", "ne", "or"];

/// The registered name of a host, an address or an e-mail address; of a company's name the letters that its address would have.
/// Hosts that many share (mail providers, link pages, networks) name nobody.
pub(super) fn clean(raw: &str) -> Option<String> {
    let folded = fold(raw.trim());
    if let Some(address) = email::clean(&folded) {
        return of_host(address.rsplit('@').next().unwrap_or_default());
    }
    let (web, rest) = match folded.split_once("://") {
        Some((scheme, rest)) => (matches!(scheme, "http" | "https"), rest),
        None => (folded.starts_with("www."), folded.as_str()),
    };
    if folded.contains("://") && !web {
        return None;
    }
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    if web || (host.contains('.') && !host.contains(char::is_whitespace) && !rest.contains(char::is_whitespace)) {
        return of_host(host);
    }
    let squeezed: String = organisation::clean(raw)?.chars().filter(|c| c.is_alphanumeric()).collect();
    name(&squeezed)
}

fn of_host(host: &str) -> Option<String> {
    let host = host.strip_prefix("www.").unwrap_or(host).trim_end_matches('.');
    if host.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit())) || is_shared_host(host) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let at = match labels.as_slice() {
        [.., second, top] if labels.len() >= 3 && top.len() == 2 && SECOND_LEVEL.contains(second) => labels.len() - 3,
        [_, _, ..] => labels.len() - 2,
        _ => return None,
    };
    name(&labels.get(at)?.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
}

fn name(text: &str) -> Option<String> {
    (3..=MOST_CHARS).contains(&text.chars().count()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_company_has_one_name_on_the_web_wherever_it_is_written() {
        for raw in [
            "http://royalfoods.com",
            "https://www.royalfoods.co.uk/about?x=1",
            "www.royal-foods.it",
            "royalfoods.it",
            "shop.royalfoods.com",
            "ada.rossi@royalfoods.com",
            "Royal Foods S.r.l.",
            "ROYAL FOODS",
        ] {
            assert_eq!(clean(raw).as_deref(), Some("royalfoods"), "{raw}");
        }
        assert_eq!(clean("https://www.adarossi.com").as_deref(), Some("adarossi"));
    }

    #[test]
    fn what_many_share_names_nobody() {
        for raw in [
            "https://linktr.ee/ada",
            "ada@gmail.com",
            "ada@hotmail.co.uk",
            "http://127.0.0.1/x",
            "ftp://royalfoods.com",
            "",
            "-",
            "https://x.com/ada",
        ] {
            assert_eq!(clean(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_comes_out_stays(raw in ".{0,60}", host in "[a-z]{3,12}") {
            drop(clean(&raw));
            if let Some(once) = clean(&format!("https://www.{host}.com/x")) {
                prop_assert_eq!(clean(&once), Some(once));
            }
        }
    }
}
