//! From the tree of a model file to a checked [`Model`]: every complaint, none twice.

use super::format::SHAPE;
use crate::declare::shape::check;
use crate::declare::yaml::{self, Node, Tree};
use crate::diagnose::{Checked, Code, Diagnostic, Problems, SourceFile, Span, nearest};
use crate::model::Digest;
use crate::normalize::{CustomerFields, IdentityFields};
use crate::resolve::{
    BlockingRule, Compared, Comparison, CountedPart, HandleAgreement, KeyForm, KeyPart, Level, LevelTest, Model, NameAgreement, Prior,
    Reuse, TermFrequency,
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

const PROBABILITY: Code = Code("KITH-L001");
const SUM: Code = Code("KITH-L002");
const UNKNOWN_FIELD: Code = Code("KITH-L003");
const NO_ELSE: Code = Code("KITH-L004");
const UNREACHABLE: Code = Code("KITH-L005");
const WRONG_TEST: Code = Code("KITH-L006");
const FREQUENCY: Code = Code("KITH-L007");
const TWICE: Code = Code("KITH-L008");

/// How far the m of a comparison may sum from 1: numbers are written with two or three digits, and a comparison may have 16 levels.
const SUM_TOLERANCE: f64 = 0.02;

/// The fields of the mapping that names the model; a model read alone is checked without them.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The social side.
    pub identities: &'a IdentityFields,
    /// The CRM's side.
    pub customers: &'a CustomerFields,
}

/// Reads and checks a model file. With `fields` every field that the model names must be declared there.
pub fn read(file: &Arc<SourceFile>, fields: Option<Fields<'_>>) -> Checked<Model> {
    let Checked { value, mut problems } = yaml::read(file);
    let Some(tree) = value else { return Checked::new(None, problems) };
    check(&SHAPE, &tree, &mut problems);
    let model = Reader { tree: &tree, fields, problems: &mut problems }.model();
    Checked::new(model, problems)
}

struct Reader<'a> {
    tree: &'a Tree,
    fields: Option<Fields<'a>>,
    problems: &'a mut Problems,
}

#[derive(Clone, Copy)]
enum Side {
    Identity,
    Customer,
}

impl Reader<'_> {
    fn model(&mut self) -> Option<Model> {
        let root = &self.tree.root;
        let name = root.get("model")?.shared_text();
        let prior = root.get("prior").and_then(|prior| self.prior(prior));
        let blocking: Vec<BlockingRule> = self.each("blocking", Self::blocking_rule);
        self.once(&root.get("blocking").map(Node::list).unwrap_or_default().iter().filter_map(|n| n.get("id")).collect::<Vec<_>>());
        let frequencies = self.frequencies();
        let mut used = BTreeSet::new();
        let mut comparisons = Vec::new();
        for node in root.get("comparisons").map(Node::list).unwrap_or_default() {
            comparisons.extend(self.comparison(node, &frequencies, &mut used));
        }
        self.once(
            &root.get("comparisons").map(Node::list).unwrap_or_default().iter().filter_map(|n| n.get("comparison")).collect::<Vec<_>>(),
        );
        for (number, entry) in root.get("term_frequencies").map(Node::entries).unwrap_or_default().iter().enumerate() {
            if !used.contains(&number) {
                let message = format!("no level uses the term frequency `{}`", entry.key);
                let place = self.tree.place(entry.key_span);
                self.problems.push(Diagnostic::warning(FREQUENCY, place, message, "Remove it, or name it in a level's `term_frequency`"));
            }
        }
        let mut model = Model { name: name?, prior: prior?, blocking, term_frequencies: frequencies, comparisons, digest: Digest([0; 32]) };
        model.digest = Digest(Sha256::digest(canonical(&model).to_string().as_bytes()).into());
        Some(model)
    }

    fn error(&mut self, code: Code, span: Span, message: String, remedy: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, self.tree.place(span), message, remedy));
    }

    fn each<T>(&mut self, key: &str, read: fn(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        self.tree.root.get(key).map(Node::list).unwrap_or_default().iter().filter_map(|node| read(self, node)).collect()
    }

    /// Names that stand twice.
    fn once(&mut self, names: &[&Node]) {
        for (at, node) in names.iter().enumerate() {
            let Some(text) = node.text() else { continue };
            if names.iter().take(at).any(|earlier| earlier.text() == Some(text)) {
                self.error(TWICE, node.span, format!("`{text}` stands twice"), "Give each its own name: evidence tells them apart by it");
            }
        }
    }

    /// `0.95`, `95 %` or `1 in 170000`, between 0 and 1, both excluded.
    fn probability(&mut self, node: Option<&Node>, what: &str) -> Option<f64> {
        let node = node?;
        let text = node.text()?;
        let value = probability(text);
        if value.is_none() {
            let message = format!("`{text}` is no probability for {what}: it must lie between 0 and 1, both excluded");
            self.error(PROBABILITY, node.span, message, "Write `0.95`, `95 %` or `1 in 170000`");
        }
        value
    }

    fn prior(&mut self, node: &Node) -> Option<Prior> {
        if let Some(pair) = node.get("pair") {
            return self.probability(Some(pair), "the prior").map(Prior::Pair);
        }
        let customers = node.get("customers").and_then(Node::whole)?;
        let share = node.get("share")?;
        let value = share.percent()?;
        if value <= 0.0 || value >= 1.0 {
            self.error(PROBABILITY, share.span, "the share must lie between 0 % and 100 %, both excluded".into(), "Write `60 %`");
            return None;
        }
        Some(Prior::Share { share: value, customers })
    }

    /// The name of a field, declared on that side.
    fn field(&mut self, node: Option<&Node>, side: Side) -> Option<Arc<str>> {
        let node = node?;
        let name = node.shared_text()?;
        if let Some(fields) = self.fields {
            let (declared, which): (Vec<&str>, _) = match side {
                Side::Identity => (fields.identities.fields.iter().map(|f| &*f.name).collect(), "identities"),
                Side::Customer => (fields.customers.fields.iter().map(|f| &*f.name).collect(), "customers"),
            };
            if !declared.contains(&&*name) {
                let remedy = match nearest(&name, declared.iter().copied()) {
                    Some(word) => format!("Did you mean `{word}`?"),
                    None => format!("Declared there: {}", declared.join(", ")),
                };
                self.error(UNKNOWN_FIELD, node.span, format!("the mapping declares no field `{name}` under `{which}`"), remedy);
            }
        }
        Some(name)
    }

    fn blocking_rule(&mut self, node: &Node) -> Option<BlockingRule> {
        let parts: Vec<Option<KeyPart>> = node.get("same").map(Node::list).unwrap_or_default().iter().map(|part| self.part(part)).collect();
        let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        Some(BlockingRule { id: node.get("id")?.shared_text()?, parts, cut_above: node.get("cut_above")?.whole()? })
    }

    fn part(&mut self, node: &Node) -> Option<KeyPart> {
        if let Some(handle) = node.get("spelled_in_handle") {
            let (handle, given, family) = (
                self.field(Some(handle), Side::Identity),
                self.field(node.get("given"), Side::Customer),
                self.field(node.get("family"), Side::Customer),
            );
            return Some(KeyPart::SpelledInHandle { handle: handle?, given: given?, family: family? });
        }
        let (left, right) = match (node.get("identity"), node.get("customer")) {
            (None, None) => (node, node),
            (left, right) => (left?, right?),
        };
        let (identity, customer) = (self.side(left, Side::Identity), self.side(right, Side::Customer));
        let ((identity, identity_form), (customer, customer_form)) = (identity?, customer?);
        Some(KeyPart::Field { identity, identity_form, customer, customer_form })
    }

    fn side(&mut self, node: &Node, side: Side) -> Option<(Arc<str>, KeyForm)> {
        for (key, form) in FORMS {
            if let Some(field) = node.get(key) {
                return Some((self.field(Some(field), side)?, form));
            }
        }
        Some((self.field(Some(node), side)?, KeyForm::Whole))
    }

    fn frequencies(&mut self) -> Vec<TermFrequency> {
        let mut out = Vec::new();
        for entry in self.tree.root.get("term_frequencies").map(Node::entries).unwrap_or_default() {
            let node = &entry.value;
            let mut of = Vec::new();
            for part in node.get("of").map(Node::list).unwrap_or_default() {
                of.extend(self.side(part, Side::Customer).map(|(field, form)| CountedPart { field, form }));
            }
            let (u, typical) = (self.probability(node.get("u"), "u"), self.probability(node.get("typical"), "a frequency"));
            let mut table = Vec::new();
            for value in node.get("table").map(Node::entries).unwrap_or_default() {
                table.extend(self.probability(Some(&value.value), "a frequency").map(|share| (value.key.clone(), share)));
            }
            table.sort_by(|(a, _), (b, _)| a.cmp(b));
            // A frequency with an error keeps its place, so that levels that name it are not told to be wrong too.
            out.push(TermFrequency {
                name: entry.key.clone(),
                of,
                u: u.unwrap_or(0.5),
                shape: node.get("shape").and_then(Node::decimal),
                together: node.get("together").and_then(Node::times).unwrap_or(1.0),
                weight: 1.0,
                least: 0.0,
                typical: typical.unwrap_or(0.5),
                table,
            });
        }
        out
    }

    fn comparison(&mut self, node: &Node, frequencies: &[TermFrequency], used: &mut BTreeSet<usize>) -> Option<Comparison> {
        let compared = node.get("compare").and_then(|compare| self.compared(compare));
        let nodes = node.get("levels").map(Node::list).unwrap_or_default();
        let mut levels = Vec::new();
        let mut tests = Vec::new();
        for level in nodes {
            let (m, u) = (self.probability(level.get("m"), "m"), self.probability(level.get("u"), "u"));
            let test = level.get("when").and_then(|when| self.test(when, compared.as_ref()));
            let term_frequency = level.get("term_frequency").and_then(|name| self.frequency(name, frequencies));
            used.extend(term_frequency);
            tests.extend(test.clone().map(|test| (level, test)));
            let label = level.get("level").and_then(Node::shared_text);
            levels.extend(label.zip(test).zip(m.zip(u)).map(|((label, test), (m, u))| Level { label, test, m, u, term_frequency }));
        }
        self.once(&nodes.iter().filter_map(|n| n.get("level")).collect::<Vec<_>>());
        self.reachable(&tests);
        if levels.len() < nodes.len() {
            return None;
        }
        if !levels.last().is_some_and(|level| level.test == LevelTest::Else) && !levels.is_empty() {
            self.error(
                NO_ELSE,
                node.span_of("levels"),
                "the last level must be `else`: a pair that fits no level would weigh nothing".into(),
                "Add `{ level: other, when: else, m: …, u: … }` at the end",
            );
        }
        // What a term frequency adjusts has its u beside the frequency's, and is no share by itself.
        let u = levels.iter().filter(|level| level.term_frequency.is_none()).fold(0.0, |sum, l| sum + l.u);
        for (letter, sum, exact) in [("m", levels.iter().fold(0.0, |sum, l| sum + l.m), true), ("u", u, false)] {
            if sum > 1.0 + SUM_TOLERANCE || (exact && sum < 1.0 - SUM_TOLERANCE) {
                let message = format!("the {letter} of the levels sum to {sum:.3}, not to 1");
                self.error(
                    SUM,
                    node.span_of("levels"),
                    message,
                    format!("Each pair falls on exactly one level: make the {letter} sum to 1 (missing values aside)"),
                );
            }
        }
        Some(Comparison { name: node.get("comparison")?.shared_text()?, compared: compared?, levels })
    }

    fn compared(&mut self, node: &Node) -> Option<Compared> {
        if let Some(given) = node.get("given") {
            // Both sides declare these two under one name.
            let (on_customer, family_on_customer) =
                (self.field(Some(given), Side::Customer), self.field(node.get("family"), Side::Customer));
            let (given, family, handle) = (
                self.field(Some(given), Side::Identity),
                self.field(node.get("family"), Side::Identity),
                self.field(node.get("handle"), Side::Identity),
            );
            return (on_customer.is_some() && family_on_customer.is_some()).then_some(Compared::NameAndHandle {
                given: given?,
                family: family?,
                handle: handle?,
            });
        }
        if let Some(handle) = node.get("reused_handle") {
            let handle = self.field(Some(handle), Side::Identity);
            let [handles, email, birth_date, given, family] =
                ["handles", "email", "birth_date", "given_name", "family_name"].map(|key| self.field(node.get(key), Side::Customer));
            return Some(Compared::HandleReuse { handle: handle?, handles, email, birth_date, name: given.zip(family) });
        }
        let (left, right) = match (node.get("identity"), node.get("customer")) {
            (None, None) => (node, node),
            (left, right) => (left?, right?),
        };
        let (identity, customer) = (self.field(Some(left), Side::Identity), self.field(Some(right), Side::Customer));
        Some(Compared::Field { identity: identity?, customer: customer? })
    }

    fn frequency(&mut self, node: &Node, frequencies: &[TermFrequency]) -> Option<usize> {
        let name = node.text()?;
        let found = frequencies.iter().position(|f| &*f.name == name);
        if found.is_none() {
            let remedy = match nearest(name, frequencies.iter().map(|f| &*f.name)) {
                Some(word) => format!("Did you mean `{word}`?"),
                None => "Declare it under `term_frequencies`".into(),
            };
            self.error(FREQUENCY, node.span, format!("there is no term frequency `{name}`"), remedy);
        }
        found
    }

    fn test(&mut self, node: &Node, compared: Option<&Compared>) -> Option<LevelTest> {
        let test = match node.text() {
            Some("exact") => LevelTest::Exact,
            Some("nickname") => LevelTest::Nickname,
            Some("starts_with") => LevelTest::StartsWith,
            Some("same_local_part") => LevelTest::SameLocalPart,
            Some("else") => return Some(LevelTest::Else),
            None if node.get("jaro_winkler").is_some() => LevelTest::JaroWinkler(node.get("jaro_winkler")?.decimal()?),
            None if node.get("levenshtein").is_some() => LevelTest::Levenshtein(node.get("levenshtein")?.whole()?),
            None if node.get("again").is_some() => {
                LevelTest::Reuse(words(node.get("again")?, |text| Reuse::ALL.into_iter().find(|r| r.name() == text))?)
            }
            None if node.get("name").is_some() => LevelTest::NameAndHandle {
                name: words(node.get("name")?, |text| NameAgreement::ALL.into_iter().find(|a| a.name() == text))?,
                handle: node
                    .get("handle")
                    .map_or(Some(Vec::new()), |n| words(n, |text| HandleAgreement::ALL.into_iter().find(|a| a.name() == text)))?,
            },
            Some(_) | None => return None,
        };
        let (fits, may) = match compared? {
            Compared::NameAndHandle { .. } => (matches!(test, LevelTest::NameAndHandle { .. }), "`{ name: …, handle: … }`"),
            Compared::HandleReuse { .. } => (matches!(test, LevelTest::Reuse(_)), "`{ again: … }`"),
            Compared::Sql { .. } => (matches!(test, LevelTest::Gamma(_)), "what its SQL says"),
            Compared::Field { .. } => (
                !matches!(test, LevelTest::NameAndHandle { .. } | LevelTest::Reuse(_) | LevelTest::Gamma(_)),
                "`exact`, `nickname`, `{ jaro_winkler: … }` and the like",
            ),
        };
        if !fits {
            self.error(
                WRONG_TEST,
                node.span,
                "this test does not fit what the comparison compares".into(),
                format!("Here a level says {may} or `else`"),
            );
            return None;
        }
        Some(test)
    }

    /// Levels that no pair can fall on, because an earlier one takes them all.
    fn reachable(&mut self, tests: &[(&Node, LevelTest)]) {
        for (at, (node, test)) in tests.iter().enumerate() {
            let earlier: Vec<&LevelTest> = tests.iter().take(at).map(|(_, test)| test).collect();
            if covered(test, &earlier) {
                let span = node.get("when").map_or(node.span, |when| when.span);
                let label = node.text_of("level").unwrap_or_default();
                let message = format!("no pair can fall on the level `{label}`: an earlier level takes it");
                self.error(UNREACHABLE, span, message, "Put the stricter level first, or remove this one");
            }
        }
    }
}

const FORMS: [(&str, KeyForm); 6] = [
    ("nickname", KeyForm::Nickname),
    ("initial", KeyForm::Initial),
    ("first_three", KeyForm::FirstThree),
    ("last_three", KeyForm::LastThree),
    ("handle", KeyForm::Handle),
    ("local_part", KeyForm::LocalPart),
];

impl Node {
    /// The place of a key's value, or of the node where the key is not there.
    fn span_of(&self, key: &str) -> Span {
        self.entry(key).map_or(self.span, |entry| entry.key_span)
    }
}

/// Words of a closed list; `any` gives the empty list.
fn words<T>(node: &Node, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let texts: Vec<&str> = node.list_or_one().iter().filter_map(Node::text).collect();
    if texts == ["any"] {
        return Some(Vec::new());
    }
    texts.into_iter().map(read).collect()
}

/// `0.95`, `95 %`, `1 in 170000`, strictly between 0 and 1.
fn probability(text: &str) -> Option<f64> {
    let text = text.trim();
    let value = if let Some((one, many)) = text.split_once(" in ") {
        crate::declare::shape::decimal(one.trim())? / crate::declare::shape::decimal(&many.replace([' ', '_'], ""))?
    } else if text.ends_with('%') {
        crate::declare::shape::percent(text)?
    } else {
        crate::declare::shape::decimal(text)?
    };
    (value > 0.0 && value < 1.0).then_some(value)
}

/// Whether earlier levels take everything that this one could.
fn covered(test: &LevelTest, earlier: &[&LevelTest]) -> bool {
    let exists = |holds: &dyn Fn(&LevelTest) -> bool| earlier.iter().any(|e| **e == LevelTest::Else || holds(e));
    match test {
        LevelTest::Else => exists(&|_| false),
        LevelTest::Exact => exists(&|e| !matches!(e, LevelTest::NameAndHandle { .. } | LevelTest::Reuse(_) | LevelTest::Gamma(_))),
        LevelTest::JaroWinkler(least) => exists(&|e| matches!(e, LevelTest::JaroWinkler(looser) if looser <= least)),
        LevelTest::Levenshtein(most) => exists(&|e| matches!(e, LevelTest::Levenshtein(looser) if looser >= most)),
        LevelTest::Nickname | LevelTest::StartsWith | LevelTest::SameLocalPart | LevelTest::Gamma(_) => exists(&|e| e == test),
        LevelTest::Reuse(kinds) => {
            exists(&|_| false) || kinds.iter().all(|k| earlier.iter().any(|e| matches!(e, LevelTest::Reuse(taken) if taken.contains(k))))
        }
        LevelTest::NameAndHandle { name, handle } => {
            let all = |name: &[NameAgreement]| if name.is_empty() { NameAgreement::ALL.to_vec() } else { name.to_vec() };
            let every = |handle: &[HandleAgreement]| if handle.is_empty() { HandleAgreement::ALL.to_vec() } else { handle.to_vec() };
            exists(&|_| false)
                || all(name).iter().all(|n| {
                    every(handle).iter().all(|h| {
                        earlier.iter().any(|e| {
                            matches!(e, LevelTest::NameAndHandle { name, handle } if all(name).contains(n) && every(handle).contains(h))
                        })
                    })
                })
        }
    }
}

/// SHA-256 of the checked model as JSON with sorted keys (`serde_json` sorts them) and numbers in their shortest form.
pub(super) fn canonical(model: &Model) -> Json {
    let form = |form: KeyForm| match form {
        KeyForm::Whole => "whole",
        KeyForm::Nickname | KeyForm::Initial | KeyForm::FirstThree | KeyForm::LastThree | KeyForm::Handle | KeyForm::LocalPart => {
            FORMS.iter().find(|(_, f)| *f == form).map_or("", |(name, _)| name)
        }
    };
    let part = |part: &KeyPart| match part {
        KeyPart::Field { identity, identity_form, customer, customer_form } => {
            json!([&**identity, form(*identity_form), &**customer, form(*customer_form)])
        }
        KeyPart::SpelledInHandle { handle, given, family } => {
            json!({ "spelled_in_handle": &**handle, "given": &**given, "family": &**family })
        }
        // A Splink model's digest is over its own JSON (`splink_import`).
        KeyPart::Sql { .. } => Json::Null,
    };
    let prior = match model.prior {
        Prior::Pair(pair) => json!({ "pair": pair }),
        Prior::Share { share, customers } => json!({ "share": share, "customers": customers }),
    };
    let frequency = |f: &TermFrequency| {
        let of: Vec<Json> = f.of.iter().map(|part| json!([&*part.field, form(part.form)])).collect();
        json!({ "name": &*f.name, "of": of, "u": f.u, "shape": f.shape, "together": f.together, "typical": f.typical, "table": f.table.iter().map(|(value, share)| json!([&**value, share])).collect::<Vec<_>>() })
    };
    let compared = |compared: &Compared| match compared {
        Compared::Field { identity, customer } => json!([&**identity, &**customer]),
        Compared::NameAndHandle { given, family, handle } => json!({ "given": &**given, "family": &**family, "handle": &**handle }),
        Compared::HandleReuse { handle, handles, email, birth_date, name } => {
            let name = name.as_ref().map(|(given, family)| json!([&**given, &**family]));
            json!({ "reused_handle": &**handle, "handles": handles.as_deref(), "email": email.as_deref(), "birth_date": birth_date.as_deref(), "name": name })
        }
        Compared::Sql { comparison, .. } => json!({ "sql": comparison }),
    };
    let test = |test: &LevelTest| match test {
        LevelTest::Exact => json!("exact"),
        LevelTest::Nickname => json!("nickname"),
        LevelTest::StartsWith => json!("starts_with"),
        LevelTest::SameLocalPart => json!("same_local_part"),
        LevelTest::Else => json!("else"),
        LevelTest::JaroWinkler(least) => json!({ "jaro_winkler": least }),
        LevelTest::Levenshtein(most) => json!({ "levenshtein": most }),
        LevelTest::Gamma(gamma) => json!({ "gamma": gamma }),
        LevelTest::Reuse(kinds) => json!({ "again": kinds.iter().map(|k| k.name()).collect::<Vec<_>>() }),
        LevelTest::NameAndHandle { name, handle } => {
            json!({ "name": name.iter().map(|n| n.name()).collect::<Vec<_>>(), "handle": handle.iter().map(|h| h.name()).collect::<Vec<_>>() })
        }
    };
    let comparison = |c: &Comparison| {
        let levels: Vec<Json> = c
            .levels
            .iter()
            .map(|l| json!({ "level": &*l.label, "when": test(&l.test), "m": l.m, "u": l.u, "term_frequency": l.term_frequency }))
            .collect();
        json!({ "comparison": &*c.name, "compare": compared(&c.compared), "levels": levels })
    };
    json!({
        "kith": 1,
        "model": &*model.name,
        "prior": prior,
        "blocking": model.blocking.iter().map(|rule| json!({ "id": &*rule.id, "same": rule.parts.iter().map(part).collect::<Vec<_>>(), "cut_above": rule.cut_above })).collect::<Vec<_>>(),
        "term_frequencies": model.term_frequencies.iter().map(frequency).collect::<Vec<_>>(),
        "comparisons": model.comparisons.iter().map(comparison).collect::<Vec<_>>(),
    })
}
