//! Values by the form that their key wants: each complaint with its place.

use super::SecretSource;
use super::audit::ORIGIN;
use super::check::{Checker, Table, shown};
use super::codes::{BAD_NAME, BAD_PATH, EXCLUDE_EACH_OTHER, MISSING, NOT_LOOPBACK, OUTSIDE_LIMITS, PLAIN_SECRET, UNKNOWN_WORD, WRONG_FORM};
use super::keys::{Form, Key, Need, SECRET_KEYS};
use super::layers::{Data, Node};
use crate::diagnose::{Place, nearest};
use crate::model::Network;
use core::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

/// Linux refuses longer paths (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// A checkpoint is a few hundred bytes; its first line should not be most of it.
const LONGEST_ORIGIN: usize = 200;

/// Names with commas between.
pub(super) fn names(text: &str) -> Vec<Arc<str>> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect()
}

impl<'a> Checker<'a> {
    /// The text of a key's value, or its default; told where it is missing or no text.
    pub(super) fn text<'t>(&mut self, table: &'t Table<'a>, key: &'static Key) -> Option<(&'t str, Place)> {
        let Some(node) = table.values.get(key.name) else {
            return match key.need {
                Need::Default(text) => Some((text, table.place.clone())),
                Need::Optional(_) => None,
                Need::Required => {
                    if !self.broken {
                        let message = format!("{} lacks the key `{}`", table.title, key.name);
                        self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
                    }
                    None
                }
            };
        };
        match &node.data {
            Data::Text(text) => Some((text, node.place.clone())),
            Data::Integer(_) | Data::Switch(_) | Data::Table(_) | Data::Other(_) => {
                self.wrong_form(node, &format!("`{}`", key.name), "text in quotation marks");
                None
            }
        }
    }

    pub(super) fn path(&mut self, table: &Table<'a>, key: &'static Key) -> Option<PathBuf> {
        let (text, place) = self.text(table, key)?;
        let complaint = if text.trim().is_empty() {
            Some("is empty")
        } else if text.len() > LONGEST_PATH {
            Some("is longer than 4,096 bytes")
        } else if text.chars().any(char::is_control) {
            Some("holds a control character")
        } else if text.starts_with('~') || text.contains("${") {
            Some("holds `~` or `${…}`, which only a shell replaces")
        } else if text.contains("://") {
            Some("is an address, not a path")
        } else {
            None
        };
        if let Some(complaint) = complaint {
            let remedy = format!("write the path in full or relative to the project folder: `{} = {}`", key.name, key.example);
            self.error(BAD_PATH, &place, format!("the path `{}` {complaint}", key.name), remedy);
            return None;
        }
        Some(self.project.join(text))
    }

    pub(super) fn count(&mut self, table: &Table<'a>, key: &'static Key) -> Option<NonZeroU32> {
        let Form::Count(min, max) = key.form else { return None };
        let node = table.values.get(key.name);
        let number = match node.map(|n| &n.data) {
            None => match key.need {
                Need::Default(text) => text.parse().ok(),
                Need::Required | Need::Optional(_) => return None,
            },
            Some(Data::Integer(number)) => Some(*number),
            Some(Data::Text(text)) if node.is_some_and(|n| n.from_environment) => text.trim().parse::<i128>().ok(),
            Some(Data::Text(_) | Data::Switch(_) | Data::Table(_) | Data::Other(_)) => None,
        };
        let Some(number) = number else {
            if let Some(node) = node {
                self.wrong_form(node, &format!("`{}`", key.name), &format!("a whole number from {min} to {max}"));
            }
            return None;
        };
        let count = u32::try_from(number).ok().filter(|n| (min..=max).contains(n)).and_then(NonZeroU32::new);
        if count.is_none() {
            let place = node.map_or_else(|| table.place.clone(), |n| n.place.clone());
            let message = format!("`{}` is {number}; it must be from {min} to {max}", key.name);
            self.error(OUTSIDE_LIMITS, &place, message, format!("write a number from {min} to {max}, or remove the key"));
        }
        count
    }

    /// `true` or `false`, or the default.
    pub(super) fn switch(&mut self, table: &Table<'a>, key: &'static Key) -> Option<bool> {
        let Some(node) = table.values.get(key.name) else {
            return match key.need {
                Need::Default(text) => text.parse().ok(),
                Need::Required | Need::Optional(_) => None,
            };
        };
        match &node.data {
            Data::Switch(on) => Some(*on),
            Data::Text(text) if node.from_environment && text.trim() == "true" => Some(true),
            Data::Text(text) if node.from_environment && text.trim() == "false" => Some(false),
            Data::Text(_) | Data::Integer(_) | Data::Table(_) | Data::Other(_) => {
                self.wrong_form(node, &format!("`{}`", key.name), "true or false, without quotation marks");
                None
            }
        }
    }

    /// An address of this machine's own that nobody else can reach.
    pub(super) fn loopback(&mut self, table: &Table<'a>, key: &'static Key) -> Option<SocketAddr> {
        let (text, place) = self.text(table, key)?;
        let address = text.trim().parse::<SocketAddr>();
        if let Ok(address) = address
            && address.ip().is_loopback()
        {
            return Some(address);
        }
        let complaint = if address.is_ok() { "is not on loopback: others could read it" } else { "is no address and port" };
        let remedy =
            format!("write `{} = {}`; a collector on another machine asks through its own agent or a proxy here", key.name, key.example);
        self.error(NOT_LOOPBACK, &place, format!("`{}` {complaint}", shown(text)), remedy);
        None
    }

    /// An address of this machine and a port.
    pub(super) fn own_address(&mut self, table: &Table<'a>, key: &'static Key) -> Option<SocketAddr> {
        let (text, place) = self.text(table, key)?;
        let address = text.trim().parse::<SocketAddr>().ok();
        if address.is_none() {
            let message = format!("`{}` is no address and port", shown(text));
            self.error(WRONG_FORM, &place, message, format!("write numbers, not a name: `{} = {}`", key.name, key.example));
        }
        address
    }

    /// One of the words, as its index in the key's list.
    pub(super) fn word(&mut self, table: &Table<'a>, key: &'static Key) -> Option<usize> {
        let Form::Words(words) = key.form else { return None };
        let (text, place) = self.text(table, key)?;
        let found = words.iter().position(|w| *w == text.trim());
        if found.is_none() {
            let text = text.to_owned();
            self.not_a_word(&place, key.name, &text, words);
        }
        found
    }

    pub(super) fn not_a_word(&mut self, place: &Place, key: &str, text: &str, words: &[&str]) {
        let list = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        let remedy = nearest(text, words.iter().copied())
            .map_or_else(|| format!("write one of {list}"), |w| format!("did you mean `{w}`? Possible are {list}"));
        self.error(UNKNOWN_WORD, place, format!("`{key}` can't be `{}`", shown(text)), remedy);
    }

    pub(super) fn network(&mut self, table: &Table<'a>, key: &'static Key) -> Option<Network> {
        let (text, place) = self.text(table, key)?;
        if let Ok(network) = text.parse() {
            return Some(network);
        }
        let names: Vec<&str> = Network::ALL.iter().flat_map(|n| std::iter::once(n.name()).chain(n.aliases().iter().copied())).collect();
        let list = Network::ALL.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let remedy =
            nearest(text, names).map_or_else(|| format!("write one of {list}"), |n| format!("did you mean `{n}`? Known are {list}"));
        let message = format!("`{}` is not a network that Kith knows", shown(text));
        self.error(UNKNOWN_WORD, &place, message, remedy);
        None
    }

    pub(super) fn character(&mut self, table: &Table<'a>, key: &'static Key) -> Option<u8> {
        let (text, place) = self.text(table, key)?;
        match text.as_bytes() {
            [byte] if (byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\t') && *byte != b'"' => Some(*byte),
            _ => {
                let remedy = r#"write `","`, `";"`, `"|"` or `"\t"`"#;
                self.error(WRONG_FORM, &place, format!("`{}` must be one ASCII character, and no quotation mark", key.name), remedy);
                None
            }
        }
    }

    pub(super) fn origin(&mut self, table: &Table<'a>) -> Option<String> {
        let (text, place) = self.text(table, &ORIGIN)?;
        let right = !text.is_empty()
            && text.len() <= LONGEST_ORIGIN
            && !text.contains("://")
            && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '+');
        if !right {
            let message = format!("`{}` can't name a log", shown(text));
            let remedy = format!(
                "write a host name of yours and a path without scheme, blanks and `+`, at most {LONGEST_ORIGIN} bytes: `origin = {}`",
                ORIGIN.example
            );
            self.error(BAD_NAME, &place, message, remedy);
            return None;
        }
        Some(text.to_owned())
    }

    /// Where a secret is to be found. What stands in its place is never shown.
    pub(super) fn secret(&mut self, table: &Table<'a>, key: &'static Key) -> Option<SecretSource> {
        let node = *table.values.get(key.name)?;
        let remedy = format!(
            "write `{0} = {{ file = \"PATH\" }}`, `{0} = {{ env = \"VARIABLE\" }}` or `{0} = {{ credential = \"NAME\" }}`",
            key.name
        );
        let Data::Table(members) = &node.data else {
            let message = format!("`{}` holds a secret itself; it must say where the secret is", key.name);
            self.error(PLAIN_SECRET, &node.place, message, format!("{remedy}, and change the secret: it has been written down"));
            return None;
        };
        for (name, member) in members.iter().filter(|(name, _)| !SECRET_KEYS.contains(&name.as_str())) {
            let known = nearest(name, SECRET_KEYS).map(str::to_owned);
            self.unknown(member, format!("`{}` is no place of a secret", shown(name)), known);
        }
        let mut places: Vec<&(String, Node)> = members.iter().filter(|(name, _)| SECRET_KEYS.contains(&name.as_str())).collect();
        // What the environment says replaces the whole of what the file says.
        if places.iter().any(|(_, n)| n.from_environment) {
            places.retain(|(_, n)| n.from_environment);
        }
        let (name, member) = match places.as_slice() {
            [one] => (one.0.as_str(), &one.1),
            [] => {
                if members.is_empty() {
                    self.error(MISSING, &node.place, format!("`{}` does not say where the secret is", key.name), remedy);
                }
                return None;
            }
            [_, second, ..] => {
                let message = format!("`{}` names more than one place for its secret", key.name);
                self.error(EXCLUDE_EACH_OTHER, &second.1.key, message, "keep one of them");
                return None;
            }
        };
        let Data::Text(text) = &member.data else {
            self.wrong_form(member, &format!("`{name}`"), "text in quotation marks");
            return None;
        };
        let plain = |extra: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
        match name {
            "file" if !text.trim().is_empty() && !text.chars().any(char::is_control) && text.len() <= LONGEST_PATH => {
                Some(SecretSource::File(self.project.join(text)))
            }
            "env" if plain("_") => Some(SecretSource::Env(text.clone())),
            "credential" if plain("_-.") && !text.starts_with('.') => Some(SecretSource::Credential(text.clone())),
            _ => {
                let remedy = "a path for `file`, letters, digits and `_` for `env`, also `-` and `.` for `credential`";
                self.error(BAD_PATH, &member.key, format!("the value of `{name}` can't be the place of a secret"), remedy);
                None
            }
        }
    }
}
