//! CREATE, DROP, TRUNCATE: read here, since `sqlparser` knows not all of T-SQL's definitions.

use super::batch::{parse_expr, parse_statement, split_commas, tokenize, written};
use super::catalogue::{ColumnDef, ForeignDef, KeyDef, KeyKind, Kind, TableDef, quote};
use super::draft::{Draft, Reader};
use super::emit::{Emitter, Names, Source, columns_of};
use super::error::TdsError;
use super::expression::collation_of;
use super::session::{Session, sqlite_error};
use super::types::Type;
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;

impl Session {
    pub fn define(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let mut r = Reader { tokens, at: 0 };
        if r.takes(&["CREATE", "TABLE"]) {
            let (schema, name) = r.name()?;
            let list = r.parenthesised()?;
            return self.create_table_named(schema.as_deref(), &name, list);
        }
        if r.takes(&["CREATE", "SCHEMA"]) {
            let name = r.identifier()?;
            self.shared.catalogue().add_schema(&name)?;
            return self.refresh();
        }
        if self.create_role(&mut r)? {
            return Ok(());
        }
        if r.takes(&["CREATE", "VIEW"]) {
            return self.create_view(&mut r);
        }
        if r.takes(&["TRUNCATE", "TABLE"]) {
            let (schema, name) = r.name()?;
            let table = self.known(schema.as_deref(), &name)?;
            let sql = format!("DELETE FROM {}", table.sqlite_name());
            self.db.execute_batch(&sql).map_err(|e| sqlite_error(&e, Some((&table, &[])), "TRUNCATE"))?;
            self.shared.forget_identity(table.object_id);
            return Ok(());
        }
        if r.takes(&["DROP", "TABLE"]) || r.takes(&["DROP", "VIEW"]) {
            let if_exists = r.takes(&["IF", "EXISTS"]);
            for item in split_commas(&tokens[r.at..]) {
                let (schema, name) = Reader { tokens: item, at: 0 }.name()?;
                self.drop_table(schema.as_deref(), &name, if_exists)?;
            }
            return self.refresh();
        }
        if r.takes(&["DROP", "SCHEMA"]) || r.takes(&["DROP", "INDEX"]) {
            return Err(TdsError::unsupported(written(tokens)));
        }
        if r.takes(&["ALTER", "TABLE"]) {
            return self.alter_table(&mut r);
        }
        self.create_index(&mut r).and_then(|done| if done { Ok(()) } else { Err(TdsError::unsupported(written(tokens))) })
    }

    pub fn known(&self, schema: Option<&str>, name: &str) -> Result<std::sync::Arc<TableDef>, TdsError> {
        self.table(schema, name).ok_or_else(|| TdsError::invalid_object(&schema.map_or_else(|| name.to_owned(), |s| format!("{s}.{name}"))))
    }

    pub fn create_table_named(&mut self, schema: Option<&str>, name: &str, list: &[Token]) -> Result<(), TdsError> {
        let mut draft = Draft {
            schema: schema.unwrap_or("dbo").to_owned(),
            name: name.to_owned(),
            columns: Vec::new(),
            keys: Vec::new(),
            checks: Vec::new(),
            foreign: Vec::new(),
        };
        // DECLARE @t TABLE (…) brings its parentheses.
        let list = match list {
            [Token::LParen, inner @ .., Token::RParen] => inner,
            other => other,
        };
        for item in split_commas(list) {
            draft.item(item)?;
        }
        let temporary = name.starts_with(['#', '@']);
        if self.table(schema, name).is_some() {
            return Err(TdsError::new(2714, 16, 6, format!("There is already an object named '{name}' in the database."))
                .ends(super::error::Reach::Batch));
        }
        if !temporary && self.shared.catalogue().schema_id(&draft.schema).is_none() {
            return Err(TdsError::new(
                2760,
                16,
                1,
                format!("The specified schema name \"{}\" either does not exist or you do not have permission to use it.", draft.schema),
            ));
        }
        let table = self.settled(draft, temporary)?;
        self.create(table)
    }

    /// Names looked up, types of computed columns found.
    pub fn settled(&self, draft: Draft, temporary: bool) -> Result<TableDef, TdsError> {
        let made_up = |prefix: &str, of: &str| draft.made_up(prefix, of);
        let mut table = TableDef {
            schema: draft.schema.clone(),
            name: draft.name.clone(),
            object_id: self.shared.catalogue().new_id(),
            columns: draft.columns.clone(),
            keys: Vec::new(),
            checks: draft.checks.clone(),
            foreign: Vec::new(),
            kind: if temporary { Kind::Temporary } else { Kind::Table },
        };
        let positions = |table: &TableDef, names: &[String]| {
            names
                .iter()
                .map(|n| {
                    table
                        .position(n)
                        .ok_or_else(|| TdsError::new(1911, 16, 1, format!("Column name '{n}' does not exist in the target table or view.")))
                })
                .collect::<Result<Vec<_>, _>>()
        };
        for (name, kind, columns) in &draft.keys {
            let columns = positions(&table, columns)?;
            let prefix = if *kind == KeyKind::Primary { "PK" } else { "UQ" };
            let name = name
                .clone()
                .unwrap_or_else(|| made_up(prefix, &columns.iter().map(|c| table.columns[*c].name.clone()).collect::<String>()));
            if *kind == KeyKind::Primary {
                for at in &columns {
                    table.columns[*at].nullable = false;
                }
            }
            table.keys.push(KeyDef { name, kind: *kind, columns, filter: None });
        }
        for (name, columns, (schema, parent), referred) in &draft.foreign {
            let own = columns;
            let columns = positions(&table, columns)?;
            let parent_table = if parent.eq_ignore_ascii_case(&table.name) { None } else { Some(self.known(schema.as_deref(), parent)?) };
            let sqlite = parent_table.as_ref().map_or_else(|| table.sqlite_name(), |t| t.sqlite_name());
            let name = name.clone().unwrap_or_else(|| made_up("FK", &own.concat()));
            table.foreign.push(ForeignDef { name, columns, table: sqlite, referred: referred.clone() });
        }
        for at in 0..table.columns.len() {
            if let Some(definition) = table.columns[at].computed.clone() {
                let expr = parse_expr(&tokenize(&definition)?)?;
                let (_, typed) = self.bare(&table).expr(&expr)?;
                table.columns[at].ty = typed.ty;
            }
        }
        Ok(table)
    }

    /// An emitter for expressions over a table's own columns.
    pub fn bare(&self, table: &TableDef) -> Emitter<'_> {
        let mut emitter = Emitter::new(self);
        emitter.scopes.push(vec![Source { alias: String::new(), columns: columns_of(table), lift: false }]);
        emitter
    }

    pub fn column_sql(&self, table: &TableDef, column: &ColumnDef) -> Result<String, TdsError> {
        let mut storage = column.ty.storage().to_owned();
        if let Some(collation) = &column.collation
            && column.ty.is_text()
        {
            storage = format!("TEXT COLLATE {}", collation_of(collation));
        }
        let mut sql = format!("{} {storage}", quote(&column.name));
        if let Some(definition) = &column.computed {
            let expr = parse_expr(&tokenize(definition)?)?;
            let (written, typed) = self.bare(table).expr(&expr)?;
            sql.push_str(&format!(" GENERATED ALWAYS AS ({}) VIRTUAL", super::expression::cast(&written, typed.ty, column.ty)));
        }
        Ok(sql)
    }

    /// Makes the table in SQLite and in the catalogue.
    pub fn create(&mut self, table: TableDef) -> Result<(), TdsError> {
        let mut parts = Vec::new();
        for column in &table.columns {
            parts.push(self.column_sql(&table, column)?);
        }
        for (name, definition) in &table.checks {
            let expr = parse_expr(&tokenize(definition)?)?;
            let (sql, _) = self.bare(&table).expr(&expr)?;
            parts.push(format!("CONSTRAINT {} CHECK ({sql})", quote(name)));
        }
        if table.kind == Kind::Table {
            for foreign in &table.foreign {
                let columns: Vec<String> = foreign.columns.iter().map(|c| quote(&table.columns[*c].name)).collect();
                let referred: Vec<String> = foreign.referred.iter().map(|c| quote(c)).collect();
                parts.push(format!("FOREIGN KEY ({}) REFERENCES {}({})", columns.join(", "), foreign.table, referred.join(", ")));
            }
        }
        let mut sql = format!("CREATE TABLE {} ({});", table.sqlite_name(), parts.join(", "));
        for key in &table.keys {
            sql.push_str(&self.index_sql(&table, key)?);
        }
        self.db.execute_batch(&sql).map_err(|e| sqlite_error(&e, None, &sql))?;
        if table.kind == Kind::Temporary {
            self.facts().temp.insert(table.name.to_lowercase(), std::sync::Arc::new(table));
            return Ok(());
        }
        self.shared.catalogue().put(table);
        self.refresh()
    }

    fn create_view(&mut self, r: &mut Reader<'_>) -> Result<(), TdsError> {
        let (schema, name) = r.name()?;
        if !r.takes(&["AS"]) {
            return Err(TdsError::unsupported(written(r.tokens)));
        }
        let Statement::Query(query) = parse_statement(&r.tokens[r.at..])? else { return Err(TdsError::syntax("VIEW")) };
        let (sql, columns) = Emitter::new(self).query(&query)?;
        let table = TableDef {
            schema: schema.unwrap_or_else(|| "dbo".to_owned()),
            name,
            object_id: self.shared.catalogue().new_id(),
            columns: columns.iter().map(|c| ColumnDef::plain(&c.name, c.ty, c.nullable)).collect(),
            keys: Vec::new(),
            checks: Vec::new(),
            foreign: Vec::new(),
            kind: Kind::View,
        };
        let sql = format!("CREATE VIEW {} AS {sql}", table.sqlite_name());
        self.db.execute_batch(&sql).map_err(|e| sqlite_error(&e, None, &sql))?;
        self.shared.catalogue().put(table);
        self.refresh()
    }

    fn drop_table(&mut self, schema: Option<&str>, name: &str, if_exists: bool) -> Result<(), TdsError> {
        let Some(table) = self.table(schema, name) else {
            if if_exists {
                return Ok(());
            }
            return Err(TdsError::new(
                3701,
                11,
                5,
                format!("Cannot drop the table '{name}', because it does not exist or you do not have permission."),
            ));
        };
        let word = if table.kind == Kind::View { "VIEW" } else { "TABLE" };
        let sql = format!("DROP {word} {}", table.sqlite_name());
        self.db.execute_batch(&sql).map_err(|e| {
            if e.to_string().contains("FOREIGN KEY") {
                return TdsError::new(
                    3726,
                    16,
                    1,
                    format!("Could not drop object '{name}' because it is referenced by a FOREIGN KEY constraint."),
                );
            }
            sqlite_error(&e, None, &sql)
        })?;
        self.shared.forget_identity(table.object_id);
        if table.kind == Kind::Temporary {
            self.facts().temp.remove(&name.to_lowercase());
        } else {
            self.shared.catalogue().remove(&table.schema, &table.name);
        }
        Ok(())
    }

    /// The catalogue views, filled anew.
    pub fn refresh(&mut self) -> Result<(), TdsError> {
        let catalogue = self.shared.catalogue().clone();
        let alone = self.db.is_autocommit();
        let fill = || -> rusqlite::Result<()> {
            if alone {
                self.db.execute_batch("BEGIN IMMEDIATE")?;
            }
            super::catalogue::refresh(&self.db, &catalogue, &self.shared.settings.database)?;
            if alone { self.db.execute_batch("COMMIT") } else { Ok(()) }
        };
        fill().map_err(|e| sqlite_error(&e, None, "the catalogue"))
    }
}
