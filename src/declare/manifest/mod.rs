//! Declarative sources as files: Airbyte's low-code manifests, read with places, compiled into `manifest::Source`.

mod again;
mod compile;
mod compliance;
mod components;
mod cost;
mod dynamic;
mod extract;
mod live;
mod login;
mod look_up;
mod part;
mod partitions;
mod projection;
mod properties;
mod records;
mod request;
mod stream;
mod told_schema;
mod webhook;

use crate::declare::yaml;
use crate::diagnose::{Checked, Code, Diagnostic, SourceFile};
use crate::manifest::cost::Budget;
use crate::manifest::dynamic::Grow;
use crate::manifest::source::{Concurrency, ConfigChange, Matcher, Policy, Validated, Validation};
use crate::manifest::{Source, Stream};
use crate::model::{Digest, Network};
use compile::{CONFIG, Compiler, REMOVE_CONDITION};
use part::{Kind, Part, Resolver, hand_down};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

pub use compliance::{By, Compliance, Subject, Within};
pub use live::LiveStream;
pub use look_up::{Listed, LookUp, Named, Shows};
pub use projection::{Projection, Surroundings};
pub use records::{Records, read_records};
pub use webhook::{Form, Take, Webhook};

const NO_MANIFEST: Code = Code("KITH-N001");
/// Streams of one manifest; the largest that was seen has 140.
const MOST_STREAMS: usize = 2_000;

/// A manifest with our block.
#[derive(Debug)]
pub struct Connector {
    /// What is read.
    pub source: Arc<Source>,
    /// The network of everything in it.
    pub network: Option<Network>,
    /// How records become activities, by stream.
    pub projections: Vec<Projection>,
    /// Connections over which events come by themselves; opened where a source names them.
    pub live: Vec<Arc<LiveStream>>,
    /// The file with the network's duties, by its path from the connector's folder.
    pub duties: Option<Arc<str>>,
    /// What it takes in where the network comes by itself.
    pub webhooks: Vec<Webhook>,
    /// What the network can be asked about what is held of it; asked where a source names it.
    pub compliance: Vec<Arc<Compliance>>,
    /// Whether an `https` address stands in it.
    pub tls: bool,
    /// SHA-256 of the file.
    pub digest: Digest,
}

impl Connector {
    /// The live streams that a source names. Without a name none is opened: a connection that stays is a thing to ask for.
    pub fn live_of(&self, streams: &[Arc<str>]) -> impl Iterator<Item = &Arc<LiveStream>> {
        self.live.iter().filter(|live| streams.iter().any(|name| **name == *live.stream.name))
    }

    /// What a source names of it. Without a name nothing is asked: who holds nothing for long has nothing to ask.
    pub fn compliance_of(&self, names: &[Arc<str>]) -> impl Iterator<Item = &Arc<Compliance>> {
        self.compliance.iter().filter(|asked| names.iter().any(|name| **name == *asked.name))
    }

    /// Names of `compliance` that the connector does not declare.
    pub fn asks_unknown(&self, source: &str, names: &[Arc<str>]) -> Vec<Diagnostic> {
        let unknown = names.iter().filter(|name| !self.compliance.iter().any(|known| *known.name == ***name));
        unknown
            .map(|name| {
                let place = crate::diagnose::Place::Named(format!("[sources.{source}]"));
                let message = format!("the connector declares no compliance `{name}`");
                Diagnostic::error(compliance::BAD_COMPLIANCE, place, message, "Name one of its `metadata.kith.compliance`")
            })
            .collect()
    }

    /// Why it can't be read as a source of activities: nothing is projected, or a stream that is wanted is not.
    pub fn unfit(&self, source: &str, streams: &[Arc<str>]) -> Vec<Diagnostic> {
        let place = || crate::diagnose::Place::Named(format!("[sources.{source}]"));
        let known = |name: &str| {
            self.projections.iter().any(|projection| projection.stream == name) || self.live.iter().any(|live| live.stream.name == name)
        };
        let unknown = streams.iter().filter(|name| !known(name));
        let mut found: Vec<Diagnostic> = unknown
            .map(|name| {
                let message = format!("the connector projects no stream `{name}`");
                Diagnostic::error(Code("KITH-N030"), place(), message, "Name a stream of its `metadata.kith.streams` or `live`")
            })
            .collect();
        if self.projections.is_empty() && self.live.is_empty() {
            let remedy = "Write `metadata.kith.streams` in the connector: how its records become activities";
            found.push(Diagnostic::error(Code("KITH-N030"), place(), "the connector projects nothing on activities", remedy));
        }
        found
    }

    /// Why a budget of the configuration can't be kept: the connector names no prices, or other money.
    pub fn unbudgeted(&self, source: &str, budget: Option<&Budget>) -> Option<Diagnostic> {
        let budget = budget?;
        let place = crate::diagnose::Place::Named(format!("[sources.{source}]"));
        let (message, remedy) = match &self.source.cost {
            None => (
                "`budget_a_month` can't be kept: the connector names no prices".to_owned(),
                "Write `metadata.kith.cost` in the connector, or leave the budget out".to_owned(),
            ),
            Some(cost) if cost.currency != budget.currency => (
                format!("`budget_a_month` is in {}, and the connector's prices are in {}", budget.currency, cost.currency),
                format!("Give the budget in {}", cost.currency),
            ),
            Some(_) => return None,
        };
        Some(Diagnostic::error(Code("KITH-N077"), place, message, remedy))
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Connector {}

/// Whether a file is meant to be a manifest: it says that it has streams or is a declarative source.
pub fn is_manifest(file: &Arc<SourceFile>) -> bool {
    file.text.lines().any(|line| {
        line.starts_with("type: DeclarativeSource")
            || line.starts_with("streams:")
            || line.starts_with("dynamic_streams:")
            || line.starts_with("type: \"DeclarativeSource\"")
    })
}

/// Reads a manifest: every complaint, each with its place.
pub fn read(file: &Arc<SourceFile>) -> Checked<Connector> {
    let Checked { value: tree, mut problems } = yaml::read(file);
    let Some(tree) = tree else { return Checked::new(None, problems) };
    let written = Part::of(&tree.root, &file.text);
    if written.get("streams").is_none() && written.get("dynamic_streams").is_none() {
        let place = tree.place(tree.root.span);
        let problem =
            Diagnostic::error(NO_MANIFEST, place, "the manifest has no streams", "Write `type: DeclarativeSource` and `streams:`");
        problems.push(problem);
        return Checked::new(None, problems);
    }
    let mut resolved = Resolver::new(&tree, &written, &mut problems).resolve(&written);
    if resolved.get("type").is_none()
        && let Kind::Map(fields) = &mut resolved.kind
    {
        let value = Part { span: written.span, kind: Kind::Text("DeclarativeSource".into()) };
        Arc::make_mut(fields).push(part::Field { key: "type".into(), key_span: written.span, value });
    }
    let whole = hand_down("", &resolved, &[]);
    let mut compiler = Compiler { tree: &tree, problems: &mut problems, engine: crate::manifest::Engine::default(), depth: 0 };
    let source = source(&mut compiler, &whole, Vec::new());
    let (network, projections) = projection::block(&mut compiler, &whole, &source);
    let cost = cost::block(&mut compiler, &whole, &source);
    let live = live::streams(&mut compiler, &whole, &source, &projections);
    let webhooks = webhook::webhooks(&mut compiler, &whole);
    let duties = duties(&mut compiler, &whole);
    let compliance = compliance::declared(&mut compiler, &whole);
    let engine = std::mem::take(&mut compiler.engine);
    problems.sort();
    let grow: Option<Arc<dyn Grow>> = if source.dynamic.is_empty() { None } else { Some(Arc::new(dynamic::Again::new(tree, whole))) };
    let source = Arc::new(Source { engine, grow, cost, ..source });
    let digest = Digest(Sha256::digest(file.text.as_bytes()).into());
    let tls = file.text.contains("https:") || file.text.contains("wss:");
    Checked::new(Some(Connector { source, network, projections, live, duties, webhooks, compliance, tls, digest }), problems)
}

/// `metadata.kith.duties`
fn duties(compiler: &mut Compiler<'_>, whole: &Part) -> Option<Arc<str>> {
    let part = whole.get("metadata")?.get("kith")?.get("duties")?;
    let path = part.text().filter(|path| !path.trim().is_empty());
    if path.is_none() {
        let message = "`duties` is no path of a file".to_owned();
        let remedy = "Write the path from the connector's folder: `../networks/x.yaml`";
        compiler.problems.push(Diagnostic::error(projection::BAD_PROJECTION, compiler.tree.place(part.span), message, remedy));
    }
    path.map(Arc::from)
}

/// The source, with streams that were made of its templates.
fn source(compiler: &mut Compiler<'_>, whole: &Part, grown: Vec<Part>) -> Source {
    compiler.is_one_of(whole, &["DeclarativeSource"]);
    let (mut made, dynamic) = compiler.made(whole);
    made.extend(grown);
    compiler.once_each(&made);
    let written = whole.get("streams").map(Part::items).unwrap_or_default();
    let mut found = Vec::new();
    for part in written.iter().take(MOST_STREAMS).chain(&made) {
        if part.component() != "ConditionalStreams" {
            found.extend(compiler.stream(part).map(Arc::new));
            continue;
        }
        compiler.is_one_of(part, &["ConditionalStreams"]);
        // As in the reference the condition sees no parameters.
        let when = compiler.required(part, "condition").cloned().and_then(|when| compiler.template_of(&when, &when, CONFIG));
        for inner in part.get("streams").map(Part::items).unwrap_or_default().iter().take(MOST_STREAMS) {
            found.extend(compiler.stream(inner).map(|stream| Arc::new(Stream { when: when.clone(), ..stream })));
        }
    }
    let check = whole.get("check").and_then(|check| check.get("stream_names")).cloned();
    let check = check.map(|names| compiler.texts(&names)).unwrap_or_default();
    let spec = whole.get("spec").cloned();
    let rules = spec.as_ref().and_then(|spec| spec.get("config_normalization_rules"));
    let config_changes = rules.map(|rules| changes(compiler, rules)).unwrap_or_default();
    let validations = rules.map(|rules| validations(compiler, rules)).unwrap_or_default();
    let budget = whole.get("api_budget").cloned().map(|budget| policies(compiler, &budget)).unwrap_or_default();
    Source {
        engine: crate::manifest::Engine::default(),
        streams: found,
        dynamic,
        grow: None,
        check,
        spec: spec.as_ref().and_then(|spec| spec.get("connection_specification")).map(Part::to_json),
        config_changes,
        validations,
        budget,
        cost: None,
        concurrency: whole.get("concurrency_level").cloned().and_then(|level| concurrency(compiler, &level)),
    }
}

/// `concurrency_level`
fn concurrency(compiler: &mut Compiler<'_>, part: &Part) -> Option<Concurrency> {
    if !compiler.is_one_of(part, &["ConcurrencyLevel"]) {
        return None;
    }
    let written = compiler.required(part, "default_concurrency")?.clone();
    let usual = compiler.template_of(&written, part, CONFIG)?;
    if !matches!(written.kind, Kind::Int(1..))
        && !written.text().is_some_and(|text| text.contains("{{") || text.trim().parse::<u32>().is_ok())
    {
        compiler.wrong(written.span, "`default_concurrency` is a whole number, at least 1", "Write 5, or a template that gives a number");
        return None;
    }
    let most = compiler.whole(part, "max_concurrency");
    if most.is_some_and(|most| most < 1) {
        compiler.wrong(part.span, "`max_concurrency` is at least 1", "Write the most that the network bears, or leave it out");
    }
    Some(Concurrency { usual, most })
}

fn changes(compiler: &mut Compiler<'_>, rules: &Part) -> Vec<ConfigChange> {
    let migrations = rules.get("config_migrations").map(Part::items).unwrap_or_default();
    let migrated = migrations.iter().flat_map(|migration| migration.get("transformations").map(Part::items).unwrap_or_default());
    let changed = rules.get("transformations").map(Part::items).unwrap_or_default();
    let mut found = Vec::new();
    for part in migrated.chain(changed) {
        if !compiler.is_one_of(part, &["ConfigAddFields", "ConfigRemoveFields", "ConfigRemapField"]) {
            continue;
        }
        match part.component() {
            "ConfigAddFields" => found.push(ConfigChange::Add {
                fields: compiler.added(part, CONFIG),
                condition: compiler.condition(part, "condition", &["config", "value", "path"]),
            }),
            "ConfigRemoveFields" => {
                if let Some(pointers) = compiler.pointers(part) {
                    found.push(ConfigChange::Remove { pointers, condition: compiler.condition(part, "condition", REMOVE_CONDITION) });
                }
            }
            _ => {
                let Some(map) = compiler.required(part, "map").cloned() else { continue };
                found.push(ConfigChange::Remap {
                    path: compiler.templates(part, "field_path", CONFIG),
                    map: map.fields().iter().map(|field| (crate::manifest::Json::text(&field.key), field.value.to_json())).collect(),
                });
            }
        }
    }
    found
}

/// `validations`
fn validations(compiler: &mut Compiler<'_>, rules: &Part) -> Vec<Validation> {
    let mut found = Vec::new();
    for part in rules.get("validations").map(Part::items).unwrap_or_default() {
        if !compiler.is_one_of(part, &["DpathValidator", "PredicateValidator"]) {
            continue;
        }
        let Some(strategy) = compiler.required(part, "validation_strategy").cloned() else { continue };
        if !compiler.is_one_of(&strategy, &["ValidateAdheresToSchema"]) {
            continue;
        }
        let of = if part.component() == "DpathValidator" {
            if compiler.required(part, "field_path").is_none_or(|path| path.items().is_empty()) {
                compiler.wrong(part.span, "`field_path` names nothing", "Write `[a, b]`");
                continue;
            }
            // As in the reference the path sees no configuration.
            Validated::At(compiler.templates(part, "field_path", &[]))
        } else {
            Validated::Fixed(compiler.required(part, "value").map(Part::to_json).unwrap_or_default())
        };
        let Some(schema) = compiler.required(&strategy, "base_schema") else { continue };
        found.push(Validation { of, schema: schema.to_json() });
    }
    found
}

fn policies(compiler: &mut Compiler<'_>, budget: &Part) -> Vec<Policy> {
    if !compiler.is_one_of(budget, &["HTTPAPIBudget"]) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for part in budget.get("policies").map(Part::items).unwrap_or_default() {
        if !compiler.is_one_of(part, &["FixedWindowCallRatePolicy", "MovingWindowCallRatePolicy", "UnlimitedCallRatePolicy"]) {
            continue;
        }
        let mut rates = Vec::new();
        let mut rate = |compiler: &mut Compiler<'_>, part: &Part, limit: &str, every: &str| {
            let limit = compiler.required_template(part, limit, CONFIG);
            let text = compiler.required(part, every).cloned();
            match (limit, text.as_ref().and_then(Part::text).and_then(crate::manifest::Gap::parse)) {
                (Some(limit), Some(gap)) => rates.push((limit, gap)),
                (_, None) => compiler.wrong(part.span, format!("`{every}` is no ISO 8601 duration"), "Write PT1M, for instance"),
                (None, Some(_)) => {}
            }
        };
        match part.component() {
            "FixedWindowCallRatePolicy" => rate(compiler, part, "call_limit", "period"),
            "MovingWindowCallRatePolicy" => {
                part.get("rates").map(Part::items).unwrap_or_default().iter().for_each(|one| rate(compiler, one, "limit", "interval"));
            }
            _ => {}
        }
        let matchers = part.get("matchers").map(Part::items).unwrap_or_default();
        let matchers = matchers
            .iter()
            .map(|matcher| {
                let weight = matcher.get("weight").cloned();
                let pairs = |key: &str| -> Vec<(String, String)> {
                    let fields = matcher.get(key).map(Part::fields).unwrap_or_default().iter().filter(|field| !field.key.starts_with('$'));
                    fields.filter_map(|field| Some((field.key.to_string(), field.value.scalar()?))).collect()
                };
                let text = |key| matcher.text_of(key).map(str::to_owned);
                Matcher {
                    method: text("method"),
                    base: text("url_base"),
                    path: text("url_path_pattern"),
                    parameters: pairs("params"),
                    weight: weight.and_then(|weight| compiler.template_of(&weight, matcher, CONFIG)),
                    headers: pairs("headers").into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
                }
            })
            .collect();
        found.push(Policy { rates, matchers });
    }
    found
}
