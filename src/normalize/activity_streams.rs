//! One line of Activity Streams 2.0 becomes an [`Activity`], or a reason why not. Pure: bytes in, values out.
//!
//! Tolerant where the standard is (a member may be text, an object, a link or a list of them; IRIs may be compact), strict where a guess
//! could put words into a person's mouth or a private message into a CRM:
//!
//! - *Audience.* Public where `to` or `cc` holds the public collection; limited where any collection is addressed (a `/followers` IRI,
//!   a Collection object, the public collection in `bto`, `bcc` or `audience`); else direct. An activity that addresses nobody takes its object's
//!   addressees; where these lack too, the standard leaves the audience to the server, and the safe reading is direct: it stays out unless a mapping lists it.
//! - *Identity.* The whole of `actor.id`. The profile holds only the paths that the mapping declares; an actor given as a bare id shows
//!   nothing, so its profile has no fields: that is "not told", not "empty now".
//! - *Times.* RFC 3339 with an offset. A bad one anywhere in the activity or its object is an error, also where it would not be used.
//! - *Network.* The source's declaration, else `generator`, else the host of `actor.id` (the label before the top-level one).
//!   The last two are the line's own word: declare the network of a source that strangers can write to.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

mod html;
mod malformed;
mod tree;
mod write;

pub use malformed::Malformed;
pub use write::to_line;

use super::IdentityFields;
use crate::model::{Activity, Audience, Identity, IdentityId, Network, Object, Personal, Profile, Timestamp, Value, Verb};
use std::sync::Arc;
use tree::{Members, Node};

/// The longest line that is read: 1 MiB. A long post with its profile has some 10 KiB; the longest article bodies seen in the wild stay under 500 KiB.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The longest id: 2,048 bytes, the longest URL that browsers and search engines agree on. Ids become keys of rows in several systems.
pub const MAX_ID_BYTES: usize = 2_048;

/// The most values that one declared path gathers from lists.
const MAX_VALUES: usize = 64;

/// Types of objects that are actors: an Update of one changes a profile, not something said.
const ACTOR_TYPES: &[&str] = &["Application", "Group", "Organization", "Person", "Service"];

/// Reads lines of one source for one mapping. Built once; shared by threads.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Declared paths, sorted, each once, with their steps.
    paths: Vec<(Arc<str>, Vec<Box<str>>)>,
    network: Option<Network>,
}

impl Reader {
    /// A reader that keeps the declared profile paths; `network` is the source's declaration.
    pub fn new(fields: &IdentityFields, network: Option<Network>) -> Self {
        let mut paths: Vec<_> = fields
            .paths
            .iter()
            .filter(|path| !matches!(path.as_ref(), "network" | super::SAID))
            .map(|path| (path.clone(), path.split('.').map(Box::from).collect()))
            .collect();
        paths.sort();
        paths.dedup();
        Self { paths, network }
    }

    /// Reads a line without its line end.
    ///
    /// # Errors
    /// Why the line is parked.
    pub fn parse(&self, line: &[u8]) -> Result<Activity, Malformed> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Malformed::TooLong { bytes: u64::try_from(line.len()).unwrap_or(u64::MAX) });
        }
        let text = std::str::from_utf8(line).map_err(|error| match error.error_len() {
            // A line cut off inside a character is cut off, whatever the encoding.
            None => Malformed::CutOff,
            Some(_) => Malformed::NotUtf8 { at: error.valid_up_to() + 1 },
        })?;
        match tree::read(text)? {
            Node::Object(activity) => self.activity(&activity),
            other => Err(Malformed::NotAnObject { found: other.kind() }),
        }
    }

    fn activity(&self, line: &Members<'_>) -> Result<Activity, Malformed> {
        let verb = verb(line)?;
        let (actor, actor_members) = actor(line)?;
        let id = required_id(line, "id")?;
        let (object, object_members) = object(line, verb)?;
        let network = self.network(line, &actor)?;
        let published = [
            time(Some(line), "published", "published")?,
            match verb {
                Verb::Create => object.published,
                Verb::Update => object.updated.or(object.published),
                Verb::Delete => object.deleted.or(object.updated).or(object.published),
            },
        ];
        let published = published.into_iter().flatten().next().ok_or(Malformed::Missing { member: "published" })?;
        let audience = audience(line, object_members)?;
        let fields = if actor_members.is_some() { self.profile(line) } else { Vec::new() };
        let conversation = [
            reference(Some(line), "conversation", "conversation")?,
            reference(Some(line), "context", "context")?,
            reference(object_members, "conversation", "object.conversation")?,
            reference(object_members, "context", "object.context")?,
        ];
        Ok(Activity {
            id,
            verb,
            network,
            published,
            actor: Identity {
                id: IdentityId { network, id: actor },
                profile: Profile { as_of: published, audience, fields: Personal::new(fields) },
            },
            audience,
            conversation: conversation.into_iter().flatten().next(),
            object,
        })
    }

    fn network(&self, line: &Members<'_>, actor: &str) -> Result<Network, Malformed> {
        if let Some(network) = self.network {
            return Ok(network);
        }
        let generator = match line.get("generator") {
            None => None,
            Some(Node::Text(name)) => name.parse().ok(),
            Some(Node::Object(application)) => match application.get("name") {
                Some(Node::Text(name)) => name.parse().ok(),
                _ => None,
            },
            Some(other @ (Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Number(_) | Node::List(_))) => {
                return Err(Malformed::WrongType { member: "generator", expected: "a name or an object with a name", found: other.kind() });
            }
        };
        generator.or_else(|| network_of_host(actor)).ok_or(Malformed::UnknownNetwork)
    }

    fn profile(&self, line: &Members<'_>) -> Vec<(Arc<str>, Value)> {
        let mut fields = Vec::with_capacity(self.paths.len());
        for (path, steps) in &self.paths {
            let mut values = Vec::new();
            gather(line, steps, &mut values);
            let value = if values.len() > 1 { Value::List(values.into()) } else { values.pop().unwrap_or_default() };
            if !value.is_missing() {
                fields.push((path.clone(), value));
            }
        }
        fields
    }
}

/// Follows the steps of a declared path; a list on the way is followed into each member.
fn gather(members: &Members<'_>, steps: &[Box<str>], values: &mut Vec<Value>) {
    let Some((step, further)) = steps.split_first() else { return };
    match members.get(step) {
        Some(node) => gather_node(node, step, further, values),
        None if further.is_empty() => {
            // Natural language members may come as a map by language; the author's first is taken.
            if let Some(Node::Object(map)) = members.get(&format!("{step}Map"))
                && let Some((_, node)) = map.0.first()
            {
                gather_node(node, step, further, values);
            }
        }
        None => {}
    }
}

fn gather_node(node: &Node<'_>, step: &str, further: &[Box<str>], values: &mut Vec<Value>) {
    let value = match node {
        Node::List(items) => return items.iter().take(MAX_VALUES).for_each(|item| gather_node(item, step, further, values)),
        Node::Object(members) => return gather(members, further, values),
        _ if !further.is_empty() => return,
        // These are HTML by the standard or by custom (`value` of a PropertyValue); a name is plain text.
        Node::Text(text) if write::is_html(step) => Value::text(html::text_of(text)),
        Node::Text(text) => Value::text(text),
        Node::Integer(number) => Value::Integer(*number),
        Node::Number(number) => Value::Number(*number),
        Node::Bool(truth) => Value::Bool(*truth),
        Node::Null => Value::Missing,
    };
    if !value.is_missing() && values.len() < MAX_VALUES {
        values.push(value);
    }
}

/// A type name without the namespace in its long or compact form.
fn local_name(name: &str) -> &str {
    ["https://www.w3.org/ns/activitystreams#", "http://www.w3.org/ns/activitystreams#", "as:"]
        .into_iter()
        .find_map(|namespace| name.strip_prefix(namespace))
        .unwrap_or(name)
}

/// The `type` of an object: every name in it.
fn types<'a>(members: &'a Members<'_>, member: &'static str) -> Result<Vec<&'a str>, Malformed> {
    let wrong = |node: &Node<'_>| Malformed::WrongType { member, expected: "a type name or a list of them", found: node.kind() };
    let text = |node: &'a Node<'_>| match node {
        Node::Text(name) => Ok(local_name(name)),
        other => Err(wrong(other)),
    };
    match members.first_of(&["type", "@type"]) {
        None => Ok(Vec::new()),
        Some((_, Node::List(items))) => items.iter().map(text).collect(),
        Some((_, node)) => text(node).map(|name| vec![name]),
    }
}

fn verb(line: &Members<'_>) -> Result<Verb, Malformed> {
    let names = types(line, "type")?;
    let known = [Verb::Create, Verb::Update, Verb::Delete].into_iter().find(|verb| names.contains(&verb.name()));
    known.ok_or_else(|| match names.first() {
        None => Malformed::Missing { member: "type" },
        Some(name) => Malformed::Unsupported { what: shown_type(name) },
    })
}

/// A type name as a message shows it: what is no plain word is hostile or personal, and is not repeated.
fn shown_type(name: &str) -> String {
    const LONGEST: usize = 40;
    if name.len() <= LONGEST && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        format!("the type `{name}`")
    } else {
        "a type outside Activity Streams".to_owned()
    }
}

/// The id of a member that may be an id, an object with an id, a link, or a list of one.
fn actor<'a, 'l>(line: &'a Members<'l>) -> Result<(Arc<str>, Option<&'a Members<'l>>), Malformed> {
    let node = match line.get("actor") {
        None => return Err(Malformed::MissingActor),
        Some(Node::List(items)) => match items.as_slice() {
            [] => return Err(Malformed::MissingActor),
            [one] => one,
            [_, _, ..] => return Err(Malformed::WrongType { member: "actor", expected: "one actor", found: "a list of several" }),
        },
        Some(node) => node,
    };
    match node {
        Node::Text(id) => Ok((checked_id(id, "actor")?, None)),
        Node::Object(members) => Ok((required_id(members, "actor.id")?, Some(members))),
        other => Err(Malformed::WrongType { member: "actor", expected: "an object or an id", found: other.kind() }),
    }
}

fn object<'a, 'l>(line: &'a Members<'l>, verb: Verb) -> Result<(Object, Option<&'a Members<'l>>), Malformed> {
    let node = match line.get("object") {
        None => return Err(Malformed::Missing { member: "object" }),
        Some(Node::List(items)) => match items.as_slice() {
            [] => return Err(Malformed::Missing { member: "object" }),
            [one] => one,
            [_, _, ..] => return Err(Malformed::WrongType { member: "object", expected: "one object", found: "a list of several" }),
        },
        Some(node) => node,
    };
    let members = match (node, verb) {
        (Node::Object(members), _) => members,
        (Node::Text(id), Verb::Delete) => {
            let object = Object {
                id: checked_id(id, "object")?,
                kind: "Tombstone".into(),
                content: Personal::default(),
                url: Personal::default(),
                published: None,
                updated: None,
                deleted: None,
                in_reply_to: None,
            };
            return Ok((object, None));
        }
        (Node::Text(_), Verb::Create | Verb::Update) => {
            return Err(Malformed::WrongType { member: "object", expected: "the object itself", found: "only an id" });
        }
        (other, _) => return Err(Malformed::WrongType { member: "object", expected: "an object", found: other.kind() }),
    };
    let names = types(members, "object.type")?;
    if verb != Verb::Delete
        && let Some(name) = names.iter().find(|name| ACTOR_TYPES.contains(name))
    {
        return Err(Malformed::Unsupported { what: format!("{} of a profile (`{name}`)", verb.name()) });
    }
    let object = Object {
        id: required_id(members, "object.id")?,
        kind: match names.first() {
            Some(name) if name.len() > MAX_ID_BYTES => return Err(Malformed::IdTooLong { member: "object.type", bytes: name.len() }),
            Some(name) => Arc::from(*name),
            None => "Object".into(),
        },
        content: Personal::new(content(members)?),
        url: Personal::new(link(members.get("url"))?),
        published: time(Some(members), "published", "object.published")?,
        updated: time(Some(members), "updated", "object.updated")?,
        deleted: time(Some(members), "deleted", "object.deleted")?,
        in_reply_to: reference(Some(members), "inReplyTo", "object.inReplyTo")?,
    };
    Ok((object, Some(members)))
}

fn content(object: &Members<'_>) -> Result<Option<Arc<str>>, Malformed> {
    let (member, node) = match object.first_of(&["content", "contentMap"]) {
        None => return Ok(None),
        Some(("contentMap", Node::Object(map))) => match map.0.iter().find(|(_, node)| !matches!(node, Node::Null)) {
            Some((_, node)) => ("object.contentMap", node),
            None => return Ok(None),
        },
        Some(("contentMap", other)) => {
            return Err(Malformed::WrongType {
                member: "object.contentMap",
                expected: "an object of texts by language",
                found: other.kind(),
            });
        }
        Some((_, node)) => ("object.content", node),
    };
    let Node::Text(text) = node else { return Err(Malformed::WrongType { member, expected: "text", found: node.kind() }) };
    // HTML unless the object says that it is something else.
    let plain = matches!(object.get("mediaType"), Some(Node::Text(media)) if !media.starts_with("text/html"));
    let text = if plain { text.as_ref().into() } else { html::text_of(text).into() };
    Ok(Some(text).filter(|text: &Arc<str>| !text.trim().is_empty()))
}

/// The first address of a `url` member: text, a Link with `href`, or a list of them, where one for people (`text/html`) goes before others.
fn link(node: Option<&Node<'_>>) -> Result<Option<Arc<str>>, Malformed> {
    let address = |node: &Node<'_>| -> Result<Option<Arc<str>>, Malformed> {
        match node {
            Node::Text(url) => Ok(Some(Arc::from(url.as_ref()))),
            Node::Object(link) => match link.get("href") {
                Some(Node::Text(url)) => Ok(Some(Arc::from(url.as_ref()))),
                None => Ok(None),
                Some(other) => Err(Malformed::WrongType { member: "object.url.href", expected: "text", found: other.kind() }),
            },
            Node::Null => Ok(None),
            other => Err(Malformed::WrongType { member: "object.url", expected: "text, a Link or a list of them", found: other.kind() }),
        }
    };
    let for_people = |node: &&Node<'_>| matches!(node, Node::Object(link) if matches!(link.get("mediaType"), Some(Node::Text(media)) if media.starts_with("text/html")));
    let url = match node {
        None => return Ok(None),
        Some(Node::List(items)) => items.iter().find(for_people).or_else(|| items.first()).map_or(Ok(None), address)?,
        Some(node) => address(node)?,
    };
    match url {
        Some(url) if url.len() > MAX_ID_BYTES => Err(Malformed::IdTooLong { member: "object.url", bytes: url.len() }),
        url => Ok(url.filter(|url| !url.trim().is_empty())),
    }
}

/// The id that a member refers to: text, an object with an id or a Link with `href`, or the first of a list.
fn reference(members: Option<&Members<'_>>, name: &str, member: &'static str) -> Result<Option<Arc<str>>, Malformed> {
    let Some(mut node) = members.and_then(|members| members.get(name)) else { return Ok(None) };
    if let Node::List(items) = node {
        match items.first() {
            Some(first) => node = first,
            None => return Ok(None),
        }
    }
    let id = match node {
        Node::Text(id) => Some(id),
        Node::Object(object) => match object.first_of(&["id", "@id", "href"]) {
            Some((_, Node::Text(id))) => Some(id),
            None => None,
            Some((_, other)) => return Err(Malformed::WrongType { member, expected: "an id", found: other.kind() }),
        },
        Node::Null => None,
        other => return Err(Malformed::WrongType { member, expected: "an id or an object with one", found: other.kind() }),
    };
    id.filter(|id| !id.trim().is_empty()).map(|id| checked_id(id, member)).transpose()
}

fn required_id(members: &Members<'_>, member: &'static str) -> Result<Arc<str>, Malformed> {
    match members.first_of(&["id", "@id"]) {
        Some((_, Node::Text(id))) => checked_id(id, member),
        None => Err(Malformed::Missing { member }),
        Some((_, other)) => Err(Malformed::WrongType { member, expected: "text", found: other.kind() }),
    }
}

fn checked_id(id: &str, member: &'static str) -> Result<Arc<str>, Malformed> {
    if id.trim().is_empty() {
        Err(Malformed::Missing { member })
    } else if id.len() > MAX_ID_BYTES {
        Err(Malformed::IdTooLong { member, bytes: id.len() })
    } else {
        Ok(id.into())
    }
}

/// A moment: RFC 3339, seconds optional as Activity Streams has it, the offset not.
fn time(members: Option<&Members<'_>>, name: &str, member: &'static str) -> Result<Option<Timestamp>, Malformed> {
    /// `2026-03-01T09:30:00.123456789+01:00` has 35 bytes.
    const LONGEST: usize = 40;
    match members.and_then(|members| members.get(name)) {
        None => Ok(None),
        // jiff reads more than RFC 3339: zone names in brackets, and dates without dashes.
        Some(Node::Text(text)) if text.len() <= LONGEST && !text.contains('[') && text.as_bytes().get(4) == Some(&b'-') => {
            text.parse().map(Some).map_err(|_source| Malformed::BadDate { member })
        }
        Some(_) => Err(Malformed::BadDate { member }),
    }
}

/// What an address in `to`, `cc`, … stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Addressee {
    Public,
    Collection,
    Person,
}

fn addressee(node: &Node<'_>, member: &'static str) -> Result<Addressee, Malformed> {
    let by_id = |id: &str| {
        if local_name(id) == "Public" {
            Addressee::Public
        } else if ["/followers", "/following", "/friends", "/members"].iter().any(|end| id.trim_end_matches('/').ends_with(end)) {
            Addressee::Collection
        } else {
            Addressee::Person
        }
    };
    match node {
        Node::Text(id) => Ok(by_id(id)),
        Node::Object(object) => {
            let id = match object.first_of(&["id", "@id", "href"]) {
                Some((_, Node::Text(id))) => by_id(id),
                None => Addressee::Person,
                Some((_, other)) => return Err(Malformed::WrongType { member, expected: "an id", found: other.kind() }),
            };
            let collection = types(object, member)?.iter().any(|name| name.ends_with("Collection") || name.ends_with("CollectionPage"));
            Ok(if collection && id == Addressee::Person { Addressee::Collection } else { id })
        }
        other => Err(Malformed::WrongType { member, expected: "ids or objects", found: other.kind() }),
    }
}

/// Who may see it; the rules stand at the top of this file.
fn audience(line: &Members<'_>, object: Option<&Members<'_>>) -> Result<Audience, Malformed> {
    const OPEN: [&str; 2] = ["to", "cc"];
    const CLOSED: [&str; 3] = ["bto", "bcc", "audience"];
    for addressed in [Some(line), object].into_iter().flatten() {
        let mut found = None;
        for (name, open) in OPEN.into_iter().map(|name| (name, true)).chain(CLOSED.into_iter().map(|name| (name, false))) {
            let nodes = match addressed.get(name) {
                None => continue,
                Some(Node::List(items)) => items.as_slice(),
                Some(node) => std::slice::from_ref(node),
            };
            for node in nodes {
                let audience = match (addressee(node, name)?, open) {
                    (Addressee::Public, true) => Audience::Public,
                    (Addressee::Public, false) | (Addressee::Collection, _) => Audience::Limited,
                    (Addressee::Person, _) => Audience::Direct,
                };
                // The enum's order is from wide to narrow: the widest addressee counts.
                found = Some(found.map_or(audience, |widest: Audience| widest.min(audience)));
            }
            found = found.or(Some(Audience::Direct));
        }
        if let Some(audience) = found {
            return Ok(audience);
        }
    }
    Ok(Audience::Direct)
}

/// The network whose name is the label before the top-level one: `twitter.com`, `www.twitter.com`, `mastodon.social`.
///
/// Only that label: in `linkedin.example.org` anybody may have made up the first.
fn network_of_host(actor: &str) -> Option<Network> {
    let (_, rest) = actor.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?.trim_end_matches('.');
    host.rsplit('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
