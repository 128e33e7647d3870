//! What networks let be shown: which names are withheld, and whether deliveries would write what they may not.

use super::codes::NOT_SHOWN;
use super::reading::Reading;
use crate::declare::yaml::Node;
use crate::enrich::{DeliverEntry, Enrichment};
use crate::expr::{Condition, Scope};
use crate::model::{Display, Network, Value};
use crate::normalize::IdentityFields;
use crate::policy::Duties;
use std::sync::Arc;

/// Adds to the paths that networks withhold the other names of what stands there, and the fields that are made from it.
pub(super) fn resolve(duties: &mut [Duties], identities: &IdentityFields) {
    for display in duties.iter_mut().filter_map(|duties| duties.display.as_mut()) {
        let made = identities.fields.iter().filter(|field| {
            let mut sources = field.from.iter().filter_map(|at| identities.paths.get(*at));
            sources.any(|path| display.withholds(path))
        });
        let mut names: Vec<Arc<str>> = made.map(|field| format!("identity.{}", field.name).into()).collect();
        if display.withholds("object.content") {
            names.push("content".into());
        }
        // A handle that is not shown as the network shows it is not shown cleaned either.
        if display.withholds("actor.preferredUsername") {
            names.extend(["handle".into(), "identity.handle".into()]);
        }
        for name in names {
            if !display.withheld.contains(&name) {
                display.withheld.push(name);
            }
        }
    }
}

impl Reading<'_> {
    /// Refuses deliveries that would write what a network does not let be shown.
    pub(super) fn not_shown(&mut self, root: &Node, enrich: &Enrichment, duties: &[Duties]) {
        let nodes = root.get("deliver").map(Node::list).unwrap_or_default();
        for (network, display) in duties.iter().filter_map(|duties| Some((duties.network, duties.display.as_ref()?))) {
            for (entry, node) in enrich.deliver.iter().zip(nodes) {
                if entry.when.as_ref().is_none_or(|when| !never_on(when, network)) {
                    self.entry_not_shown(node, (enrich, entry), (network, display));
                }
            }
        }
    }

    fn entry_not_shown(&mut self, node: &Node, (enrich, entry): (&Enrichment, &DeliverEntry), (network, display): (Network, &Display)) {
        let reads = |read: &dyn Fn(&str) -> bool| {
            let found =
                entry.fields.iter().filter_map(|(field, value)| Some((field, enrich.reads(value).into_iter().find(|name| read(name))?)));
            found.collect::<Vec<_>>()
        };
        let elsewhere = format!("or keep the delivery to other networks: `when: {{ network: {{ not: {network} }} }}`");
        let mut told: Vec<(&Arc<str>, String, String)> = reads(&|name| display.withholds(name))
            .into_iter()
            .map(|(field, name)| {
                let message = format!("`{field}` would show `{name}`, which `{network}` does not let be shown");
                (field, message, format!("Remove the field, {elsewhere}"))
            })
            .collect();
        if display.with_link && reads(&|name| name == "object.url").is_empty() {
            let texts = reads(&|name| Display::is_text(name) && !display.withholds(name));
            told.extend(texts.into_iter().take(1).map(|(field, name)| {
                let message = format!("`{field}` would show `{name}` without the address of the post, which `{network}` asks for");
                (field, message, format!("Write `object.url` into another field of the delivery, {elsewhere}"))
            }));
        }
        for (field, message, remedy) in told {
            let place = node.get("fields").and_then(|fields| fields.get(field)).unwrap_or(node);
            self.error(NOT_SHOWN, place.span, message, remedy);
        }
    }
}

/// Whether a condition can't hold for anything of a network, whatever else is known.
fn never_on(condition: &Condition, network: Network) -> bool {
    if condition.names().iter().all(|name| *name == "network") {
        return !condition.holds(&On(network)).holds();
    }
    match condition {
        Condition::All(parts) => parts.iter().any(|part| never_on(part, network)),
        Condition::Any(parts) => parts.iter().all(|part| never_on(part, network)),
        Condition::Not(_) | Condition::Name { .. } | Condition::Cel(_) => false,
    }
}

/// The network alone is known.
struct On(Network);

impl Scope for On {
    fn lookup(&self, name: &str) -> Value {
        if name == "network" { Value::text(self.0.name()) } else { Value::Missing }
    }
}
