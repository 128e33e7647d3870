//! ALTER TABLE and CREATE INDEX: a table that stands gets columns, types, keys.

use super::batch::{is_word, parse_expr, split_commas, tokenize, written};
use super::catalogue::{KeyDef, KeyKind, Kind, TableDef, quote};
use super::draft::{Draft, Reader};
use super::error::TdsError;
use super::session::{Session, sqlite_error};

impl Session {
    /// SQL Server lets one NULL into a unique key, SQLite any number: a second index holds them apart.
    pub fn index_sql(&self, table: &TableDef, key: &KeyDef) -> Result<String, TdsError> {
        let columns: Vec<String> = key.columns.iter().map(|c| quote(&table.columns[*c].name)).collect();
        let (prefix, on) = match table.kind {
            Kind::Temporary => ("temp.", quote(&table.name)),
            _ => ("", quote(&format!("{}.{}", table.schema, table.name))),
        };
        let name = format!("{prefix}{}", quote(&format!("{}.{}.{}", table.schema, table.name, key.name)));
        let filter = match &key.filter {
            Some(filter) => {
                let expr = parse_expr(&tokenize(filter)?)?;
                format!(" WHERE {}", self.bare(table).expr(&expr)?.0)
            }
            None => String::new(),
        };
        let unique = key.kind != KeyKind::Index;
        let nullable = unique && key.columns.iter().any(|c| table.columns[*c].nullable) && key.filter.is_none();
        let word = if unique { "UNIQUE " } else { "" };
        let mut sql = format!("CREATE {word}INDEX {name} ON {on} ({}){filter};", columns.join(", "));
        if nullable {
            let name = format!("{prefix}{}", quote(&format!("{}.{}.{}.nulls", table.schema, table.name, key.name)));
            let nulls: Vec<String> = columns.iter().map(|c| format!("{c} IS NULL")).collect();
            let keys: Vec<String> = columns.iter().map(|c| format!("ifnull({c}, X'00')")).collect();
            sql.push_str(&format!("CREATE UNIQUE INDEX {name} ON {on} ({}) WHERE {};", keys.join(", "), nulls.join(" OR ")));
        }
        Ok(sql)
    }

    pub fn create_index(&mut self, r: &mut Reader<'_>) -> Result<bool, TdsError> {
        if !r.takes(&["CREATE"]) {
            return Ok(false);
        }
        let unique = r.takes(&["UNIQUE"]);
        let _ = r.takes(&["CLUSTERED"]) || r.takes(&["NONCLUSTERED"]);
        if !r.takes(&["INDEX"]) {
            return Ok(false);
        }
        let name = r.identifier()?;
        if !r.takes(&["ON"]) {
            return Err(TdsError::syntax(name));
        }
        let (schema, table) = r.name()?;
        let names = r.names()?;
        if r.takes(&["INCLUDE"]) {
            r.parenthesised()?;
        }
        let filter = if r.takes(&["WHERE"]) {
            let end = r.tokens[r.at..].iter().position(|t| is_word(Some(t), "WITH")).map_or(r.tokens.len(), |n| r.at + n);
            Some(written(&r.tokens[r.at..end]))
        } else {
            None
        };
        let mut table = (*self.known(schema.as_deref(), &table)?).clone();
        let columns = names
            .iter()
            .map(|n| {
                table
                    .position(n)
                    .ok_or_else(|| TdsError::new(1911, 16, 1, format!("Column name '{n}' does not exist in the target table or view.")))
            })
            .collect::<Result<_, _>>()?;
        let key = KeyDef { name, kind: if unique { KeyKind::UniqueIndex } else { KeyKind::Index }, columns, filter };
        self.add_key(&mut table, key)?;
        Ok(true)
    }

    fn add_key(&mut self, table: &mut TableDef, key: KeyDef) -> Result<(), TdsError> {
        let sql = self.index_sql(table, &key)?;
        let name = key.name.clone();
        self.db.execute_batch(&sql).map_err(|e| {
            if e.to_string().contains("UNIQUE constraint failed") {
                return TdsError::new(1505, 16, 1, format!("The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '{}.{}' and the index name '{name}'.", table.schema, table.name));
            }
            sqlite_error(&e, None, &sql)
        })?;
        table.keys.push(key);
        self.replace(table.clone())
    }

    fn replace(&mut self, table: TableDef) -> Result<(), TdsError> {
        if table.kind == Kind::Temporary {
            self.facts().temp.insert(table.name.to_lowercase(), std::sync::Arc::new(table));
            return Ok(());
        }
        self.shared.catalogue().put(table);
        self.refresh()
    }

    pub fn alter_table(&mut self, r: &mut Reader<'_>) -> Result<(), TdsError> {
        let (schema, name) = r.name()?;
        let mut table = (*self.known(schema.as_deref(), &name)?).clone();
        let _ = r.takes(&["WITH", "CHECK"]) || r.takes(&["WITH", "NOCHECK"]);
        if r.takes(&["DROP", "COLUMN"]) {
            let column = r.identifier()?;
            let at = table.position(&column).ok_or_else(|| {
                TdsError::new(
                    4924,
                    16,
                    1,
                    format!("ALTER TABLE DROP COLUMN failed because column '{column}' does not exist in table '{name}'."),
                )
            })?;
            if table.keys.iter().any(|k| k.columns.contains(&at)) {
                return Err(TdsError::new(5074, 16, 1, format!("The object is dependent on column '{column}'.")));
            }
            let sql = format!("ALTER TABLE {} DROP COLUMN {}", table.sqlite_name(), quote(&column));
            self.db.execute_batch(&sql).map_err(|e| sqlite_error(&e, None, &sql))?;
            table.columns.remove(at);
            for key in &mut table.keys {
                for column in &mut key.columns {
                    *column -= usize::from(*column > at);
                }
            }
            return self.replace(table);
        }
        if r.takes(&["ALTER", "COLUMN"]) {
            // The type and nullability of what is written from now on; what is stored stays.
            let column = r.identifier()?;
            let at = table.position(&column).ok_or_else(|| TdsError::invalid_column(&column))?;
            let mut draft = Draft {
                schema: table.schema.clone(),
                name,
                columns: Vec::new(),
                keys: Vec::new(),
                checks: Vec::new(),
                foreign: Vec::new(),
            };
            let mut again = Reader { tokens: r.tokens, at: r.at - 1 };
            draft.column(&mut again)?;
            let new = draft.columns.pop().ok_or_else(|| TdsError::syntax("ALTER"))?;
            (table.columns[at].ty, table.columns[at].nullable) = (new.ty, new.nullable);
            return self.replace(table);
        }
        if !r.takes(&["ADD"]) {
            return Err(TdsError::unsupported(written(r.tokens)));
        }
        let mut draft = Draft {
            schema: table.schema.clone(),
            name,
            columns: table.columns.clone(),
            keys: Vec::new(),
            checks: Vec::new(),
            foreign: Vec::new(),
        };
        for item in split_commas(&r.tokens[r.at..]) {
            draft.item(item)?;
        }
        if !draft.checks.is_empty() || !draft.foreign.is_empty() {
            return Err(TdsError::unsupported("ALTER TABLE ADD of a check or a foreign key"));
        }
        let known = table.columns.len();
        let settled = self.settled(draft, table.kind == Kind::Temporary)?;
        for column in &settled.columns[known..] {
            if !column.nullable && column.default.is_none() && column.identity.is_none() {
                return Err(TdsError::new(
                    4901,
                    16,
                    1,
                    format!(
                        "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified. Column '{}' cannot be added to non-empty table '{}'.",
                        column.name, table.name
                    ),
                ));
            }
            table.columns.push(column.clone());
            let sql = format!("ALTER TABLE {} ADD COLUMN {}", table.sqlite_name(), self.column_sql(&table, column)?);
            self.db.execute_batch(&sql).map_err(|e| sqlite_error(&e, None, &sql))?;
            if let Some((_, definition)) = &column.default {
                let value = self.evaluate_as(&tokenize(definition)?, column.ty)?;
                let sql = format!("UPDATE {} SET {} = ?", table.sqlite_name(), quote(&column.name));
                self.db.execute(&sql, [value.stored()]).map_err(|e| sqlite_error(&e, None, &sql))?;
            }
        }
        if settled.keys.is_empty() {
            return self.replace(table);
        }
        for key in settled.keys {
            self.add_key(&mut table, key)?;
        }
        Ok(())
    }
}
