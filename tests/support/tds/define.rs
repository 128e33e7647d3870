//! CREATE, ALTER, DROP, TRUNCATE: read here, since `sqlparser` knows not all of T-SQL's definitions.

use super::batch::{is_word, parse_expr, parse_statement, split_commas, tokenize, written};
use super::catalogue::{ColumnDef, ForeignDef, KeyDef, KeyKind, Kind, TableDef, quote};
use super::emit::{Emitter, Names, Source, columns_of};
use super::error::TdsError;
use super::expression::collation_of;
use super::session::{Session, sqlite_error};
use super::tokens::Column;
use super::types::Type;
use super::value::SqlValue;
use sqlparser::ast::{ObjectName, Statement};
use sqlparser::tokenizer::Token;

/// Tokens of a definition, read from the front.
struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(n, w)| is_word(self.tokens.get(self.at + n), w));
        if all {
            self.at += words.len();
        }
        all
    }

    fn identifier(&mut self) -> Result<String, TdsError> {
        match self.peek() {
            Some(Token::Word(w)) => {
                self.at += 1;
                Ok(w.value.clone())
            }
            other => Err(TdsError::syntax(other.map_or_else(String::new, ToString::to_string))),
        }
    }

    /// `[database.][schema.]name`
    fn name(&mut self) -> Result<(Option<String>, String), TdsError> {
        let mut parts = vec![self.identifier()?];
        while self.peek() == Some(&Token::Period) {
            self.at += 1;
            if self.peek() == Some(&Token::Period) {
                parts.push(String::new());
                continue;
            }
            parts.push(self.identifier()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok((parts.pop().filter(|s| !s.is_empty()), name))
    }

    /// What stands between a pair of parentheses.
    fn parenthesised(&mut self) -> Result<&'t [Token], TdsError> {
        if self.peek() != Some(&Token::LParen) {
            return Err(TdsError::syntax(self.peek().map_or_else(String::new, ToString::to_string)));
        }
        let start = self.at + 1;
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at = at + 1;
                return Ok(&self.tokens[start..at]);
            }
        }
        Err(TdsError::syntax("("))
    }

    fn names(&mut self) -> Result<Vec<String>, TdsError> {
        let list = self.parenthesised()?;
        split_commas(list)
            .into_iter()
            .map(|item| match item.first() {
                Some(Token::Word(w)) => Ok(w.value.clone()),
                _ => Err(TdsError::syntax(written(item))),
            })
            .collect()
    }
}

/// A foreign key: name, columns, the other table, its columns.
type Reference = (Option<String>, Vec<String>, (Option<String>, String), Vec<String>);

/// A table being read.
struct Draft {
    schema: String,
    name: String,
    columns: Vec<ColumnDef>,
    keys: Vec<(Option<String>, KeyKind, Vec<String>)>,
    checks: Vec<(String, String)>,
    foreign: Vec<Reference>,
}

impl Draft {
    /// A name as the server makes one.
    fn made_up(&self, prefix: &str, of: &str) -> String {
        let number: u32 = self.name.bytes().chain(of.bytes()).fold(5381, |n, b| n.wrapping_mul(33) ^ u32::from(b));
        let column = if of.is_empty() { String::new() } else { format!("__{}", of.chars().take(5).collect::<String>()) };
        format!("{prefix}__{}{column}__{number:08X}", self.name.trim_start_matches('#').chars().take(9).collect::<String>())
    }

    fn item(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let mut r = Reader { tokens, at: 0 };
        let name = if r.takes(&["CONSTRAINT"]) { Some(r.identifier()?) } else { None };
        if self.constraint(&mut r, name.clone(), None)? {
            return Ok(());
        }
        if name.is_some() {
            return Err(TdsError::syntax(written(tokens)));
        }
        self.column(&mut r)
    }

    fn column(&mut self, r: &mut Reader<'_>) -> Result<(), TdsError> {
        let name = r.identifier()?;
        if r.takes(&["AS"]) {
            let start = r.at;
            r.parenthesised()?;
            let definition = written(&r.tokens[start..r.at]);
            r.takes(&["PERSISTED"]);
            let mut column = ColumnDef::plain(&name, Type::Null, true);
            if r.takes(&["NOT", "NULL"]) {
                column.nullable = false;
            }
            column.computed = Some(definition);
            self.columns.push(column);
            return Ok(());
        }
        let start = r.at;
        r.name()?;
        // `double precision`
        r.takes(&["PRECISION"]);
        if r.peek() == Some(&Token::LParen) {
            r.parenthesised()?;
        }
        let text = written(&r.tokens[start..r.at]);
        let ty = Type::parse(&text).ok_or_else(|| {
            TdsError::new(2715, 16, 6, format!("Column, parameter, or variable #{}: Cannot find data type {text}.", self.columns.len() + 1))
        })?;
        let mut column = ColumnDef::plain(&name, ty, ty != Type::RowVersion);
        let at = self.columns.len();
        self.columns.push(column.clone());
        while r.peek().is_some() {
            let constraint = if r.takes(&["CONSTRAINT"]) { Some(r.identifier()?) } else { None };
            if r.takes(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if r.takes(&["NULL"]) {
                column.nullable = true;
            } else if r.takes(&["IDENTITY"]) {
                let mut seed = (1, 1);
                if r.peek() == Some(&Token::LParen) {
                    let list = r.parenthesised()?;
                    let numbers: Vec<i64> = split_commas(list)
                        .iter()
                        .map(|t| written(t).replace(' ', "").parse().map_err(|_| TdsError::syntax("IDENTITY")))
                        .collect::<Result<_, _>>()?;
                    seed = (numbers.first().copied().unwrap_or(1), numbers.get(1).copied().unwrap_or(1));
                }
                column.identity = Some(seed);
                column.nullable = false;
            } else if r.takes(&["COLLATE"]) {
                column.collation = Some(r.identifier()?);
            } else if r.takes(&["DEFAULT"]) {
                let start = r.at;
                while let Some(token) = r.peek() {
                    let stop = [
                        "NOT",
                        "NULL",
                        "CONSTRAINT",
                        "PRIMARY",
                        "UNIQUE",
                        "CHECK",
                        "REFERENCES",
                        "IDENTITY",
                        "COLLATE",
                        "ROWGUIDCOL",
                        "FOREIGN",
                    ];
                    if r.at > start && stop.iter().any(|w| is_word(Some(token), w)) {
                        break;
                    }
                    if *token == Token::LParen {
                        r.parenthesised()?;
                    } else {
                        r.at += 1;
                    }
                }
                let definition = written(&r.tokens[start..r.at]);
                column.default = Some((constraint.unwrap_or_else(|| self.made_up("DF", &name)), definition));
            } else if r.takes(&["ROWGUIDCOL"]) || r.takes(&["SPARSE"]) {
            } else if !self.constraint(r, constraint, Some(&name))? {
                return Err(TdsError::syntax(r.peek().map_or_else(String::new, ToString::to_string)));
            }
        }
        self.columns[at] = column;
        Ok(())
    }

    /// PRIMARY KEY, UNIQUE, CHECK, REFERENCES; of one column, or with a list.
    fn constraint(&mut self, r: &mut Reader<'_>, name: Option<String>, column: Option<&str>) -> Result<bool, TdsError> {
        let kind = if r.takes(&["PRIMARY", "KEY"]) {
            Some(KeyKind::Primary)
        } else if r.takes(&["UNIQUE"]) {
            Some(KeyKind::Unique)
        } else {
            None
        };
        if let Some(kind) = kind {
            let _ = r.takes(&["CLUSTERED"]) || r.takes(&["NONCLUSTERED"]);
            let columns = match column {
                Some(column) if r.peek() != Some(&Token::LParen) => vec![column.to_owned()],
                _ => r.names()?,
            };
            skip_options(r)?;
            self.keys.push((name, kind, columns));
            return Ok(true);
        }
        if r.takes(&["CHECK"]) {
            let definition = written(r.parenthesised()?);
            let name = name.unwrap_or_else(|| self.made_up("CK", column.unwrap_or("")));
            self.checks.push((name, definition));
            return Ok(true);
        }
        let columns = if r.takes(&["FOREIGN", "KEY"]) {
            match column {
                Some(column) if r.peek() != Some(&Token::LParen) => Some(vec![column.to_owned()]),
                _ => Some(r.names()?),
            }
        } else {
            column.map(|c| vec![c.to_owned()])
        };
        if let Some(columns) = columns
            && r.takes(&["REFERENCES"])
        {
            let parent = r.name()?;
            let referred = if r.peek() == Some(&Token::LParen) { r.names()? } else { columns.clone() };
            while r.takes(&["ON", "DELETE"]) || r.takes(&["ON", "UPDATE"]) {
                if !(r.takes(&["NO", "ACTION"]) || r.takes(&["CASCADE"])) {
                    return Err(TdsError::unsupported("this action of a foreign key"));
                }
            }
            self.foreign.push((name, columns, parent, referred));
            return Ok(true);
        }
        Ok(false)
    }
}

/// `WITH (…)`, `ON [PRIMARY]` after a key.
fn skip_options(r: &mut Reader<'_>) -> Result<(), TdsError> {
    if r.takes(&["WITH"]) {
        r.parenthesised()?;
    }
    if is_word(r.peek(), "ON") && !is_word(r.tokens.get(r.at + 1), "DELETE") && !is_word(r.tokens.get(r.at + 1), "UPDATE") {
        r.at += 1;
        r.identifier()?;
    }
    Ok(())
}

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

    fn known(&self, schema: Option<&str>, name: &str) -> Result<std::sync::Arc<TableDef>, TdsError> {
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
    fn settled(&self, draft: Draft, temporary: bool) -> Result<TableDef, TdsError> {
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
    fn bare(&self, table: &TableDef) -> Emitter<'_> {
        let mut emitter = Emitter::new(self);
        emitter.scopes.push(vec![Source { alias: String::new(), columns: columns_of(table), lift: false }]);
        emitter
    }

    fn column_sql(&self, table: &TableDef, column: &ColumnDef) -> Result<String, TdsError> {
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
    fn create(&mut self, table: TableDef) -> Result<(), TdsError> {
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

    /// SQL Server lets one NULL into a unique key, SQLite any number: a second index holds them apart.
    fn index_sql(&self, table: &TableDef, key: &KeyDef) -> Result<String, TdsError> {
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

    fn create_index(&mut self, r: &mut Reader<'_>) -> Result<bool, TdsError> {
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

    fn alter_table(&mut self, r: &mut Reader<'_>) -> Result<(), TdsError> {
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
        let mut columns = Vec::new();
        for name in r.names()? {
            columns.push(table.position(&name).ok_or_else(|| TdsError::invalid_column(&name))?);
        }
        let keeps_identity = columns.iter().any(|c| table.columns[*c].identity.is_some());
        if keeps_identity {
            self.identity_insert = Some(table.object_id);
        }
        self.bulk = Some((table, columns));
        Ok(())
    }

    /// The rows of a bulk load.
    pub fn bulk_rows(&mut self, from: &[Column], rows: Vec<Vec<SqlValue>>) -> Result<u64, TdsError> {
        let (table, columns) = self.bulk.take().ok_or_else(|| TdsError::new(4004, 16, 1, "A bulk load without INSERT BULK."))?;
        if from.len() != columns.len() {
            return Err(TdsError::new(4813, 16, 1, "Expected the text length in data stream for bulk copy of text, ntext, or image data."));
        }
        let count = self.insert_values(&table, &columns, from, rows);
        if self.identity_insert == Some(table.object_id) {
            self.identity_insert = None;
        }
        count
    }
}
