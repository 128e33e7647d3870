//! The checked `match` section of a mapping.

use super::Model;
use std::sync::Arc;

/// What a rule that finds exactly one customer decides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RuleVerdict {
    /// Link.
    Link,
    /// A person decides.
    Review,
}

/// An exact rule: all its fields are present and equal on both sides.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// What the log and the CRM name.
    pub id: Arc<str>,
    /// Pairs (identity field, customer field) by index into the declared fields. A list on either side matches when any member does.
    pub same: Vec<(usize, usize)>,
    /// What it decides.
    pub verdict: RuleVerdict,
    /// A key that more customers than this share (merges followed) is no evidence.
    pub ignore_if_shared_by_more_than: Option<u32>,
    /// How often a link by this rule alone is right, 0 to 1: the calibrated posterior of its links.
    pub precision: f64,
}

/// The thresholds over the posterior.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decide {
    /// Link from this posterior of the best candidate.
    pub link_from: f64,
    /// Ask a person from this *sum* of posteriors over all candidates.
    pub ask_a_person_from: f64,
    /// … and only where the best candidate's odds are this many times the next one's.
    pub ahead_of_next: f64,
}

/// What keeps accounts of several people off one customer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OnePerson {
    /// Most accounts of one network that are linked to one customer without a person's word, 1 or more; `None`: any number.
    pub accounts_of_a_network: Option<u32>,
    /// Identity fields, by place and name: accounts that differ in one that both have are not one person's.
    pub agree_on: Vec<(usize, Arc<str>)>,
}

impl OnePerson {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.accounts_of_a_network.is_none() && self.agree_on.is_empty()
    }
}

/// The checked `match` section.
#[derive(Clone, Debug)]
pub struct Matching {
    /// Exact rules in order.
    pub rules: Vec<Rule>,
    /// The linkage model, where the mapping names one.
    pub model: Option<Arc<Model>>,
    /// Thresholds.
    pub decide: Decide,
    /// What keeps accounts of several people off one customer.
    pub one_person: OnePerson,
    /// Names of the customers' declared fields, in order: what the rules' numbers mean.
    pub customer_fields: Arc<[Arc<str>]>,
}
