//! The checked `policy` section of a mapping.

use crate::expr::Condition;
use crate::model::{AudienceSet, Digest, Display, Network};
use std::sync::Arc;
use std::time::Duration;

/// A lawful basis for matching an identity to a customer. The first whose condition holds is the link's basis.
#[derive(Clone, Debug)]
pub struct Basis {
    /// `provided_by_customer`, `public_profile`, `consent`, …: what the log and the CRM name.
    pub name: Arc<str>,
    /// The law's ground: `GDPR 6(1)(f)`.
    pub law: Arc<str>,
    /// What the link is for.
    pub purpose: Arc<str>,
    /// Since when it holds (a date, as written).
    pub since: Option<Arc<str>>,
    /// The record that justifies it: `DPIA-2026-03`.
    pub record: Option<Arc<str>>,
    /// When it holds.
    pub when: Condition,
    /// Whether `when` reads a `customer.` name, so that it is asked per candidate.
    pub per_customer: bool,
}

/// How long things are kept, in days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retain {
    /// What we know about people who turned out to be strangers.
    pub unlinked_days: u32,
    /// Profiles of linked people.
    pub profiles_days: u32,
    /// Activities of linked people.
    pub activities_days: u32,
    /// Personal values inside audit entries.
    pub audit_days: u32,
}

/// What a network asks of who uses its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duties {
    /// The network.
    pub network: Network,
    /// The day on which this was last compared with the network's terms.
    pub as_of: Arc<str>,
    /// Names of the bases on which an account may be matched with a customer.
    pub accepts: Vec<Arc<str>>,
    /// How long after the author deleted or changed something the CRM must show it so: a minute at least. `None`: the network names no time.
    pub deletions_within: Option<Duration>,
    /// What may be shown of what comes from it; `None`: all.
    pub display: Option<Display>,
    /// SHA-256 of what the file says; when it was compared with its sources, and where those are, does not change it.
    pub said: Digest,
}

impl Duties {
    /// How long after a deletion or an edit on the network the CRM must have it; `None` where the network names no time.
    pub const fn deletions_within(&self) -> Option<Duration> {
        self.deletions_within
    }
}

/// The clock of one field of profiles, shorter than the profile's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldClock {
    /// The field's path: `actor.summary`.
    pub path: Arc<str>,
    /// Days since the account was last seen.
    pub days: u32,
    /// The network that it is about; `None`: every network but `except`.
    pub only: Option<Network>,
    /// Networks on which the field has another clock.
    pub except: Vec<Network>,
}

/// The policy of a mapping.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Audiences whose activities may be used; others are dropped at intake.
    pub audience: AudienceSet,
    /// Bases in order.
    pub bases: Vec<Basis>,
    /// Retention clocks.
    pub retain: Retain,
    /// Networks with clocks of their own.
    pub retain_on: Vec<(Network, Retain)>,
    /// Fields of profiles with clocks of their own, by the mapping's word or a network's.
    pub retain_fields: Vec<FieldClock>,
    /// Networks whose duties the mapping keeps, each once.
    pub duties: Vec<Duties>,
}

impl Policy {
    /// How long after a deletion or an edit on this network the CRM must have it, by the duties that the mapping names; `None` where none of them
    /// says so.
    pub fn deletions_within(&self, network: Network) -> Option<Duration> {
        self.duties(network)?.deletions_within()
    }

    /// What may be shown of what comes from this network, by the duties that the mapping names; `None`: all.
    pub fn display(&self, network: Network) -> Option<&Display> {
        self.duties(network)?.display.as_ref()
    }

    fn duties(&self, network: Network) -> Option<&Duties> {
        self.duties.iter().find(|duties| duties.network == network)
    }
}
