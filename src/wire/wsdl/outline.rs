//! Contracts in words: what an operation takes and gives, for people.

use super::contract::{Contract, Message, OperationRef};
use super::schema::{AttributeUse, Complex, Content, ElementId, Facets, Kind, Particle, Schemas, Simple, Term, TypeId, Variety};
use std::fmt::Write as _;

/// Lines of one outline: what nobody reads to its end is cut.
const LINES: usize = 2_000;
/// Values of a list that are shown.
const LISTED: usize = 12;

impl Contract {
    /// Services, ports and their operations, a line each.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        for service in &self.services {
            line(&mut out, 0, &format!("service {}", service.name));
            for port in &service.ports {
                let address = port.address.as_deref().map(|a| format!(", {a}")).unwrap_or_default();
                line(&mut out, 1, &format!("port {} ({}{address})", port.name, port.version));
                for operation in &port.operations {
                    let cannot = operation.input.as_ref().err().map(|why| format!("  (can't be used: {why})")).unwrap_or_default();
                    line(&mut out, 2, &format!("{}{cannot}", operation.name));
                }
            }
        }
        out
    }
}

impl OperationRef<'_> {
    /// What the operation takes and gives: an element or attribute a line, indented, in the schema's order.
    pub fn outline(&self) -> String {
        let mut out = format!("{} ({}, port {})\n", self.operation.name, self.port.version, self.port.name);
        if let Some(documentation) = &self.operation.documentation {
            let short: String = documentation.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
            line(&mut out, 1, &short);
        }
        let schemas = &self.contract.schemas;
        message(&mut out, schemas, "sends", self.input);
        match &self.operation.output {
            Some(Ok(output)) => message(&mut out, schemas, "receives", output),
            Some(Err(why)) => line(&mut out, 0, &format!("receives something that was not understood: {why}")),
            None => line(&mut out, 0, "receives nothing"),
        }
        for fault in &self.operation.faults {
            line(&mut out, 0, &format!("fault {}", fault.name));
            if let Some(detail) = fault.detail {
                Outline { schemas, out: &mut out, within: Vec::new() }.element(detail, "", 1);
            }
        }
        out
    }
}

fn message(out: &mut String, schemas: &Schemas, verb: &str, message: &Message) {
    for header in &message.headers {
        line(out, 0, &format!("{verb} in the header"));
        Outline { schemas, out, within: Vec::new() }.element(header.element, "", 1);
    }
    line(out, 0, verb);
    for root in &message.roots {
        Outline { schemas, out, within: Vec::new() }.element(*root, "", 1);
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    let lines = out.matches('\n').count();
    if lines < LINES {
        out.push_str(&"  ".repeat(depth));
        out.push_str(text);
        out.push('\n');
    } else if lines == LINES {
        out.push_str("…\n");
    }
}

struct Outline<'a> {
    schemas: &'a Schemas,
    out: &'a mut String,
    /// The types that are being written, so that one that holds itself is written once.
    within: Vec<TypeId>,
}

impl Outline<'_> {
    fn element(&mut self, id: ElementId, occurs: &str, depth: usize) {
        let Some(decl) = self.schemas.element(id) else { return };
        let nil = if decl.nillable { ", may be nil" } else { "" };
        let fixed = decl.fixed.as_ref().map(|f| format!(", always `{f}`")).unwrap_or_default();
        line(self.out, depth, &format!("{}  {}{occurs}{nil}{fixed}", decl.name.local, describe(self.schemas, decl.kind)));
        let substitutes = self.schemas.substitutes(id);
        if decl.is_abstract || !substitutes.is_empty() {
            let names: Vec<&str> = substitutes.iter().filter_map(|s| self.schemas.element(*s)).map(|d| &*d.name.local).collect();
            line(self.out, depth + 1, &format!("or in its place: {}", names.join(", ")));
        }
        self.inside(decl.kind, depth + 1);
    }

    fn inside(&mut self, kind: TypeId, depth: usize) {
        let schemas = self.schemas;
        let Kind::Complex(complex) = &schemas.kind(kind).kind else { return };
        if self.within.contains(&kind) {
            line(self.out, depth, "… as above");
            return;
        }
        if kind.is_builtin() || self.out.matches('\n').count() > LINES {
            return;
        }
        self.within.push(kind);
        for attribute in &complex.attributes {
            self.attribute(attribute, depth);
        }
        match (&complex.array, &complex.content) {
            (Some(item), _) => {
                line(self.out, depth, &format!("item  {}, any number", describe(self.schemas, *item)));
                self.inside(*item, depth + 1);
            }
            (None, Content::Elements { particle, .. }) => self.particle(particle, depth),
            (None, Content::Empty | Content::Simple(_)) => {}
        }
        self.within.pop();
    }

    fn attribute(&mut self, attribute: &AttributeUse, depth: usize) {
        let required = if attribute.required { "" } else { ", optional" };
        let value = match (&attribute.fixed, &attribute.default) {
            (Some(fixed), _) => format!(", always `{fixed}`"),
            (None, Some(default)) => format!(", `{default}` unless given"),
            (None, None) => String::new(),
        };
        line(self.out, depth, &format!("@{}  {}{required}{value}", attribute.name.local, describe(self.schemas, attribute.kind)));
    }

    fn particles(&mut self, particles: &[Particle], depth: usize) {
        for particle in particles {
            self.particle(particle, depth);
        }
    }

    fn particle(&mut self, particle: &Particle, depth: usize) {
        let occurs = occurs(particle.min, particle.max);
        match &particle.term {
            Term::Element(id) => self.element(*id, &occurs, depth),
            Term::Any(_) => line(self.out, depth, &format!("any element{occurs}")),
            Term::Choice(inner) => {
                line(self.out, depth, &format!("one of{occurs}"));
                self.particles(inner, depth + 1);
            }
            Term::Sequence(inner) | Term::All(inner) if occurs.is_empty() => self.particles(inner, depth),
            Term::Sequence(inner) | Term::All(inner) => {
                line(self.out, depth, &format!("together{occurs}"));
                self.particles(inner, depth + 1);
            }
        }
    }
}

fn occurs(min: u32, max: Option<u32>) -> String {
    match (min, max) {
        (1, Some(1)) => String::new(),
        (0, Some(1)) => ", optional".to_owned(),
        (0, None) => ", any number".to_owned(),
        (min, None) => format!(", {min} or more"),
        (min, Some(max)) => format!(", {min} to {max} times"),
    }
}

/// A type with its limits: `string of at most 40 characters`.
pub fn describe(schemas: &Schemas, kind: TypeId) -> String {
    let name = schemas.describe(kind).to_string();
    let simple = match &schemas.kind(kind).kind {
        Kind::Simple(simple) => simple,
        Kind::Complex(Complex { content: Content::Simple(simple), .. }) if *simple != kind => return describe(schemas, *simple),
        Kind::NotUnderstood(why) => return format!("not understood: {why}"),
        Kind::Complex(_) => return name,
    };
    let mut out = name;
    if let (Variety::Atomic(builtin), false) = (&simple.variety, kind.is_builtin())
        && out != builtin.name()
    {
        out = format!("{out} ({})", builtin.name());
    }
    limits(&mut out, simple);
    out
}

fn limits(out: &mut String, simple: &Simple) {
    let Facets { enumeration, length, min_length, max_length, total_digits, fraction_digits, min, max, patterns, .. } = &simple.facets;
    // Writing to a string does not fail.
    let mut say = |text: String| write!(out, ", {text}").unwrap_or_default();
    match (length, min_length, max_length) {
        (Some(length), _, _) => say(format!("{length} long")),
        (None, Some(least), Some(most)) => say(format!("{least} to {most} long")),
        (None, Some(least), None) => say(format!("at least {least} long")),
        (None, None, Some(most)) => say(format!("at most {most} long")),
        (None, None, None) => {}
    }
    if let Some(digits) = total_digits {
        say(format!("at most {digits} digits"));
    }
    if let Some(digits) = fraction_digits {
        say(format!("{digits} behind the point"));
    }
    if let Some(bound) = min {
        say(format!("{} {}", if bound.exclusive { "above" } else { "from" }, bound.written));
    }
    if let Some(bound) = max {
        say(format!("{} {}", if bound.exclusive { "below" } else { "up to" }, bound.written));
    }
    for (pattern, _) in patterns {
        say(format!("like `{pattern}`"));
    }
    if let Some(list) = enumeration {
        let shown: Vec<&str> = list.iter().take(LISTED).map(|v| &**v).collect();
        say(format!("one of {}{}", shown.join(" | "), if list.len() > LISTED { " | …" } else { "" }));
    }
}
