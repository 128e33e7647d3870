//! T-SQL queries, parsed by `sqlparser`, written as SQLite's SQL with the types of their columns.

use super::catalogue::{self, TableDef, quote};
use super::error::TdsError;
use super::tokens::Column;
use super::types::Type;
use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderBy, OrderByExpr, OrderByKind, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableFactor, TableWithJoins, TopQuantity,
};
use std::sync::Arc;

pub type Emitted<T> = Result<T, TdsError>;

/// What names mean where the statement stands.
pub trait Names {
    /// A table, a view or a `#table`.
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<TableDef>>;
    /// The type of a variable or parameter, its name in small letters with the `@`.
    fn variable(&self, name: &str) -> Option<Type>;
}

/// The type of an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Typed {
    pub ty: Type,
    pub nullable: bool,
    /// A column itself: it brings its collation.
    pub column: bool,
}

impl Typed {
    pub const fn new(ty: Type) -> Self {
        Self { ty, nullable: true, column: false }
    }

    pub const fn never_null(ty: Type) -> Self {
        Self { ty, nullable: false, column: false }
    }
}

/// Where columns come from.
#[derive(Clone, Debug)]
pub struct Source {
    pub alias: String,
    pub columns: Vec<Column>,
    /// Its columns are taken out of the statement as parameters (see [`Emitter::lifted`]).
    pub lift: bool,
}

pub struct Emitter<'n> {
    names: &'n dyn Names,
    pub scopes: Vec<Vec<Source>>,
    ctes: Vec<(String, Vec<Column>)>,
    /// Columns of lifting sources, in SQLite's words; the n-th stands as `:out_n`.
    pub lifted: Vec<(String, Type)>,
}

/// A SELECT at the top of a statement.
pub struct Selected {
    pub sql: String,
    pub columns: Vec<Column>,
    /// The variable that each column is given to (`SELECT @x = …`).
    pub variables: Vec<Option<String>>,
    pub into: Option<ObjectName>,
}

pub fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|p| p.as_ident()).map(|i| i.value.clone()).collect()
}

/// Schema and name of `[database.][schema.]name`; `tempdb..#t` too.
pub fn schema_and_name(name: &ObjectName) -> (Option<String>, String) {
    let mut parts = parts(name);
    let table = parts.pop().unwrap_or_default();
    (parts.pop().filter(|s| !s.is_empty()), table)
}

pub fn column_of(name: &str, typed: Typed) -> Column {
    Column {
        name: name.to_owned(),
        ty: if typed.ty == Type::Null { Type::Int } else { typed.ty },
        nullable: typed.nullable,
        identity: false,
        computed: false,
    }
}

pub fn columns_of(table: &TableDef) -> Vec<Column> {
    table
        .columns
        .iter()
        .map(|c| Column {
            name: c.name.clone(),
            ty: c.ty,
            nullable: c.nullable,
            identity: c.identity.is_some(),
            computed: c.computed.is_some(),
        })
        .collect()
}

/// How the n-th column is called towards SQLite: never ambiguous with a name of the other ones.
fn inner(at: usize, column: &Column) -> String {
    if column.name.is_empty() { format!("\"__c{at}\"") } else { quote(&column.name) }
}

impl<'n> Emitter<'n> {
    pub fn new(names: &'n dyn Names) -> Self {
        Self { names, scopes: Vec::new(), ctes: Vec::new(), lifted: Vec::new() }
    }

    pub fn names(&self) -> &'n dyn Names {
        self.names
    }

    /// A table by its name as written.
    pub fn table(&self, name: &ObjectName) -> Emitted<Arc<TableDef>> {
        let (schema, table) = schema_and_name(name);
        self.names
            .table(schema.as_deref(), &table)
            .or_else(|| catalogue::view(schema.as_deref().unwrap_or(""), &table).map(Arc::new))
            .ok_or_else(|| TdsError::invalid_object(&parts(name).join(".")))
    }

    /// The statement of a SELECT.
    pub fn select_statement(&mut self, query: &Query) -> Emitted<Selected> {
        let (mut variables, mut into) = (Vec::new(), None);
        if let SetExpr::Select(select) = query.body.as_ref() {
            variables = select
                .projection
                .iter()
                .map(|item| match item {
                    SelectItem::ExprWithAlias { alias, .. } if alias.value.starts_with('@') => Some(alias.value.to_lowercase()),
                    _ => None,
                })
                .collect();
            into = match select.into.as_ref().map(|i| i.targets.as_slice()) {
                None => None,
                Some([Expr::Identifier(name)]) => Some(ObjectName::from(vec![name.clone()])),
                Some([Expr::CompoundIdentifier(names)]) => Some(ObjectName::from(names.clone())),
                Some(_) => return Err(TdsError::unsupported("SELECT INTO of this form")),
            };
        }
        let (sql, columns) = self.query(query)?;
        if variables.len() != columns.len() {
            variables = vec![None; columns.len()];
        }
        Ok(Selected { sql, columns, variables, into })
    }

    pub fn query(&mut self, query: &Query) -> Emitted<(String, Vec<Column>)> {
        if query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(TdsError::unsupported(query));
        }
        let known = self.ctes.len();
        let mut sql = String::new();
        if let Some(with) = &query.with {
            let mut written = Vec::new();
            for cte in &with.cte_tables {
                written.push(self.cte(cte)?);
            }
            sql = format!("WITH {} ", written.join(", "));
        }
        let depth = self.scopes.len();
        let (body, columns) = self.body(&query.body)?;
        sql.push_str(&body);
        if let Some(order) = &query.order_by {
            // A SELECT leaves its sources for its ORDER BY.
            sql.push_str(&format!(" ORDER BY {}", self.order_by(order, &columns)?));
        }
        if let Some(limit) = self.limit(query)? {
            sql.push_str(&limit);
        }
        self.scopes.truncate(depth);
        self.ctes.truncate(known);
        Ok((sql, columns))
    }

    fn cte(&mut self, cte: &Cte) -> Emitted<String> {
        let (sql, mut columns) = self.query(&cte.query)?;
        let names: Vec<String> = cte.alias.columns.iter().map(|c| c.name.value.clone()).collect();
        for (column, name) in columns.iter_mut().zip(&names) {
            column.name.clone_from(name);
        }
        let list = columns.iter().enumerate().map(|(at, c)| inner(at, c)).collect::<Vec<_>>().join(", ");
        self.ctes.push((cte.alias.name.value.to_lowercase(), columns));
        Ok(format!("{}({list}) AS ({sql})", quote(&cte.alias.name.value)))
    }

    fn limit(&mut self, query: &Query) -> Emitted<Option<String>> {
        let top = match query.body.as_ref() {
            SetExpr::Select(select) => select.top.as_ref(),
            _ => None,
        };
        if let Some(top) = top {
            if top.percent || top.with_ties {
                return Err(TdsError::unsupported("TOP PERCENT and TOP WITH TIES"));
            }
            let most = match &top.quantity {
                Some(TopQuantity::Constant(n)) => n.to_string(),
                Some(TopQuantity::Expr(expr)) => self.expr(expr)?.0,
                None => "-1".to_owned(),
            };
            return Ok(Some(format!(" LIMIT {most}")));
        }
        let offset = match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit: None, offset: Some(offset), .. }) => Some(self.expr(&offset.value)?.0),
            Some(_) => return Err(TdsError::syntax("LIMIT")),
            None => None,
        };
        let fetch = match &query.fetch {
            Some(fetch) => match &fetch.quantity {
                Some(expr) => Some(self.expr(expr)?.0),
                None => Some("1".to_owned()),
            },
            None => None,
        };
        Ok(match (offset, fetch) {
            (None, None) => None,
            (None, Some(_)) => return Err(TdsError::syntax("FETCH")),
            (Some(offset), fetch) => Some(format!(" LIMIT {} OFFSET {offset}", fetch.unwrap_or_else(|| "-1".to_owned()))),
        })
    }

    fn order_by(&mut self, order: &OrderBy, columns: &[Column]) -> Emitted<String> {
        let OrderByKind::Expressions(all) = &order.kind else { return Err(TdsError::syntax("ALL")) };
        let mut written = Vec::new();
        for item in all {
            written.push(self.order_item(item, columns)?);
        }
        Ok(written.join(", "))
    }

    pub fn order_item(&mut self, item: &OrderByExpr, columns: &[Column]) -> Emitted<String> {
        let by_alias = match &item.expr {
            Expr::Identifier(name) => columns.iter().position(|c| c.name.eq_ignore_ascii_case(&name.value)),
            _ => None,
        };
        let sql = match by_alias {
            Some(at) => format!("{}", at + 1),
            None => self.expr(&item.expr)?.0,
        };
        let descending = item.options.to_string().to_uppercase().contains("DESC");
        Ok(if descending { format!("{sql} DESC") } else { sql })
    }

    fn body(&mut self, body: &SetExpr) -> Emitted<(String, Vec<Column>)> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => {
                let (sql, columns) = self.query(query)?;
                Ok((format!("SELECT * FROM ({sql})"), columns))
            }
            SetExpr::Values(values) => {
                let mut rows = Vec::new();
                let mut columns: Vec<Column> = Vec::new();
                for row in &values.rows {
                    let mut written = Vec::new();
                    for (at, expr) in row.content.iter().enumerate() {
                        let (sql, typed) = self.expr(expr)?;
                        written.push(sql);
                        match columns.get_mut(at) {
                            Some(column) => {
                                column.ty = column.ty.meet(typed.ty);
                                column.nullable |= typed.nullable;
                            }
                            None => columns.push(Column { ty: typed.ty, ..column_of("", typed) }),
                        }
                    }
                    rows.push(format!("({})", written.join(", ")));
                }
                Ok((format!("VALUES {}", rows.join(", ")), columns))
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let depth = self.scopes.len();
                let (left_sql, mut columns) = self.operand(left)?;
                self.scopes.truncate(depth);
                let (right_sql, others) = self.operand(right)?;
                self.scopes.truncate(depth);
                if columns.len() != others.len() {
                    return Err(TdsError::new(
                        205,
                        16,
                        1,
                        "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.",
                    ));
                }
                for (column, other) in columns.iter_mut().zip(&others) {
                    column.ty = column.ty.meet(other.ty);
                    column.nullable |= other.nullable;
                    column.identity = false;
                }
                let word = match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => "UNION ALL",
                    (SetOperator::Union, _) => "UNION",
                    (SetOperator::Except | SetOperator::Minus, _) => "EXCEPT",
                    (SetOperator::Intersect, _) => "INTERSECT",
                };
                Ok((format!("{left_sql} {word} {right_sql}"), columns))
            }
            other => Err(TdsError::unsupported(other)),
        }
    }

    fn operand(&mut self, body: &SetExpr) -> Emitted<(String, Vec<Column>)> {
        if let SetExpr::Select(select) = body
            && let Some(top) = &select.top
        {
            let most = match &top.quantity {
                Some(TopQuantity::Constant(n)) => n.to_string(),
                _ => return Err(TdsError::unsupported("TOP of this form in a UNION")),
            };
            let (sql, columns) = self.select(select)?;
            return Ok((format!("SELECT * FROM ({sql} LIMIT {most})"), columns));
        }
        self.body(body)
    }

    /// Leaves its sources in `scopes`, for an ORDER BY; the caller takes them away.
    fn select(&mut self, select: &Select) -> Emitted<(String, Vec<Column>)> {
        let from = self.from(&select.from)?;
        let mut columns = Vec::new();
        let mut items = Vec::new();
        for item in &select.projection {
            self.item(item, &mut items, &mut columns)?;
        }
        let mut sql = String::from("SELECT ");
        match &select.distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => sql.push_str("DISTINCT "),
            Some(other) => return Err(TdsError::unsupported(other)),
        }
        sql.push_str(&items.join(", "));
        if !from.is_empty() {
            sql.push_str(&format!(" FROM {from}"));
        }
        if let Some(condition) = &select.selection {
            sql.push_str(&format!(" WHERE {}", self.expr(condition)?.0));
        }
        match &select.group_by {
            GroupByExpr::Expressions(all, modifiers) if modifiers.is_empty() => {
                if !all.is_empty() {
                    let mut written = Vec::new();
                    for expr in all {
                        written.push(self.expr(expr)?.0);
                    }
                    sql.push_str(&format!(" GROUP BY {}", written.join(", ")));
                }
            }
            other => return Err(TdsError::unsupported(other)),
        }
        if let Some(condition) = &select.having {
            sql.push_str(&format!(" HAVING {}", self.expr(condition)?.0));
        }
        Ok((sql, columns))
    }

    /// One item of a select list or of OUTPUT, which may be many columns.
    pub fn item(&mut self, item: &SelectItem, items: &mut Vec<String>, columns: &mut Vec<Column>) -> Emitted<()> {
        let mut add = |sql: String, column: Column, columns: &mut Vec<Column>| {
            items.push(format!("{sql} AS {}", inner(columns.len(), &column)));
            columns.push(column);
        };
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let (sql, typed) = self.expr(expr)?;
                add(sql, self.column_for(expr, typed), columns);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let (sql, typed) = self.expr(expr)?;
                add(sql, Column { name: alias.value.clone(), ..self.column_for(expr, typed) }, columns);
            }
            SelectItem::Wildcard(_) => {
                let sources = self.scopes.last().cloned().unwrap_or_default();
                for source in sources {
                    for column in source.columns.clone() {
                        let sql = self.source_column(&source, &column);
                        add(sql, column, columns);
                    }
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let wanted = schema_and_name(name).1;
                let source = self.scopes.last().and_then(|s| s.iter().find(|s| s.alias.eq_ignore_ascii_case(&wanted))).cloned();
                let source = source.ok_or_else(|| {
                    TdsError::new(
                        107,
                        15,
                        1,
                        format!("The column prefix '{wanted}' does not match with a table name or alias name used in the query."),
                    )
                })?;
                for column in source.columns.clone() {
                    let sql = self.source_column(&source, &column);
                    add(sql, column, columns);
                }
            }
            other => return Err(TdsError::unsupported(other)),
        }
        Ok(())
    }

    /// Name and flags of a column that is selected as it is.
    fn column_for(&self, expr: &Expr, typed: Typed) -> Column {
        let found = match expr {
            Expr::Identifier(name) => self.find(None, &name.value),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [.., table, name] => self.find(Some(&table.value), &name.value),
                _ => None,
            },
            _ => None,
        };
        found.map_or_else(|| column_of("", typed), |(_, column)| column)
    }

    /// The source and column of a name, from the innermost query outwards.
    fn find(&self, table: Option<&str>, column: &str) -> Option<(Source, Column)> {
        for scope in self.scopes.iter().rev() {
            for source in scope.iter().filter(|s| table.is_none_or(|t| s.alias.eq_ignore_ascii_case(t))) {
                if let Some(found) = source.columns.iter().find(|c| c.name.eq_ignore_ascii_case(column)) {
                    return Some((source.clone(), found.clone()));
                }
            }
        }
        None
    }

    fn source_column(&mut self, source: &Source, column: &Column) -> String {
        // Without an alias: the table's own constraints and computed columns, where SQLite wants bare names.
        let prefix = if source.alias.is_empty() { String::new() } else { format!("{}.", quote(&source.alias)) };
        let sql = format!("{prefix}{}", quote(&column.name));
        if !source.lift {
            return sql;
        }
        self.lifted.push((sql, column.ty));
        format!(":out_{}", self.lifted.len() - 1)
    }

    pub fn resolve(&mut self, table: Option<&str>, name: &str) -> Emitted<(String, Typed)> {
        match self.find(table, name) {
            Some((source, column)) => {
                let typed = Typed { ty: column.ty, nullable: column.nullable, column: !source.lift };
                Ok((self.source_column(&source, &column), typed))
            }
            None => Err(match table {
                Some(table) if !self.scopes.iter().flatten().any(|s| s.alias.eq_ignore_ascii_case(table)) => {
                    TdsError::unbound(&format!("{table}.{name}"))
                }
                _ => TdsError::invalid_column(name),
            }),
        }
    }

    /// A FROM clause; pushes its sources as a scope.
    pub fn from(&mut self, from: &[TableWithJoins]) -> Emitted<String> {
        self.scopes.push(Vec::new());
        let mut written = Vec::new();
        for table in from {
            written.push(self.joined(table)?);
        }
        Ok(written.join(", "))
    }

    fn joined(&mut self, table: &TableWithJoins) -> Emitted<String> {
        let mut sql = self.factor(&table.relation)?;
        for join in &table.joins {
            let (word, constraint) = match &join.join_operator {
                JoinOperator::Join(c) | JoinOperator::Inner(c) => ("JOIN", c),
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => ("LEFT JOIN", c),
                JoinOperator::Right(c) | JoinOperator::RightOuter(c) => ("RIGHT JOIN", c),
                JoinOperator::FullOuter(c) => ("FULL JOIN", c),
                JoinOperator::CrossJoin(c) => ("CROSS JOIN", c),
                other => return Err(TdsError::unsupported(format!("{other:?}"))),
            };
            let right = self.factor(&join.relation)?;
            sql.push_str(&format!(" {word} {right}"));
            match constraint {
                JoinConstraint::On(expr) => sql.push_str(&format!(" ON {}", self.expr(expr)?.0)),
                JoinConstraint::None => {}
                other => return Err(TdsError::unsupported(format!("{other:?}"))),
            }
        }
        Ok(sql)
    }

    fn add_source(&mut self, alias: &str, columns: Vec<Column>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Source { alias: alias.to_owned(), columns, lift: false });
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Emitted<String> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let alias = alias.as_ref().map_or_else(|| schema_and_name(name).1, |a| a.name.value.clone());
                if let [single] = parts(name).as_slice()
                    && let Some((_, columns)) = self.ctes.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(single))
                {
                    let columns = columns.clone();
                    self.add_source(&alias, columns);
                    return Ok(format!("{} AS {}", quote(single), quote(&alias)));
                }
                let table = self.table(name)?;
                self.add_source(&alias, columns_of(&table));
                Ok(format!("{} AS {}", table.sqlite_name(), quote(&alias)))
            }
            TableFactor::Derived { subquery, alias: Some(alias), .. } => {
                let (sql, mut columns) = self.query(subquery)?;
                let is_values = matches!(subquery.body.as_ref(), SetExpr::Values(_));
                let names: Vec<String> = alias.columns.iter().map(|c| c.name.value.clone()).collect();
                let sql = if names.is_empty() {
                    sql
                } else {
                    let renamed: Vec<String> = columns
                        .iter()
                        .enumerate()
                        .zip(&names)
                        .map(|((at, column), name)| {
                            let from = if is_values { format!("column{}", at + 1) } else { inner(at, column) };
                            format!("{from} AS {}", quote(name))
                        })
                        .collect();
                    format!("SELECT {} FROM ({sql})", renamed.join(", "))
                };
                for (column, name) in columns.iter_mut().zip(&names) {
                    column.name.clone_from(name);
                }
                self.add_source(&alias.name.value, columns);
                Ok(format!("({sql}) AS {}", quote(&alias.name.value)))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => Ok(format!("({})", self.joined(table_with_joins)?)),
            other => Err(TdsError::unsupported(other)),
        }
    }
}
