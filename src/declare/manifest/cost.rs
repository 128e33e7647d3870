//! `metadata.kith.cost`: what a network's calls and records cost, dated and cited. The budget is the configuration's.

use super::compile::{CONFIG, Compiler};
use super::part::Part;
use crate::diagnose::{Code, Diagnostic, Span};
use crate::manifest::cost::{Cost, Currency, Money, Price};
use crate::manifest::source::{Router, Source, Stream};
use jiff::tz::TimeZone;
use std::sync::Arc;

const BAD_COST: Code = Code("KITH-N076");
/// Lists beside the records that cost something; X has three.
const MOST_BESIDE: usize = 20;
const KEYS: [&str; 10] =
    ["currency", "as_of", "documentation", "month_in", "per_call", "per_record", "beside", "records_a_call", "streams", "look_ups"];
const OF_A_STREAM: [&str; 4] = ["per_call", "per_record", "beside", "records_a_call"];
/// How many a look-up brings, its own `at_most` says.
const OF_A_LOOK_UP: [&str; 3] = ["per_call", "per_record", "beside"];

/// The block, where there is one.
pub(super) fn block(compiler: &mut Compiler<'_>, whole: &Part, source: &Source) -> Option<Cost> {
    let part = whole.get("metadata")?.get("kith")?.get("cost")?.clone();
    let mut all = Vec::new();
    let asked = source.dynamic.iter().filter_map(|dynamic| dynamic.listed.asked());
    for stream in source.streams.iter().chain(asked) {
        with_parents(stream, &mut all);
    }
    known(compiler, &part, &KEYS);
    let text = |compiler: &mut Compiler<'_>, key: &str, example: &str| {
        let found = part.get(key).and_then(Part::scalar);
        if found.is_none() {
            complain(compiler, part.span, format!("the prices lack `{key}`"), &format!("Write `{key}: {example}`"));
        }
        found
    };
    let currency = text(compiler, "currency", "USD");
    let as_of = text(compiler, "as_of", "\"2026-11-28\"");
    let documentation = text(compiler, "documentation", "https://…, where the network publishes them");
    let span = |key: &str| part.get(key).map_or(part.span, |part| part.span);
    let letters = currency.as_deref().and_then(Currency::parse);
    if currency.is_some() && letters.is_none() {
        complain(compiler, span("currency"), "a currency has three capital letters".to_owned(), "Write USD, EUR, JPY");
    }
    if as_of.as_ref().is_some_and(|day| day.parse::<jiff::civil::Date>().is_err()) {
        complain(
            compiler,
            span("as_of"),
            "`as_of` is no day".to_owned(),
            "Write the day on which the prices were compared, as \"2026-11-28\"",
        );
    }
    let zone = part.get("month_in").map(|zone| zone.text().and_then(|name| TimeZone::get(name).ok()));
    if matches!(zone, Some(None)) {
        complain(
            compiler,
            span("month_in"),
            "`month_in` is no time zone of the IANA database".to_owned(),
            "Write America/Los_Angeles, for instance",
        );
    }
    let usual = price(compiler, &part, &Price::default());
    let mut streams = Vec::new();
    for field in part.get("streams").map(Part::fields).unwrap_or_default() {
        if source.dynamic.is_empty() && !all.iter().any(|stream| *stream.name == *field.key) {
            complain(compiler, field.key_span, format!("the manifest has no stream `{}`", field.key), "Name one of its streams");
        }
        known(compiler, &field.value, &OF_A_STREAM);
        streams.push((field.key.to_string(), price(compiler, &field.value, &usual)));
    }
    let look_ups = look_ups(compiler, whole, &part, &usual);
    let cost = Cost {
        currency: letters?,
        as_of: as_of?.into(),
        documentation: documentation?.into(),
        zone: zone.flatten().unwrap_or(TimeZone::UTC),
        usual,
        streams,
        look_ups,
    };
    for stream in all {
        let price = cost.of(&stream.name);
        let bounded = price.most_records.is_some() || stream.paginator.as_ref().is_some_and(crate::manifest::page::Paginator::says_size);
        if price.of_record() > Money::NONE && !bounded {
            let message = format!("nothing says how many records a call of `{}` can bring, so that its price has no bound", stream.name);
            complain(compiler, part.span, message, "Write `records_a_call:`, a number or a template over `config`");
        }
    }
    Some(cost)
}

/// Prices of look-ups. Nothing stands beside what they show, unless it is said.
fn look_ups(compiler: &mut Compiler<'_>, whole: &Part, part: &Part, usual: &Price) -> Vec<(String, Price)> {
    let asked = whole.get("metadata").and_then(|metadata| metadata.get("kith")).and_then(|kith| kith.get("compliance"));
    let bare = Price { beside: Vec::new(), most_records: None, ..usual.clone() };
    let mut found = Vec::new();
    for field in part.get("look_ups").map(Part::fields).unwrap_or_default() {
        let is = asked.and_then(|asked| asked.get(&field.key)).is_some_and(|question| question.text_of("by") == Some("look_up"));
        if !is {
            complain(
                compiler,
                field.key_span,
                format!("nothing is looked up by the name `{}`", field.key),
                "Name a question of `metadata.kith.compliance` that is asked `by: look_up`",
            );
        }
        known(compiler, &field.value, &OF_A_LOOK_UP);
        found.push((field.key.to_string(), price(compiler, &field.value, &bare)));
    }
    found
}

/// A stream with those that it is read for.
fn with_parents<'s>(stream: &'s Arc<Stream>, all: &mut Vec<&'s Arc<Stream>>) {
    if all.iter().any(|known| Arc::ptr_eq(known, stream)) {
        return;
    }
    all.push(stream);
    for parent in stream.routers.iter().flat_map(Router::parents) {
        with_parents(&parent.stream, all);
    }
    if let Some(resumed) = &stream.resumed {
        with_parents(resumed, all);
    }
}

fn price(compiler: &mut Compiler<'_>, part: &Part, usual: &Price) -> Price {
    let call = money(compiler, part, "per_call").unwrap_or(usual.call);
    let record = money(compiler, part, "per_record").unwrap_or(usual.record);
    let beside = part.get("beside").map_or_else(
        || usual.beside.clone(),
        |beside| {
            let lists = beside.fields();
            if lists.is_empty() || lists.len() > MOST_BESIDE {
                complain(
                    compiler,
                    beside.span,
                    format!("`beside` names 1 to {MOST_BESIDE} lists"),
                    "Write `beside: { includes.users: \"0.010\" }`",
                );
            }
            let found = lists.iter().map(|list| (list.key.split('.').map(str::to_owned).collect(), amount(compiler, &list.value)));
            found.filter_map(|(at, price)| Some((at, price?))).collect()
        },
    );
    let most_records = compiler.template(part, "records_a_call", CONFIG).or_else(|| usual.most_records.clone());
    Price { call, record, beside, most_records }
}

fn money(compiler: &mut Compiler<'_>, part: &Part, key: &str) -> Option<Money> {
    amount(compiler, part.get(key)?)
}

fn amount(compiler: &mut Compiler<'_>, part: &Part) -> Option<Money> {
    // A number that YAML read as a binary fraction is not what was written.
    let found = part.text().and_then(Money::parse);
    if found.is_none() {
        complain(compiler, part.span, "a price is no exact amount".to_owned(), "Write it in quotes, with at most six places: \"0.005\"");
    }
    found
}

fn known(compiler: &mut Compiler<'_>, part: &Part, keys: &[&str]) {
    for field in part.fields().iter().filter(|field| !keys.contains(&&*field.key) && &*field.key != "$parameters") {
        complain(
            compiler,
            field.key_span,
            format!("prices do not know the key `{}`", field.key),
            &format!("They have {}", keys.join(", ")),
        );
    }
}

fn complain(compiler: &mut Compiler<'_>, span: Span, message: String, remedy: &str) {
    let place = compiler.tree.place(span);
    compiler.problems.push(Diagnostic::error(BAD_COST, place, message, remedy));
}

#[cfg(test)]
mod tests {
    use crate::declare::manifest::read;
    use crate::diagnose::SourceFile;
    use crate::manifest::cost::{Money, PriceError};
    use crate::manifest::{Engine, Json};
    use std::sync::Arc;

    const MANIFEST: &str = "type: DeclarativeSource\nversion: 7.0.0\ncheck: { type: CheckStream, stream_names: [posts] }\nstreams:\n  - type: DeclarativeStream\n    name: posts\n    retriever:\n      type: SimpleRetriever\n      requester: { type: HttpRequester, url_base: \"https://a.example\", path: /p }\n      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }\nmetadata:\n  kith:\n    network: x\n    cost:\n";
    const GOOD: &str = "      currency: USD\n      as_of: \"2026-11-28\"\n      documentation: https://a.example/prices\n      per_record: \"0.005\"\n      beside: { includes.users: \"0.010\" }\n      records_a_call: \"{{ config.get('size', 100) }}\"\n";

    fn told(cost: &str) -> Vec<String> {
        let file = Arc::new(SourceFile { name: "m.yaml".into(), text: format!("{MANIFEST}{cost}") });
        let checked = read(&file);
        checked.problems.0.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect()
    }

    #[test]
    fn prices_are_read_and_the_dearest_call_is_known() {
        let file = Arc::new(SourceFile { name: "m.yaml".into(), text: format!("{MANIFEST}{GOOD}") });
        let checked = read(&file);
        assert!(!checked.problems.has_errors(), "{:?}", checked.problems);
        let source = checked.value.unwrap().source;
        let (cost, stream) = (source.cost.as_ref().unwrap(), &source.streams[0]);
        let dearest = |config: &str| cost.of("posts").dearest(stream, &source.engine, &Json::parse(config.as_bytes()).unwrap());
        assert_eq!((cost.currency.name(), &*cost.as_of), ("USD", "2026-11-28"));
        assert_eq!(dearest("{}"), Ok(Money::parse("1.5").unwrap()));
        assert_eq!(dearest(r#"{"size":10}"#), Ok(Money::parse("0.15").unwrap()));
        for wrong in [r#"{"size":"many"}"#, r#"{"size":-1}"#, r#"{"size":99999999999}"#, r#"{"size":1.5}"#] {
            assert_eq!(dearest(wrong), Err(PriceError::Records), "{wrong}");
        }
        _ = Engine::default();
    }

    #[test]
    fn every_fault_of_prices_is_told() {
        let faults = [
            (GOOD.replace("USD", "dollars"), "KITH-N076 a currency has three capital letters"),
            (GOOD.replace("      currency: USD\n", ""), "KITH-N076 the prices lack `currency`"),
            (GOOD.replace("\"2026-11-28\"", "lately"), "KITH-N076 `as_of` is no day"),
            (GOOD.replace("      documentation: https://a.example/prices\n", ""), "KITH-N076 the prices lack `documentation`"),
            (GOOD.replace("\"0.005\"", "0.005"), "KITH-N076 a price is no exact amount"),
            (GOOD.replace("\"0.005\"", "\"-0.005\""), "KITH-N076 a price is no exact amount"),
            (GOOD.replace("per_record", "per_recrod"), "KITH-N076 prices do not know the key `per_recrod`"),
            (format!("{GOOD}      month_in: Mars/Olympus\n"), "KITH-N076 `month_in` is no time zone of the IANA database"),
            (format!("{GOOD}      streams: {{ replies: {{ per_call: \"1\" }} }}\n"), "KITH-N076 the manifest has no stream `replies`"),
            (
                format!("{GOOD}      look_ups: {{ replies: {{ per_call: \"1\" }} }}\n"),
                "KITH-N076 nothing is looked up by the name `replies`",
            ),
            (
                GOOD.replace("      records_a_call: \"{{ config.get('size', 100) }}\"\n", ""),
                "KITH-N076 nothing says how many records a call of `posts` can bring, so that its price has no bound",
            ),
        ];
        for (text, message) in faults {
            assert!(told(&text).iter().any(|told| told == message), "{message}: {:?}", told(&text));
        }
        assert_eq!(told(GOOD), Vec::<String>::new());
    }
}
