//! `policy.retain`: how long things are kept, by the mapping's own clocks and by those of the networks whose duties it keeps.

use super::codes::{DUPLICATE_ID, FIELD_LACKING, KEPT_TOO_LONG, UNKNOWN_NETWORK, UNREACHABLE};
use super::duties::Named;
use super::reading::{Reading, meant};
use crate::declare::yaml::Node;
use crate::diagnose::Span;
use crate::model::Network;
use crate::policy::{FieldClock, Retain};
use std::sync::Arc;

/// The clocks of everything but the networks that have their own.
pub(super) fn retain(policy: &Node) -> Option<Retain> {
    let days = |key: &str| policy.get("retain")?.get(key)?.days();
    Some(Retain {
        unlinked_days: days("unlinked")?,
        profiles_days: days("profiles")?,
        activities_days: days("activities")?,
        audit_days: days("audit")?,
    })
}

/// `policy.retain.networks`: networks with clocks of their own, each with all of them.
pub(super) fn retain_on(reading: &mut Reading<'_>, policy: &Node, general: Retain) -> Vec<(Network, Retain)> {
    let mut found: Vec<(Network, Retain)> = Vec::new();
    for entry in policy.get("retain").and_then(|retain| retain.get("networks")).map(Node::entries).unwrap_or_default() {
        let Ok(network) = entry.key.parse::<Network>() else {
            let known: Vec<&str> = Network::ALL.iter().map(|network| network.name()).collect();
            let remedy = format!("Write one of {}. {}", known.join(", "), meant(&entry.key, known.iter().copied()));
            reading.error(UNKNOWN_NETWORK, entry.key_span, format!("`{}` is no network that Kith knows", entry.key), remedy);
            continue;
        };
        if found.iter().any(|(other, _)| *other == network) {
            let remedy = "Keep one of the two";
            reading.error(DUPLICATE_ID, entry.key_span, format!("`{network}` has its clocks twice, once by another name"), remedy);
            continue;
        }
        let days = |key: &str, general: u32| entry.value.get(key).and_then(Node::days).unwrap_or(general);
        let retain = Retain {
            unlinked_days: days("unlinked", general.unlinked_days),
            profiles_days: days("profiles", general.profiles_days),
            activities_days: days("activities", general.activities_days),
            audit_days: general.audit_days,
        };
        found.push((network, retain));
    }
    found
}

/// A clock of a field that the mapping writes.
struct Written {
    path: Arc<str>,
    days: u32,
    on: Option<Network>,
    span: Span,
}

/// Every network's clocks: its own, or the general ones.
struct Clocks<'a> {
    general: Retain,
    on: &'a [(Network, Retain)],
}

impl Clocks<'_> {
    fn of(&self, network: Option<Network>) -> Retain {
        self.on.iter().find(|(other, _)| Some(*other) == network).map_or(self.general, |(_, own)| *own)
    }
}

/// `policy.retain.fields` and those of networks: paths of profiles with clocks of their own. `read` are the paths that the mapping reads. Where it says
/// nothing the clocks hold that networks give such paths; where it says more than a network allows, that is an error.
pub(super) fn retain_fields(
    reading: &mut Reading<'_>,
    policy: &Node,
    (general, on): (Retain, &[(Network, Retain)]),
    read: &[Arc<str>],
    duties: &[Named],
) -> Vec<FieldClock> {
    let clocks = Clocks { general, on };
    let paths: Vec<&Arc<str>> = read.iter().filter(|path| path.starts_with("actor.")).collect();
    let written = written(reading, policy, &clocks, &paths);
    let mut found = Vec::new();
    for path in paths {
        let said = |on: Option<Network>| written.iter().find(|clock| clock.path == *path && clock.on == on);
        let mut except = Vec::new();
        for network in Network::ALL.iter().copied() {
            let own = said(Some(network)).or_else(|| said(None));
            let allowed = duties.iter().find_map(|named| named.keeps_field(network, path));
            if let (Some(own), Some(most)) = (own, allowed)
                && own.days > most
            {
                reading.error(
                    KEPT_TOO_LONG,
                    own.span,
                    format!("`{path}` is kept for {} days, and `{network}` allows {most}", own.days),
                    format!("Give the network a clock of its own: `retain: {{ …, networks: {{ {network}: {{ fields: {{ {path}: {most}d }} }} }} }}`"),
                );
            }
            let whole = clocks.of(Some(network));
            let days = own.map(|own| own.days).into_iter().chain(allowed).min();
            // What goes earlier as a whole needs no clock.
            let days = days.filter(|days| *days < whole.profiles_days.max(whole.unlinked_days));
            if days != said(None).map(|general| general.days) {
                except.push(network);
                found.extend(days.map(|days| FieldClock { path: path.clone(), days, only: Some(network), except: Vec::new() }));
            }
        }
        found.extend(said(None).map(|general| FieldClock { path: path.clone(), days: general.days, only: None, except }));
    }
    found
}

fn written(reading: &mut Reading<'_>, policy: &Node, clocks: &Clocks<'_>, paths: &[&Arc<str>]) -> Vec<Written> {
    let Some(retain) = policy.get("retain") else { return Vec::new() };
    let networks = retain.get("networks").map(Node::entries).unwrap_or_default();
    let of_networks = networks.iter().filter_map(|entry| Some((Some(entry.key.parse::<Network>().ok()?), entry.value.get("fields")?)));
    let mut found = Vec::new();
    for (on, fields) in retain.get("fields").map(|fields| (None, fields)).into_iter().chain(of_networks) {
        let whole = clocks.of(on);
        for entry in fields.entries() {
            let Some(days) = entry.value.days() else { continue };
            if !paths.iter().any(|path| **path == entry.key) {
                let message = format!("the mapping reads no `{}`, so there is nothing of it to keep", entry.key);
                reading.error(FIELD_LACKING, entry.key_span, message, meant(&entry.key, paths.iter().map(|path| &***path)));
            } else if days >= whole.profiles_days {
                let message =
                    format!("`{}` never ends by this clock: the whole profile goes after {} days", entry.key, whole.profiles_days);
                reading.warning(UNREACHABLE, entry.value.span, message, "Give it less, or remove it");
            } else {
                found.push(Written { path: entry.key.clone(), days, on, span: entry.value.span });
            }
        }
    }
    found
}
