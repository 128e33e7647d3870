//! What is said in a world: objects with creates, edits and deletes, some repeated, some late, some that no target takes.

use super::chance::Chance;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Accounts whose handle is on file.
pub(super) const CUSTOMERS: u64 = 4;

/// A story, told in files.
pub(super) struct Story {
    /// NDJSON, each appearing some time after the one before.
    pub(super) files: Vec<String>,
    /// By object, what its newest version says; `None` where it was deleted.
    pub(super) newest: BTreeMap<String, Option<String>>,
    /// Objects of people whom nobody knows.
    pub(super) strangers: Vec<String>,
}

fn line(object: u64, account: u64, kind: &str, version: u64, body: &str) -> Json {
    let at = format!("2026-09-{:02}T{:02}:{:02}:00Z", 1 + version / 1_440, version / 60 % 24, version % 60);
    let id = format!("https://x.example/notes/{object}");
    let content = if kind == "Delete" {
        json!({ "type": "Tombstone", "id": id, "deleted": at })
    } else {
        json!({ "type": "Note", "id": id, "content": body, "published": "2026-09-01T00:00:00Z", "updated": at })
    };
    json!({
        "@context": "https://www.w3.org/ns/activitystreams", "type": kind, "id": format!("{id}/{kind}/{version}"), "generator": "x",
        "actor": { "type": "Person", "id": format!("https://x.example/users/u{account}"), "preferredUsername": format!("handle{account}"), "name": "N" },
        "published": at, "to": ["https://www.w3.org/ns/activitystreams#Public"], "object": content
    })
}

impl Story {
    pub(super) fn tell(chance: &Chance) -> Self {
        let objects = chance.between(3, 14);
        let mut newest = BTreeMap::new();
        let mut strangers = Vec::new();
        let mut lines: Vec<(u64, String)> = Vec::new();
        for object in 0..objects {
            let account = chance.below(CUSTOMERS + 1);
            let id = format!("https://x.example/notes/{object}");
            let versions = chance.between(1, 4);
            let mut last = None;
            let mut place = chance.below(60);
            for version in 1..=versions {
                let kind = if version == 1 {
                    "Create"
                } else if version == versions && chance.one_in(4) {
                    "Delete"
                } else {
                    "Update"
                };
                let poison = if chance.one_in(12) { "poison " } else { "" };
                let body = format!("{poison}o{object} v{version}");
                last = (kind != "Delete").then(|| body.clone());
                let text = line(object, account, kind, version, &body).to_string();
                if chance.one_in(8) {
                    // Said again later.
                    lines.push((place + chance.below(40), text.clone()));
                }
                // Now and then an older version comes after a newer one.
                lines.push((if chance.one_in(10) { place + 30 } else { place }, text));
                place += chance.below(20);
            }
            if account == CUSTOMERS {
                strangers.push(id);
            } else {
                newest.insert(id, last);
            }
        }
        if chance.one_in(2) {
            lines.push((chance.below(60), "{ no json".to_owned()));
        }
        lines.sort();
        let files = chance.between(1, 4);
        let size = (lines.len() as u64).div_ceil(files);
        let mut told = Vec::new();
        let mut rest = lines.into_iter().peekable();
        while rest.peek().is_some() {
            told.push(rest.by_ref().take(usize::try_from(size).unwrap()).map(|(_, text)| text + "\n").collect());
        }
        Self { files: told, newest, strangers }
    }
}
