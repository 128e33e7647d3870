//! `customers` and `identities`: declared fields, related records, the guard.

use super::codes::{BAD_FIELD, HANDLE_WITHOUT_NETWORK, UNKNOWN_SECTION};
use super::format::{CLEANERS, FINDERS};
use super::reading::{Reading, meant, position_of};
use super::{Guard, RelatedSpec, Surroundings};
use crate::declare::yaml::{Entry, Node};
use crate::normalize::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart, RelatedColumn, SAID};
use std::sync::Arc;

/// Members of an actor that profiles are usually made of, for the nearest-word hint.
const ACTOR_PATHS: [&str; 8] = [
    "network",
    "actor.name",
    "actor.preferredUsername",
    "actor.summary",
    "actor.url",
    "actor.location.name",
    "actor.published",
    "actor.icon.url",
];

/// Which side a field is declared on.
enum Side<'a> {
    /// With the columns of related records that fields read so far, and the sets that there are.
    Customers {
        related: &'a mut Vec<RelatedColumn>,
        sets: &'a [&'a str],
    },
    Identities,
}

impl Reading<'_> {
    /// `customers`, as far as fields go.
    pub(super) fn customer_fields(&mut self, node: &Node) -> Option<CustomerFields> {
        let (mut columns, mut related) = (Vec::new(), Vec::new());
        let sets: Vec<&str> = node.get("related").map(Node::entries).unwrap_or_default().iter().map(|entry| &*entry.key).collect();
        let fields = self.fields(node.get("fields")?, &mut columns, Side::Customers { related: &mut related, sets: &sets });
        Some(CustomerFields {
            related,
            key: node.get("key")?.shared_text()?,
            merged_into: node.get("merged_into").and_then(Node::shared_text),
            columns,
            fields,
        })
    }

    /// `identities`.
    pub(super) fn identity_fields(&mut self, node: &Node) -> Option<IdentityFields> {
        let mut paths = Vec::new();
        let fields = self.fields(node.get("fields")?, &mut paths, Side::Identities);
        Some(IdentityFields { paths, fields })
    }

    fn fields(&mut self, node: &Node, columns: &mut Vec<Arc<str>>, mut side: Side<'_>) -> Vec<Field> {
        node.entries()
            .iter()
            .map(|entry| {
                // A field with a fault is declared all the same: what names it has none.
                self.field(entry, columns, &mut side).unwrap_or_else(|| Field {
                    name: entry.key.clone(),
                    from: Vec::new(),
                    extract: Extract::Clean(Cleaner::Text),
                    optional: false,
                })
            })
            .collect()
    }

    fn field(&mut self, entry: &Entry, columns: &mut Vec<Arc<str>>, side: &mut Side<'_>) -> Option<Field> {
        self.refuse_sensitive(&entry.key, entry.key_span);
        let of_identity = matches!(side, Side::Identities);
        if of_identity && &*entry.key == "id" {
            self.error(BAD_FIELD, entry.key_span, "`id` is the identity's stable id already", "Call the field something else");
        }
        let from_node = entry.value.get("from")?;
        let of = self.related_set(entry, side)?;
        let mut from = Vec::new();
        for source in from_node.list_or_one() {
            let text = source.text()?;
            if of_identity && text != "network" && text != SAID && text.strip_prefix("actor.").is_none_or(str::is_empty) {
                self.error(
                    BAD_FIELD,
                    source.span,
                    format!("`{text}` is not a path of a profile"),
                    format!(
                        "Profiles are made of the actor: `actor.name`, `actor.summary`, …, `network`, and `{SAID}` for what it posts. {}",
                        meant(text, ACTOR_PATHS)
                    ),
                );
            }
            self.refuse_sensitive(text, source.span);
            if text == SAID && entry.value.get("find").is_none() {
                self.error(
                    BAD_FIELD,
                    source.span,
                    format!("`{}` takes whole posts", entry.key),
                    "Of posts only what is found in them is compared: write `find: number`, `find: emails`, …",
                );
            }
            from.push(match (&of, &mut *side) {
                (Some(set), Side::Customers { related, .. }) => related_column(columns, related, set, text),
                _ => position_of(columns, text),
            });
        }
        let extract = self.extract(entry, columns)?;
        if of_identity
            && extract == Extract::Clean(Cleaner::NetworkHandle)
            && !from_node.list_or_one().iter().any(|n| n.text() == Some("network"))
        {
            self.error(
                HANDLE_WITHOUT_NETWORK,
                from_node.span,
                format!("`{}` is a handle without its network", entry.key),
                "A handle counts only on its own network: write `from: [network, actor.preferredUsername]`",
            );
        }
        Some(Field {
            name: entry.key.clone(),
            from,
            extract,
            optional: entry.value.get("optional").and_then(Node::true_false).unwrap_or(false),
        })
    }

    /// The set of related records that a field is made from; `None` where there is a fault.
    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    fn related_set(&mut self, entry: &Entry, side: &Side<'_>) -> Option<Option<Arc<str>>> {
        let Some(of) = entry.value.get("of") else { return Some(None) };
        let name = of.text()?;
        let (message, remedy) = match side {
            Side::Customers { sets, .. } if sets.contains(&name) => return Some(Some(name.into())),
            Side::Customers { sets, .. } => (format!("`customers.related` has no `{name}`"), meant(name, sets.iter().copied())),
            Side::Identities => {
                ("only a customer has related records".to_owned(), "Remove `of`, or declare the field under `customers.fields`".to_owned())
            }
        };
        self.error(BAD_FIELD, of.span, message, remedy);
        None
    }

    fn extract(&mut self, entry: &Entry, columns: &mut Vec<Arc<str>>) -> Option<Extract> {
        let (clean, find) = (entry.value.entry("clean"), entry.value.entry("find"));
        if let (Some(_), Some(find)) = (clean, find) {
            self.error(
                BAD_FIELD,
                find.key_span,
                format!("`{}` has `clean` and `find`", entry.key),
                "Keep one: what is found is cleaned by itself",
            );
        }
        if let Some(find) = find {
            return Some(Extract::Find(finder(find.value.text()?)?));
        }
        let Some(clean) = clean else { return Some(Extract::Clean(Cleaner::Text)) };
        if let Some(word) = clean.value.text() {
            return Some(Extract::Clean(cleaner(word)?));
        }
        let settings = clean.value.entries();
        let [setting] = settings else {
            self.error(
                BAD_FIELD,
                clean.key_span,
                format!("`clean` of `{}` must name exactly one cleaner", entry.key),
                "Write `clean: { person_name: given }` or `clean: email`",
            );
            return None;
        };
        let mut region = || {
            let column = setting.value.get("region_from")?.shared_text()?;
            position_of(columns, &column);
            Some(column)
        };
        Some(Extract::Clean(match &*setting.key {
            "person_name" => Cleaner::PersonName(match setting.value.text()? {
                "given" => NamePart::Given,
                "family" => NamePart::Family,
                "full" => NamePart::Full,
                "middle" => NamePart::Middle,
                _ => return None,
            }),
            "phone" => Cleaner::Phone { region_from: Some(region()?) },
            "e164" => Cleaner::E164 { region_from: Some(region()?) },
            "date" => Cleaner::Date { region_from: Some(region()?) },
            _ => return None,
        }))
    }

    /// `customers.related`.
    pub(super) fn related(&mut self, node: &Node, surroundings: Option<&Surroundings>) -> Vec<RelatedSpec> {
        let mut out = Vec::new();
        for entry in node.entries() {
            if let (Some(around), Some(from)) = (surroundings, entry.value.get("from"))
                && let Some(name) = from.text()
                && !around.related.iter().any(|r| &**r == name)
            {
                self.error(
                    UNKNOWN_SECTION,
                    from.span,
                    format!("the configuration has no `[related.{name}]`"),
                    meant(name, around.related.iter().map(|r| &**r)),
                );
            }
            let spec = (|| {
                Some(RelatedSpec {
                    name: entry.key.clone(),
                    from: entry.value.get("from")?.shared_text()?,
                    by: entry.value.get("by")?.shared_text()?,
                    last: entry.value.get("last")?.whole()?,
                })
            })();
            out.extend(spec);
        }
        out
    }
}

/// The place of a column of related records among the customers' columns.
fn related_column(columns: &mut Vec<Arc<str>>, related: &mut Vec<RelatedColumn>, set: &str, column: &str) -> usize {
    let at = position_of(columns, &format!("{set}.{column}"));
    if !related.iter().any(|known| known.at == at) {
        related.push(RelatedColumn { at, set: set.into(), column: column.into() });
    }
    at
}

/// `customers.guard`: where nothing is said, 2 % of the customers and 1 % of the links.
pub(super) fn guard(node: Option<&Node>) -> Guard {
    let share = |key: &str| node.and_then(|n| n.get(key)).and_then(Node::percent);
    Guard { retire: share("retire").unwrap_or(0.02), relink: share("relink").unwrap_or(0.01) }
}

fn cleaner(word: &str) -> Option<Cleaner> {
    debug_assert!(CLEANERS.len() == 10, "a cleaner of the format is read here");
    Some(match word {
        "text" => Cleaner::Text,
        "email" => Cleaner::Email,
        "phone" => Cleaner::Phone { region_from: None },
        "place" => Cleaner::Place,
        "organisation" => Cleaner::Organisation,
        "date" => Cleaner::Date { region_from: None },
        "network_handle" => Cleaner::NetworkHandle,
        "postal_code" => Cleaner::PostalCode,
        "country" => Cleaner::Country,
        "site" => Cleaner::Site,
        _ => return None,
    })
}

fn finder(word: &str) -> Option<Finder> {
    debug_assert!(FINDERS.len() == 8, "a finder of the format is read here");
    Some(match word {
        "email" => Finder::Email,
        "phone" => Finder::Phone,
        "organisation" => Finder::Organisation,
        "birth_date" => Finder::BirthDate,
        "network_handle" => Finder::NetworkHandle,
        "number" => Finder::Number,
        "emails" => Finder::Emails,
        "phones" => Finder::Phones,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_format_is_a_cleaner_or_a_finder() {
        assert!(CLEANERS.iter().all(|w| cleaner(w).is_some()));
        assert!(FINDERS.iter().all(|w| finder(w).is_some()));
    }
}
