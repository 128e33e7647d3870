//! The checked `enrich` and `deliver` sections of a mapping.

use crate::expr::{Condition, ValueExpr};
use crate::model::{OperationId, Priority, TargetId, Value};
use std::sync::Arc;

/// One line of a choice: the value, and when it is taken. The first that holds wins; `None` always holds.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The value.
    pub is: Value,
    /// When; `None` for `otherwise`.
    pub when: Option<Condition>,
}

/// How an enriched field is made.
#[derive(Clone, Debug)]
pub enum EnrichValue {
    /// The first choice whose condition holds.
    FirstOf(Vec<Choice>),
    /// An expression.
    Expression(ValueExpr),
}

/// A field of `enrich`. Later fields may read earlier ones.
#[derive(Clone, Debug)]
pub struct EnrichField {
    /// Its name below.
    pub name: Arc<str>,
    /// How it is made.
    pub value: EnrichValue,
}

/// What a delivery is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A link: written when it is made, withdrawn when it ends.
    Link,
    /// An activity version.
    Activity,
}

/// What a Delete does to a written record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OnDelete {
    /// The record goes.
    Remove,
    /// These fields become empty.
    Blank(Vec<Arc<str>>),
    /// Nothing.
    Keep,
}

/// What happens to a field that the CRM changed since it was written, and that is to be written otherwise now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnConflict {
    /// The CRM's value stays.
    Theirs,
    /// It is overwritten.
    Ours,
    /// The later of the two edits stays.
    Newest,
    /// A person decides: the delivery is a dead letter.
    Park,
}

impl OnConflict {
    /// Every word.
    pub const ALL: [Self; 4] = [Self::Theirs, Self::Ours, Self::Newest, Self::Park];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::Ours => "ours",
            Self::Newest => "newest",
            Self::Park => "park",
        }
    }
}

/// One entry of `deliver`.
#[derive(Clone, Debug)]
pub struct DeliverEntry {
    /// Its id: what the log and the metrics name.
    pub id: Arc<str>,
    /// What it is about.
    pub subject: Subject,
    /// When it applies; `None` for always (a link entry: whenever there is a link; an activity entry: whatever the decision).
    pub when: Option<Condition>,
    /// Where to.
    pub target: TargetId,
    /// Which operation of the target.
    pub operation: OperationId,
    /// Target field and value, in file order.
    pub fields: Vec<(Arc<str>, ValueExpr)>,
    /// The target fields that make the record key, from the operation, each also in `fields`.
    pub record_key: Vec<Arc<str>>,
    /// What a Delete does: the mapping's word, else the operation's.
    pub on_delete: OnDelete,
    /// What happens when the CRM changed the record too; `None`: as the operation says.
    pub on_conflict: Option<OnConflict>,
    /// How far back a later link delivers what was said before, in days; `None`: not at all.
    pub backfill_days: Option<u32>,
    /// How urgent its deliveries are.
    pub priority: Priority,
}

/// The checked `enrich` and `deliver` of a mapping.
#[derive(Clone, Debug, Default)]
pub struct Enrichment {
    /// Enriched fields, in file order.
    pub fields: Vec<EnrichField>,
    /// Deliveries, in file order.
    pub deliver: Vec<DeliverEntry>,
    /// Names of the related record sets that conditions may read, each with how many rows (the last *n* by file order).
    pub related: Vec<(Arc<str>, usize)>,
}
