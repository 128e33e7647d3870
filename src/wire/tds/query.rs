//! The columns of a query, before it is run.

use super::cell::{number_at as number, text_at as text};
use super::column::{Column, Default};
use super::fault::TdsFault;
use super::session::{Cell, Session};
use super::sql_type::{Length, SqlType};
use crate::declare::connector::text_literal;
use std::sync::Arc;
use tiberius::ColumnData;

/// The columns that a query gives, by `sp_describe_first_result_set`; where the engine does not have it, by the first row. Empty where there is
/// neither.
///
/// # Errors
/// What the server says of the query.
pub async fn query_columns(session: &mut Session, query: &str) -> Result<Vec<Column>, TdsFault> {
    match session.batch(&format!("EXEC sp_describe_first_result_set @tsql = {}", text_literal(query))).await {
        Ok(answered) => {
            let columns = answered.into_iter().find(|result| !result.rows.is_empty()).map(|result| {
                let at = |name: &str| result.columns.iter().position(|column| column.eq_ignore_ascii_case(name)).unwrap_or(usize::MAX);
                let places = [
                    at("name"),
                    at("system_type_name"),
                    at("max_length"),
                    at("precision"),
                    at("scale"),
                    at("is_nullable"),
                    at("is_hidden"),
                ];
                result.rows.iter().filter_map(|row| described(row, places)).collect::<Vec<_>>()
            });
            if let Some(columns) = columns.filter(|columns| !columns.is_empty()) {
                return Ok(columns);
            }
        }
        Err(TdsFault::Server { class, .. }) if class < 20 => {}
        Err(fault) => return Err(fault),
    }
    let first = session.batch(&format!("SELECT TOP (1) * FROM ({query}) AS q")).await?;
    let Some(answered) = first.into_iter().find(|result| !result.columns.is_empty()) else { return Ok(Vec::new()) };
    let cells = answered.rows.into_iter().next().unwrap_or_default();
    Ok(answered.columns.into_iter().zip(&cells).map(|(name, cell)| of(name.into(), of_cell(cell), true)).collect())
}

fn described(row: &super::session::Row, [name, type_name, length, precision, scale, nullable, hidden]: [usize; 7]) -> Option<Column> {
    if number(row, hidden).is_some_and(|hidden| hidden != 0) {
        return None;
    }
    let small = |at| number(row, at).and_then(|n| u8::try_from(n).ok()).unwrap_or_default();
    let length = number(row, length).and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
    let word = text(row, type_name)?;
    let word = word.split('(').next().unwrap_or_default().trim();
    Some(of(text(row, name)?.into(), SqlType::of(word, length, small(precision), small(scale)), number(row, nullable) != Some(0)))
}

fn of(name: Arc<str>, sql_type: SqlType, nullable: bool) -> Column {
    Column { name, sql_type, type_name: sql_type.sql().into(), nullable, default: Default::Generated, collation: None, code_page: None }
}

/// The widest type of a cell's kind: what was read fits, and so does what follows.
const fn of_cell(cell: &Cell) -> SqlType {
    match cell {
        ColumnData::U8(_) | ColumnData::I16(_) | ColumnData::I32(_) | ColumnData::I64(_) => SqlType::BigInt,
        ColumnData::F32(_) => SqlType::Real,
        ColumnData::F64(_) => SqlType::Float,
        ColumnData::Bit(_) => SqlType::Bit,
        ColumnData::String(_) => SqlType::NVarChar { length: Length::Most(4_000), fixed: false },
        ColumnData::Guid(_) => SqlType::Uuid,
        ColumnData::Binary(_) => SqlType::VarBinary { length: Length::Max, fixed: false },
        ColumnData::Numeric(_) => SqlType::Decimal { precision: 38, scale: 10 },
        ColumnData::Xml(_) => SqlType::Xml,
        ColumnData::Date(_) => SqlType::Date,
        ColumnData::Time(_) => SqlType::Time { scale: 7 },
        ColumnData::DateTime(_) | ColumnData::SmallDateTime(_) => SqlType::DateTime,
        ColumnData::DateTime2(_) => SqlType::DateTime2 { scale: 7 },
        ColumnData::DateTimeOffset(_) => SqlType::DateTimeOffset { scale: 7 },
    }
}
