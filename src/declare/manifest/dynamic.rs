//! Streams that are made while reading: their templates, and the manifest compiled anew once it is known what each becomes.

use super::compile::{CONFIG, Compiler};
use super::part::{Field, Kind, Part, handed_down};
use super::{cost, source};
use crate::declare::yaml::{self, Tree};
use crate::diagnose::{Code, Problems, SourceFile};
use crate::manifest::dynamic::{Change, ConfigList, Dynamic, Grow, Listed, MOST_MADE, Mapping};
use crate::manifest::path::fits;
use crate::manifest::{Engine, Json, Source};
use std::collections::HashSet;
use std::sync::Arc;

/// Names that a mapping's templates see.
const MAPPING: &[&str] = &["config", "components_values", "stream_template_config", "stream_slice"];
const RESOLVERS: &[&str] = &["HttpComponentsResolver", "ConfigComponentsResolver", "ParametrizedComponentsResolver"];
const NO_COMPONENT: Code = Code("KITH-N003");

impl Compiler<'_> {
    /// The definitions of `dynamic_streams`.
    pub fn dynamic(&mut self, whole: &Part) -> Vec<Dynamic> {
        let definitions = whole.get("dynamic_streams").map(Part::items).unwrap_or_default();
        definitions.iter().enumerate().filter_map(|(at, part)| self.definition(at, part)).collect()
    }

    fn definition(&mut self, at: usize, part: &Part) -> Option<Dynamic> {
        if !self.is_one_of(part, &["DynamicDeclarativeStream"]) {
            return None;
        }
        let name = part.text_of("name").filter(|name| !name.is_empty()).map_or_else(|| format!("dynamic_stream_{at}"), str::to_owned);
        let template = self.required(part, "stream_template")?.clone();
        self.refuse_inside(&template);
        let resolver = self.required(part, "components_resolver")?.clone();
        if !self.is_one_of(&resolver, RESOLVERS) {
            return None;
        }
        let listed = match resolver.component() {
            "HttpComponentsResolver" => {
                let retriever = self.required(&resolver, "retriever")?.clone();
                Listed::Network(Arc::new(self.alone(&name, &retriever)?))
            }
            "ConfigComponentsResolver" => {
                let lists = self.required(&resolver, "stream_config")?.clone();
                let lists = if let Kind::List(lists) = &lists.kind { lists.to_vec() } else { vec![lists] };
                let lists = lists.iter().filter(|list| self.is_one_of(list, &["StreamConfig"])).cloned().collect::<Vec<_>>();
                let lists = lists.iter().map(|list| {
                    self.required(list, "configs_pointer");
                    let more = list.get("default_values").map(Part::items).unwrap_or_default();
                    ConfigList { at: self.templates(list, "configs_pointer", CONFIG), more: more.iter().map(Part::to_json).collect() }
                });
                Listed::Config(lists.collect())
            }
            _ => {
                let list = self.required(&resolver, "stream_parameters")?.clone();
                let list = self.required(&list, "list_of_parameters_for_stream")?;
                Listed::Here(list.items().iter().map(Part::to_json).collect())
            }
        };
        let mappings = self.required(&resolver, "components_mapping")?.clone();
        let mappings = mappings.items().iter().filter_map(|mapping| self.mapping(mapping, &resolver)).collect();
        Some(Dynamic { name, at, template: template.to_json(), listed, mappings })
    }

    fn mapping(&mut self, part: &Part, resolver: &Part) -> Option<Mapping> {
        if !self.is_one_of(part, &["ComponentMappingDefinition"]) {
            return None;
        }
        let by_config = resolver.component() == "ConfigComponentsResolver";
        let from_network = resolver.component() == "HttpComponentsResolver";
        let condition = part.get("condition").filter(|condition| condition.text() != Some(""));
        if let Some(condition) = condition.filter(|_| !by_config) {
            self.wrong(condition.span, "`condition` is for `ConfigComponentsResolver` alone", "Leave it out");
        }
        let wanted = self.wanted(part)?;
        let at = self.required(part, "field_path")?.clone();
        let at: Vec<_> = at.items().iter().filter_map(|segment| self.template_of(segment, resolver, MAPPING)).collect();
        let value = self.required(part, "value")?.clone();
        Some(Mapping {
            at,
            value: self.template_of(&value, resolver, MAPPING)?,
            wanted,
            condition: condition.and_then(|condition| self.template_of(condition, resolver, MAPPING)),
            // What a network lists is put in as it is, where something stands already.
            create: !from_network && part.is_set("create_or_update"),
            yaml: !(from_network || by_config && part.text_of("value_type") == Some("string")),
        })
    }

    /// Tells what can't be used in a template, whatever it is changed to. What else it lacks may come by its mappings.
    fn refuse_inside(&mut self, template: &Part) {
        let mut found = Problems::default();
        let template = typed(handed_down("", template, &[], true));
        Compiler { tree: self.tree, problems: &mut found, engine: Engine::default(), depth: self.depth }.stream(&template);
        for problem in found.0 {
            if problem.code == NO_COMPONENT && !self.problems.0.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// The streams that are the same under every configuration, and the definitions of the others.
    pub fn made(&mut self, whole: &Part) -> (Vec<Part>, Vec<Dynamic>) {
        let (fixed, others): (Vec<_>, Vec<_>) = self.dynamic(whole).into_iter().partition(Dynamic::is_fixed);
        let mut parts = Vec::new();
        for dynamic in fixed {
            let Listed::Here(things) = &dynamic.listed else { continue };
            let Some(definition) = definition(whole, dynamic.at) else { continue };
            for thing in things.iter().take(MOST_MADE) {
                match dynamic.changes(thing, None, &self.engine, &Json::object()) {
                    Ok(changes) => parts.push(made(definition, &changes)),
                    Err(error) => self.wrong(definition.span, format!("a stream can't be made: {error}"), "See its `components_mapping`"),
                }
            }
        }
        (parts, others)
    }

    /// Tells names that more than one of the streams has that were made.
    pub fn once_each(&mut self, made: &[Part]) {
        let mut names = HashSet::new();
        for part in made {
            let name = part.get("name").and_then(Part::scalar).unwrap_or_default();
            if !names.insert(name.clone()) {
                self.wrong(
                    part.span,
                    format!("more than one dynamic stream is called `{name}`"),
                    "Give each another name by its `components_mapping`",
                );
            }
        }
    }
}

fn definition(whole: &Part, at: usize) -> Option<&Part> {
    whole.get("dynamic_streams").and_then(|definitions| definitions.items().get(at))
}

/// A stream that says no type is a usual one.
fn typed(part: Part) -> Part {
    let Kind::Map(fields) = &part.kind else { return part };
    if part.get("type").is_some() {
        return part;
    }
    let mut fields = fields.to_vec();
    let value = Part { span: part.span, kind: Kind::Text("DeclarativeStream".into()) };
    fields.push(Field { key: "type".into(), key_span: part.span, value });
    Part { span: part.span, kind: Kind::Map(Arc::new(fields)) }
}

/// A template with its changes.
fn made(definition: &Part, changes: &[Change]) -> Part {
    let mut part = definition.get("stream_template").cloned().unwrap_or_else(|| definition.clone());
    for change in changes {
        let value = read(change, &part);
        if !put(&mut part, &change.at, &value) && change.create && value.is_true() {
            create(&mut part, &change.at, value);
        }
    }
    let parents_win = definition.get("use_parent_parameters").is_none_or(|_| definition.is_set("use_parent_parameters"));
    typed(handed_down("", &part, &[], parents_win))
}

/// A change's value, standing where the template stands; a text is read as YAML, and stays text where it is none.
fn read(change: &Change, at: &Part) -> Part {
    if let (true, Json::Text(text)) = (change.yaml, &change.value) {
        if text.trim().is_empty() {
            return Part::of_json(&Json::Null, at.span);
        }
        let file = Arc::new(SourceFile { name: String::new(), text: text.to_string() });
        let read = yaml::read(&file);
        if let Some(tree) = read.value.filter(|_| !read.problems.has_errors()) {
            return Part::of_json(&Part::of(&tree.root, text).to_json(), at.span);
        }
    }
    Part::of_json(&change.value, at.span)
}

/// Puts a value wherever something stands at a path with wildcards; whether there was such a place.
fn put(target: &mut Part, at: &[String], value: &Part) -> bool {
    let Some((segment, rest)) = at.split_first() else {
        *target = Part { span: target.span, kind: value.kind.clone() };
        return true;
    };
    let deep = segment == "**";
    // `**` also means no member at all, but for one that ends a path.
    let mut done = deep && !rest.is_empty() && put(target, rest, value);
    let next = if deep { at } else { rest };
    match &mut target.kind {
        Kind::Map(fields) => {
            for field in Arc::make_mut(fields) {
                if deep || fits(segment, &field.key) {
                    done |= put(&mut field.value, next, value);
                }
            }
        }
        Kind::List(items) => {
            for (position, item) in Arc::make_mut(items).iter_mut().enumerate() {
                if deep || fits(segment, &position.to_string()) {
                    done |= put(item, next, value);
                }
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
    }
    done
}

/// Makes a member, and the objects on the way to it.
fn create(target: &mut Part, at: &[String], value: Part) {
    let Some((segment, rest)) = at.split_first() else {
        *target = value;
        return;
    };
    if let Kind::List(items) = &mut target.kind {
        if let Some(item) = segment.parse::<usize>().ok().and_then(|position| Arc::make_mut(items).get_mut(position)) {
            create(item, rest, value);
        }
        return;
    }
    let span = target.span;
    let empty = || Part { span, kind: Kind::Map(Arc::default()) };
    if !matches!(target.kind, Kind::Map(_)) {
        *target = empty();
    }
    if let Kind::Map(fields) = &mut target.kind {
        let fields = Arc::make_mut(fields);
        if let Some(field) = fields.iter_mut().find(|field| *field.key == **segment) {
            create(&mut field.value, rest, value);
        } else {
            let mut made = empty();
            create(&mut made, rest, value);
            fields.push(Field { key: segment.as_str().into(), key_span: span, value: made });
        }
    }
}

/// A manifest that is compiled anew with the streams that were made.
pub struct Again {
    tree: Tree,
    whole: Part,
}

impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Again")
    }
}

impl Again {
    /// Of this manifest.
    pub const fn new(tree: Tree, whole: Part) -> Self {
        Self { tree, whole }
    }
}

impl Grow for Again {
    fn grow(&self, made_of: &[(usize, Vec<Change>)]) -> Result<Source, String> {
        if made_of.len() > MOST_MADE {
            return Err(format!("more than {MOST_MADE} streams are listed"));
        }
        let parts = made_of.iter().filter_map(|(at, changes)| Some(made(definition(&self.whole, *at)?, changes))).collect();
        let mut problems = Problems::default();
        let mut compiler = Compiler { tree: &self.tree, problems: &mut problems, engine: Engine::default(), depth: 0 };
        let source = source(&mut compiler, &self.whole, parts);
        let cost = cost::block(&mut compiler, &self.whole, &source);
        let engine = std::mem::take(&mut compiler.engine);
        match problems.0.iter().find(|problem| problem.severity == crate::diagnose::Severity::Error) {
            Some(problem) => Err(format!("{} ({}, {})", problem.message, problem.code, problem.place)),
            None => Ok(Source { engine, cost, ..source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read as read_manifest;
    use crate::diagnose::SourceFile;
    use crate::manifest::dynamic::{Change, MOST_MADE};
    use crate::manifest::{Json, Source};
    use std::sync::Arc;

    const MANIFEST: &str = r#"type: DeclarativeSource
version: 7.0.0
dynamic_streams:
  - type: DynamicDeclarativeStream
    name: tables
    stream_template:
      type: DeclarativeStream
      name: ""
      retriever:
        type: SimpleRetriever
        requester: { type: HttpRequester, url_base: "https://a.example", path: "" }
        record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
      transformations:
        - { type: RemoveFields, field_pointers: [[a]] }
        - { type: RemoveFields, field_pointers: [[b]] }
    components_resolver:
      type: RESOLVER
      stream_parameters: { type: StreamParametersDefinition, list_of_parameters_for_stream: [{ n: one }, { n: two }] }
      stream_config: { type: StreamConfig, configs_pointer: [tables] }
      components_mapping:
        - { type: ComponentMappingDefinition, field_path: [name], value: "{{ components_values['n'] }}" }
"#;

    fn read(text: &str) -> (Option<Arc<Source>>, Vec<String>) {
        let checked = read_manifest(&Arc::new(SourceFile { name: "x.yaml".into(), text: text.to_owned() }));
        let said = checked.problems.0.iter().filter(|problem| problem.code.0 != "KITH-N005");
        (checked.value.map(|connector| connector.source), said.map(ToString::to_string).collect())
    }

    fn change(at: &str, value: &str) -> Change {
        Change { at: crate::manifest::path::split(at), value: Json::text(value), create: false, yaml: true }
    }

    #[test]
    fn what_the_manifest_lists_is_known_before_anything_is_read() {
        let (source, said) = read(&MANIFEST.replace("RESOLVER", "ParametrizedComponentsResolver"));
        let source = source.unwrap();
        assert_eq!(said, Vec::<String>::new());
        let names: Vec<&str> = source.streams.iter().map(|stream| stream.name.as_str()).collect();
        assert!(names == ["one", "two"] && source.dynamic.is_empty() && source.grow.is_none());
        let twice = MANIFEST.replace("RESOLVER", "ParametrizedComponentsResolver").replace("n: two", "n: one");
        assert!(read(&twice).1.iter().any(|said| said.contains("more than one dynamic stream is called `one`")));
    }

    #[test]
    fn what_is_listed_elsewhere_grows_within_bounds_and_with_places() {
        let (source, said) = read(&MANIFEST.replace("RESOLVER", "ConfigComponentsResolver"));
        let source = source.unwrap();
        assert_eq!(said, Vec::<String>::new());
        assert!(source.streams.is_empty() && source.dynamic.len() == 1);
        let grow = source.grow.as_ref().unwrap();
        let named = |name: &str| vec![change("name", name), change("**/field_pointers", "[[c], [d]]")];
        let grown = grow.grow(&[(0, named("x")), (0, named("y"))]).unwrap();
        assert_eq!(grown.streams.len(), 2);
        let removed = format!("{:?}", grown.streams[1].transformations);
        assert_eq!(removed.matches(r#"[["c"], ["d"]]"#).count(), 2, "{removed}");
        let same = grow.grow(&[(0, named("x")), (0, named("x"))]).unwrap_err();
        assert!(same.contains("called `x`") && same.contains("KITH-N007"), "{same}");
        let wrong = grow.grow(&[(0, vec![change("name", "x"), change("retriever/type", "AsyncRetriever")])]).unwrap_err();
        assert!(wrong.contains("KITH-N003") && wrong.contains("x.yaml:"), "{wrong}");
        assert!(grow.grow(&vec![(0, named("x")); MOST_MADE + 1]).unwrap_err().contains("2000"));
    }

    #[test]
    fn what_can_not_be_used_is_told_of_a_template_and_what_its_mappings_bring_is_not_missed() {
        let custom = MANIFEST.replace("RESOLVER", "HttpComponentsResolver").replace(
            "      stream_config",
            "      retriever: { requester: { url_base: \"https://a.example\", path: tables }, record_selector: { extractor: { field_path: [] } } }\n      stream_config",
        );
        assert_eq!(read(&custom).1, Vec::<String>::new());
        let said = read(&custom.replace("type: RemoveFields, field_pointers: [[b]]", "type: CustomTransformation, class_name: a.B")).1;
        assert!(said.len() == 1 && said[0].contains("KITH-N003 x.yaml:15:"), "{said:?}");
        let said = read(&custom.replace("value: \"{{ comp", "condition: \"{{ true }}\", value: \"{{ comp")).1;
        assert!(said.iter().any(|said| said.contains("`condition` is for")), "{said:?}");
        assert!(read(&custom.replace("components_values", "record")).1.iter().any(|said| said.contains("KITH-N004")));
    }
}
