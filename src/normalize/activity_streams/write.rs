//! An [`Activity`] as a line that reads back as itself.

use super::html;
use crate::model::{Activity, Audience, Value};
use serde_json::{Map, Value as Json, json};

/// Whether the text of this member is HTML.
pub(super) fn is_html(step: &str) -> bool {
    matches!(step, "summary" | "content" | "value")
}

/// One line of Activity Streams 2.0, without a line end, that [`Reader::parse`](super::Reader::parse) with the same declared paths reads as this activity.
///
/// Addressees are not kept, only what they amount to: a limited activity goes to a nameless collection, a direct one to nobody.
pub fn to_line(activity: &Activity) -> Vec<u8> {
    let mut line = Map::new();
    for (path, value) in activity.actor.profile.fields.reveal() {
        insert(&mut line, path, value);
    }
    let actor = line.entry("actor").or_insert_with(|| json!({}));
    if let Json::Object(actor) = actor {
        actor.insert("id".to_owned(), json!(&*activity.actor.id.id));
    }
    line.insert("@context".to_owned(), json!("https://www.w3.org/ns/activitystreams"));
    line.insert("type".to_owned(), json!(activity.verb.name()));
    line.insert("id".to_owned(), json!(&*activity.id));
    line.insert("generator".to_owned(), json!(activity.network.name()));
    line.insert("published".to_owned(), json!(activity.published.to_string()));
    let to = match activity.audience {
        Audience::Public => json!(["https://www.w3.org/ns/activitystreams#Public"]),
        Audience::Limited => json!([{ "type": "Collection" }]),
        Audience::Direct => json!([]),
    };
    line.insert("to".to_owned(), to);
    if let Some(conversation) = &activity.conversation {
        line.insert("conversation".to_owned(), json!(&**conversation));
    }
    let object = &activity.object;
    let slot = line.entry("object").or_insert_with(|| json!({}));
    if let Json::Object(members) = slot {
        members.insert("id".to_owned(), json!(&*object.id));
        members.insert("type".to_owned(), json!(&*object.kind));
        if let Some(content) = object.content.reveal() {
            members.insert("content".to_owned(), json!(&**content));
            members.insert("mediaType".to_owned(), json!("text/plain"));
        }
        for (name, text) in [("url", object.url.reveal()), ("inReplyTo", &object.in_reply_to)] {
            if let Some(text) = text {
                members.insert(name.to_owned(), json!(&**text));
            }
        }
        for (name, time) in [("published", object.published), ("updated", object.updated), ("deleted", object.deleted)] {
            if let Some(time) = time {
                members.insert(name.to_owned(), json!(time.to_string()));
            }
        }
    }
    Json::Object(line).to_string().into_bytes()
}

/// Puts a profile value where its path says; a place that is taken by another kind of value stays as it is.
fn insert(line: &mut Map<String, Json>, path: &str, value: &Value) {
    let mut steps = path.split('.').peekable();
    let mut members = line;
    while let Some(step) = steps.next() {
        if steps.peek().is_none() {
            let json = if is_html(step) { escaped(value) } else { value.to_json() };
            members.insert(step.to_owned(), json);
            return;
        }
        match members.entry(step).or_insert_with(|| json!({})) {
            Json::Object(inner) => members = inner,
            _ => return,
        }
    }
}

fn escaped(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(html::escape(text)),
        Value::List(items) => Json::Array(items.iter().map(escaped).collect()),
        other => other.to_json(),
    }
}
