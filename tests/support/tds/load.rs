//! Rows that come from elsewhere: SELECT INTO, a bulk load.

use super::batch::{is_word, split_commas, written};
use super::catalogue::{ColumnDef, Kind, TableDef};
use super::draft::Reader;
use super::emit::Names;
use super::error::TdsError;
use super::session::Session;
use super::tokens::Column;
use super::types::Type;
use super::value::SqlValue;
use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// A bulk load whose rows are to come.
pub struct Bulk {
    pub table: Arc<TableDef>,
    columns: Vec<usize>,
    /// The types that the statement names.
    announced: Vec<Type>,
}

impl Session {
    pub fn select_into(&mut self, into: &ObjectName, sql: &str, columns: &[Column]) -> Result<(), TdsError> {
        let rows = self.rows(sql, columns, &[])?;
        let (schema, name) = super::emit::schema_and_name(into);
        let temporary = name.starts_with('#');
        if self.table(schema.as_deref(), &name).is_some() {
            return Err(TdsError::new(2714, 16, 6, format!("There is already an object named '{name}' in the database.")));
        }
        let table = TableDef {
            schema: schema.unwrap_or_else(|| "dbo".to_owned()),
            name,
            object_id: self.shared.catalogue().new_id(),
            columns: columns.iter().map(|c| ColumnDef::plain(&c.name, c.ty, c.nullable)).collect(),
            keys: Vec::new(),
            checks: Vec::new(),
            foreign: Vec::new(),
            kind: if temporary { Kind::Temporary } else { Kind::Table },
        };
        self.create(table.clone())?;
        let all: Vec<usize> = (0..columns.len()).collect();
        let count = self.insert_values(&std::sync::Arc::new(table), &all, columns, rows)?;
        self.counted(count);
        Ok(())
    }

    /// `INSERT BULK t (a int, b nvarchar(10) COLLATE …) WITH (…)`: what comes next is its rows.
    pub fn insert_bulk(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let mut r = Reader { tokens, at: 2 };
        let (schema, name) = r.name()?;
        let table = self.known(schema.as_deref(), &name)?;
        let (mut columns, mut announced) = (Vec::new(), Vec::new());
        for item in split_commas(r.parenthesised()?) {
            let mut item = Reader { tokens: item, at: 0 };
            let name = item.identifier()?;
            columns.push(table.position(&name).ok_or_else(|| TdsError::invalid_column(&name))?);
            let end = item.tokens.iter().position(|token| is_word(Some(token), "COLLATE")).unwrap_or(item.tokens.len());
            let ty = written(&item.tokens[item.at..end]);
            announced.push(Type::parse(&ty).ok_or_else(|| TdsError::new(2715, 16, 3, format!("Cannot find data type {ty}.")))?);
        }
        let keeps_identity = columns.iter().any(|c| table.columns[*c].identity.is_some());
        if keeps_identity {
            self.identity_insert = Some(table.object_id);
        }
        self.bulk = Some(Bulk { table, columns, announced });
        Ok(())
    }

    /// The rows of a bulk load.
    pub fn bulk_rows(&mut self, from: &[Column], rows: Vec<Vec<SqlValue>>) -> Result<u64, TdsError> {
        let Bulk { table, columns, announced } =
            self.bulk.take().ok_or_else(|| TdsError::new(4004, 16, 1, "A bulk load without INSERT BULK."))?;
        if from.len() != columns.len() {
            return Err(TdsError::new(4813, 16, 1, "Expected the text length in data stream for bulk copy of text, ntext, or image data."));
        }
        // As SQL Server does: what was announced as `max` must come as that, and the other way round.
        let long = |ty: Type| matches!(ty, Type::NVarChar(None) | Type::VarChar(None) | Type::VarBinary(None));
        if let Some(at) = announced.iter().zip(from).position(|(announced, sent)| long(*announced) != long(sent.ty)) {
            return Err(TdsError::new(4816, 16, 1, format!("Invalid column type from bcp client for colid {}.", at + 1)));
        }
        let count = self.insert_values(&table, &columns, from, rows);
        if self.identity_insert == Some(table.object_id) {
            self.identity_insert = None;
        }
        count
    }
}
