//! The column that orders the pages, and where a page goes on.

use crate::model::Value;
use crate::wire::tds::{Cell, Column, Length, SqlType, cell};

/// A column whose order the server and a parameter agree on.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) column: Column,
}

impl Key {
    /// `None` where rows can't be ordered by it and continued exactly: doubles, moments, bytes, XML.
    pub(super) fn of(column: &Column) -> Option<Self> {
        let ordered = matches!(
            column.sql_type,
            SqlType::TinyInt
                | SqlType::SmallInt
                | SqlType::Int
                | SqlType::BigInt
                | SqlType::Decimal { .. }
                | SqlType::Uuid
                | SqlType::VarChar { length: Length::Most(_), .. }
                | SqlType::NVarChar { length: Length::Most(_), .. }
        );
        ordered.then(|| Self { column: column.clone() })
    }

    /// The parameter as the column's own type: only then its index is used.
    pub(super) fn parameter(&self, number: usize) -> String {
        format!("CAST(@P{number} AS {})", self.column.sql_type.sql())
    }

    /// What goes into the parameter.
    pub(super) fn cell(key: &Value) -> Option<Cell> {
        match key {
            Value::Integer(number) => Some(cell::big(*number)),
            Value::Text(text) => Some(cell::text(&**text)),
            Value::Missing | Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => None,
        }
    }
}
