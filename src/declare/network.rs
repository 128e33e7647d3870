//! Files about networks, `connectors/networks/*.yaml`: what a network asks of who uses its data, dated and cited (design §7).
//!
//! A mapping names the files of the networks that it reads (`policy.duties`). Both must accept a basis before anybody is matched on it; nothing
//! is kept longer than the network allows, and nothing that it denies is read, matched by or delivered.

use super::mapping::of_duties;
use super::shape::{self, Key, Record, Shape};
use super::yaml::{self, Node, Tree};
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, SourceFile};
use crate::model::{Display, Network};
use crate::policy::Duties;
use std::sync::Arc;
use std::time::Duration;

/// A date that is none.
const NO_DATE: Code = Code("KITH-M080");

/// Deletions are noticed by polling and told to a CRM: within less nobody can do it.
const LEAST_WITHIN: Duration = Duration::from_mins(1);
/// Longer is no duty.
const MOST_WITHIN: Duration = Duration::from_hours(365 * 24);

/// Most names, words and sources in one file.
const MOST: usize = 200;

/// A network's file.
pub static SHAPE: Shape = Shape::Record(&Record {
    doc: "What a network asks of who uses its data.",
    keys: &[
        Key::required("kith", Shape::Word(|| vec!["1"]), "1", "The version of the format."),
        Key::required("network", Shape::Word(networks), "x", "The network, by its own name."),
        Key::required("as_of", Shape::Text, "2026-11-27", "The day on which somebody last compared this file with the network's terms."),
        Key::required(
            "cites",
            Shape::List { of: &CITE, min: 1, max: MOST },
            "- { what: Developer Policy, where: \"https://developer.x.com/developer-terms/policy\" }",
            "Where the network says so.",
        ),
        Key::required(
            "accepts",
            Shape::List { of: &Shape::Name, min: 0, max: MOST },
            "[consent, provided_by_customer]",
            "Names of bases on which an account may be matched with a customer. None: nobody on this network is matched.",
        ),
        Key::optional(
            "deny",
            Shape::List { of: &DENIED, min: 0, max: MOST },
            "- { word: insolven*, because: financial distress may not be derived }",
            "What may not be read, matched by or delivered, beside what the law forbids everywhere (GDPR Art. 9).",
        ),
        Key::optional(
            "deletions_within",
            Shape::Duration,
            "24h",
            "How long after the author deleted or changed something the CRM must show it so; a minute at least, a year at most.",
        ),
        Key::optional("keep_at_most", Shape::Record(&KEPT), "{ profiles: 30d, activities: 30d }", "The longest that a mapping may keep."),
        Key::optional(
            "display",
            Shape::Record(&DISPLAY),
            "{ withheld: [actor.summary], text_at_most: 280, with_link: true }",
            "What may be written into a CRM and shown to people; matching and conditions read everything all the same.",
        ),
    ],
    others: None,
});

static CITE: Shape = Shape::Record(&Record {
    doc: "A source.",
    keys: &[
        Key::required("what", Shape::Text, "Developer Policy, Off-X matching", "The document and its section."),
        Key::required("where", Shape::Text, "\"https://developer.x.com/developer-terms/policy\"", "Its address."),
    ],
    others: None,
});

static DENIED: Shape = Shape::Record(&Record {
    doc: "What is denied.",
    keys: &[
        Key::required(
            "word",
            Shape::Text,
            "insolven*",
            "A word of a name (`*` at its end: what begins so), or a whole path such as `actor.location`.",
        ),
        Key::required("because", Shape::Text, "financial distress may not be derived", "Why, in a few words: the checker says it."),
    ],
    others: None,
});

static KEPT: Record = Record {
    doc: "The longest that each is kept.",
    keys: &[
        Key::optional("unlinked", Shape::Days, "7d", "What is known about people who are no customers."),
        Key::optional("profiles", Shape::Days, "30d", "Profiles of customers."),
        Key::optional("activities", Shape::Days, "30d", "What customers said."),
        Key::optional(
            "fields",
            Shape::Named { what: "a path", identifiers: false, of: &Shape::Days },
            "{ actor.summary: 7d }",
            "Paths of profiles (`actor.…`), which go after that; paths of posts (`object.…`) are kept as long as the posts.",
        ),
    ],
    others: None,
};

static DISPLAY: Record = Record {
    doc: "What may be shown.",
    keys: &[
        Key::optional(
            "withheld",
            Shape::List { of: &Shape::Text, min: 0, max: MOST },
            "[actor.summary]",
            "Paths of profiles and posts that are not shown, with all below them and what is made from them.",
        ),
        Key::optional("text_at_most", Shape::Whole { min: 1, max: 1_000_000 }, "280", "The most characters of what somebody said."),
        Key::optional("with_link", Shape::TrueFalse, "true", "Whether what somebody said is shown beside the address of the post alone."),
    ],
    others: None,
};

fn networks() -> Vec<&'static str> {
    Network::ALL.iter().map(|network| network.name()).collect()
}

/// A checked file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkFile {
    /// What decides who may be matched.
    pub duties: Duties,
    /// Words and paths that a mapping may not use, each with the reason.
    pub deny: Vec<(Arc<str>, Arc<str>)>,
    /// The longest that a mapping may keep: `unlinked`, `profiles`, `activities` and days.
    pub keep_at_most: Vec<(&'static str, u32)>,
    /// The longest that a mapping may keep a path of profiles or posts, in days.
    pub keep_fields: Vec<(Arc<str>, u32)>,
}

/// Reads a file about a network and tells everything that is wrong with it.
pub fn read(file: &Arc<SourceFile>) -> Checked<(NetworkFile, Tree)> {
    let mut checked = yaml::read(file);
    let Some(tree) = checked.value.take() else { return Checked { value: None, problems: checked.problems } };
    let mut problems = checked.problems;
    shape::check(&SHAPE, &tree, &mut problems);
    let found = lower(&tree, &mut problems);
    Checked::new(found.map(|found| (found, tree)), problems)
}

fn lower(tree: &Tree, problems: &mut Problems) -> Option<NetworkFile> {
    let root = &tree.root;
    let day = root.get("as_of")?;
    let as_of = day.shared_text()?;
    if as_of.parse::<jiff::civil::Date>().is_err() {
        let message = format!("`{as_of}` is no day");
        problems.push(Diagnostic::error(NO_DATE, tree.place(day.span), message, "Write it as `2026-11-27`"));
    }
    let accepts = root.get("accepts")?.list().iter().map(Node::shared_text).collect::<Option<_>>()?;
    let deny = root.get("deny").map(Node::list).unwrap_or_default();
    let deny = deny.iter().map(|denied| Some((denied.get("word")?.shared_text()?, denied.get("because")?.shared_text()?)));
    let deletions_within = root.get("deletions_within").and_then(|node| within(node, tree, problems));
    let display = root.get("display").map(|node| display(node, tree, problems));
    let fields = root.get("keep_at_most").and_then(|kept| kept.get("fields")).map(Node::entries).unwrap_or_default();
    for field in fields {
        is_path(&field.key, tree.place(field.key_span), problems);
    }
    let kept = |name: &'static str| Some((name, root.get("keep_at_most")?.get(name)?.days()?));
    Some(NetworkFile {
        duties: Duties {
            network: root.get("network")?.text()?.parse().ok()?,
            as_of,
            accepts,
            deletions_within,
            display,
            said: of_duties(root),
        },
        deny: deny.collect::<Option<_>>()?,
        keep_at_most: ["unlinked", "profiles", "activities"].into_iter().filter_map(kept).collect(),
        keep_fields: fields.iter().filter_map(|field| Some((field.key.clone(), field.value.days()?))).collect(),
    })
}

/// `display`, by paths.
fn display(node: &Node, tree: &Tree, problems: &mut Problems) -> Display {
    let withheld = node.get("withheld").map(Node::list).unwrap_or_default();
    for path in withheld {
        is_path(path.text().unwrap_or_default(), tree.place(path.span), problems);
    }
    Display {
        withheld: withheld.iter().filter_map(Node::shared_text).collect(),
        text_at_most: node.get("text_at_most").and_then(Node::whole),
        with_link: node.get("with_link").and_then(Node::true_false).unwrap_or_default(),
    }
}

/// Whether something is a path of profiles or posts, and no id: without its id nothing can be kept in step.
fn is_path(text: &str, place: Place, problems: &mut Problems) {
    let below = text.strip_prefix("actor.").or_else(|| text.strip_prefix("object."));
    if below.is_none_or(|below| below.is_empty() || below == "id") {
        let message = format!("`{text}` is no path of profiles or posts, or their id");
        problems.push(Diagnostic::error(shape::WRONG_VALUE, place, message, "Write it as `actor.summary` or `object.content`"));
    }
}

/// `deletions_within`, where it is a time that a service can keep.
fn within(node: &Node, tree: &Tree, problems: &mut Problems) -> Option<Duration> {
    let found = node.duration()?;
    if LEAST_WITHIN <= found && found <= MOST_WITHIN {
        return Some(found);
    }
    let message = format!("`deletions_within` must be from a minute to a year, not `{}`", node.text()?);
    problems.push(Diagnostic::error(
        shape::WRONG_VALUE,
        tree.place(node.span),
        message,
        "Write the time that the network's terms name, such as `24h`",
    ));
    None
}

/// The JSON Schema of these files.
pub fn schema() -> serde_json::Value {
    shape::schema(
        &SHAPE,
        "https://kith.example/schema/network-1.json",
        "Kith network",
        "Generated from the reader: do not edit. What a network asks of who uses its data.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Checked<(NetworkFile, Tree)> {
        read(&Arc::new(SourceFile { name: "x.yaml".into(), text: text.into() }))
    }

    const GOOD: &str = "kith: 1\nnetwork: x\nas_of: 2026-11-27\ncites: [{ what: Policy, where: \"https://x.example\" }]\naccepts: [consent]\n\
        deny: [{ word: actor.location, because: not for this }]\nkeep_at_most: { activities: 30d }\ndeletions_within: 24h\n";

    #[test]
    fn a_file_says_who_may_be_matched_what_is_denied_and_how_long_is_kept() {
        let (file, _) = read_text(GOOD).value.unwrap();
        assert_eq!((file.duties.network, &*file.duties.as_of), (Network::X, "2026-11-27"));
        assert_eq!(file.duties.accepts, ["consent".into()]);
        assert_eq!(file.deny, [("actor.location".into(), "not for this".into())]);
        assert_eq!(file.keep_at_most, [("activities", 30)]);
        assert_eq!(file.duties.deletions_within(), Some(Duration::from_hours(24)));
        let silent = read_text(&GOOD.replace("deletions_within: 24h\n", "")).value.unwrap().0;
        assert_eq!(silent.duties.deletions_within(), None);
    }

    #[test]
    fn every_fault_is_told() {
        let faulty = GOOD.replace("2026-11-27", "last spring").replace("network: x", "network: twitter").replace("30d", "a month");
        let codes: Vec<&str> = read_text(&faulty).problems.0.iter().map(|problem| problem.code.0).collect();
        assert_eq!(codes, ["KITH-M008", "KITH-M008", "KITH-M080"]);
        assert!(read_text(&GOOD.replace("cites: [{ what: Policy, where: \"https://x.example\" }]\n", "")).problems.has_errors());
    }

    #[test]
    fn what_may_be_shown_and_how_long_fields_are_kept_is_said_by_paths() {
        let more = "keep_at_most: { activities: 30d, fields: { actor.summary: 7d, object.content: 2d } }\n\
            display: { withheld: [actor.location], text_at_most: 280, with_link: true }\n";
        let text = GOOD.replace("keep_at_most: { activities: 30d }\n", more);
        let file = read_text(&text).value.unwrap().0;
        assert_eq!(file.keep_fields, [("actor.summary".into(), 7), ("object.content".into(), 2)]);
        let display = file.duties.display.unwrap();
        assert_eq!((display.withheld, display.text_at_most, display.with_link), (vec!["actor.location".into()], Some(280), true));
        for wrong in ["actor.id", "object.id", "summary", "actor.", "identity.email"] {
            for place in ["actor.summary", "actor.location"] {
                let problems = read_text(&text.replace(place, wrong)).problems;
                assert_eq!(problems.0.iter().map(|problem| problem.code.0).collect::<Vec<_>>(), ["KITH-M008"], "{wrong}");
            }
        }
    }

    #[test]
    fn a_time_for_deletions_is_one_that_can_be_kept() {
        for wrong in ["0s", "59s", "366d", "a day", "24"] {
            let checked = read_text(&GOOD.replace("24h", wrong));
            assert_eq!(checked.problems.0.iter().map(|problem| problem.code.0).collect::<Vec<_>>(), ["KITH-M008"], "{wrong}");
        }
        for (right, seconds) in [("1min", 60), ("365d", 31_536_000)] {
            let within = read_text(&GOOD.replace("24h", right)).value.unwrap().0.duties.deletions_within();
            assert_eq!(within, Some(Duration::from_secs(seconds)), "{right}");
        }
    }

    #[test]
    fn the_schema_for_editors_is_of_today() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/network.schema.json");
        let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if kept != fresh {
            std::fs::write(&path, &fresh).unwrap();
        }
        assert_eq!(kept, fresh, "connectors/network.schema.json was stale and is written anew: commit it");
    }
}
