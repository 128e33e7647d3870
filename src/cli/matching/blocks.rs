//! `kith match blocks`: what blocking costs in the CRM as it is, before anybody is compared. Shows nobody.

use crate::cli::opened::{Keys, WhichMapping, parts_of, project_with};
use crate::cli::page::line;
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::pipeline::read_known;
use crate::resolve::{Blocks, blocks};

pub(super) fn run(session: &mut Session) -> Exit {
    let (_, parts) = match project_with(session, WhichMapping::File).and_then(|project| parts_of(project, session, Keys::Borrowed)) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let known = match read_known(&parts.config, &parts.rulebook) {
        Ok(known) => known,
        Err(error) => {
            session.terminal.problem(&error.diagnostic());
            return Exit::Failed;
        }
    };
    let found = blocks(&known.index, &parts.rulebook.matching);
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({ "customers": known.index.len(), "rules": found }));
    } else {
        session.terminal.data(&page(known.index.len() as u64, &found));
    }
    Exit::Fine
}

fn page(customers: u64, found: &[Blocks]) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("  {} customers", grouped(customers)));
    if found.is_empty() {
        out.push_str("  the mapping has no model, and so no blocking rules\n");
        return out;
    }
    out.push_str("\n  rule                customers        keys   largest   cut above   keys cut   never brought\n");
    for rule in found {
        line(
            &mut out,
            format_args!(
                "  {:<18} {:>10} {:>11} {:>9} {:>11} {:>10} {:>15}",
                rule.rule,
                grouped(rule.customers),
                grouped(rule.keys),
                grouped(rule.largest),
                grouped(rule.cut_above),
                grouped(rule.cut_keys),
                grouped(rule.cut_customers)
            ),
        );
    }
    out.push_str(
        "\n  An identity is compared with at most `cut above` customers for each of its keys. A key that more share is not followed, and the\n  \
         evidence of each decision names the rule; whom one rule never brings another one may.\n",
    );
    out
}
