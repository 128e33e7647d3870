//! Calls of stored procedures, with parameters of exactly the procedure's types.
//!
//! They go as a statement with variables of those types, not as a bare RPC: the driver sends a NULL of text, bytes or a time without a type, which some
//! engines refuse, and an OUT parameter of these has no type to come back in.

use super::cell;
use super::fault::TdsFault;
use super::session::{Cell, Session};
use std::fmt::Write as _;

/// A parameter of a procedure.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// With the `@`.
    pub name: String,
    /// Its type, as Transact-SQL declares it.
    pub sql_type: String,
    /// What goes in; `None` is NULL.
    pub value: Option<Cell>,
    /// Whether its value comes back.
    pub out: bool,
}

/// What a procedure answered.
#[derive(Debug)]
pub struct Called {
    /// Its return code.
    pub code: i32,
    /// OUT parameters by name, with the `@`, as the server converts them to text.
    pub out: Vec<(String, Option<String>)>,
}

/// The column of the return code.
const CODE: &str = "kith_code";

/// The statement of a call: values are its parameters `@P1`, `@P2`, … in their order, NULLs aside.
pub fn call_statement(procedure: &str, parameters: &[Parameter]) -> String {
    let (mut declared, mut given, mut told) = (format!("DECLARE @{CODE} int"), Vec::new(), format!("SELECT @{CODE} AS {CODE}"));
    let mut values = 0;
    for (n, Parameter { name, sql_type, value, out }) in parameters.iter().enumerate() {
        let _infallible = write!(declared, ", @kith_{n} {sql_type}");
        if value.is_some() {
            values += 1;
            let _infallible = write!(declared, " = CAST(@P{values} AS {sql_type})");
        }
        given.push(format!("{name} = @kith_{n}{}", if *out { " OUTPUT" } else { "" }));
        if *out {
            let _infallible = write!(told, ", CAST(@kith_{n} AS nvarchar(4000)) AS kith_out_{n}");
        }
    }
    format!("{declared};\nEXEC @{CODE} = {procedure} {};\n{told}", given.join(", "))
}

impl Session {
    /// Calls a procedure. Results that it selects itself are read and left aside.
    ///
    /// # Errors
    /// See [`TdsFault`].
    pub async fn call(&mut self, procedure: &str, parameters: Vec<Parameter>) -> Result<Called, TdsFault> {
        let sql = call_statement(procedure, &parameters);
        let names: Vec<String> = parameters.iter().filter(|parameter| parameter.out).map(|parameter| parameter.name.clone()).collect();
        let values = parameters.into_iter().filter_map(|parameter| parameter.value).collect();
        let answered = self.query(&sql, values).await?;
        let told = answered.iter().rev().find(|answered| answered.columns.first().is_some_and(|name| name == CODE));
        let row = told.and_then(|told| told.rows.first());
        let code = row.and_then(|row| cell::number_at(row, 0)).and_then(|code| i32::try_from(code).ok());
        let (Some(row), Some(code)) = (row, code) else {
            return Err(TdsFault::NotUnderstood { message: "a procedure without a return code".into() });
        };
        let out = names.into_iter().enumerate().map(|(at, name)| (name, cell::text_at(row, at + 1)));
        Ok(Called { code, out: out.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_declares_what_it_passes() {
        let parameter = |name: &str, sql_type: &str, value, out| Parameter { name: name.into(), sql_type: sql_type.into(), value, out };
        let parameters = [
            parameter("@Id", "nvarchar(20)", Some(cell::text("7")), false),
            parameter("@Note", "nvarchar(max)", None, false),
            parameter("@Amount", "decimal(9, 2)", Some(cell::text("12.5")), false),
            parameter("@Outcome", "nvarchar(20)", None, true),
        ];
        insta::assert_snapshot!(call_statement("[dbo].[AddTicket]", &parameters), @r"
        DECLARE @kith_code int, @kith_0 nvarchar(20) = CAST(@P1 AS nvarchar(20)), @kith_1 nvarchar(max), @kith_2 decimal(9, 2) = CAST(@P2 AS decimal(9, 2)), @kith_3 nvarchar(20);
        EXEC @kith_code = [dbo].[AddTicket] @Id = @kith_0, @Note = @kith_1, @Amount = @kith_2, @Outcome = @kith_3 OUTPUT;
        SELECT @kith_code AS kith_code, CAST(@kith_3 AS nvarchar(4000)) AS kith_out_3
        ");
    }
}
