//! `kith review`: the steward's desk. Cases that wait for a person, the most useful first; what they show, side by side; what people say.

mod page;
mod sheet;

use super::argument::{SAY_WHY, network, reason, wrong};
use super::people::{Talk, strange};
use super::{Exit, Format, Session};
use crate::model::Outcome;
use crate::pipeline::{CASES_AT_ONCE, CaseTold, PeopleAsk, PeopleTold, WORDS_AT_ONCE, WhichCases, WordAnswer, WordAsked};
use serde_json::json;
use std::path::PathBuf;

/// Commands about cases that wait for a person.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// The cases, the most useful first
    List(ListArguments),
    /// One case: what the account shows and its candidates side by side, with the evidence step by step
    Show(ShowArguments),
    /// Say whose an account is: this customer, none of the candidates, or can't tell
    Decide(DecideArguments),
    /// Cases as a table for a spreadsheet, with empty columns for decision and reason
    Export(ExportArguments),
    /// Take in a table that `export` wrote and somebody filled in; rows whose case changed since are refused
    Import(ImportArguments),
}

/// Which cases.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// With this decision in force: review (those that wait), linked, not-linked
    #[arg(long, value_name = "OUTCOME", default_value = "review")]
    pub decision: String,
    /// Only this network
    #[arg(long)]
    pub network: Option<String>,
    /// Only those whose reviewers contradict each other
    #[arg(long)]
    pub disputed: bool,
    /// In an order that nobody chose, the same each time: to judge a sample
    #[arg(long)]
    pub sample: bool,
}

/// Arguments of `review list`.
#[derive(clap::Args, Debug)]
pub struct ListArguments {
    /// Which cases
    #[command(flatten)]
    pub which: Which,
    /// How many to list; all are counted
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// Arguments of `review show`.
#[derive(clap::Args, Debug)]
pub struct ShowArguments {
    /// The network
    pub network: String,
    /// The identity's id, as `review list` writes it
    pub identity: String,
    /// Without scores, and without what others said
    #[arg(long)]
    pub blind: bool,
}

/// What is said.
#[derive(clap::Args, Debug)]
#[group(id = "said", required = true, multiple = false)]
pub struct SaidArguments {
    /// It is this candidate
    #[arg(long, value_name = "CUSTOMER")]
    pub link: Option<String>,
    /// It is none of the candidates
    #[arg(long)]
    pub none: bool,
    /// Can't tell
    #[arg(long)]
    pub unsure: bool,
}

/// Arguments of `review decide`.
#[derive(clap::Args, Debug)]
pub struct DecideArguments {
    /// The network
    pub network: String,
    /// The identity's id, as `review list` writes it
    pub identity: String,
    /// What
    #[command(flatten)]
    pub said: SaidArguments,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The case as `review show` writes it: refused where it changed since
    #[arg(long, value_name = "CASE")]
    pub case: Option<String>,
}

/// Arguments of `review export`.
#[derive(clap::Args, Debug)]
pub struct ExportArguments {
    /// Which cases
    #[command(flatten)]
    pub which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub limit: usize,
    /// Candidates of each case
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub candidates: usize,
    /// Without scores, and candidates in an order that says nothing
    #[arg(long)]
    pub blind: bool,
    /// Write the table into this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// Arguments of `review import`.
#[derive(clap::Args, Debug)]
pub struct ImportArguments {
    /// The table, filled in: CSV with commas or semicolons
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Check every row and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::List(arguments) => list(arguments, session),
        Command::Show(arguments) => page::show(arguments, session),
        Command::Decide(arguments) => decide(arguments, session),
        Command::Export(arguments) => sheet::export(arguments, session),
        Command::Import(arguments) => sheet::import(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

fn which(session: &mut Session, asked: &Which) -> Result<WhichCases, Exit> {
    let outcome = Outcome::from_name(&asked.decision.replace('-', "_"))
        .filter(|outcome| matches!(outcome, Outcome::Review | Outcome::Linked | Outcome::NotLinked));
    let Some(outcome) = outcome else {
        let message = format!("`{}` is no outcome that can be reviewed", asked.decision);
        return Err(wrong(session, "--decision", message, "it is one of review, linked, not-linked"));
    };
    let network = asked.network.as_deref().map(|name| network(session, name)).transpose()?;
    Ok(WhichCases {
        decision: outcome.name().to_owned(),
        network: network.map(|network| network.name().to_owned()),
        disputed: asked.disputed,
        sample: asked.sample,
    })
}

fn list(arguments: &ListArguments, session: &mut Session) -> Result<Exit, Exit> {
    let which = which(session, &arguments.which)?;
    let mut talk = Talk::new(session)?;
    let (mut from, mut listed, mut all) = (0, 0, 0);
    if session.terminal.format() == Format::Human {
        session.terminal.data(&format!(
            "{:<10} {:<46} {:>4}  {:<14} {:>9} {:>7} {:>7}  {}",
            "network", "identity", "cand", "best", "posterior", "bits", "waiting", "said"
        ));
    }
    while from < arguments.limit {
        let limit = CASES_AT_ONCE.min(arguments.limit - from);
        let told = talk.ask(session, &PeopleAsk::Cases { which: which.clone(), from, limit })?;
        let PeopleTold::Cases { cases, total } = told else { return Err(strange(session)) };
        all = total;
        listed += cases.len();
        from += limit;
        for case in &cases {
            if session.terminal.is_json() {
                session.terminal.json(&json!(case));
            } else {
                session.terminal.data(&row(case));
            }
        }
        if u64::try_from(from).unwrap_or(u64::MAX) >= total {
            break;
        }
    }
    talk.end(session)?;
    session.terminal.note(&format!("{listed} of {all} cases"));
    Ok(Exit::Fine)
}

fn row(case: &CaseTold) -> String {
    let posterior = case.probability.map_or_else(String::new, |p| format!("{:.2} %", p * 100.0));
    let bits = case.match_weight.map_or_else(String::new, |bits| format!("{bits:.1}"));
    let said = match (case.opinions, case.disputed) {
        (0, _) => String::new(),
        (n, true) => format!("{n}, disputed"),
        (n, false) => n.to_string(),
    };
    format!(
        "{:<10} {:<46} {:>4}  {:<14} {posterior:>9} {bits:>7} {:>7}  {said}",
        case.network,
        case.identity_id,
        case.candidates,
        case.customer_id.as_deref().unwrap_or_default(),
        case.waiting
    )
}

fn decide(arguments: &DecideArguments, session: &mut Session) -> Result<Exit, Exit> {
    let network = network(session, &arguments.network)?;
    let said = match (&arguments.said.link, arguments.said.none) {
        (Some(_), _) => "link",
        (None, true) => "none",
        (None, false) => "unsure",
    };
    let word = WordAsked {
        network: network.name().to_owned(),
        identity: arguments.identity.clone(),
        case: arguments.case.clone(),
        said: said.to_owned(),
        customer: arguments.said.link.clone(),
        reason: reason(session, &arguments.reason, SAY_WHY)?.to_owned(),
        by_hand: false,
        dry_run: false,
    };
    one_word(session, word)
}

/// One word, told with what came of it.
pub(super) fn one_word(session: &mut Session, word: WordAsked) -> Result<Exit, Exit> {
    let mut talk = Talk::new(session)?;
    let name = format!("{} {}", word.network, word.identity);
    let answers = say(session, &mut talk, &[word])?;
    talk.end(session)?;
    let Some(answer) = answers.first() else { return Err(strange(session)) };
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "done": answer.code.is_none(), "code": answer.code, "told": answer.told }));
    } else {
        let code = answer.code.as_ref().map_or_else(String::new, |code| format!("{code} "));
        session.terminal.data(&format!("{name}: {code}{}", answer.told));
    }
    Ok(if answer.code.is_none() { Exit::Fine } else { Exit::Failed })
}

/// Words, page by page.
fn say(session: &mut Session, talk: &mut Talk, words: &[WordAsked]) -> Result<Vec<WordAnswer>, Exit> {
    let mut answers = Vec::with_capacity(words.len());
    for page in words.chunks(WORDS_AT_ONCE) {
        let told = talk.ask(session, &PeopleAsk::Judge { words: page.to_vec() })?;
        let PeopleTold::Words { words } = told else { return Err(strange(session)) };
        answers.extend(words);
    }
    Ok(answers)
}
