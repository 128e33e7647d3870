//! The target file against the live catalogue: login, tables, columns, keys, rights, triggers, procedures, Kith's own tables. Writes nothing.

use super::bound::{Misfit, bind};
use super::procedure::{misfits, procedure_of};
use super::statements::is_there;
use super::{Inner, told};
use crate::declare::config::Encryption;
use crate::declare::connector::sqlserver::{Compare, SqlWrite};
use crate::declare::connector::{ObjectName, Operation};
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::model::WriteIntent;
use crate::wire::tds::{self, Session, TdsFault, cell};
use std::sync::Arc;

impl Inner {
    pub(super) async fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let Some(pool) = &self.pool else { return problems };
        let place = Place::Named(format!("{} on {}", pool.spec.database, pool.spec.address));
        if pool.spec.trust_any_certificate && pool.spec.encryption != Encryption::Off {
            let message = "the server's certificate is not checked: anybody between can read and change everything";
            problems.push(Diagnostic::warning(
                Code("KITH-D052"),
                place.clone(),
                message.to_owned(),
                "give `ca_file` in place of `trust_any_certificate`",
            ));
        }
        let mut connected = match pool.session().await {
            Ok(connected) => connected,
            Err(fault) => {
                let (code, message) = told(&fault);
                let remedy =
                    "check `server`, `database`, the login, `encrypt` and `ca_file` of the target, and whether a firewall stands between";
                problems.push(Diagnostic::error(code, place, message, remedy));
                return problems;
            }
        };
        if let Err(fault) = self.look(&mut connected.session, &place, &mut problems).await {
            let (code, message) = told(&fault);
            problems.push(Diagnostic::error(code, place, message, "look into the server's own log"));
        }
        self.give_back(connected);
        problems
    }

    async fn look(&self, session: &mut Session, place: &Place, problems: &mut Problems) -> Result<(), TdsFault> {
        let compares = |operation: &Operation| matches!(operation.sql.as_ref().map(|sql| &sql.write), Some(SqlWrite::Table(table)) if table.compare != Compare::Off);
        self.own_table(session, &self.objects.ledger, place, problems).await?;
        if self.file.operations.iter().any(compares) {
            self.own_table(session, &self.objects.records, place, problems).await?;
        }
        for operation in &self.file.operations {
            let Some(sql) = &operation.sql else { continue };
            match &sql.write {
                SqlWrite::Table(write) => match tds::table(session, &write.table).await? {
                    None => problems.push(self.absent(place, operation, "table", &write.table)),
                    Some(shape) => {
                        let (_, misfits) = bind(operation, &sql.columns, write, shape);
                        self.tell(place, operation, misfits, problems);
                    }
                },
                SqlWrite::Procedure(call) => {
                    for intent in WriteIntent::ALL {
                        let Some(name) = procedure_of(call, intent) else { continue };
                        match tds::procedure(session, name).await? {
                            None => problems.push(self.absent(place, operation, "procedure", name)),
                            Some(found) => self.tell(place, operation, misfits(operation, &sql.columns, call, &found, intent), problems),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Kith's own table: there, and open to this login.
    async fn own_table(&self, session: &mut Session, name: &ObjectName, place: &Place, problems: &mut Problems) -> Result<(), TdsFault> {
        let answered = session.batch(&is_there(name)).await?;
        let there = cell::first_row(&answered).and_then(|row| cell::number_at(row, 0)).is_some();
        if !there {
            let remedy =
                "ask the DBA to run ops/sql/kith.sql in this database: it makes the schema, the tables and the rights, and nothing else";
            problems.push(Diagnostic::error(
                Code("KITH-D055"),
                place.clone(),
                format!("there is no table {name} that this login may see"),
                remedy,
            ));
            return Ok(());
        }
        let Some(shape) = tds::table(session, name).await? else { return Ok(()) };
        for (right, has) in [("SELECT", shape.rights.select), ("INSERT", shape.rights.insert)] {
            if has == Some(false) {
                let message = format!("the login lacks the right {right} on {name}");
                problems.push(Diagnostic::error(
                    Code("KITH-D042"),
                    place.clone(),
                    message,
                    "ask the DBA to run ops/sql/kith.sql again, with this login",
                ));
            }
        }
        Ok(())
    }

    fn absent(&self, place: &Place, operation: &Operation, what: &str, name: &ObjectName) -> Diagnostic {
        let message = format!("`{}` of {}: there is no {what} {name} that this login may see", operation.id.0, self.file.name);
        Diagnostic::error(
            Code("KITH-D003"),
            place.clone(),
            message,
            format!("correct `{what}`, or ask the DBA for it and for the right to see it"),
        )
    }

    fn tell(&self, place: &Place, operation: &Operation, misfits: Vec<Misfit>, problems: &mut Problems) {
        for misfit in misfits {
            let message: Arc<str> = format!("`{}` of {}: {}", operation.id.0, self.file.name, misfit.message).into();
            let make = if misfit.warning { Diagnostic::warning } else { Diagnostic::error };
            problems.push(make(misfit.code, place.clone(), message.to_string(), misfit.remedy));
        }
    }
}
