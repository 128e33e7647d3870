//! Procedures: those of the tests as closures, and the few of SQL Server's own that clients call.

use super::batch::{self, is_word, parse_expr, parse_statement, split_commas, tokenize, written};
use super::emit::Emitter;
use super::error::{Reach, TdsError};
use super::script::Parameter;
use super::session::{Flow, Session, Variable};
use super::tokens::{Column, Done};
use super::types::Type;
use super::value::{Fit, SqlValue, coerce};
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;
use std::collections::HashMap;
use std::time::Duration;

/// A parameter of a procedure.
#[derive(Clone, Debug)]
pub struct Param {
    /// With its `@`.
    pub name: String,
    pub ty: Type,
    pub output: bool,
    pub default: Option<SqlValue>,
}

impl Param {
    /// `("@id", "int")`
    pub fn input(name: &str, ty: &str) -> Self {
        Self { name: name.to_owned(), ty: Type::parse(ty).unwrap(), output: false, default: None }
    }

    pub fn output(name: &str, ty: &str) -> Self {
        Self { output: true, ..Self::input(name, ty) }
    }

    pub fn or(mut self, default: SqlValue) -> Self {
        self.default = Some(default);
        self
    }
}

pub type Body = dyn Fn(&mut Call<'_>) -> Result<i32, TdsError> + Send + Sync;

pub struct Procedure {
    pub parameters: Vec<Param>,
    /// Its `Ok` is the return code.
    pub body: Box<Body>,
}

/// A procedure at work.
pub struct Call<'s> {
    session: &'s mut Session,
    values: Vec<(Param, SqlValue)>,
}

impl Call<'_> {
    /// The value of a parameter, converted to its type.
    pub fn get(&self, name: &str) -> SqlValue {
        let found = self.values.iter().find(|(p, _)| p.name.eq_ignore_ascii_case(name));
        found.map_or_else(|| panic!("the procedure has no parameter {name}"), |(_, value)| value.clone())
    }

    /// Gives an OUT parameter its value.
    pub fn set(&mut self, name: &str, value: SqlValue) {
        let found = self.values.iter_mut().find(|(p, _)| p.output && p.name.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("the procedure has no OUT parameter {name}")).1 = value;
    }

    /// A result: columns with their types (`("id", "int")`), and rows.
    pub fn result(&mut self, columns: &[(&str, &str)], rows: Vec<Vec<SqlValue>>) {
        let columns: Vec<Column> = columns
            .iter()
            .map(|(name, ty)| Column {
                name: (*name).to_owned(),
                ty: Type::parse(ty).unwrap(),
                nullable: true,
                identity: false,
                computed: false,
            })
            .collect();
        self.session.result(&columns, rows);
    }

    /// T-SQL inside the procedure, in the caller's transaction; the parameters are its variables.
    ///
    /// # Errors
    /// The statement's own.
    pub fn sql(&mut self, sql: &str) -> Result<Vec<Vec<SqlValue>>, TdsError> {
        self.session.variables =
            self.values.iter().map(|(p, value)| (p.name.to_lowercase(), Variable { ty: p.ty, value: value.clone() })).collect();
        self.session.quiet(sql)
    }
}

/// What a procedure ended with.
#[derive(Default)]
pub struct Outcome {
    pub status: i32,
    /// Position, name, type and value of each OUT parameter.
    pub outputs: Vec<(usize, String, Type, SqlValue)>,
}

/// `@a int, @b nvarchar(40) OUTPUT`
fn declared(text: &str) -> Result<Vec<(String, Type, bool)>, TdsError> {
    let tokens = tokenize(text)?;
    let mut all = Vec::new();
    for item in split_commas(&tokens) {
        let Some(Token::Word(name)) = item.first() else { return Err(TdsError::syntax(written(item))) };
        let output = is_word(item.last(), "OUTPUT") || is_word(item.last(), "OUT");
        let start = if is_word(item.get(1), "AS") { 2 } else { 1 };
        let ty = written(&item[start..item.len() - usize::from(output)]);
        let ty = Type::parse(&ty)
            .ok_or_else(|| TdsError::new(2715, 16, 3, format!("Column, parameter, or variable #1: Cannot find data type {ty}.")))?;
        all.push((name.value.to_lowercase(), ty, output));
    }
    Ok(all)
}

impl Session {
    /// T-SQL whose rows come back and whose errors are the caller's.
    ///
    /// # Errors
    /// The first error.
    pub fn quiet(&mut self, sql: &str) -> Result<Vec<Vec<SqlValue>>, TdsError> {
        let nodes = batch::parse(sql)?;
        let tokens = std::mem::take(&mut self.tokens);
        let captured = self.captured.replace(Vec::new());
        let answer = self.catching(|session| session.run(&nodes));
        self.tokens = tokens;
        let rows = std::mem::replace(&mut self.captured, captured).unwrap_or_default();
        answer.map(|_| rows)
    }

    /// A remote procedure call to its end.
    pub fn rpc(&mut self, name: &str, parameters: &[Parameter]) {
        self.done = Done::InProcedure;
        self.variables.clear();
        let failed = match self.call(name, parameters) {
            Ok(outcome) => {
                self.tokens.return_status(outcome.status);
                for (at, name, ty, value) in &outcome.outputs {
                    self.tokens.return_value(*at as u16, name, *ty, value);
                }
                false
            }
            Err(error) => {
                self.give_up(error);
                true
            }
        };
        self.tokens.done(Done::Procedure, None, failed);
        self.done = Done::Statement;
    }

    /// `EXEC …` in a batch.
    pub fn execute(&mut self, tokens: &[Token]) -> Result<Flow, TdsError> {
        if let [Token::LParen, inner @ .., Token::RParen] = tokens {
            let sql = self.evaluate_as(inner, Type::NVarChar(None))?;
            let saved = std::mem::take(&mut self.variables);
            let answer = batch::parse(sql.text().unwrap_or_default()).and_then(|nodes| self.run(&nodes));
            self.variables = saved;
            return answer.map(|_| Flow::Next);
        }
        let (status_into, tokens) = match tokens {
            [Token::Word(w), Token::Eq, rest @ ..] if w.value.starts_with('@') => (Some(w.value.to_lowercase()), rest),
            all => (None, all),
        };
        let mut end = 1;
        while tokens.get(end) == Some(&Token::Period) {
            end += 2;
        }
        let name = written(tokens.get(..end).ok_or_else(|| TdsError::syntax("EXEC"))?).replace(['[', ']', ' '], "");
        let mut parameters = Vec::new();
        let mut into = Vec::new();
        for item in split_commas(&tokens[end..]) {
            let (called, item) = match item {
                [Token::Word(w), Token::Eq, rest @ ..] if w.value.starts_with('@') => (w.value.clone(), rest),
                all => (String::new(), all),
            };
            let output = is_word(item.last(), "OUTPUT") || is_word(item.last(), "OUT");
            let item = if output { &item[..item.len() - 1] } else { item };
            let variable = match item {
                [Token::Word(w)] if w.value.starts_with('@') => Some(w.value.to_lowercase()),
                _ => None,
            };
            let (ty, value) = match item {
                // A bare word is a text here.
                [Token::Word(w)] if variable.is_none() && w.quote_style.is_none() && !w.value.eq_ignore_ascii_case("null") => {
                    (Type::NVarChar(Some(128)), SqlValue::Text(w.value.clone()))
                }
                _ => {
                    let expr = parse_expr(item)?;
                    let ty = Emitter::new(self).expr(&expr)?.1.ty;
                    (ty, self.evaluate_as(item, ty)?)
                }
            };
            into.push(variable.filter(|_| output));
            parameters.push(Parameter { name: called, ty, value, output });
        }
        let outcome = self.call(&name, &parameters)?;
        for (at, _, _, value) in outcome.outputs {
            let Some(name) = into.get(at).cloned().flatten() else { continue };
            let ty = self.variables.get(&name).map(|v| v.ty).ok_or_else(|| TdsError::undeclared(&name))?;
            let value = coerce(value.stored(), ty, ty, Fit::Cut)?;
            self.variables.insert(name, Variable { ty, value });
        }
        if let Some(name) = status_into {
            let variable = self.variables.get_mut(&name).ok_or_else(|| TdsError::undeclared(&name))?;
            variable.value = SqlValue::Int(outcome.status.into());
        }
        Ok(Flow::Next)
    }

    fn call(&mut self, name: &str, given: &[Parameter]) -> Result<Outcome, TdsError> {
        let bare = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        let text = |at: usize| given.get(at).and_then(|p| p.value.text()).unwrap_or_default().to_owned();
        match bare.as_str() {
            "sp_executesql" => self.execute_sql(&text(0), &text(1), given.get(2..).unwrap_or_default(), 2),
            "sp_prepare" => {
                let handle = self.prepare(&text(1), &text(2))?;
                Ok(Outcome { status: 0, outputs: vec![(0, "@handle".to_owned(), Type::Int, SqlValue::Int(handle.into()))] })
            }
            "sp_prepexec" => {
                let handle = self.prepare(&text(1), &text(2))?;
                let mut outcome = self.execute_sql(&text(2), &text(1), given.get(3..).unwrap_or_default(), 3)?;
                outcome.outputs.insert(0, (0, "@handle".to_owned(), Type::Int, SqlValue::Int(handle.into())));
                Ok(outcome)
            }
            "sp_execute" => {
                let handle = given.first().and_then(|p| p.value.int()).unwrap_or(0) as i32;
                let (declaration, sql) = self
                    .prepared
                    .get(&handle)
                    .cloned()
                    .ok_or_else(|| TdsError::new(8179, 16, 2, format!("Could not find prepared statement with handle {handle}.")))?;
                self.execute_sql(&sql, &declaration, given.get(1..).unwrap_or_default(), 1)
            }
            "sp_unprepare" => {
                self.prepared.remove(&(given.first().and_then(|p| p.value.int()).unwrap_or(0) as i32));
                Ok(Outcome::default())
            }
            "sp_getapplock" => Ok(self.get_applock(given)),
            "sp_releaseapplock" => {
                let resource = named(given, "@Resource", 0).and_then(|v| v.text().map(str::to_owned)).unwrap_or_default();
                let status = self.shared.applocks.free(&resource.to_lowercase(), self.facts().spid);
                Ok(Outcome { status, ..Outcome::default() })
            }
            "sp_describe_first_result_set" => self.describe(&text(0), &text(1)),
            _ => self.registered(name, given),
        }
    }

    fn prepare(&mut self, declaration: &str, sql: &str) -> Result<i32, TdsError> {
        batch::parse(sql)?;
        let handle = self.prepared.len() as i32 + 1;
        self.prepared.insert(handle, (declaration.to_owned(), sql.to_owned()));
        Ok(handle)
    }

    /// Runs T-SQL with declared parameters; `first` is the position of the first value.
    fn execute_sql(&mut self, sql: &str, declaration: &str, values: &[Parameter], first: usize) -> Result<Outcome, TdsError> {
        let declared = declared(declaration)?;
        let mut variables = HashMap::new();
        let mut positions = HashMap::new();
        for (at, parameter) in values.iter().enumerate() {
            let found = if parameter.name.is_empty() {
                declared.get(at)
            } else {
                declared.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&parameter.name))
            };
            let Some((name, ty, _)) = found else {
                return Err(TdsError::new(8145, 16, 1, format!("{} is not a parameter for procedure sp_executesql.", parameter.name)));
            };
            let value = coerce(parameter.value.stored(), parameter.ty, *ty, Fit::Cut)?;
            variables.insert(name.clone(), Variable { ty: *ty, value });
            if parameter.output {
                positions.insert(name.clone(), first + at);
            }
        }
        for (name, _, _) in &declared {
            if !variables.contains_key(name) {
                return Err(TdsError::new(
                    8178,
                    16,
                    1,
                    format!("The parameterized query '{sql}' expects the parameter '{name}', which was not supplied."),
                ));
            }
        }
        let saved = std::mem::replace(&mut self.variables, variables);
        let answer = batch::parse(sql).and_then(|nodes| self.run(&nodes));
        let after = std::mem::replace(&mut self.variables, saved);
        answer?;
        let mut outputs: Vec<(usize, String, Type, SqlValue)> = Vec::new();
        for (name, _, output) in &declared {
            if let (true, Some(at), Some(variable)) = (output, positions.get(name), after.get(name)) {
                outputs.push((*at, name.clone(), variable.ty, variable.value.clone()));
            }
        }
        Ok(Outcome { status: 0, outputs })
    }

    fn get_applock(&self, given: &[Parameter]) -> Outcome {
        let text = |name: &str, at: usize| named(given, name, at).and_then(|v| v.text().map(str::to_owned));
        let resource = text("@Resource", 0).unwrap_or_default().to_lowercase();
        let owner = text("@LockOwner", 2).unwrap_or_else(|| "Transaction".to_owned());
        let wait = named(given, "@LockTimeout", 3);
        let wait = match &wait {
            Some(SqlValue::Text(t)) => t.trim().parse().unwrap_or(-1),
            other => other.as_ref().and_then(SqlValue::int).unwrap_or_else(|| self.facts().lock_timeout),
        };
        let of_transaction = owner.eq_ignore_ascii_case("transaction");
        if of_transaction && self.facts().trancount == 0 {
            return Outcome { status: -999, ..Outcome::default() };
        }
        let wait = u64::try_from(wait).ok().map(Duration::from_millis);
        let spid = self.facts().spid;
        let status = self.shared.applocks.take(&resource, spid, of_transaction, wait);
        Outcome { status, ..Outcome::default() }
    }

    fn describe(&mut self, sql: &str, declaration: &str) -> Result<Outcome, TdsError> {
        let variables = declared(declaration)?.into_iter().map(|(name, ty, _)| (name, Variable { ty, value: SqlValue::Null })).collect();
        let saved = std::mem::replace(&mut self.variables, variables);
        let described = match parse_statement(&tokenize(sql)?) {
            Ok(Statement::Query(query)) => Emitter::new(self).select_statement(&query).map(|s| s.columns),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        self.variables = saved;
        let column = |name: &str, ty| Column { name: name.to_owned(), ty, nullable: true, identity: false, computed: false };
        let sysname = Type::NVarChar(Some(128));
        let shape = [
            column("is_hidden", Type::Bit),
            column("column_ordinal", Type::Int),
            column("name", sysname),
            column("is_nullable", Type::Bit),
            column("system_type_id", Type::Int),
            column("system_type_name", Type::NVarChar(Some(256))),
            column("max_length", Type::SmallInt),
            column("precision", Type::TinyInt),
            column("scale", Type::TinyInt),
            column("collation_name", sysname),
            column("is_identity_column", Type::Bit),
            column("is_computed_column", Type::Bit),
        ];
        let rows = described?
            .iter()
            .enumerate()
            .map(|(at, c)| {
                let (length, precision, scale) = c.ty.facets();
                vec![
                    SqlValue::Bit(false),
                    SqlValue::Int(at as i64 + 1),
                    SqlValue::Text(c.name.clone()),
                    SqlValue::Bit(c.nullable),
                    SqlValue::Int(c.ty.system_id()),
                    SqlValue::Text(c.ty.to_string()),
                    SqlValue::Int(length),
                    SqlValue::Int(precision),
                    SqlValue::Int(scale),
                    if c.ty.is_text() { SqlValue::Text(super::catalogue::COLLATION_NAME.to_owned()) } else { SqlValue::Null },
                    SqlValue::Bit(c.identity),
                    SqlValue::Bit(c.computed),
                ]
            })
            .collect();
        self.result(&shape, rows);
        Ok(Outcome::default())
    }

    fn registered(&mut self, name: &str, given: &[Parameter]) -> Result<Outcome, TdsError> {
        let key = name.replace(['[', ']'], "").to_lowercase();
        let parts: Vec<&str> = key.split('.').collect();
        let key = match parts.as_slice() {
            [.., schema, bare] if !schema.is_empty() => format!("{schema}.{bare}"),
            [.., bare] => format!("dbo.{bare}"),
            [] => key.clone(),
        };
        let found = self.shared.procedures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned();
        let Some(procedure) = found else {
            return Err(TdsError::new(2812, 16, 62, format!("Could not find stored procedure '{name}'.")).ends(Reach::Statement));
        };
        let mut values: Vec<Option<SqlValue>> = vec![None; procedure.parameters.len()];
        let mut positions = HashMap::new();
        for (at, parameter) in given.iter().enumerate() {
            let index = if parameter.name.is_empty() {
                (at < procedure.parameters.len()).then_some(at)
            } else {
                procedure.parameters.iter().position(|p| p.name.eq_ignore_ascii_case(&parameter.name))
            };
            let Some(index) = index else {
                return Err(if parameter.name.is_empty() {
                    TdsError::new(8144, 16, 2, format!("Procedure or function {name} has too many arguments specified."))
                } else {
                    TdsError::new(8145, 16, 1, format!("{} is not a parameter for procedure {name}.", parameter.name))
                });
            };
            let definition = &procedure.parameters[index];
            if parameter.output && !definition.output {
                return Err(TdsError::new(
                    8162,
                    16,
                    2,
                    format!(
                        "The formal parameter \"{}\" was not declared as an OUTPUT parameter, but the actual parameter passed in requested output.",
                        definition.name
                    ),
                ));
            }
            values[index] = Some(coerce(parameter.value.stored(), parameter.ty, definition.ty, Fit::Cut)?);
            if parameter.output {
                positions.insert(index, at);
            }
        }
        let mut filled = Vec::new();
        for (definition, value) in procedure.parameters.iter().zip(values) {
            let value = value.or_else(|| definition.default.clone()).ok_or_else(|| {
                TdsError::new(
                    201,
                    16,
                    4,
                    format!("Procedure or function '{name}' expects parameter '{}', which was not supplied.", definition.name),
                )
            })?;
            filled.push((definition.clone(), value));
        }
        let saved = std::mem::take(&mut self.variables);
        let before = self.facts().trancount;
        let mut call = Call { session: self, values: filled };
        let answer = (procedure.body)(&mut call);
        let values = call.values;
        self.variables = saved;
        let status = answer?;
        let after = self.facts().trancount;
        if after != before {
            return Err(TdsError::new(
                266,
                16,
                2,
                format!(
                    "Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. Previous count = {before}, current count = {after}."
                ),
            ));
        }
        let mut outputs = Vec::new();
        for (index, (definition, value)) in values.into_iter().enumerate() {
            if let Some(at) = positions.get(&index) {
                let value = coerce(value.stored(), definition.ty, definition.ty, Fit::Cut)?;
                outputs.push((*at, definition.name, definition.ty, value));
            }
        }
        outputs.sort_by_key(|o| o.0);
        Ok(Outcome { status, outputs })
    }
}

fn named(given: &[Parameter], name: &str, at: usize) -> Option<SqlValue> {
    let by_name = given.iter().find(|p| p.name.eq_ignore_ascii_case(name));
    by_name.or_else(|| given.get(at).filter(|p| p.name.is_empty())).map(|p| p.value.clone())
}
