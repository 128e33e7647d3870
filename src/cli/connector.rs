//! `kith connector`: a connector looked at by itself: a target's operations called by hand, a source's streams read, a vendor's WSDL brought in.

mod call;
mod price;
mod read;
mod vendor;

use super::connector_init;
use super::project::{against_wsdl, yaml_at};
use super::terminal::{counted, plural};
use super::{Exit, Session};
use crate::declare::connector::{self, TargetFile};
use crate::declare::manifest;
use crate::diagnose::{Checked, Problems, SourceFile};
use crate::manifest::dynamic::Listed;
use price::prices;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// What is done with connectors.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Check a connector offline, a target file against its WSDL where it has one, and tell what it offers
    Check(CheckArguments),
    /// Read a stream of a source's manifest to its end: records and states as Airbyte's messages, one a line
    Read(read::Arguments),
    /// Call an operation of a target once, and print its answer; the audit log says so
    Call(call::Arguments),
    /// Fetch a WSDL with all that it imports into a folder, from inside the company
    VendorWsdl(vendor::Arguments),
    /// Write a starting target file from what a system says of itself
    #[command(subcommand)]
    Init(connector_init::Command),
}

/// Arguments of `connector check`.
#[derive(clap::Args, Debug)]
pub struct CheckArguments {
    /// The target file, or the manifest of a source
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Check(arguments) => check(arguments, session),
        Command::Read(arguments) => read::run(arguments, session),
        Command::Call(arguments) => call::run(arguments, session),
        Command::VendorWsdl(arguments) => vendor::run(arguments, session),
        Command::Init(command) => connector_init::run(command, session),
    }
}

/// A manifest: what its streams are.
fn check_source(file: &Arc<SourceFile>, session: &mut Session) -> Exit {
    let Checked { value, problems } = manifest::read(file);
    let (errors, warnings) = problems.counts();
    let terminal = &mut session.terminal;
    let streams = value.iter().flat_map(|connector| &connector.source.streams);
    let live = value.iter().flat_map(|connector| &connector.live);
    if terminal.is_json() {
        let names: Vec<&str> = streams.map(|stream| stream.name.as_str()).collect();
        let live: Vec<&str> = live.map(|live| live.stream.name.as_str()).collect();
        let webhooks: Vec<_> = value.iter().flat_map(|connector| &connector.webhooks).collect();
        let webhooks: Vec<_> = webhooks.iter().map(|webhook| json!({ "name": webhook.name, "scheme": webhook.scheme.name() })).collect();
        let costs: Vec<_> = value.iter().flat_map(prices).map(|price| price.json()).collect();
        let dynamic = value.iter().flat_map(|connector| &connector.source.dynamic);
        let dynamic: Vec<_> = dynamic.map(|dynamic| json!({ "name": dynamic.name, "listed_by": dynamic.listed.by() })).collect();
        let source = json!({ "streams": names, "dynamic_streams": dynamic, "live": live, "webhooks": webhooks, "costs": costs,
            "duties": value.as_ref().and_then(|connector| connector.duties.as_deref()) });
        terminal.json(&json!({ "source": source, "errors": errors, "warnings": warnings, "problems": problems.to_json() }));
    } else {
        for problem in &problems.0 {
            let text = problem.render(terminal.look());
            terminal.data(&text);
            terminal.data("");
        }
        for stream in streams {
            let remembered = if stream.cursor.is_some() { "goes on where it stopped" } else { "read whole each time" };
            let when = if stream.when.is_some() { ", where the configuration wants it" } else { "" };
            terminal.data(&format!("  {:<28}{remembered}{when}", stream.name));
        }
        for dynamic in value.iter().flat_map(|connector| &connector.source.dynamic) {
            let listed = match &dynamic.listed {
                Listed::Here(things) => format!("{} by the configuration", plural(things.len(), "stream")),
                Listed::Config(_) => "a stream for each thing that the configuration lists".to_owned(),
                Listed::Network(_) => "a stream for each thing that the network lists; it is asked when anything is read".to_owned(),
            };
            terminal.data(&format!("  {:<28}{listed}", dynamic.name));
        }
        for live in live {
            let resumed = if live.stream.resume.is_some() { "live, goes on after the last event" } else { "live, every end leaves a gap" };
            let fills = live.stream.backfill.as_ref().map(|stream| format!("; what is missed is read from {stream}")).unwrap_or_default();
            terminal.data(&format!("  {:<28}{resumed}{fills}", live.stream.name));
        }
        for webhook in value.iter().flat_map(|connector| &connector.webhooks) {
            terminal.data(&format!("  {:<28}webhook, signed as {} does", webhook.name, webhook.scheme.name()));
        }
        if let Some(path) = value.as_ref().and_then(|connector| connector.duties.as_ref()) {
            terminal.data(&format!("  {:<28}{path}", "duties"));
        }
        for price in value.iter().flat_map(prices) {
            terminal.data(&format!("  {:<28}{}", price.stream, price.said()));
        }
        terminal.data(&counted(&problems));
        if let Some(first) = problems.0.first() {
            terminal.note(&format!("more about a code: kith explain {}", first.code));
        }
    }
    if errors > 0 { Exit::Wrong } else { Exit::Fine }
}

fn check(arguments: &CheckArguments, session: &mut Session) -> Exit {
    if let Ok(file) = super::files::read_text(&arguments.file)
        && manifest::is_manifest(&file)
    {
        return check_source(&file, session);
    }
    let (file, problems) = match yaml_at(&arguments.file, None) {
        Ok(source) => {
            let checked = connector::read(&source);
            let mut problems = checked.problems;
            if let Some(file) = &checked.value {
                problems.0.extend(against_wsdl(file).0);
                problems.sort();
            }
            (checked.value, problems)
        }
        Err(problem) => (None, Problems::from(problem)),
    };
    let (errors, warnings) = problems.counts();
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        let offers = file.as_ref().map(offers);
        terminal.json(&json!({ "target": offers, "errors": errors, "warnings": warnings, "problems": problems.to_json() }));
    } else {
        for problem in &problems.0 {
            let text = problem.render(terminal.look());
            terminal.data(&text);
            terminal.data("");
        }
        if let Some(file) = &file {
            terminal.data(&format!("target {}, kind {}, {}", file.name, file.kind.name(), plural(file.operations.len(), "operation")));
            for operation in &file.operations {
                let key = operation.record_key.iter().map(|k| &**k).collect::<Vec<_>>().join(", ");
                terminal.data(&format!("  {:<28}key {key}; {}", operation.id.0, plural(operation.fields.len(), "field")));
            }
        }
        terminal.data(&counted(&problems));
        if let Some(first) = problems.0.first() {
            terminal.note(&format!("more about a code: kith explain {}", first.code));
        }
    }
    if errors > 0 { Exit::Wrong } else { Exit::Fine }
}

fn offers(file: &TargetFile) -> serde_json::Value {
    let operations: Vec<_> = file
        .operations
        .iter()
        .map(|operation| {
            let fields: Vec<_> = operation
                .fields
                .iter()
                .map(|f| json!({ "name": &*f.name, "type": f.kind.name(), "required": f.required, "max_length": f.max_length }))
                .collect();
            let key: Vec<&str> = operation.record_key.iter().map(|k| &**k).collect();
            json!({ "operation": &*operation.id.0, "write": operation.write.name(), "record_key": key, "fields": fields })
        })
        .collect();
    json!({ "name": &*file.name, "kind": file.kind.name(), "operations": operations })
}
