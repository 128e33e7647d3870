//! WSDL 1.1 definitions lowered into a [`Contract`].

use super::contract::{Contract, FaultMessage, Header, Message, Operation, Port, Service, Style, Version};
use super::documents::{Complaints, Document, Documents, WSDL, XSD};
use super::schema::{self, Compiler, Complex, Component, Content, ElementDecl, ElementId, Particle, Term, TypeId};
use crate::diagnose::{Checked, Code, Diagnostic, Place, nearest};
use crate::wire::xml::{Element, Name};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// WSDL's SOAP 1.1 binding.
const SOAP_11: &str = "http://schemas.xmlsoap.org/wsdl/soap/";
/// WSDL's SOAP 1.2 binding (W3C submission of April 2006).
const SOAP_12: &str = "http://schemas.xmlsoap.org/wsdl/soap12/";
/// Parts of one message.
const MOST_PARTS: usize = 256;

/// Reads a contract from documents by name. `entry` is the WSDL; the others are what it imports and includes.
///
/// The value is there unless nothing can be used. What is not understood is a warning with file and line, and stops only the operations
/// that need it.
pub fn read(files: &BTreeMap<String, Vec<u8>>, entry: &str) -> Checked<Contract> {
    read_as(files, entry, &str::to_owned)
}

/// As [`read`]; complaints name the documents as `shown` says.
pub(super) fn read_as(files: &BTreeMap<String, Vec<u8>>, entry: &str, shown: &dyn Fn(&str) -> String) -> Checked<Contract> {
    let documents = Documents::parse(files, shown);
    let mut complaints = Complaints::default();
    let contract = whole(&documents, entry, &mut complaints);
    Checked::new(contract, complaints.0)
}

fn whole(documents: &Documents, entry: &str, complaints: &mut Complaints) -> Option<Contract> {
    let Some(at) = documents.named(entry) else {
        let place = Place::Path(entry.to_owned());
        complaints.push(Diagnostic::error(
            Code("KITH-W001"),
            place,
            "the WSDL is not there",
            "Write the path of a WSDL file that is there",
        ));
        return None;
    };
    let document = documents.get(at)?;
    let root = match &document.root {
        Ok(root) => root,
        Err(error) => {
            complaints.push(document.unreadable(*error));
            return None;
        }
    };
    if !root.name.is(WSDL, "definitions") {
        let remedy = match (&*root.name.namespace, &*root.name.local) {
            ("http://www.w3.org/ns/wsdl", _) => "This is WSDL 2.0; ask the service for WSDL 1.1, which every SOAP stack writes",
            (XSD, _) => "This is a schema alone; name the WSDL that imports it",
            _ => "Fetch the WSDL again (usually the service's address with `?wsdl` behind it)",
        };
        let message = format!("the root element is `{}`, not WSDL 1.1's `definitions`", root.name);
        complaints.push(Diagnostic::error(Code("KITH-W005"), document.place(root), message, remedy));
        return None;
    }
    let all = imported(documents, at, complaints);
    let types = all.iter().flat_map(|(at, root)| {
        let types = root.children().filter(|c| c.name.is(WSDL, "types")).flat_map(Element::children);
        types.filter(|c| c.name.is(XSD, "schema")).map(move |s| (*at, s))
    });
    let mut first: Vec<(usize, &Element)> = types.collect();
    // `wsdl:import` of a schema is not what WSDL says, and what many write (WS-I Basic Profile 1.1, R2001).
    first.extend(all.iter().filter(|(_, root)| root.name.is(XSD, "schema")).copied());
    let collected = schema::collect(documents, first, complaints);
    let mut compiler = Compiler::new(&collected, complaints);
    compiler.globals();
    let mut reading = Reading::new(documents, &all, compiler);
    let services = reading.services();
    let schemas = reading.compiler.finish();
    if services.iter().all(|s| s.ports.is_empty()) {
        complaints.push(Diagnostic::error(
            Code("KITH-W006"),
            document.place(root),
            "there is no service with a port that speaks SOAP over HTTP",
            "Name the WSDL with `service` and `binding`, and put those beside it that it imports",
        ));
    }
    Some(Contract { services, schemas })
}

/// The definitions and what they import, each once, the first first.
fn imported<'a>(documents: &'a Documents, first: usize, complaints: &mut Complaints) -> Vec<(usize, &'a Element)> {
    let (mut all, mut seen, mut queue) = (Vec::new(), HashSet::from([first]), VecDeque::from([first]));
    while let Some(at) = queue.pop_front() {
        let (Some(document), Some(root)) = (documents.get(at), documents.root(at)) else { continue };
        all.push((at, root));
        for import in root.children().filter(|c| c.name.is(WSDL, "import")) {
            let (location, namespace) = (import.attribute("location"), import.attribute("namespace"));
            let to = documents
                .resolve(at, location, namespace, (WSDL, "definitions"))
                .or_else(|| documents.resolve(at, None, namespace, (XSD, "schema")));
            let Some(to) = to else {
                complaints.push(Diagnostic::warning(
                    Code("KITH-W007"),
                    document.place(import),
                    format!("the imported `{}` is not here", location.or(namespace).unwrap_or_default()),
                    "Put the file beside the WSDL, by the name or with the target namespace that stands here; nothing is fetched while Kith runs",
                ));
                continue;
            };
            if seen.insert(to) {
                match documents.get(to).map(|d| (d, &d.root)) {
                    Some((imported, Err(error))) => {
                        let mut diagnostic = imported.unreadable(*error).related(document.place(import), "imported here");
                        diagnostic.severity = crate::diagnose::Severity::Warning;
                        complaints.push(diagnostic);
                    }
                    _ => queue.push_back(to),
                }
            }
        }
    }
    all
}

type Named<'a> = HashMap<Name, (usize, &'a Element)>;

struct Reading<'a, 'c> {
    documents: &'a Documents,
    definitions: &'c [(usize, &'a Element)],
    compiler: Compiler<'c>,
    messages: Named<'a>,
    port_types: Named<'a>,
    bindings: Named<'a>,
}

/// What the binding says about a body.
struct Body<'a> {
    element: Option<&'a Element>,
    encoded: bool,
    namespace: Arc<str>,
}

impl<'a, 'c> Reading<'a, 'c> {
    fn new(documents: &'a Documents, definitions: &'c [(usize, &'a Element)], compiler: Compiler<'c>) -> Self {
        let named = |local: &str| -> Named<'a> {
            let mut all = HashMap::new();
            for (at, root) in definitions {
                let namespace: Arc<str> = root.attribute("targetNamespace").unwrap_or_default().into();
                for child in root.children().filter(|c| c.name.is(WSDL, local)) {
                    if let Some(name) = child.attribute("name") {
                        all.entry(Name { namespace: Arc::clone(&namespace), local: name.trim().into() }).or_insert((*at, child));
                    }
                }
            }
            all
        };
        let (messages, port_types, bindings) = (named("message"), named("portType"), named("binding"));
        Self { documents, definitions, compiler, messages, port_types, bindings }
    }

    fn document(&self, at: usize) -> Option<&'a Document> {
        self.documents.get(at)
    }

    fn complain(&mut self, code: Code, at: usize, element: &Element, message: String, remedy: &str) {
        if let Some(document) = self.document(at) {
            self.compiler.complaints().push(Diagnostic::warning(code, document.place(element), message, remedy));
        }
    }

    /// What an attribute names, by full name.
    fn resolve(&mut self, kind: &str, at: usize, element: &Element, attribute: &str) -> Option<(usize, &'a Element)> {
        let all = match kind {
            "message" => &self.messages,
            "portType" => &self.port_types,
            _ => &self.bindings,
        };
        let written = element.attribute(attribute)?;
        let name = element.scope.qname(written);
        if let Some(found) = name.as_ref().and_then(|name| all.get(name)) {
            return Some(*found);
        }
        let local = written.rsplit(':').next().unwrap_or(written).trim();
        let near = nearest(local, all.keys().map(|n| &*n.local)).map(|near| format!("`{near}` is near"));
        let remedy = near.unwrap_or_else(|| "The WSDL that declares it is missing: put it beside this one and import it".to_owned());
        self.complain(Code("KITH-W008"), at, element, format!("{kind} `{written}` is not declared"), &remedy);
        None
    }

    fn services(&mut self) -> Vec<Service> {
        let mut services = Vec::new();
        for (at, root) in self.definitions {
            for service in root.children().filter(|c| c.name.is(WSDL, "service")) {
                let mut ports = Vec::new();
                for port in service.children().filter(|c| c.name.is(WSDL, "port")) {
                    ports.extend(self.port(*at, port));
                }
                services.push(Service { name: service.attribute("name").unwrap_or_default().into(), ports });
            }
        }
        services
    }

    fn port(&mut self, at: usize, port: &'a Element) -> Option<Port> {
        let (home, binding) = self.resolve("binding", at, port, "binding")?;
        let soap = binding.children().find(|c| &*c.name.local == "binding" && matches!(&*c.name.namespace, SOAP_11 | SOAP_12))?;
        let version = if *soap.name.namespace == *SOAP_11 { Version::V11 } else { Version::V12 };
        let transport = soap.attribute("transport").unwrap_or_default().trim_end_matches('/');
        // SOAP 1.2 bindings name either; some generators write the envelope's namespace.
        let http =
            transport.is_empty() || transport.ends_with("/http") || transport.ends_with("/HTTP") || transport.contains("soap-envelope");
        if !http {
            let message = "a SOAP binding over something else than HTTP is left out".to_owned();
            self.complain(Code("KITH-W012"), home, soap, message, "Use a port that speaks over HTTP");
            return None;
        }
        let (types_at, port_type) = self.resolve("portType", home, binding, "type")?;
        let style = style_of(soap.attribute("style")).unwrap_or(Style::Document);
        let mut operations: Vec<Operation> = Vec::new();
        for bound in binding.children().filter(|c| c.name.is(WSDL, "operation")) {
            let Some(name) = bound.attribute("name").map(str::trim) else { continue };
            let Some(declared) = declared_operation(port_type, bound, name) else {
                let near = nearest(name, port_type.children().filter_map(|c| c.attribute("name")));
                let remedy = near.map_or_else(|| "It is left out".to_owned(), |near| format!("`{near}` is near; it is left out"));
                self.complain(Code("KITH-W008"), home, bound, format!("the port type has no operation `{name}`"), &remedy);
                continue;
            };
            operations.push(self.operation(name, style, (home, bound), (types_at, declared), &soap.name.namespace));
        }
        let address = port.children().find(|c| &*c.name.local == "address" && c.name.namespace == soap.name.namespace);
        Some(Port {
            name: port.attribute("name").unwrap_or_default().into(),
            version,
            address: address.and_then(|a| a.attribute("location")).map(|l| l.trim().into()),
            operations,
        })
    }

    fn operation(
        &mut self,
        name: &str,
        style: Style,
        bound: (usize, &'a Element),
        declared: (usize, &'a Element),
        soap: &str,
    ) -> Operation {
        let extension = bound.1.children().find(|c| c.name.is(soap, "operation"));
        let style = extension.and_then(|e| style_of(e.attribute("style"))).unwrap_or(style);
        let input = self.message(name, style, bound, declared, ("input", false), soap);
        if let Err(why) = &input {
            let message = format!("the operation `{name}` can't be used: {why}");
            self.complain(Code("KITH-W012"), bound.0, bound.1, message, "The other operations of the WSDL can be used");
        }
        let has_output = declared.1.children().any(|c| c.name.is(WSDL, "output"));
        let output = has_output.then(|| self.message(name, style, bound, declared, ("output", true), soap));
        let faults = declared.1.children().filter(|c| c.name.is(WSDL, "fault")).filter_map(|fault| {
            let (_, message) = self.resolve("message", declared.0, fault, "message")?;
            let detail = message.children().find(|c| c.name.is(WSDL, "part")).and_then(|part| part.scope.qname(part.attribute("element")?));
            let detail = detail.and_then(|name| self.compiler.element_named(&name));
            Some(FaultMessage { name: fault.attribute("name").unwrap_or_default().into(), detail })
        });
        let faults = faults.collect();
        let documentation = declared.1.child(WSDL, "documentation").map(|d| d.text().trim().to_owned()).filter(|d| !d.is_empty());
        Operation {
            name: name.into(),
            action: extension.and_then(|e| e.attribute("soapAction")).unwrap_or_default().trim().into(),
            style,
            documentation: documentation.map(Into::into),
            input,
            output,
            faults,
        }
    }

    fn message(
        &mut self,
        operation: &str,
        style: Style,
        bound: (usize, &'a Element),
        declared: (usize, &'a Element),
        (direction, response): (&str, bool),
        soap: &str,
    ) -> Result<Message, Arc<str>> {
        let binding = bound.1.children().find(|c| c.name.is(WSDL, direction));
        // An operation without input sends an empty body.
        let Some(abstract_message) = declared.1.children().find(|c| c.name.is(WSDL, direction)) else {
            return Ok(Message { roots: Vec::new(), encoded: false, headers: Vec::new() });
        };
        let (at, message) = self
            .resolve("message", declared.0, abstract_message, "message")
            .ok_or_else(|| format!("its {direction} message is not declared"))?;
        let body = body_of(binding, soap);
        let mut parts: Vec<&'a Element> = message.children().filter(|c| c.name.is(WSDL, "part")).take(MOST_PARTS).collect();
        if let Some(chosen) = body.element.and_then(|b| b.attribute("parts")) {
            let chosen: Vec<&str> = chosen.split_whitespace().collect();
            parts.retain(|p| p.attribute("name").is_some_and(|n| chosen.contains(&n)));
        }
        let headers = self.headers(bound.0, binding, soap, message, &mut parts);
        let roots = match style {
            Style::Document => {
                let mut roots = Vec::new();
                for part in parts {
                    if part.attribute("element").is_none() {
                        return Err(format!("its {direction} is document style with a part that names a type, not an element").into());
                    }
                    roots.push(self.part(at, part)?);
                }
                roots
            }
            Style::Rpc => {
                let mut particles = Vec::new();
                for part in parts {
                    let element = self.part(at, part)?;
                    particles.push(Particle { min: 1, max: Some(1), term: Term::Element(element) });
                }
                let content = Content::Elements { particle: Particle { min: 1, max: Some(1), term: Term::All(particles) }, mixed: false };
                let kind = self.compiler.define(Complex { attributes: Vec::new(), any_attribute: false, content, array: None });
                let local: Arc<str> = if response { format!("{operation}Response").into() } else { operation.into() };
                vec![self.compiler.declare(plain(Name { namespace: body.namespace, local }, kind))]
            }
        };
        Ok(Message { roots, encoded: body.encoded, headers })
    }

    /// The element of a part: a global one, or one of the part's name and type in no namespace.
    fn part(&mut self, at: usize, part: &'a Element) -> Result<ElementId, Arc<str>> {
        let label = part.attribute("name").unwrap_or_default().trim();
        if let Some(written) = part.attribute("element") {
            let name = part.scope.qname(written).ok_or_else(|| format!("the prefix of `{written}` is not declared"))?;
            if let Some(id) = self.compiler.element_named(&name) {
                return Ok(id);
            }
            let message = format!("element `{name}` is not declared");
            let remedy = self.compiler.near(Component::Element, &name);
            self.complain(Code("KITH-W008"), at, part, message.clone(), &remedy);
            return Err(message.into());
        }
        let written = part.attribute("type").ok_or_else(|| format!("part `{label}` has neither element nor type"))?;
        let name = part.scope.qname(written).ok_or_else(|| format!("the prefix of `{written}` is not declared"))?;
        let Some(kind) = self.compiler.type_named(&name) else {
            let message = format!("type `{name}` is not declared");
            let remedy = self.compiler.near(Component::Type, &name);
            self.complain(Code("KITH-W008"), at, part, message.clone(), &remedy);
            return Err(message.into());
        };
        // Not nil in literal messages (WS-I Basic Profile 1.1, R2211); in encoded ones anything may be.
        Ok(self.compiler.declare(plain(Name::local(label), kind)))
    }

    /// The header blocks; parts of the message itself that travel as headers are not in the body.
    fn headers(
        &mut self,
        at: usize,
        binding: Option<&'a Element>,
        soap: &str,
        own: &'a Element,
        parts: &mut Vec<&'a Element>,
    ) -> Vec<Header> {
        let mut headers = Vec::new();
        let mut blocks = Vec::new();
        if let Some(binding) = binding {
            extensions(binding, soap, "header", &mut blocks);
        }
        for block in blocks {
            let Some((home, message)) = self.resolve("message", at, block, "message") else { continue };
            let part = block.attribute("part").map_or("", str::trim);
            let Some(found) = message.children().find(|c| c.name.is(WSDL, "part") && c.attribute("name").map(str::trim) == Some(part))
            else {
                let near = nearest(part, message.children().filter_map(|c| c.attribute("name")));
                let remedy = near.map_or_else(|| "The header can't be sent".to_owned(), |near| format!("`{near}` is near"));
                self.complain(Code("KITH-W008"), at, block, format!("the header's message has no part `{part}`"), &remedy);
                continue;
            };
            if message.tag == own.tag && message.attribute("name") == own.attribute("name") {
                parts.retain(|p| p.attribute("name").map(str::trim) != Some(part));
            }
            // A header that is not understood was told of; it is the service that knows whether it can do without.
            if let Ok(element) = self.part(home, found) {
                headers.push(Header { element, encoded: block.attribute("use") == Some("encoded") });
            }
        }
        headers
    }
}

fn plain(name: Name, kind: TypeId) -> ElementDecl {
    ElementDecl { name, kind, nillable: false, default: None, fixed: None, is_abstract: false }
}

fn style_of(written: Option<&str>) -> Option<Style> {
    match written?.trim() {
        "rpc" => Some(Style::Rpc),
        "document" => Some(Style::Document),
        _ => None,
    }
}

/// The port type's operation that a bound one means: of overloaded ones the one with the same names of input and output.
fn declared_operation<'a>(port_type: &'a Element, bound: &Element, name: &str) -> Option<&'a Element> {
    let same: Vec<&Element> =
        port_type.children().filter(|c| c.name.is(WSDL, "operation") && c.attribute("name").map(str::trim) == Some(name)).collect();
    let label = |operation: &Element, direction: &str| {
        operation.children().find(|c| c.name.is(WSDL, direction)).and_then(|c| c.attribute("name").map(str::to_owned))
    };
    let exact = same.iter().find(|o| label(o, "input") == label(bound, "input") && label(o, "output") == label(bound, "output"));
    exact.or(same.first()).copied()
}

/// What the binding says about the body, also inside of `mime:multipartRelated`.
fn body_of<'a>(binding: Option<&'a Element>, soap: &str) -> Body<'a> {
    let mut bodies = Vec::new();
    if let Some(binding) = binding {
        extensions(binding, soap, "body", &mut bodies);
    }
    let element = bodies.first().copied();
    Body {
        element,
        encoded: element.and_then(|e| e.attribute("use")).map(str::trim) == Some("encoded"),
        namespace: element.and_then(|e| e.attribute("namespace")).unwrap_or_default().trim().into(),
    }
}

/// Extension elements of SOAP inside a binding's input or output, also those inside MIME parts.
fn extensions<'a>(inside: &'a Element, soap: &str, local: &str, into: &mut Vec<&'a Element>) {
    for child in inside.children() {
        if child.name.is(soap, local) {
            into.push(child);
        } else if matches!(&*child.name.local, "multipartRelated" | "part") {
            extensions(child, soap, local, into);
        }
    }
}
