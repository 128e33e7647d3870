//! The checked form of what a target file says about SQL Server.

use super::object_name::ObjectName;
use crate::enrich::OnConflict;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a SQL Server target needs besides its tables: made by a DBA from `ops/sql/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqlServerObjects {
    /// One row a delivery: its idempotency key and what became of it, written in the delivery's own transaction.
    pub ledger: ObjectName,
    /// One row a record of a compared operation: what Kith wrote last, as digests.
    pub records: ObjectName,
}

impl SqlServerObjects {
    /// Where a file does not say: as `ops/sql/` makes them.
    pub fn usual() -> Self {
        let object = |name: &str| ObjectName { schema: "kith".into(), name: name.into() };
        Self { ledger: object("DeliveryLedger"), records: object("RecordState") }
    }
}

/// How an edit in the CRM is noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compare {
    /// It is not: the newest delivery wins.
    Off,
    /// By the table's `rowversion`, which the server changes with each write.
    RowVersion,
    /// By these fields, in the operation's order; each is one of its fields.
    Fields(Vec<Arc<str>>),
}

/// A row that is marked, not deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoftDelete {
    /// The column; none of the fields.
    pub column: Arc<str>,
    /// What it holds when the record is gone.
    pub gone: Arc<str>,
    /// What it holds while the record lives.
    pub live: Arc<str>,
}

/// Writes of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableWrite {
    /// The table or updatable view.
    pub table: ObjectName,
    /// How an edit in the CRM is noticed.
    pub compare: Compare,
    /// What happens when both changed; a mapping may say otherwise for a delivery.
    pub on_conflict: OnConflict,
    /// The column with the time of the CRM's own last edit, for `newest`; none of the fields.
    pub edited_at: Option<Arc<str>>,
    /// The field that says when what is delivered was said or edited, for `newest`.
    pub said_at: Option<Arc<str>>,
    /// How a record is removed; `None`: its row is deleted.
    pub soft_delete: Option<SoftDelete>,
}

/// What a procedure's answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcedureOutcome {
    /// It was done.
    Delivered,
    /// It stood so already.
    Unchanged,
    /// This record is refused.
    Refused,
    /// It may work later.
    Failed,
    /// The CRM takes nothing now.
    Unavailable,
    /// Too much.
    Throttled,
}

impl ProcedureOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [Self::Delivered, Self::Unchanged, Self::Refused, Self::Failed, Self::Unavailable, Self::Throttled];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
        }
    }
}

/// One rule about a procedure's answer; all of it must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcedureAnswer {
    /// Its return code; `None`: any.
    pub returns: Option<i32>,
    /// OUT parameters, without `@`, and what they hold.
    pub out: BTreeMap<Arc<str>, Arc<str>>,
    /// What it means.
    pub is: ProcedureOutcome,
}

/// Writes by stored procedures, a call a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcedureCall {
    /// What writes a record.
    pub write: ObjectName,
    /// What removes one; takes the fields of the record key.
    pub remove: Option<ObjectName>,
    /// What empties fields; takes the key and the emptied fields as NULL.
    pub blank: Option<ObjectName>,
    /// The parameter that takes the idempotency key, without `@`.
    pub idempotency_parameter: Option<Arc<str>>,
    /// OUT parameters that come back for [`ProcedureCall::answers`], without `@`.
    pub out: Vec<Arc<str>>,
    /// What answers mean, in their order; where none holds, 0 is delivered and everything else refused.
    pub answers: Vec<ProcedureAnswer>,
}

/// What an operation does in a SQL Server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SqlWrite {
    /// Rows of a table.
    Table(TableWrite),
    /// Calls of a procedure.
    Procedure(ProcedureCall),
}

/// The SQL Server part of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqlOperation {
    /// What it does.
    pub write: SqlWrite,
    /// The column or parameter of each field, aligned with the operation's fields.
    pub columns: Vec<Arc<str>>,
}
