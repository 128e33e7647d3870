//! Rank 5, the CRM's side: customers and the records that belong to them, from CSV, SQLite, SQL Server and SOAP services.
//!
//! Rows are handed on in batches while they are read, but they are an update only once the read has returned its [`ReadSummary`]: a file that is
//! cut off, damaged, changed on the way or gone ends in an error instead, and then nothing of it may be applied (design §1: an incomplete
//! file is never an update).

mod csv;
mod error;
mod read;
mod related;
mod soap;
mod sqlite;
mod sqlserver;
mod table;

pub use error::{CustomersError, RowFault};
pub use read::{Before, ParkedRow, ReadCustomer, ReadRow, ReadSummary, look, mark, read, read_since};
pub use related::{Related, read_related};
pub use sqlserver::{Looked, Mark};
