//! A mapping in plain sentences: what a steward reads aloud to the people who answer for it.

use super::Rulebook;
use crate::enrich::{DeliverEntry, EnrichValue, OnDelete, Subject};
use crate::expr::{Condition, Test, ValueExpr};
use crate::model::{Audience, Display, Value};
use crate::normalize::{Cleaner, Extract, Field, Finder, NamePart, SAID};
use crate::resolve::RuleVerdict;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The whole mapping in sentences, a paragraph a section. Every line ends with a line end.
pub fn describe(rulebook: &Rulebook) -> String {
    let mut out = Text(String::new());
    head(&mut out, rulebook);
    customers(&mut out, rulebook);
    identities(&mut out, rulebook);
    policy(&mut out, rulebook);
    matching(&mut out, rulebook);
    enrich(&mut out, rulebook);
    deliver(&mut out, rulebook);
    out.title("Tests");
    out.line(&match rulebook.tests.len() {
        0 => "There are none: nothing holds this mapping to its word.".to_owned(),
        1 => "One test holds this mapping to its word.".to_owned(),
        count => format!("{count} tests hold this mapping to its word."),
    });
    out.0
}

struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(title);
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn item(&mut self, line: &str) {
        self.line(&format!("  - {line}"));
    }
}

fn head(out: &mut Text, rulebook: &Rulebook) {
    out.title(&format!("Mapping {}", rulebook.name));
    if let Some(description) = &rulebook.description {
        out.line(description);
    }
    if let Some(owner) = &rulebook.owner {
        out.line(&format!("Owner: {owner}."));
    }
    out.line(&format!("Digest: {}.", rulebook.digest));
}

fn customers(out: &mut Text, rulebook: &Rulebook) {
    let customers = &rulebook.customers;
    out.title("Customers");
    out.line(&format!("They come from `{}`; the column `{}` tells them apart.", rulebook.customers_from, customers.key));
    if let Some(column) = &customers.merged_into {
        out.line(&format!("A customer that was merged away is followed to the one that `{column}` names."));
    }
    out.line("Only these fields are read:");
    for field in &customers.fields {
        out.item(&field_sentence(field, &customers.columns));
    }
    for set in &rulebook.related {
        let by = format!("by the column `{}`", set.by);
        out.line(&format!("A customer's {} come from `{}` {by}; the last {} are kept.", set.name, set.from, set.last));
    }
    out.line(&format!(
        "A read that would retire more than {} of the customers, or decide more than {} of the links anew, waits for approval.",
        percent(rulebook.guard.retire),
        percent(rulebook.guard.relink)
    ));
}

fn identities(out: &mut Text, rulebook: &Rulebook) {
    out.title("Identities");
    out.line("Of a profile, only these fields are made and compared:");
    for field in &rulebook.identities.fields {
        out.item(&field_sentence(field, &rulebook.identities.paths));
    }
    let kept: Vec<String> =
        rulebook.identities.paths.iter().filter(|p| !matches!(&***p, "network" | SAID)).map(|p| format!("`{p}`")).collect();
    if rulebook.identities.reads_posts() {
        out.line(
            "What is found in posts is looked for again at each decision, in the newest 100 that are still kept and that nobody took back.",
        );
    }
    out.line(&format!("Of the profile itself, only {} {} kept.", and(&kept), if kept.len() == 1 { "is" } else { "are" }));
}

fn field_sentence(field: &Field, columns: &[Arc<str>]) -> String {
    let from: Vec<String> = field.from.iter().filter_map(|i| columns.get(*i)).map(|c| format!("`{c}`")).collect();
    let region =
        |region: &Option<Arc<str>>| region.as_ref().map_or(String::new(), |r| format!(", read by the rules of the country in `{r}`"));
    let made = match &field.extract {
        Extract::Clean(Cleaner::Text) => "as it is".to_owned(),
        Extract::Clean(Cleaner::PersonName(NamePart::Given)) => "the given name".to_owned(),
        Extract::Clean(Cleaner::PersonName(NamePart::Family)) => "the family name".to_owned(),
        Extract::Clean(Cleaner::PersonName(NamePart::Middle)) => "the initials of middle names".to_owned(),
        Extract::Clean(Cleaner::Country) => "as a country".to_owned(),
        Extract::Clean(Cleaner::Site) => "as a name on the web".to_owned(),
        Extract::Clean(Cleaner::E164 { region_from }) => format!("as a telephone number with its calling code{}", region(region_from)),
        Extract::Find(Finder::BirthDate) => "a date of birth found in it".to_owned(),
        Extract::Find(Finder::NetworkHandle) => "accounts on networks found in it".to_owned(),
        Extract::Find(Finder::Number) => "numbers found in it".to_owned(),
        Extract::Find(Finder::Emails) => "e-mail addresses found in it".to_owned(),
        Extract::Find(Finder::Phones) => "telephone numbers found in it".to_owned(),
        Extract::Clean(Cleaner::PersonName(NamePart::Full)) => "the given and family name".to_owned(),
        Extract::Clean(Cleaner::Email) => "as an e-mail address".to_owned(),
        Extract::Clean(Cleaner::Phone { region_from }) => format!("as a telephone number{}", region(region_from)),
        Extract::Clean(Cleaner::Place) => "as a place: its city".to_owned(),
        Extract::Clean(Cleaner::Organisation) => "as the name of an organisation, without its legal form".to_owned(),
        Extract::Clean(Cleaner::Date { region_from }) => format!("as a date{}", region(region_from)),
        Extract::Clean(Cleaner::NetworkHandle) => "as a handle together with its network".to_owned(),
        Extract::Clean(Cleaner::PostalCode) => "as a postal code".to_owned(),
        Extract::Find(Finder::Email) => "an e-mail address found in it".to_owned(),
        Extract::Find(Finder::Phone) => "a telephone number found in it".to_owned(),
        Extract::Find(Finder::Organisation) => "an organisation found in it".to_owned(),
    };
    let optional = if field.optional { " (the source may lack it)" } else { "" };
    format!("{}: {}, {made}{optional}.", field.name, and(&from))
}

/// A time as a person says it, in the greatest unit that it is whole in.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (unit, count) = [("day", 86_400), ("hour", 3_600), ("minute", 60)]
        .into_iter()
        .find(|(_, length)| seconds >= *length && seconds.is_multiple_of(*length))
        .map_or(("second", seconds), |(unit, length)| (unit, seconds / length));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn policy(out: &mut Text, rulebook: &Rulebook) {
    let policy = &rulebook.policy;
    out.title("Policy");
    let listed: Vec<String> = Audience::ALL.into_iter().filter(|a| policy.audience.contains(*a)).map(|a| a.name().to_owned()).collect();
    out.line(&format!("Only {} activities are used; all others are dropped when they arrive.", and(&listed)));
    out.line("A profile is compared with a customer only on one of these bases; the first that holds is the link's. Without one, nobody is compared and nothing is kept:");
    for basis in &policy.bases {
        let mut line = format!("{}, by {}, for {}", basis.name, basis.law, basis.purpose);
        if let Some(since) = &basis.since {
            let _infallible = write!(line, ", since {since}");
        }
        if let Some(record) = &basis.record {
            let _infallible = write!(line, ", justified in {record}");
        }
        out.item(&format!("{line}: when {}.", condition(&basis.when)));
    }
    let retain = policy.retain;
    out.line(&format!(
        "What is known about strangers is kept for {}, profiles of customers for {}, what they said for {}, personal values in the audit log for {}.",
        days(retain.unlinked_days),
        days(retain.profiles_days),
        days(retain.activities_days),
        days(retain.audit_days)
    ));
    for clock in &policy.retain_fields {
        let on = clock.only.map_or_else(String::new, |network| format!(" on {network}"));
        out.item(&format!("{} of a profile{on} for {} only.", clock.path, days(clock.days)));
    }
    for duties in &policy.duties {
        let accepted = match duties.accepts.as_slice() {
            [] => "nobody there is matched".to_owned(),
            names => format!("only on {}", names.join(" or ")),
        };
        let within = duties
            .deletions_within()
            .map_or_else(String::new, |within| format!("; what is deleted or changed there is so in the CRM within {}", time(within)));
        let shown = duties.display.as_ref().map_or_else(String::new, shown);
        out.item(&format!("by the duties of {} as of {}: {accepted}{within}{shown}.", duties.network, duties.as_of));
    }
    for (network, retain) in &policy.retain_on {
        out.item(&format!(
            "on {network}: {} for strangers, {} for profiles, {} for what they said.",
            days(retain.unlinked_days),
            days(retain.profiles_days),
            days(retain.activities_days)
        ));
    }
}

/// What may be shown, as the end of a sentence.
fn shown(display: &Display) -> String {
    let mut parts = Vec::new();
    if !display.withheld.is_empty() {
        let names: Vec<String> = display.withheld.iter().map(|name| format!("`{name}`")).collect();
        parts.push(format!("{} {} not shown", and(&names), if names.len() == 1 { "is" } else { "are" }));
    }
    parts.extend(display.text_at_most.map(|most| format!("of a text, {most} characters are shown")));
    if display.with_link {
        parts.push("a text is shown beside the address of its post alone".to_owned());
    }
    parts.into_iter().fold(String::new(), |text, part| text + "; " + &part)
}

fn matching(out: &mut Text, rulebook: &Rulebook) {
    let matching = &rulebook.matching;
    out.title("Match");
    if matching.rules.is_empty() {
        out.line("There are no exact rules.");
    } else {
        out.line("Exact rules come first, in this order. A rule counts only where exactly one customer remains; two rules that name different customers need a person:");
    }
    let (identities, customers) = (&rulebook.identities.fields, &rulebook.customers.fields);
    for rule in &matching.rules {
        let same: Vec<String> = rule
            .same
            .iter()
            .filter_map(|(i, c)| Some((&identities.get(*i)?.name, &customers.get(*c)?.name)))
            .map(|(i, c)| if i == c { i.to_string() } else { format!("{i} (among the customer's {c})") })
            .collect();
        let verdict = match rule.verdict {
            RuleVerdict::Link => "link",
            RuleVerdict::Review => "ask a person",
        };
        let shared = match rule.ignore_if_shared_by_more_than {
            None => String::new(),
            Some(1) => "; a value that several customers share is no evidence".to_owned(),
            Some(most) => format!("; a value that more than {most} customers share is no evidence"),
        };
        out.item(&format!("{}: the same {} → {verdict}{shared}. Right {} of the time.", rule.id, and(&same), percent(rule.precision)));
    }
    match &matching.model {
        Some(model) => {
            let comparisons: Vec<String> = model.comparisons.iter().map(|c| c.name.to_string()).collect();
            out.line(&format!("Then the model `{}` weighs {}.", model.name, and(&comparisons)));
        }
        None => out.line("There is no model: what no rule decides is not linked."),
    }
    let decide = matching.decide;
    out.line(&format!(
        "Link where the best candidate, among all rivals and nobody, has at least {} and odds {} times the next one's.",
        percent(decide.link_from),
        decide.ahead_of_next
    ));
    out.line(&format!(
        "Else ask a person where all candidates together have at least {}. Else do not link.",
        percent(decide.ask_a_person_from)
    ));
    if let Some(most) = matching.one_person.accounts_of_a_network {
        out.line(&format!("Ask a person before one customer has more than {most} account(s) of one network."));
    }
    if !matching.one_person.agree_on.is_empty() {
        let fields: Vec<String> = matching.one_person.agree_on.iter().map(|(_, name)| name.to_string()).collect();
        out.line(&format!("Ask a person before accounts that differ in {} belong to one customer.", and(&fields)));
    }
}

fn enrich(out: &mut Text, rulebook: &Rulebook) {
    if rulebook.enrich.fields.is_empty() {
        return;
    }
    out.title("Enrich");
    for field in &rulebook.enrich.fields {
        match &field.value {
            EnrichValue::FirstOf(choices) => {
                out.line(&format!("{} is the first of these that holds:", field.name));
                for choice in choices {
                    let is = constant(&choice.is);
                    out.item(
                        &choice.when.as_ref().map_or_else(|| format!("{is} otherwise."), |when| format!("{is}, when {}.", condition(when))),
                    );
                }
            }
            EnrichValue::Expression(expression) => out.line(&format!("{} is {}.", field.name, value(expression))),
        }
    }
}

fn deliver(out: &mut Text, rulebook: &Rulebook) {
    out.title("Deliver");
    for entry in &rulebook.enrich.deliver {
        out.line(&delivery(entry));
        for (field, expression) in &entry.fields {
            out.item(&format!("{field}: {}.", value(expression)));
        }
    }
}

fn delivery(entry: &DeliverEntry) -> String {
    let (subject, ends) = match entry.subject {
        Subject::Link => ("each link", "When the link ends"),
        Subject::Activity => ("each activity", "When it is deleted"),
    };
    let when = entry.when.as_ref().map_or(String::new(), |when| format!(", when {},", condition(when)));
    let mut out = format!("{}: {subject}{when} is written to `{}` by `{}`.", entry.id, entry.target.0, entry.operation.0);
    if let Some(back) = entry.backfill_days {
        let _infallible = write!(out, " When a link is made later, what was said up to {} before is written too.", days(back));
    }
    let on_delete = match &entry.on_delete {
        OnDelete::Remove => "the record is removed".to_owned(),
        OnDelete::Keep => "the record stays as it is".to_owned(),
        OnDelete::Blank(fields) => {
            let names = and(&fields.iter().map(ToString::to_string).collect::<Vec<_>>());
            format!("{names} {} empty", if fields.len() == 1 { "becomes" } else { "become" })
        }
    };
    let _infallible = write!(out, " {ends}, {on_delete}.");
    out
}

/// A condition in words.
fn condition(condition: &Condition) -> String {
    match condition {
        Condition::All(parts) if parts.is_empty() => "always".to_owned(),
        Condition::All(parts) => parts.iter().map(|p| bracketed(p, matches!(p, Condition::Any(_)))).collect::<Vec<_>>().join(" and "),
        Condition::Any(parts) => parts.iter().map(|p| bracketed(p, matches!(p, Condition::All(_)))).collect::<Vec<_>>().join(" or "),
        Condition::Not(part) => format!("not ({})", self::condition(part)),
        Condition::Name { name, test } => format!("{name} {}", test_words(test)),
        Condition::Cel(cel) => format!("`{}`", cel.source()),
    }
}

fn bracketed(part: &Condition, brackets: bool) -> String {
    let words = condition(part);
    if brackets { format!("({words})") } else { words }
}

fn test_words(test: &Test) -> String {
    match test {
        Test::Equals(literal) => format!("is {}", literal.typed()),
        Test::OneOf(literals) => format!("is {}", or(&literals.iter().map(|l| l.typed().to_owned()).collect::<Vec<_>>())),
        Test::Has(name) => format!("has {name}"),
        Test::AnyWord(words) => format!("has the word {}", or(&words.typed().collect::<Vec<_>>())),
        Test::StartsWith(text) => format!("starts with \"{text}\""),
        Test::EndsWith(text) => format!("ends with \"{text}\""),
        Test::Contains(text) => format!("contains \"{text}\""),
        Test::Above(limit) => format!("is above {limit}"),
        Test::Below(limit) => format!("is below {limit}"),
        Test::Present(true) => "is known".to_owned(),
        Test::Present(false) => "is not known".to_owned(),
    }
}

/// A value in words.
fn value(expression: &ValueExpr) -> String {
    match expression {
        ValueExpr::Name(name) => name.to_string(),
        ValueExpr::Constant(value) => constant(value),
        ValueExpr::Truncate { from, characters } => format!("the first {characters} characters of {from}"),
        ValueExpr::Find { patterns, within } => {
            let typed: Vec<String> = patterns.iter().map(|p| format!("\"{}\"", p.typed())).collect();
            format!("what stands in {within} at the place of the braces in {}", or(&typed))
        }
        ValueExpr::Cel(cel) => format!("`{}`", cel.source()),
        ValueExpr::As { of, .. } => value(of),
    }
}

fn constant(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Integer(integer) => integer.to_string(),
        Value::Missing | Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => {
            value.to_json().to_string()
        }
    }
}

/// `99.5 %`, without needless digits.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn days(days: u32) -> String {
    match days {
        1 => "1 day".to_owned(),
        d if d % 365 == 0 && d > 365 => format!("{} years", d / 365),
        365 => "1 year".to_owned(),
        d => format!("{d} days"),
    }
}

fn and(words: &[String]) -> String {
    joined(words, "and")
}

fn or(words: &[String]) -> String {
    joined(words, "or")
}

fn joined(words: &[String], last: &str) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
