//! Schemas lowered: names resolved, groups and derivations expanded, one number for each type and element.

use super::super::documents::{Complaints, ENCODING_11, ENCODING_12, XSD};
use super::attributes::array_of;
use super::collect::{Collected, Component, Source};
use super::facets::Facets;
use super::model::{Complex, Content, ElementDecl, ElementId, Kind, Particle, Schemas, Simple, Term, Type, TypeId, Variety, Wildcard};
use super::{Builtin, simple};
use crate::diagnose::{Code, Diagnostic, nearest};
use crate::wire::xml::{Element, Name};
use regex::Regex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Types derived from types, and groups in groups, are followed so deep; the deepest in published WSDLs are ten.
pub(super) const DEPTH: usize = 64;
/// Particles and attributes of all types together once groups and bases are expanded; Salesforce's largest WSDL has about 60,000.
const EXPANDED: usize = 1_000_000;
/// Different patterns that are compiled: each may take some MiB.
const PATTERNS: usize = 500;

/// Lowers collected schemas.
#[derive(Debug)]
pub struct Compiler<'a> {
    pub(super) collected: &'a Collected<'a>,
    complaints: &'a mut Complaints,
    pub(super) out: Schemas,
    /// Types that wait to be lowered, by number.
    waiting: HashMap<TypeId, (&'a Element, usize)>,
    queue: VecDeque<TypeId>,
    elements: VecDeque<(ElementId, &'a Element, usize)>,
    /// Elements without a type, and the head of their substitution group.
    heirs: Vec<(ElementId, ElementId)>,
    heads: Vec<(ElementId, ElementId)>,
    depth: usize,
    budget: usize,
    pub(super) patterns: HashMap<Vec<String>, Option<Regex>>,
}

impl<'a> Compiler<'a> {
    /// With the built-in types.
    pub(in crate::wire::wsdl) fn new(collected: &'a Collected<'a>, complaints: &'a mut Complaints) -> Self {
        let mut out = Schemas::default();
        for builtin in Builtin::ALL {
            let kind = match builtin.item() {
                _ if *builtin == Builtin::AnyType => Kind::Complex(anything()),
                // A built-in list is never empty (XML Schema part 2, 3.3.5).
                Some(item) => {
                    Kind::Simple(Simple { variety: Variety::List(item.id()), facets: Facets { min_length: Some(1), ..Facets::default() } })
                }
                None => Kind::Simple(Simple { variety: Variety::Atomic(*builtin), facets: Facets::default() }),
            };
            let name = Name::new(XSD, builtin.name());
            out.named_types.insert(name.clone(), builtin.id());
            out.types.push(Type { name: Some(name), base: builtin.base().map(Builtin::id), is_abstract: false, kind });
        }
        Self {
            collected,
            complaints,
            out,
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            elements: VecDeque::new(),
            heirs: Vec::new(),
            heads: Vec::new(),
            depth: 0,
            budget: EXPANDED,
            patterns: HashMap::new(),
        }
    }

    /// Lowers everything global, and what that needs.
    pub(in crate::wire::wsdl) fn globals(&mut self) {
        let collected = self.collected;
        for (component, name) in &collected.order {
            match component {
                Component::Type => drop(self.type_named(name)),
                Component::Element => drop(self.element_named(name)),
                Component::Attribute | Component::Group | Component::AttributeGroup => {}
            }
        }
        self.drain();
    }

    /// What came of it.
    pub(in crate::wire::wsdl) fn finish(mut self) -> Schemas {
        self.drain();
        // A member of a group inherits the type of its head, which may be a member itself: at most as many rounds as members.
        for _ in 0..self.heirs.len().min(DEPTH) {
            for (heir, head) in &self.heirs {
                let kind = self.out.element(*head).map(|d| d.kind);
                if let (Some(kind), Some(decl)) = (kind, usize::try_from(heir.0).ok().and_then(|at| self.out.elements.get_mut(at))) {
                    decl.kind = kind;
                }
            }
        }
        let mut direct: HashMap<ElementId, Vec<ElementId>> = HashMap::new();
        for (member, head) in &self.heads {
            direct.entry(*head).or_default().push(*member);
        }
        for head in direct.keys().copied().collect::<Vec<_>>() {
            let mut all = Vec::new();
            let mut queue: VecDeque<ElementId> = direct.get(&head).into_iter().flatten().copied().collect();
            while let Some(member) = queue.pop_front() {
                if member != head && !all.contains(&member) {
                    all.push(member);
                    queue.extend(direct.get(&member).into_iter().flatten().copied());
                }
            }
            self.out.substitutes.insert(head, all);
        }
        self.out
    }

    fn drain(&mut self) {
        loop {
            if let Some((id, element, source)) = self.elements.pop_front() {
                let decl = self.declaration(id, element, source, true);
                if let (Some(decl), Some(slot)) = (decl, usize::try_from(id.0).ok().and_then(|at| self.out.elements.get_mut(at))) {
                    *slot = decl;
                }
            } else if let Some(id) = self.queue.pop_front() {
                self.lower(id);
            } else {
                return;
            }
        }
    }

    pub(super) fn source(&self, at: usize) -> Option<&'a Source<'a>> {
        self.collected.sources.get(at)
    }

    pub(super) fn complain(&mut self, code: Code, source: usize, element: &Element, message: String, remedy: &str) {
        if let Some(source) = self.source(source) {
            self.complaints.push(Diagnostic::warning(code, source.document.place(element), message, remedy));
        }
    }

    /// A qualified name in an attribute. In a chameleon, one without a namespace means the includer's.
    pub(super) fn qname(&mut self, source: usize, element: &Element, written: &str) -> Option<Name> {
        let from = self.source(source)?;
        let Some(mut name) = element.scope.qname(written) else {
            self.complain(
                Code("KITH-W008"),
                source,
                element,
                format!("the prefix of `{written}` is not declared"),
                "Declare it with `xmlns:`, or write the prefix that is declared for this namespace",
            );
            return None;
        };
        if from.chameleon && name.namespace.is_empty() {
            name.namespace = Arc::clone(&from.namespace);
        }
        Some(name)
    }

    fn add(&mut self, kind: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.out.types.len()).unwrap_or(u32::MAX));
        self.out.types.push(kind);
        id
    }

    /// A type that is lowered later.
    pub(super) fn later(&mut self, name: Option<Name>, element: &'a Element, source: usize) -> TypeId {
        let id = self.add(Type { name, base: None, is_abstract: false, kind: Kind::NotUnderstood("it is derived from itself".into()) });
        self.waiting.insert(id, (element, source));
        self.queue.push_back(id);
        id
    }

    /// An anonymous simple type, ready.
    pub(super) fn anonymous(&mut self, base: TypeId, simple: Simple) -> TypeId {
        self.add(Type { name: None, base: Some(base), is_abstract: false, kind: Kind::Simple(simple) })
    }

    /// A type by full name, where there is one.
    pub(in crate::wire::wsdl) fn type_named(&mut self, name: &Name) -> Option<TypeId> {
        if let Some(known) = self.out.named_types.get(name) {
            return Some(*known);
        }
        if let Some((element, source)) = self.collected.components.get(&(Component::Type, name.clone())) {
            let id = self.later(Some(name.clone()), element, *source);
            self.out.named_types.insert(name.clone(), id);
            return Some(id);
        }
        if *name.namespace == *ENCODING_11 || *name.namespace == *ENCODING_12 {
            let id = match &*name.local {
                "Array" => self.add(Type {
                    name: Some(name.clone()),
                    base: Some(Builtin::AnyType.id()),
                    is_abstract: false,
                    kind: Kind::Complex(array_of(Builtin::AnyType.id())),
                }),
                "Struct" => Builtin::AnyType.id(),
                "base64" => Builtin::Base64Binary.id(),
                local => Builtin::by_name(local)?.id(),
            };
            self.out.named_types.insert(name.clone(), id);
            return Some(id);
        }
        None
    }

    /// The type that an attribute names; one that says that it is not there, with a complaint, where it is not.
    pub(super) fn type_ref(&mut self, source: usize, element: &Element, attribute: &str) -> Option<TypeId> {
        let written = element.attribute(attribute)?;
        let Some(name) = self.qname(source, element, written) else { return Some(self.unknown(written)) };
        if let Some(id) = self.type_named(&name) {
            return Some(id);
        }
        self.not_there(Component::Type, &name, source, element);
        Some(self.unknown(&name.to_string()))
    }

    pub(super) fn unknown(&mut self, name: &str) -> TypeId {
        self.add(Type {
            name: None,
            base: None,
            is_abstract: false,
            kind: Kind::NotUnderstood(format!("type `{name}` is not declared").into()),
        })
    }

    /// The complaints, for others to add to.
    pub(in crate::wire::wsdl) const fn complaints(&mut self) -> &mut Complaints {
        self.complaints
    }

    pub(super) fn not_there(&mut self, component: Component, name: &Name, source: usize, element: &Element) {
        let remedy = self.near(component, name);
        self.complain(Code("KITH-W008"), source, element, format!("{} `{name}` is not declared", component.word()), &remedy);
    }

    /// What to do about a name that is not declared.
    pub(in crate::wire::wsdl) fn near(&self, component: Component, name: &Name) -> String {
        let same_name = self.collected.order.iter().find(|(c, n)| *c == component && n.local == name.local).map(|(_, n)| n.to_string());
        let near = nearest(&name.local, self.collected.order.iter().filter(|(c, _)| *c == component).map(|(_, n)| &*n.local));
        match (same_name, near) {
            (Some(other), _) => format!("There is `{other}`: the prefix means another namespace"),
            (None, Some(near)) => format!("`{near}` is near; or a schema is missing that should be imported here"),
            (None, None) => "The schema that declares it is missing: put it beside the WSDL and import it".to_owned(),
        }
    }

    /// A global element by full name.
    pub(in crate::wire::wsdl) fn element_named(&mut self, name: &Name) -> Option<ElementId> {
        if let Some(known) = self.out.named_elements.get(name) {
            return Some(*known);
        }
        let (element, source) = *self.collected.components.get(&(Component::Element, name.clone()))?;
        let id = self.reserve(name.clone());
        self.out.named_elements.insert(name.clone(), id);
        self.elements.push_back((id, element, source));
        Some(id)
    }

    fn reserve(&mut self, name: Name) -> ElementId {
        self.declare(ElementDecl { name, kind: Builtin::AnyType.id(), nillable: false, default: None, fixed: None, is_abstract: false })
    }

    /// One more element.
    pub(in crate::wire::wsdl) fn declare(&mut self, decl: ElementDecl) -> ElementId {
        let id = ElementId(u32::try_from(self.out.elements.len()).unwrap_or(u32::MAX));
        self.out.elements.push(decl);
        id
    }

    /// One more type, ready.
    pub(in crate::wire::wsdl) fn define(&mut self, complex: Complex) -> TypeId {
        self.add(Type { name: None, base: Some(Builtin::AnyType.id()), is_abstract: false, kind: Kind::Complex(complex) })
    }

    fn declaration(&mut self, id: ElementId, element: &'a Element, source: usize, global: bool) -> Option<ElementDecl> {
        let from = self.source(source)?;
        let local = element.attribute("name")?.trim();
        let qualified = global || element.attribute("form").map_or(from.elements_qualified, |form| form.trim() == "qualified");
        let name = Name { namespace: if qualified { Arc::clone(&from.namespace) } else { "".into() }, local: local.into() };
        let inline = element.children().find(|c| c.name.is(XSD, "complexType") || c.name.is(XSD, "simpleType"));
        let head = element.attribute("substitutionGroup").filter(|_| global).map(str::to_owned);
        let head = head.and_then(|written| self.qname(source, element, &written)).and_then(|name| {
            let head = self.element_named(&name);
            if head.is_none() {
                self.not_there(Component::Element, &name, source, element);
            }
            head
        });
        let kind = match (self.type_ref(source, element, "type"), inline) {
            (Some(named), _) => named,
            (None, Some(inline)) => self.later(None, inline, source),
            (None, None) => {
                if let Some(head) = head {
                    self.heirs.push((id, head));
                }
                Builtin::AnyType.id()
            }
        };
        if let Some(head) = head {
            self.heads.push((id, head));
        }
        Some(ElementDecl {
            name,
            kind,
            nillable: truth(element.attribute("nillable")),
            default: element.attribute("default").map(Into::into),
            fixed: element.attribute("fixed").map(Into::into),
            is_abstract: truth(element.attribute("abstract")),
        })
    }

    /// Lowers a type now, where it still waits.
    pub(super) fn lower(&mut self, id: TypeId) {
        let Some((element, source)) = self.waiting.remove(&id) else { return };
        self.depth += 1;
        let lowered = if self.depth > DEPTH {
            self.complain(
                Code("KITH-W004"),
                source,
                element,
                format!("types are derived from each other more than {DEPTH} levels deep"),
                "Types so deep are not read; elements of this type can't be written",
            );
            Err("it is derived too deep".into())
        } else if element.name.is(XSD, "simpleType") {
            simple::simple_type(self, element, source)
        } else {
            self.complex_type(element, source)
        };
        self.depth -= 1;
        let Some(slot) = usize::try_from(id.0).ok().and_then(|at| self.out.types.get_mut(at)) else { return };
        match lowered {
            Ok((base, kind)) => {
                slot.base = base;
                slot.kind = kind;
                slot.is_abstract = truth(element.attribute("abstract"));
            }
            Err(why) => {
                let name = slot.name.as_ref().map_or_else(|| "a type without a name".to_owned(), |name| format!("type `{name}`"));
                slot.kind = Kind::NotUnderstood(Arc::clone(&why));
                let message = format!("{name} was not understood: {why}");
                self.complain(Code("KITH-W010"), source, element, message, "Elements of this type can't be written; the others can");
            }
        }
    }

    /// A type that is needed whole, now.
    pub(super) fn ready(&mut self, id: TypeId) -> &Type {
        self.lower(id);
        self.out.kind(id)
    }

    /// Whether one more pattern may be compiled.
    pub(super) fn room_for_pattern(&self) -> bool {
        self.patterns.len() < PATTERNS
    }

    pub(super) fn spend(&mut self, amount: usize, source: usize, element: &Element) -> Result<(), Arc<str>> {
        if let Some(left) = self.budget.checked_sub(amount) {
            self.budget = left;
            return Ok(());
        }
        self.complain(
            Code("KITH-W004"),
            source,
            element,
            format!("groups and bases expand to more than {EXPANDED} particles"),
            "What comes behind this place is not read; cut the WSDL down to the operations that are used",
        );
        Err("the schema expands to too much".into())
    }

    fn complex_type(&mut self, element: &'a Element, source: usize) -> Result<(Option<TypeId>, Kind), Arc<str>> {
        let content = element.children().find(|c| c.name.is(XSD, "simpleContent") || c.name.is(XSD, "complexContent"));
        let Some(content) = content else {
            let complex = self.body(element, source, truth(element.attribute("mixed")))?;
            return Ok((Some(Builtin::AnyType.id()), Kind::Complex(complex)));
        };
        let derivation = content.children().find(|c| c.name.is(XSD, "extension") || c.name.is(XSD, "restriction"));
        let derivation = derivation.ok_or("it derives from nothing")?;
        let extends = &*derivation.name.local == "extension";
        let base = self.type_ref(source, derivation, "base").ok_or("it derives from nothing")?;
        let kind = self.ready(base).kind.clone();
        if &*content.name.local == "simpleContent" {
            return simple::simple_content(self, derivation, source, base, &kind, extends);
        }
        let base_type = match kind {
            Kind::Complex(complex) => complex,
            Kind::NotUnderstood(why) => return Err(why),
            // Nothing complex is derived from a simple type; generators write it for `anySimpleType` and mean nothing by it.
            Kind::Simple(_) => return Err("a complex content is derived from a simple type".into()),
        };
        let mixed = content.attribute("mixed").map_or_else(|| truth(element.attribute("mixed")), |m| truth(Some(m)));
        let mut own = self.body(derivation, source, mixed)?;
        if base_type.array.is_some() {
            own.array = Some(self.array_item(derivation, source, &own, base_type.array));
            own.content = array_of(Builtin::AnyType.id()).content;
        }
        self.inherit(&mut own, base_type, base, extends, source, derivation)?;
        Ok((Some(base), Kind::Complex(own)))
    }

    /// What a derived type takes over from its base.
    fn inherit(
        &mut self,
        own: &mut Complex,
        base: Complex,
        base_id: TypeId,
        extends: bool,
        source: usize,
        element: &Element,
    ) -> Result<(), Arc<str>> {
        self.spend(base.attributes.len(), source, element)?;
        self.inherit_attributes(own, base.attributes, base.any_attribute, source, element);
        if own.array.is_some() || !extends || base_id == Builtin::AnyType.id() {
            return Ok(());
        }
        own.content = match (base.content, std::mem::replace(&mut own.content, Content::Empty)) {
            (base, Content::Empty) => {
                if let Content::Elements { particle, .. } = &base {
                    self.spend(size(particle), source, element)?;
                }
                base
            }
            (Content::Elements { particle: first, mixed }, Content::Elements { particle: second, mixed: also }) => {
                self.spend(size(&first), source, element)?;
                let both = Particle { min: 1, max: Some(1), term: Term::Sequence(vec![first, second]) };
                Content::Elements { particle: both, mixed: mixed || also }
            }
            (_, own) => own,
        };
        Ok(())
    }

    /// Particle and attributes that stand right inside an element.
    pub(super) fn body(&mut self, element: &'a Element, source: usize, mixed: bool) -> Result<Complex, Arc<str>> {
        let mut content = if mixed {
            Content::Elements { particle: Particle { min: 1, max: Some(1), term: Term::Sequence(Vec::new()) }, mixed }
        } else {
            Content::Empty
        };
        for child in element.children().filter(|c| *c.name.namespace == *XSD) {
            if matches!(&*child.name.local, "sequence" | "choice" | "all" | "group")
                && let Some(particle) = self.particle(child, source)?
            {
                content = Content::Elements { particle, mixed };
                break;
            }
        }
        let (attributes, any_attribute) = self.attributes(element, source, 0)?;
        Ok(Complex { attributes, any_attribute, content, array: None })
    }

    fn particle(&mut self, element: &'a Element, source: usize) -> Result<Option<Particle>, Arc<str>> {
        self.spend(1, source, element)?;
        let (min, max) = self.occurs(element, source);
        if max == Some(0) {
            return Ok(None);
        }
        let term = match &*element.name.local {
            "element" => Term::Element(self.local_element(element, source)?),
            "sequence" => Term::Sequence(self.particles(element, source)?),
            "choice" => Term::Choice(self.particles(element, source)?),
            "all" => Term::All(self.particles(element, source)?),
            "any" => Term::Any(self.wildcard(element, source)),
            "group" => {
                let written = element.attribute("ref").ok_or("a group without `ref`")?;
                let name = self.qname(source, element, written).ok_or("a group that is not declared")?;
                let Some((group, home)) = self.collected.components.get(&(Component::Group, name.clone())).copied() else {
                    self.not_there(Component::Group, &name, source, element);
                    return Err(format!("group `{name}` is not declared").into());
                };
                self.depth += 1;
                let inner = if self.depth > DEPTH {
                    self.complain(
                        Code("KITH-W010"),
                        source,
                        element,
                        format!("group `{name}` holds itself, or groups more than {DEPTH} levels deep"),
                        "Elements of types with this group can't be written",
                    );
                    Err("a group that holds itself".into())
                } else {
                    let inner =
                        group.children().find(|c| *c.name.namespace == *XSD && matches!(&*c.name.local, "sequence" | "choice" | "all"));
                    inner.map_or(Ok(None), |inner| self.particle(inner, home))
                };
                self.depth -= 1;
                match inner? {
                    Some(inner) => Term::Sequence(vec![inner]),
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Particle { min, max, term }))
    }

    fn particles(&mut self, element: &'a Element, source: usize) -> Result<Vec<Particle>, Arc<str>> {
        let mut all = Vec::new();
        for child in element.children().filter(|c| *c.name.namespace == *XSD && &*c.name.local != "annotation") {
            all.extend(self.particle(child, source)?);
        }
        Ok(all)
    }

    fn local_element(&mut self, element: &'a Element, source: usize) -> Result<ElementId, Arc<str>> {
        if let Some(written) = element.attribute("ref") {
            let name = self.qname(source, element, written).ok_or("an element that is not declared")?;
            if let Some(id) = self.element_named(&name) {
                return Ok(id);
            }
            // The schema itself is imported by what .NET writes for a DataSet: `ref="s:schema"`.
            if *name.namespace != *XSD {
                self.not_there(Component::Element, &name, source, element);
            }
            let kind = self.unknown(&name.to_string());
            return Ok(self.declare(ElementDecl { name, kind, nillable: false, default: None, fixed: None, is_abstract: false }));
        }
        let Some(name) = element.attribute("name") else {
            self.complain(Code("KITH-W010"), source, element, "an element without a name".to_owned(), "Write `name` or `ref`");
            return Err("an element without a name".into());
        };
        let id = self.reserve(Name::local(name.trim()));
        if let Some(decl) = self.declaration(id, element, source, false)
            && let Some(slot) = usize::try_from(id.0).ok().and_then(|at| self.out.elements.get_mut(at))
        {
            *slot = decl;
        }
        Ok(id)
    }

    fn wildcard(&self, element: &Element, source: usize) -> Wildcard {
        let own: Arc<str> = self.source(source).map_or_else(|| "".into(), |s| Arc::clone(&s.namespace));
        match element.attribute("namespace").map_or("##any", str::trim) {
            "##any" | "" => Wildcard::Any,
            "##other" => Wildcard::Other(own),
            list => Wildcard::In(
                list.split_whitespace()
                    .map(|word| match word {
                        "##targetNamespace" => Arc::clone(&own),
                        "##local" => "".into(),
                        namespace => namespace.into(),
                    })
                    .collect(),
            ),
        }
    }

    fn occurs(&mut self, element: &Element, source: usize) -> (u32, Option<u32>) {
        let mut read = |name: &str| match element.attribute(name).map(str::trim) {
            None => Some(1),
            Some("unbounded") if name == "maxOccurs" => None,
            Some(number) => Some(number.parse().unwrap_or_else(|_| {
                let message = format!("`{name}` is no number below 4294967296");
                self.complain(Code("KITH-W010"), source, element, message, "It is read as 1");
                1
            })),
        };
        let min = read("minOccurs").unwrap_or(1);
        let max = read("maxOccurs");
        // `maxOccurs` left out where `minOccurs` is more than one: what was meant is plain.
        (min, max.map(|max| if max == 0 { 0 } else { max.max(min) }))
    }
}

/// `anyType`: any attributes, any elements, text between them.
const fn anything() -> Complex {
    let particle = Particle { min: 0, max: None, term: Term::Any(Wildcard::Any) };
    Complex { attributes: Vec::new(), any_attribute: true, content: Content::Elements { particle, mixed: true }, array: None }
}

fn size(particle: &Particle) -> usize {
    match &particle.term {
        Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => 1 + inner.iter().map(size).sum::<usize>(),
        Term::Element(_) | Term::Any(_) => 1,
    }
}

/// `true` or `1`.
pub(super) fn truth(written: Option<&str>) -> bool {
    matches!(written.map(str::trim), Some("true" | "1"))
}
