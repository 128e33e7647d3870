//! Mapping files: who is compared with whom, on what basis, what is delivered, and the tests that hold it to its word.

mod cases;
mod codes;
mod deliveries;
mod describe;
mod digest;
mod display;
mod duties;
mod expressions;
mod fields;
mod format;
mod read;
mod reading;
mod released;
mod retain;
mod scope;
mod sections;
mod sensitive;
mod test_run;
#[cfg(test)]
mod tests;

pub use describe::describe;
pub(in crate::declare) use digest::of_duties;
pub use read::read;
pub use test_run::{Coverage, Covered, Failure, TestResult, TestRun, run_tests};

use crate::declare::connector::Operation;
use crate::diagnose::{SourceFile, Span};
use crate::enrich::Enrichment;
use crate::model::{Customer, Digest, Outcome, RelatedRecord};
use crate::normalize::{CustomerFields, IdentityFields};
use crate::policy::Policy;
use crate::resolve::Matching;
use std::sync::Arc;

/// A checked mapping: everything that the stages need, and nothing that they would have to look up.
#[derive(Clone, Debug)]
pub struct Rulebook {
    /// `mapping:`, what the log and the CRM name.
    pub name: Arc<str>,
    /// `description:`
    pub description: Option<Arc<str>>,
    /// `owner:`
    pub owner: Option<Arc<str>>,
    /// The name of the `[customers.NAME]` section that the customers come from.
    pub customers_from: Arc<str>,
    /// The customers' side.
    pub customers: Arc<CustomerFields>,
    /// Related records for enriching.
    pub related: Vec<RelatedSpec>,
    /// A pass that would change more than this waits for approval.
    pub guard: Guard,
    /// The social side.
    pub identities: Arc<IdentityFields>,
    /// Audience, bases, retention.
    pub policy: Policy,
    /// Rules, model, thresholds.
    pub matching: Arc<Matching>,
    /// Enriched fields and deliveries.
    pub enrich: Enrichment,
    /// The tests, in file order.
    pub tests: Vec<MappingTest>,
    /// SHA-256 over a canonical form of the checked mapping: comments, layout, `description`, `owner` and `tests` do not change it.
    pub digest: Digest,
    /// The file that it was read from.
    pub source: Arc<SourceFile>,
    /// The files that it names (its linkage model, networks' duties), by their paths as it writes them, sorted.
    pub named: Vec<(Arc<str>, Arc<SourceFile>)>,
}

/// A set of related records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelatedSpec {
    /// What conditions call it.
    pub name: Arc<str>,
    /// The name of the `[related.NAME]` section that it comes from.
    pub from: Arc<str>,
    /// The column that holds the customer's key.
    pub by: Arc<str>,
    /// How many of a customer's records are kept: the last ones by file order, 1 to 1,000.
    pub last: usize,
}

/// How much a read of the customers may change before it waits for approval; shares of all customers or links, 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Guard {
    /// Customers that would be retired.
    pub retire: f64,
    /// Links that would be decided anew.
    pub relink: f64,
}

/// Gives the text of a file that the mapping names (a linkage model, a network's duties) by its path as the mapping writes it, or says in a few
/// words why it can't be read.
pub type ModelText<'a> = dyn Fn(&str) -> Result<Arc<SourceFile>, String> + 'a;

/// The JSON Schema (2020-12) of mapping files, for editors.
pub fn schema() -> serde_json::Value {
    crate::declare::shape::schema(
        &format::MAPPING,
        "https://kith.example/schema/mapping-1.json",
        "Kith mapping",
        "Generated from the reader: do not edit. Who is compared with whom, on what basis, and what is delivered.",
    )
}

/// What the configuration has that a mapping refers to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Surroundings {
    /// Names of `[customers.NAME]`.
    pub customers: Vec<Arc<str>>,
    /// Names of `[related.NAME]`.
    pub related: Vec<Arc<str>>,
    /// Names of `[targets.NAME]` with the operations of their target file; `None` where the file could not be read, so that only the
    /// name is checked.
    pub targets: Vec<(Arc<str>, Option<Vec<Operation>>)>,
}

/// Values and how often each occurs, 0 to 1, sorted by value.
pub type Frequencies = Vec<(Arc<str>, f64)>;

/// A test of a mapping.
#[derive(Clone, Debug)]
pub struct MappingTest {
    /// What it promises.
    pub name: Arc<str>,
    /// Where it starts.
    pub span: Span,
    /// The customers that the CRM holds.
    pub customers: Vec<Customer>,
    /// Related records by set name.
    pub related: Vec<(Arc<str>, Vec<RelatedRecord>)>,
    /// The activity as a line of Activity Streams, defaults filled in.
    pub activity: String,
    /// Where the activity stands in the file.
    pub activity_span: Span,
    /// Term frequencies by the model's name for them, value and frequency, instead of the model's stored ones.
    pub term_frequencies: Vec<(Arc<str>, Frequencies)>,
    /// What must come of it, each expectation with its place.
    pub expect: Vec<(Expectation, Span)>,
}

/// One expectation of a test.
#[derive(Clone, PartialEq, Debug)]
pub enum Expectation {
    /// `decision:`
    Decision(Outcome),
    /// `customer:`, the linked or best candidate.
    Customer(Arc<str>),
    /// `rule:`, the id of the rule, or `model`.
    Rule(Arc<str>),
    /// `basis:`
    Basis(Arc<str>),
    /// `candidates:`, exactly these, in any order.
    Candidates(Vec<Arc<str>>),
    /// `deliver: { ENTRY: none }`
    NotDelivered(Arc<str>),
    /// `deliver: { ENTRY: {} }`: the entry applies.
    Delivered(Arc<str>),
    /// `deliver: { ENTRY: { FIELD: value } }`, as text; `None` for a field that must be empty.
    Field {
        /// The entry's id.
        entry: Arc<str>,
        /// The target's field.
        field: Arc<str>,
        /// Its value as text.
        value: Option<Arc<str>>,
    },
}
