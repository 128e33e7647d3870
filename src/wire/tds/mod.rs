//! SQL Server as a client (MS-TDS 7.4): connecting, one session, its faults by number, its types both ways, its catalogue. The one owner of
//! `tiberius`.
//!
//! What the server says in words may hold values of rows (a duplicate key, a truncated text): only numbers and names of objects leave this module.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the driver and the server have a variant for every type: what is not named is told in one arm"
)]

mod call;
mod catalogue;
pub mod cell;
mod column;
mod connect;
mod fault;
mod query;
mod session;
mod sql_type;
mod temporal;

pub use crate::declare::connector::{ObjectName, quoted, text_literal};
pub use call::{Called, Parameter, call_statement};
pub use catalogue::{Procedure, Rights, TableShape, column_named, procedure, stage_collation, table};
pub use column::{CannotHold, Column, Default, Held, read};
pub use connect::{connect, connect_asking};
pub use fault::{Meaning, Policy, TdsFault, meaning};
pub use query::query_columns;
pub use session::{Answered, Bulk, Cell, Counted, Row, Session};
pub use sql_type::{Length, SqlType};
