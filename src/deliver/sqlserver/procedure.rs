//! Records by stored procedures: one call a record, in one transaction with its row of the ledger.

use super::bound::Misfit;
use super::fault::{Next, next, not_written, of_commit};
use super::pool::Connected;
use super::statements::act;
use crate::declare::connector::sqlserver::{ProcedureCall, ProcedureOutcome, SqlServerObjects};
use crate::declare::connector::{ObjectName, Operation};
use crate::deliver::DeliveryError;
use crate::deliver::record::Prepared;
use crate::diagnose::{Code, nearest};
use crate::model::{Delivery, FieldChange, Personal, Receipt, Value, WriteEffect, WriteIntent};
use crate::wire::tds::{Called, Cell, Column, Parameter, Procedure, TdsFault, cell};
use std::sync::Arc;

/// A call that is ready.
pub(super) struct Call<'a> {
    delivery: &'a Delivery,
    prepared: Prepared<'a>,
    name: ObjectName,
    parameters: Vec<(String, Column, Option<Value>)>,
}

/// The procedure of an intent.
pub(super) fn procedure_of(call: &ProcedureCall, intent: WriteIntent) -> Option<&ObjectName> {
    match intent {
        WriteIntent::Write => Some(&call.write),
        WriteIntent::Remove => call.remove.as_ref(),
        WriteIntent::Blank => call.blank.as_ref(),
        WriteIntent::Keep => None,
    }
}

/// What does not fit between an operation and its procedure.
pub(super) fn misfits(
    operation: &Operation,
    columns: &[Arc<str>],
    call: &ProcedureCall,
    found: &Procedure,
    intent: WriteIntent,
) -> Vec<Misfit> {
    let told = |message: String, remedy: String| Misfit { code: Code("KITH-D003"), message, remedy, warning: false };
    let known = |name: &str| found.parameters.iter().any(|(parameter, _)| parameter.name.eq_ignore_ascii_case(name));
    let mut misfits = Vec::new();
    let needed = operation
        .fields
        .iter()
        .zip(columns)
        .filter(|(field, _)| intent == WriteIntent::Write || operation.record_key.contains(&field.name));
    for (field, name) in needed {
        if !known(name) {
            let remedy = nearest(name, found.parameters.iter().map(|(p, _)| &*p.name)).map_or_else(
                || "remove the field, or add the parameter".to_owned(),
                |near| format!("did you mean `{near}`? Write `column: {near}`"),
            );
            misfits.push(told(format!("the procedure {} has no parameter `@{name}` for the field `{}`", found.name, field.name), remedy));
        }
    }
    for name in call.idempotency_parameter.iter().chain(&call.out) {
        if !known(name) {
            misfits.push(told(format!("the procedure {} has no parameter `@{name}`", found.name), "correct the target file".into()));
        }
    }
    misfits
}

/// Brings a delivery to the procedure's parameters.
pub(super) fn ready<'a>(
    delivery: &'a Delivery,
    prepared: Prepared<'a>,
    columns: &[Arc<str>],
    call: &ProcedureCall,
    found: &Procedure,
) -> Result<Call<'a>, DeliveryError> {
    let operation = prepared.operation;
    let mut parameters = Vec::new();
    for ((field, name), value) in operation.fields.iter().zip(columns).zip(&prepared.values) {
        let Some((column, _)) = found.parameters.iter().find(|(parameter, _)| parameter.name.eq_ignore_ascii_case(name)) else { continue };
        let Some(value) = value else { continue };
        column
            .hold(value)
            .map_err(|error| DeliveryError::Refused { code: Code("KITH-D046"), message: format!("`{}` {error}", field.name).into() })?;
        parameters.push((format!("@{}", column.name), column.clone(), Some(value.clone())));
    }
    if let Some(name) = &call.idempotency_parameter
        && let Some((column, _)) = found.parameters.iter().find(|(parameter, _)| parameter.name.eq_ignore_ascii_case(name))
    {
        parameters.push((format!("@{}", column.name), column.clone(), Some(Value::text(delivery.idempotency.0.to_string()))));
    }
    for name in &call.out {
        if let Some((column, _)) = found.parameters.iter().find(|(parameter, _)| parameter.name.eq_ignore_ascii_case(name)) {
            parameters.push((format!("@{}", column.name), column.clone(), None));
        }
    }
    Ok(Call { delivery, prepared, name: found.name.clone(), parameters })
}

impl Call<'_> {
    /// The parameters with their types and values.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        self.parameters
            .iter()
            .map(|(name, column, value)| {
                let held = value.as_ref().filter(|value| !value.is_missing()).and_then(|value| column.hold(value).ok());
                Parameter { name: name.clone(), sql_type: column.sql_type.sql(), value: held.map(|held| held.cell), out: value.is_none() }
            })
            .collect()
    }

    /// The procedure.
    pub(super) const fn procedure(&self) -> &ObjectName {
        &self.name
    }

    /// Its row of the ledger: the statement, its key and its outcome.
    pub(super) fn ledger(&self, objects: &SqlServerObjects) -> (String, [Cell; 2]) {
        let outcome = match self.delivery.intent {
            WriteIntent::Write | WriteIntent::Keep => act::UPDATE,
            WriteIntent::Remove => act::REMOVE,
            WriteIntent::Blank => act::BLANKED,
        };
        let sql = format!("INSERT INTO {} (idempotency_key, outcome) VALUES (@P1, @P2)", objects.ledger.sql());
        (sql, [cell::bytes(self.delivery.idempotency.0.0), cell::tiny(outcome)])
    }

    /// The call as Transact-SQL would write it, without values.
    pub(super) fn described(&self) -> String {
        let parameters: Vec<&str> = self.parameters.iter().map(|(name, ..)| name.as_str()).collect();
        format!("EXEC {} {}", self.name.sql(), parameters.join(", "))
    }
}

/// Calls the procedure once, with its row of the ledger.
pub(super) async fn write(
    connected: &mut Connected,
    call: &Call<'_>,
    rules: &ProcedureCall,
    objects: &SqlServerObjects,
) -> Result<Receipt, DeliveryError> {
    let delivery = call.delivery;
    let written = run(connected, call, rules, objects).await;
    if connected.session.is_usable() {
        // A procedure may have left more or fewer transactions than it found.
        if connected.session.batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").await.is_err() {
            connected.session.give_up();
        }
    }
    match written {
        Ok(answer) => answer,
        Err(fault) => Err(match next(&fault) {
            // The ledger's own key: this very delivery had arrived.
            Next::Repeat { duplicate: true, error } => match super::ledger::recorded(connected, objects, delivery.idempotency).await {
                Ok(Some(_)) => return Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged)),
                Ok(None) => error,
                Err(fault) => not_written(&fault),
            },
            Next::Repeat { error, .. } | Next::Error(error) => error,
            Next::Refused { code, message } => DeliveryError::Refused { code: Code(code), message },
        }),
    }
}

async fn run(
    connected: &mut Connected,
    call: &Call<'_>,
    rules: &ProcedureCall,
    objects: &SqlServerObjects,
) -> Result<Result<Receipt, DeliveryError>, TdsFault> {
    connected.session.batch("BEGIN TRANSACTION").await?;
    let (ledger, row) = call.ledger(objects);
    connected.session.execute(&ledger, row.into()).await?;
    let called = match connected.session.call(&call.name.sql(), call.parameters()).await {
        Ok(called) => called,
        // The server's own word for a procedure that ends or begins transactions: it may have committed.
        Err(fault) if fault.number() == Some(OTHER_TRANSACTIONS) => return Ok(Err(untied(connected, &call.name).await?)),
        Err(fault) => return Err(fault),
    };
    let effect = match meaning(rules, &called) {
        ProcedureOutcome::Delivered => match call.delivery.intent {
            WriteIntent::Write | WriteIntent::Keep => WriteEffect::Updated,
            WriteIntent::Remove => WriteEffect::Removed,
            WriteIntent::Blank => WriteEffect::Blanked,
        },
        ProcedureOutcome::Unchanged => WriteEffect::Unchanged,
        outcome => return Ok(Err(refused(&call.name, outcome, &called))),
    };
    if open_transactions(connected).await? != Some(1) {
        return Ok(Err(untied(connected, &call.name).await?));
    }
    if let Err(fault) = connected.session.batch("COMMIT TRANSACTION").await {
        return Ok(Err(of_commit(&fault)));
    }
    // The procedure does not tell what stood there: what was given is what is known.
    let changes = if effect == WriteEffect::Updated {
        let fields = call.prepared.operation.fields.iter().zip(&call.prepared.values);
        fields
            .filter_map(|(field, value)| {
                let after = value.as_ref().filter(|value| !value.is_missing())?;
                Some(FieldChange { field: field.name.clone(), before: Personal::new(Value::Missing), after: Personal::new(after.clone()) })
            })
            .collect()
    } else {
        Vec::new()
    };
    Ok(Ok(Receipt { delivery: call.delivery.id, effect, changes, kept: Vec::new() }))
}

/// `Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements.`
const OTHER_TRANSACTIONS: u32 = 266;

async fn open_transactions(connected: &mut Connected) -> Result<Option<i64>, TdsFault> {
    let open = connected.session.batch("SELECT CAST(@@TRANCOUNT AS int) AS open_transactions").await?;
    Ok(cell::first_row(&open).and_then(|row| cell::number_at(row, 0)))
}

/// What became of a record whose procedure left other transactions than it found.
async fn untied(connected: &mut Connected, name: &ObjectName) -> Result<DeliveryError, TdsFault> {
    let message = format!("the procedure {name} ends or begins transactions of its own: what it did can't be tied to the ledger");
    // Where it has committed, the ledger's row stands with it.
    Ok(if open_transactions(connected).await? == Some(0) {
        DeliveryError::OutcomeUnknown { message: message.into() }
    } else {
        DeliveryError::Refused { code: Code("KITH-D054"), message: message.into() }
    })
}

/// What an answer means: the first rule that holds, else 0 is delivered and everything else refused.
fn meaning(rules: &ProcedureCall, called: &Called) -> ProcedureOutcome {
    let out = |name: &str| {
        called.out.iter().find(|(known, _)| known.trim_start_matches('@').eq_ignore_ascii_case(name)).and_then(|(_, v)| v.as_deref())
    };
    let holds = |rule: &&crate::declare::connector::sqlserver::ProcedureAnswer| {
        rule.returns.is_none_or(|code| code == called.code)
            && rule.out.iter().all(|(name, wanted)| out(name).is_some_and(|found| found.trim_end() == &**wanted))
    };
    let usual = if called.code == 0 { ProcedureOutcome::Delivered } else { ProcedureOutcome::Refused };
    rules.answers.iter().find(holds).map_or(usual, |rule| rule.is)
}

fn refused(name: &ObjectName, outcome: ProcedureOutcome, called: &Called) -> DeliveryError {
    let code = Code("KITH-D054");
    let message: Arc<str> = format!("the procedure {name} answers {} with return code {}", outcome.name(), called.code).into();
    match outcome {
        ProcedureOutcome::Failed => DeliveryError::Failed { code, message, retry_after: None },
        ProcedureOutcome::Unavailable => DeliveryError::Unavailable { code, message, retry_after: None },
        ProcedureOutcome::Throttled => DeliveryError::Throttled { code, message, wait: None },
        ProcedureOutcome::Refused | ProcedureOutcome::Delivered | ProcedureOutcome::Unchanged => DeliveryError::Refused { code, message },
    }
}
