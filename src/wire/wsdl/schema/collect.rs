//! All schemas of a contract and their global components: includes, imports, chameleons and circles followed.

use super::super::documents::{Complaints, Document, Documents, ENCODING_11, ENCODING_12, WSDL, XSD};
use crate::diagnose::{Code, Diagnostic};
use crate::wire::xml::{Element, Name, XML_NS, canonical};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A schema as one document sees it.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// Where it stands.
    pub document: &'a Document,
    /// What its components belong to: its target namespace, or that of the schema that includes it.
    pub namespace: Arc<str>,
    /// Whether it took its namespace from the schema that includes it.
    pub chameleon: bool,
    /// Whether local elements are in the namespace.
    pub elements_qualified: bool,
    /// Whether local attributes are.
    pub attributes_qualified: bool,
}

/// A kind of global component; each has names of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Component {
    /// Simple and complex types share names.
    Type,
    /// Elements.
    Element,
    /// Attributes.
    Attribute,
    /// Model groups.
    Group,
    /// Attribute groups.
    AttributeGroup,
}

impl Component {
    const fn of(local: &str) -> Option<Self> {
        Some(match local.as_bytes() {
            b"simpleType" | b"complexType" => Self::Type,
            b"element" => Self::Element,
            b"attribute" => Self::Attribute,
            b"group" => Self::Group,
            b"attributeGroup" => Self::AttributeGroup,
            _ => return None,
        })
    }

    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Element => "element",
            Self::Attribute => "attribute",
            Self::Group => "group",
            Self::AttributeGroup => "attribute group",
        }
    }
}

/// Global components and where they stand.
#[derive(Debug, Default)]
pub struct Collected<'a> {
    /// Every schema once for each namespace that it speaks for.
    pub sources: Vec<Source<'a>>,
    /// By kind and name: the declaration and its schema.
    pub components: HashMap<(Component, Name), (&'a Element, usize)>,
    /// In the order of the documents, so that results do not depend on chance.
    pub order: Vec<(Component, Name)>,
}

/// Namespaces whose components are built in.
pub fn is_built_in(namespace: &str) -> bool {
    [XSD, ENCODING_11, ENCODING_12, XML_NS, WSDL].contains(&namespace)
}

/// Collects from the schemas in `types` elements (a document and the `schema` in it).
pub(in crate::wire::wsdl) fn collect<'a>(
    documents: &'a Documents,
    first: Vec<(usize, &'a Element)>,
    complaints: &mut Complaints,
) -> Collected<'a> {
    let mut collected = Collected::default();
    let mut seen = HashSet::new();
    let mut queue: std::collections::VecDeque<(usize, &'a Element, Option<Arc<str>>)> =
        first.into_iter().map(|(d, e)| (d, e, None)).collect();
    let inline: HashSet<Arc<str>> = queue.iter().filter_map(|(_, e, _)| e.attribute("targetNamespace").map(Into::into)).collect();
    while let Some((at, element, includer)) = queue.pop_front() {
        let Some(document) = documents.get(at) else { continue };
        let own: Option<Arc<str>> = element.attribute("targetNamespace").map(Into::into);
        let chameleon = own.is_none() && includer.as_ref().is_some_and(|n| !n.is_empty());
        let namespace = own.or(includer).unwrap_or_else(|| "".into());
        if !seen.insert((at, element.tag.0, Arc::clone(&namespace))) {
            continue;
        }
        let qualified = |name: &str| element.attribute(name).map(str::trim) == Some("qualified");
        let source = Source {
            document,
            namespace: Arc::clone(&namespace),
            chameleon,
            elements_qualified: qualified("elementFormDefault"),
            attributes_qualified: qualified("attributeFormDefault"),
        };
        let number = collected.sources.len();
        collected.sources.push(source);
        for child in element.children().filter(|c| *c.name.namespace == *XSD) {
            match &*child.name.local {
                "include" | "redefine" => {
                    if &*child.name.local == "redefine" && child.children().any(|c| &*c.name.local != "annotation") {
                        complaints.push(Diagnostic::warning(
                            Code("KITH-W010"),
                            document.place(child),
                            "`redefine` is read as `include`: what it changes is not taken over",
                            "Write the changed type into the included schema",
                        ));
                    }
                    let location = child.attribute("schemaLocation");
                    match target(documents, at, location, None, complaints, child) {
                        Target::Here(to, root) => queue.push_back((to, root, Some(Arc::clone(&namespace)))),
                        Target::Missing => complaints.push(missing(document, child, "included", location.unwrap_or_default())),
                        Target::Told => {}
                    }
                }
                "import" => {
                    let wanted = child.attribute("namespace").unwrap_or_default();
                    let location = child.attribute("schemaLocation");
                    if is_built_in(wanted) {
                        continue;
                    }
                    match target(documents, at, location, Some(wanted), complaints, child) {
                        Target::Here(to, root) => queue.push_back((to, root, None)),
                        Target::Missing if inline.contains(wanted) => {}
                        Target::Missing => complaints.push(missing(
                            document,
                            child,
                            "imported",
                            if wanted.is_empty() { location.unwrap_or_default() } else { wanted },
                        )),
                        Target::Told => {}
                    }
                }
                local => {
                    if let (Some(kind), Some(name)) = (Component::of(local), child.attribute("name")) {
                        let name = Name { namespace: Arc::clone(&namespace), local: name.trim().into() };
                        add(&mut collected, (kind, name), (child, number), complaints);
                    }
                }
            }
        }
    }
    collected
}

fn add<'a>(collected: &mut Collected<'a>, key: (Component, Name), value: (&'a Element, usize), complaints: &mut Complaints) {
    if let Some((first, source)) = collected.components.get(&key) {
        // The same file under two names, or a generator that repeats itself.
        if canonical(first) != canonical(value.0)
            && let (Some(one), Some(two)) = (collected.sources.get(*source), collected.sources.get(value.1))
        {
            complaints.push(
                Diagnostic::warning(
                    Code("KITH-W009"),
                    two.document.place(value.0),
                    format!("{} `{}` is declared twice, and differently; the first holds", key.0.word(), key.1),
                    "Remove one of them",
                )
                .related(one.document.place(first), "first declared here"),
            );
        }
        return;
    }
    collected.order.push(key.clone());
    collected.components.insert(key, value);
}

/// What an import or include leads to.
enum Target<'a> {
    /// A schema of a document.
    Here(usize, &'a Element),
    /// Nothing.
    Missing,
    /// A document that can't be read, which was told.
    Told,
}

/// The schema in the document that an import or include means.
fn target<'a>(
    documents: &'a Documents,
    from: usize,
    location: Option<&str>,
    namespace: Option<&str>,
    complaints: &mut Complaints,
    at: &Element,
) -> Target<'a> {
    let Some(to) = documents.resolve(from, location, namespace, (XSD, "schema")) else { return Target::Missing };
    let Some(document) = documents.get(to) else { return Target::Missing };
    match &document.root {
        Ok(root) if root.name.is(XSD, "schema") => Target::Here(to, root),
        // `schemaLocation` of a WSDL: one of its inline schemas is meant, and they are all there already.
        Ok(root) if root.name.is(WSDL, "definitions") => {
            let types = root.children().filter(|c| c.name.is(WSDL, "types")).flat_map(Element::children);
            let mut schemas = types.filter(|c| c.name.is(XSD, "schema"));
            schemas
                .find(|s| namespace.is_none_or(|n| s.attribute("targetNamespace").unwrap_or_default() == n))
                .map_or(Target::Missing, |s| Target::Here(to, s))
        }
        Ok(_) => Target::Missing,
        Err(error) => {
            let mut diagnostic = document.unreadable(*error);
            diagnostic.severity = crate::diagnose::Severity::Warning;
            if let Some(importing) = documents.get(from) {
                diagnostic = diagnostic.related(importing.place(at), "needed here");
            }
            complaints.push(diagnostic);
            Target::Told
        }
    }
}

fn missing(document: &Document, element: &Element, verb: &str, what: &str) -> Diagnostic {
    Diagnostic::warning(
        Code("KITH-W007"),
        document.place(element),
        format!("the {verb} schema `{what}` is not here"),
        "Put the file beside the WSDL, by the name or with the target namespace that stands here; nothing is fetched while Kith runs",
    )
}
