//! `kith review export` and `import`: cases as a table that a person fills in with any spreadsheet.

use super::page::{names, value};
use super::{ExportArguments, ImportArguments, Talk, say, strange, which, wrong};
use crate::cli::{Exit, Session, read_bytes};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{CasePage, PeopleAsk, PeopleTold, SHEET_AT_ONCE, WordAnswer, WordAsked};
use serde_json::json;
use std::path::Path;

const CANT_WRITE: Code = Code("KITH-C018");
const BAD_SHEET: Code = Code("KITH-R061");

/// Candidates in columns: more would make a table that nobody reads.
const MOST_CANDIDATES: usize = 10;
/// Rows of one import: a steward's month.
const MOST_ROWS: usize = 100_000;

/// A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Text that no spreadsheet runs.
fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) || text.starts_with('\'') { format!("'{text}") } else { text.to_owned() }
}

/// The reverse of [`harmless`], whether or not the spreadsheet kept the sign.
fn plain(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA) || rest.starts_with('\'') => rest,
        _ => text,
    }
}

pub(super) fn export(arguments: &ExportArguments, session: &mut Session) -> Result<Exit, Exit> {
    if !(1..=MOST_CANDIDATES).contains(&arguments.candidates) {
        return Err(wrong(session, "--candidates", "a table has 1 to 10 candidates of each case", "give a number from 1 to 10"));
    }
    let which = which(session, &arguments.which)?;
    let mut talk = Talk::new(session)?;
    let (mut pages, mut from, mut all) = (Vec::new(), 0, 0);
    while from < arguments.limit {
        let limit = SHEET_AT_ONCE.min(arguments.limit - from);
        let told = talk.ask(session, &PeopleAsk::Sheet { which: which.clone(), from, limit, blind: arguments.blind })?;
        let PeopleTold::Sheet { pages: more, total } = told else { return Err(strange(session)) };
        (all, from) = (total, from + limit);
        let ended = u64::try_from(from).unwrap_or(u64::MAX) >= total;
        pages.extend(more);
        if ended {
            break;
        }
    }
    talk.end(session)?;
    if session.terminal.is_json() {
        for page in &pages {
            session.terminal.json(&json!(page));
        }
    } else {
        let text = table(&pages, arguments).map_err(|error| unwritten(session, Path::new("stdout"), &error.to_string()))?;
        match &arguments.to {
            None => session.terminal.data(&text),
            Some(path) => std::fs::write(path, &text).map_err(|error| unwritten(session, path, &error.to_string()))?,
        }
    }
    session.terminal.note(&format!("{} of {all} cases; fill in `decision` (a customer's id, none or unsure) and `reason`", pages.len()));
    Ok(Exit::Fine)
}

fn unwritten(session: &mut Session, path: &Path, why: &str) -> Exit {
    let place = Place::Path(path.display().to_string());
    session.terminal.problem(&Diagnostic::error(CANT_WRITE, place, format!("the table can't be written: {why}"), "choose another place"));
    Exit::Failed
}

/// One row a case: what the account shows, then candidate by candidate, then what a person fills in.
fn table(pages: &[CasePage], arguments: &ExportArguments) -> Result<String, Box<dyn std::error::Error>> {
    let mut fields: Vec<&str> = Vec::new();
    for page in pages {
        let candidates = page.candidates.get(..arguments.candidates.min(page.candidates.len())).unwrap_or_default();
        for name in names(page, candidates) {
            if !fields.contains(&name) {
                fields.push(name);
            }
        }
    }
    let mut head: Vec<String> = ["case", "network", "identity_id", "waiting"].map(str::to_owned).to_vec();
    head.extend(fields.iter().map(|field| format!("account: {field}")));
    for number in 1..=arguments.candidates {
        head.push(format!("candidate {number}"));
        if !arguments.blind {
            head.push(format!("{number}: posterior"));
        }
        head.extend(fields.iter().map(|field| format!("{number}: {field}")));
    }
    head.extend(["decision", "reason"].map(str::to_owned));
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(&head)?;
    for page in pages {
        let case = &page.case;
        let mut row = vec![case.case.clone(), case.network.clone(), harmless(&case.identity_id), case.waiting.to_string()];
        row.extend(fields.iter().map(|field| harmless(&value(&page.shows.0, field))));
        for number in 0..arguments.candidates {
            let candidate = page.candidates.get(number);
            row.push(candidate.map_or_else(String::new, |c| harmless(&c.customer_id)));
            if !arguments.blind {
                row.push(candidate.and_then(|c| c.posterior).map_or_else(String::new, |p| format!("{p:.4}")));
            }
            row.extend(fields.iter().map(|field| candidate.map_or_else(String::new, |c| harmless(&value(&c.values.0, field)))));
        }
        row.extend([String::new(), String::new()]);
        csv.write_record(&row)?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

/// A row that somebody filled in, and its line.
struct Filled {
    line: u64,
    word: WordAsked,
}

/// Reads a filled table: commas or semicolons, with or without a byte order mark. Rows without a decision are passed over.
fn filled(bytes: &[u8], dry_run: bool) -> Result<(Vec<Filled>, u64), (u64, String)> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
        .map_err(|_not_text| (1, "the table is not UTF-8: save it as \"CSV UTF-8\"".to_owned()))?;
    // The reader of CSV counts a line late where it ends with both.
    let text = text.replace("\r\n", "\n");
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.matches(';').count() > first.matches(',').count() { b';' } else { b',' };
    let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let head = csv.headers().map_err(|error| (1, error.to_string()))?.clone();
    let column = |name: &str| {
        let found = head.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
        found.ok_or_else(|| (1, format!("there is no column `{name}`: keep the columns that `kith review export` wrote")))
    };
    let (case, network, identity) = (column("case")?, column("network")?, column("identity_id")?);
    let (decision, reason) = (column("decision")?, column("reason")?);
    let (mut rows, mut empty) = (Vec::new(), 0);
    for record in csv.records() {
        let record = record.map_err(|error| (error.position().map_or(0, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| plain(record.get(at).unwrap_or_default().trim());
        if cell(decision).is_empty() {
            empty += 1;
            continue;
        }
        if rows.len() >= MOST_ROWS {
            return Err((line, "a table has at most 100,000 filled rows".to_owned()));
        }
        let (said, customer) = match cell(decision) {
            word if word.eq_ignore_ascii_case("none") => ("none", None),
            word if word.eq_ignore_ascii_case("unsure") => ("unsure", None),
            customer => ("link", Some(customer.to_owned())),
        };
        let word = WordAsked {
            network: cell(network).to_owned(),
            identity: cell(identity).to_owned(),
            case: Some(cell(case).to_owned()),
            said: said.to_owned(),
            customer,
            reason: cell(reason).to_owned(),
            by_hand: false,
            dry_run,
        };
        rows.push(Filled { line, word });
    }
    Ok((rows, empty))
}

pub(super) fn import(arguments: &ImportArguments, session: &mut Session) -> Result<Exit, Exit> {
    let bytes = read_bytes(&arguments.file).map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Wrong
    })?;
    let name = arguments.file.display().to_string();
    let (rows, empty) = filled(&bytes, arguments.dry_run).map_err(|(line, message)| {
        let remedy = "export anew, fill in `decision` and `reason`, and leave the rest as it is";
        session.terminal.problem(&Diagnostic::error(BAD_SHEET, Place::Line(name.clone(), line), message, remedy));
        Exit::Wrong
    })?;
    let mut talk = Talk::new(session)?;
    let words: Vec<WordAsked> = rows.iter().map(|row| row.word.clone()).collect();
    let answers = say(session, &mut talk, &words)?;
    talk.end(session)?;
    let refused = tell(session, &name, &rows, &answers);
    let taken = answers.len() - refused;
    let word = if arguments.dry_run { "would be taken" } else { "taken" };
    if session.terminal.is_json() {
        let count = if arguments.dry_run { 0 } else { taken };
        session
            .terminal
            .json(&json!({ "taken": count, "possible": taken, "refused": refused, "empty": empty, "dry_run": arguments.dry_run }));
    } else {
        session.terminal.data(&format!("{taken} rows {word}, {refused} refused, {empty} without a decision"));
    }
    Ok(if refused == 0 { Exit::Fine } else { Exit::Failed })
}

/// Every refused row with its line; returns how many. What a row says about people is not repeated.
fn tell(session: &mut Session, name: &str, rows: &[Filled], answers: &[WordAnswer]) -> usize {
    let mut refused = 0;
    for (row, answer) in rows.iter().zip(answers) {
        if session.terminal.is_json() {
            session.terminal.json(&json!({ "line": row.line, "done": answer.code.is_none(), "code": answer.code, "told": answer.told }));
        }
        if let Some(code) = &answer.code {
            refused += 1;
            if !session.terminal.is_json() {
                session.terminal.data(&format!("{name}:{}: {code} {}", row.line, answer.told));
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_cell_is_a_formula_and_every_cell_comes_back(text in ".{0,40}", sign in prop::sample::select(vec!["", "=", "+", "-", "@", "'", "'="])) {
            let text = format!("{sign}{text}");
            let cell = harmless(&text);
            prop_assert!(!cell.starts_with(FORMULA));
            prop_assert_eq!(plain(&cell), text);
        }

        #[test]
        fn a_hostile_table_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut table = b"case,network,identity_id,decision,reason\n".to_vec();
            table.extend(&bytes);
            let _rows = filled(&table, true);
            let _rows = filled(&bytes, true);
        }
    }

    #[test]
    fn a_table_is_read_however_a_spreadsheet_saves_it() {
        for (bytes, line) in [
            (&b"case,network,identity_id,waiting,decision,reason\nc1,x,https://x.example/1,2,C7,same mail\nc2,x,2,1,,\nc3,x,'=3,1,NONE,no\n"[..], 4),
            (&b"\xef\xbb\xbfCase;Network;identity_id;decision;reason\r\nc1;x;https://x.example/1;C7;same mail\r\nc2;x;2;;\r\nc3;x;'=3;none;no\r\n"[..], 4),
        ] {
            let (rows, empty) = filled(bytes, false).unwrap();
            assert_eq!((rows.len(), empty), (2, 1));
            assert_eq!((rows[0].word.said.as_str(), rows[0].word.customer.as_deref()), ("link", Some("C7")));
            assert_eq!((rows[1].word.said.as_str(), rows[1].word.identity.as_str(), rows[1].line), ("none", "=3", line));
        }
        assert_eq!(filled(b"case,network\n", false).err().unwrap().0, 1);
    }
}
