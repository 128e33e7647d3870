//! `policy.duties`: the files of the networks whose terms a mapping keeps to, and where it would not.

use super::ModelText;
use super::codes::{DENIED, DUPLICATE_ID, DUTIES_UNREADABLE, KEPT_TOO_LONG, UNREACHABLE};
use super::reading::Reading;
use super::sensitive::names_word;
use crate::declare::network::{self, NetworkFile};
use crate::declare::yaml::Node;
use crate::diagnose::Span;
use crate::model::{Digest, Network};
use crate::policy::{Basis, Duties, Retain};
use std::sync::Arc;

/// What a network denies.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    network: Network,
    /// A word, or a whole path.
    word: Arc<str>,
    because: Arc<str>,
}

/// A file that the mapping names, and where.
pub(super) struct Named {
    file: NetworkFile,
    span: Span,
}

impl Named {
    /// Of what it says.
    pub(super) const fn digest(&self) -> Digest {
        self.file.duties.said
    }

    /// How many days the network lets a path of profiles be kept, where it says so.
    pub(super) fn keeps_field(&self, network: Network, path: &str) -> Option<u32> {
        let keep = self.file.keep_fields.iter().filter(|_| self.file.duties.network == network);
        keep.filter(|(kept, _)| **kept == *path).map(|(_, days)| *days).min()
    }
}

impl Reading<'_> {
    /// Reads the files; from here on what they deny is refused.
    pub(super) fn duties(&mut self, root: &Node, texts: &ModelText<'_>) -> Vec<Named> {
        let mut found: Vec<Named> = Vec::new();
        for node in root.get("policy").and_then(|policy| policy.get("duties")).map(Node::list).unwrap_or_default() {
            let Some(path) = node.text() else { continue };
            let Some(file) = self.network_file(path, node.span, texts) else { continue };
            let network = file.duties.network;
            if found.iter().any(|other| other.file.duties.network == network) {
                self.error(DUPLICATE_ID, node.span, format!("the duties of `{network}` are named twice"), "Keep one of the two files");
                continue;
            }
            let denied = file.deny.iter().map(|(word, because)| Denied { network, word: word.clone(), because: because.clone() });
            self.denied.extend(denied);
            found.push(Named { file, span: node.span });
        }
        found
    }

    fn network_file(&mut self, path: &str, span: Span, texts: &ModelText<'_>) -> Option<NetworkFile> {
        let remedy = "Write the path from the mapping's folder: `../connectors/networks/x.yaml`";
        let text = texts(path).map_err(|cause| self.error(DUTIES_UNREADABLE, span, format!("`{path}` can't be read: {cause}"), remedy));
        let checked = network::read(&text.ok()?);
        if checked.problems.has_errors() {
            let remedy = "Correct it: each of its errors is told with its own place";
            self.error(DUTIES_UNREADABLE, span, format!("`{path}` has errors"), remedy);
        }
        self.problems.0.extend(checked.problems.0);
        checked.value.map(|(file, _tree)| file)
    }

    /// Refuses a name, path or word that a network denies.
    pub(super) fn refuse_denied(&mut self, text: &str, span: Span) {
        let found = self
            .denied
            .iter()
            .find(|denied| if denied.word.contains('.') { *denied.word == *text } else { names_word(text, &denied.word) });
        if let Some(denied) = found.cloned() {
            let Denied { network, because, .. } = denied;
            let remedy =
                format!("Remove it, or take the duties of `{network}` out of `policy.duties` where nothing of that network is read");
            self.error(DENIED, span, format!("`{text}` is denied by `{network}`: {because}"), remedy);
        }
    }

    /// Compares bases and clocks with what the networks accept, and gives what is asked at run time.
    pub(super) fn kept_duties(
        &mut self,
        named: &[Named],
        policy: &Node,
        bases: &[Basis],
        retain: Retain,
        on: &[(Network, Retain)],
    ) -> Vec<Duties> {
        for Named { file, span, .. } in named {
            let network = file.duties.network;
            if !bases.is_empty() && !bases.iter().any(|basis| file.duties.accepts.contains(&basis.name)) {
                let accepted: Vec<String> = file.duties.accepts.iter().map(|name| format!("`{name}`")).collect();
                let accepted = if accepted.is_empty() { "none at all".to_owned() } else { accepted.join(", ") };
                self.warning(
                    UNREACHABLE,
                    *span,
                    format!("nobody on `{network}` is ever matched: it accepts none of the mapping's bases"),
                    format!("It accepts {accepted}: that may be just what you want"),
                );
            }
            let own = on.iter().find(|(other, _)| *other == network).map_or(retain, |(_, own)| *own);
            let clocks = policy.get("retain");
            let on_network = clocks
                .and_then(|clocks| clocks.get("networks"))
                .and_then(|networks| networks.entries().iter().find(|entry| entry.key.parse() == Ok(network)).map(|entry| &entry.value));
            // What a post says is kept as long as the post.
            let of_posts = file
                .keep_fields
                .iter()
                .filter(|(path, _)| path.starts_with("object."))
                .map(|(path, most)| ("activities", most, Some(path)));
            for (name, most, path) in file.keep_at_most.iter().map(|(name, most)| (*name, most, None)).chain(of_posts) {
                let days = match name {
                    "unlinked" => own.unlinked_days,
                    "profiles" => own.profiles_days,
                    _ => own.activities_days,
                };
                if days > *most {
                    let place = on_network.and_then(|own| own.get(name)).or_else(|| clocks?.get(name)).map_or(*span, |node| node.span);
                    let of = path.map_or_else(String::new, |path| format!(", and `{path}` with them"));
                    self.error(
                        KEPT_TOO_LONG,
                        place,
                        format!("`{name}` are kept for {days} days{of}, and `{network}` allows {most}"),
                        format!("Give the network a clock of its own: `retain: {{ …, networks: {{ {network}: {{ {name}: {most}d }} }} }}`"),
                    );
                }
            }
        }
        named.iter().map(|named| named.file.duties.clone()).collect()
    }
}
