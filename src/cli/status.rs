//! `kith status`: what is in which state, how endpoints and the running service stand, and both sides of the conservation sum. Nothing
//! personal is shown.

use super::mapping::MappingStanding;
use super::opened::{config_and_reader, runtime};
use super::page::line;
use super::run::{grouped, parts_of};
use super::standing::{Budgets, Endpoints, Held, service_page};
use super::{Exit, Session};
use crate::pipeline::control::{self, Answer, Request};
use crate::pipeline::{Clock as _, RunError, Standing, SystemClock};
use crate::store::sqlite::SqliteReader;
use crate::store::{StoreError, Totals};
use serde_json::{Value as Json, json};

/// Lines and deliveries that are listed at most.
const LISTED: usize = 1_000;

/// Arguments of `status`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// List what stands aside: malformed lines and refused deliveries, each with place and reason
    #[arg(long)]
    pub parked: bool,
}

struct Aside {
    code: String,
    place: String,
    message: String,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let (config, files, reader) = match config_and_reader(session) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let found = reader.totals().and_then(|totals| {
        let endpoints = Endpoints::read(&reader, &config, &files, SystemClock.now())?;
        let held = Held { pauses: reader.pauses()?, guarded: reader.guarded()? };
        let mapping = MappingStanding::read(&config, &files)?;
        let held = (held, Budgets::read(&reader, SystemClock.now())?);
        Ok((totals, if arguments.parked { aside(&reader)? } else { Vec::new() }, endpoints, held, mapping))
    });
    let (totals, aside, endpoints, (held, budgets), mapping) = match found {
        Ok(found) => found,
        Err(error) => {
            session.terminal.problem(&error.diagnostic());
            return Exit::Failed;
        }
    };
    let service = match standing(session, &config.service.state) {
        Ok(service) => service,
        Err(exit) => return exit,
    };
    if session.terminal.is_json() {
        let mut json = json!({ "totals": totals, "endpoints": endpoints.json(), "service": service,
            "paused": held.pauses_json(), "guarded": held.guarded_json(), "budgets": budgets.json(), "mapping": mapping.as_ref().map(MappingStanding::json) });
        if let Some(members) = json.as_object_mut() {
            for (name, term) in terms(&totals) {
                members.insert(name.into(), term.into());
            }
            if arguments.parked {
                let listed: Vec<Json> = aside.iter().map(|a| json!({ "code": a.code, "place": a.place, "message": a.message })).collect();
                members.insert("parked_count".into(), members.get("parked").cloned().unwrap_or_default());
                members.insert("parked".into(), listed.into());
            }
        }
        session.terminal.json(&json);
        return Exit::Fine;
    }
    let state = config.service.state.display().to_string();
    session.terminal.data(&page(&totals, &state, (&endpoints, &budgets), service.as_ref(), &held, mapping.as_ref()));
    for Aside { code, place, message } in &aside {
        session.terminal.data(&format!("  {code}  {place}  {message}"));
    }
    if !aside.is_empty() {
        session.terminal.note("\nkith dead-letter list names them, show LETTER tells more, replay and drop are the ways out");
    }
    if aside.len() >= LISTED {
        session.terminal.note(&format!("only the first {LISTED} are listed"));
    }
    Exit::Fine
}

/// What the running service says of itself; `None` where none runs, or it does not say.
fn standing(session: &mut Session, state: &std::path::Path) -> Result<Option<Standing>, Exit> {
    let runtime = runtime(session)?;
    Ok(match runtime.block_on(control::ask(state, &Request::Standing)) {
        Ok(Some(Answer::Standing { standing })) => Some(*standing),
        Ok(_) => None,
        Err(error) => {
            // The counts are there all the same.
            session.terminal.note(&format!("the running service did not answer: {}", RunError::Control(error)));
            None
        }
    })
}

fn terms(totals: &Totals) -> [(&'static str, u64); 8] {
    let (sum, gap) = totals.sum();
    [
        ("received", sum.received),
        ("duplicates", sum.duplicates),
        ("delivered", sum.delivered),
        ("parked", sum.parked),
        ("dropped", sum.dropped),
        ("erased", sum.erased),
        ("in_flight", sum.in_flight),
        ("conservation_gap", gap),
    ]
}

fn aside(reader: &SqliteReader) -> Result<Vec<Aside>, StoreError> {
    let lines = reader.parked_lines(None, LISTED)?;
    let mut aside: Vec<Aside> =
        lines.into_iter().map(|l| Aside { code: l.code, place: format!("{}:{}", l.file, l.line), message: l.message }).collect();
    let left = LISTED.saturating_sub(aside.len());
    for delivery in reader.parked_deliveries(None, left)? {
        let place = format!("delivery {} ({} to {})", delivery.id.0, delivery.entry, delivery.target.0);
        aside.push(Aside { code: delivery.code, place, message: delivery.message });
    }
    Ok(aside)
}

fn page(
    totals: &Totals,
    state: &str,
    (endpoints, budgets): (&Endpoints, &Budgets),
    service: Option<&Standing>,
    held: &Held,
    mapping: Option<&MappingStanding>,
) -> String {
    let mut out = format!("state in {state}\n\n");
    for sum in &totals.conservation {
        line(
            &mut out,
            format_args!(
                "  {} {}: {} received = {} delivered + {} parked + {} dropped + {} erased + {} in flight   conservation gap {}",
                sum.source,
                sum.day,
                grouped(sum.received),
                grouped(sum.delivered),
                grouped(sum.parked),
                grouped(sum.dropped),
                grouped(sum.erased),
                grouped(sum.in_flight),
                sum.gap()
            ),
        );
    }
    if totals.conservation.is_empty() {
        out.push_str("  nothing was received yet: conservation gap 0\n");
    }
    out.push('\n');
    for (label, counts) in [
        ("identities", &totals.decisions),
        ("links by", &totals.links),
        ("activities", &totals.activities),
        ("parked by", &totals.parked),
        ("deliveries", &totals.deliveries),
        ("customers", &totals.customers),
    ] {
        let parts = parts_of(counts, "");
        if !parts.is_empty() {
            line(&mut out, format_args!("  {label:<12}{parts}"));
        }
    }
    for change in &totals.changes {
        let target = change.target.as_deref().unwrap_or("a target that is not decided yet");
        let parked = if change.parked == 0 { String::new() } else { format!(", {} of them PARKED", grouped(change.parked)) };
        let (count, network, since) = (grouped(change.waiting), &change.network, &change.since);
        line(
            &mut out,
            format_args!(
                "  {:<12}{count} deletions and edits on {network} have not arrived in {target}{parked}; the oldest since {since}",
                "waiting"
            ),
        );
    }
    line(&mut out, format_args!("  {:<12}{} entries", "audit log", grouped(totals.leaves)));
    out.push('\n');
    if let Some(mapping) = mapping {
        mapping.page(&mut out);
    }
    endpoints.page(&mut out);
    budgets.page(&mut out);
    service_page(&mut out, service);
    held.page(&mut out);
    if totals.decided_under_older_mapping > 0 {
        line(
            &mut out,
            format_args!(
                "\n  {} identities were decided under an earlier mapping; a changed mapping changes nothing by itself",
                grouped(totals.decided_under_older_mapping)
            ),
        );
    }
    out
}
