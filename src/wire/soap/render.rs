//! Elements from values: types, attributes, nil, arrays.

use super::lexical::{lexical, open_type};
use super::node::{Node, NodeContent};
use super::refusal::{Reason, Refusal};
use crate::diagnose::nearest;
use crate::model::Value;
use crate::wire::wsdl::schema::{AttributeUse, Builtin, Complex, Content, ElementDecl, ElementId, Kind, Schemas, TypeId, Wildcard};
use crate::wire::wsdl::{Contract, Version};
use crate::wire::xml::{Child, Lexical, Name, Tree, Uncarried, XSI_NS};
use std::borrow::Cow;
use std::sync::Arc;

/// Elements within elements that are written. Deeper values are a mistake: the deepest message of a CRM has about ten.
const DEPTH: usize = 48;

/// What is needed to write the elements of a message.
pub(super) struct Rendering<'a> {
    pub contract: &'a Contract,
    pub version: Version,
    pub encoded: bool,
    pub uncarried: Uncarried,
}

impl<'a> Rendering<'a> {
    pub(super) const fn schemas(&self) -> &'a Schemas {
        &self.contract.schemas
    }

    /// An element by its declaration.
    pub(super) fn element_of(&self, id: ElementId, node: &Node, depth: usize) -> Result<Child, Refusal> {
        let decl = self.schemas().element(id).ok_or_else(|| Refusal::here(Reason::NotUnderstood("it is not declared".into())))?;
        if decl.is_abstract {
            let choices = self.schemas().substitutes(id).iter().filter_map(|s| self.schemas().element(*s));
            return Err(Refusal::here(Reason::Abstract(choices.filter(|d| !d.is_abstract).map(|d| Arc::clone(&d.name.local)).collect())));
        }
        self.element(decl, node, depth).map(Child::Tree)
    }

    pub(super) fn element(&self, decl: &ElementDecl, node: &Node, depth: usize) -> Result<Tree, Refusal> {
        if depth >= DEPTH {
            return Err(Refusal::here(Reason::TooDeep(DEPTH)));
        }
        let kind = self.actual_type(decl.kind, node)?;
        let mut tree = Tree::new(decl.name.clone());
        if node.xsi_type.is_some() || self.encoded {
            self.name_type(&mut tree, kind, node);
        }
        let nil = matches!(node.content, NodeContent::Nil);
        if nil {
            if !decl.nillable && !self.encoded {
                return Err(Refusal::here(Reason::NotNillable));
            }
            tree.attributes.push((Name::new(XSI_NS, "nil"), Lexical::Text("true".into())));
        }
        match &self.schemas().kind(kind).kind {
            Kind::NotUnderstood(why) => return Err(Refusal::here(Reason::NotUnderstood(Arc::clone(why)))),
            Kind::Simple(_) => {
                if let Some((name, _)) = node.attributes.iter().find(|(_, v)| !v.is_missing()) {
                    return Err(Refusal::at(&format!("@{name}"), Reason::UnknownAttribute(None)));
                }
                if !nil {
                    self.simple(&mut tree, kind, decl, node)?;
                }
            }
            Kind::Complex(complex) => {
                self.attributes(&mut tree, complex, node)?;
                if !nil {
                    self.complex(&mut tree, kind, complex, decl, node, depth)?;
                }
            }
        }
        Ok(tree)
    }

    /// The declared type, or the one that the node names.
    fn actual_type(&self, declared: TypeId, node: &Node) -> Result<TypeId, Refusal> {
        let schemas = self.schemas();
        let kind = match &node.xsi_type {
            None => declared,
            Some(written) => {
                let mut found: Vec<TypeId> = schemas.types_named(written);
                found.sort();
                let derived = found.iter().copied().find(|id| schemas.derives(*id, declared));
                match (derived, found.is_empty()) {
                    (Some(id), _) => id,
                    (None, false) => return Err(Refusal::here(Reason::NotDerived)),
                    (None, true) => {
                        let derived = self.derived(declared);
                        let nearest = nearest(Node::local(written), derived.iter().map(|n| &**n)).map(Into::into);
                        return Err(Refusal::here(Reason::UnknownType(nearest)));
                    }
                }
            }
        };
        if schemas.kind(kind).is_abstract {
            return Err(Refusal::here(Reason::Abstract(self.derived(kind))));
        }
        Ok(kind)
    }

    /// The names of the types that may be written for one, sorted.
    fn derived(&self, base: TypeId) -> Vec<Arc<str>> {
        let schemas = self.schemas();
        let all = schemas.named_types().filter(|(_, id)| *id != base && schemas.derives(*id, base) && !schemas.kind(*id).is_abstract);
        let mut names: Vec<Arc<str>> = all.map(|(name, _)| Arc::clone(&name.local)).collect();
        names.sort();
        names.truncate(20);
        names
    }

    /// `xsi:type`, where the type has a name.
    fn name_type(&self, tree: &mut Tree, kind: TypeId, node: &Node) {
        let open = kind == Builtin::AnyType.id() || kind == Builtin::AnySimpleType.id();
        let named = match &node.content {
            NodeContent::Value(value) if open => open_type(value).id(),
            NodeContent::Value(_) | NodeContent::Nil | NodeContent::Nodes(_) | NodeContent::Tree(_) => kind,
        };
        if let Some(name) = &self.schemas().kind(named).name
            && named != Builtin::AnyType.id()
        {
            tree.attributes.push((Name::new(XSI_NS, "type"), Lexical::QName(name.clone(), "".into())));
        }
    }

    fn simple(&self, tree: &mut Tree, kind: TypeId, decl: &ElementDecl, node: &Node) -> Result<(), Refusal> {
        let value = match &node.content {
            NodeContent::Value(value) => value,
            NodeContent::Nodes(nodes) if nodes.is_empty() => &Value::Missing,
            NodeContent::Nodes(_) | NodeContent::Nil | NodeContent::Tree(_) => return Err(Refusal::here(Reason::NoElements)),
        };
        // An empty element has the schema's default value, whatever the type makes of an empty text.
        if matches!(value, Value::Missing) && decl.default.is_some() {
            return Ok(());
        }
        let written = self.text(kind, value)?;
        if decl.fixed.as_ref().is_some_and(|fixed| !same(&written, fixed)) {
            return Err(Refusal::here(Reason::Fixed));
        }
        if written != Lexical::Text("".into()) {
            tree.children.push(Child::Lexical(written));
        }
        Ok(())
    }

    /// A value as text of a simple type.
    fn text(&self, kind: TypeId, value: &Value) -> Result<Lexical, Refusal> {
        let builtin = self.schemas().builtin(kind);
        let text = lexical(value, builtin).ok_or_else(|| Refusal::here(Reason::WrongKind(value.kind())))?;
        let text = self.uncarried.apply(&text).map_err(|e| Refusal::here(Reason::Uncarried(e)))?;
        if matches!(builtin, Some(Builtin::QName | Builtin::Notation)) {
            let (namespace, local) = Name::split(text.trim());
            self.schemas().check(kind, local).map_err(|e| Refusal::here(Reason::NotOfType(e)))?;
            // A prefix means nothing here: it is the writer who chooses them.
            if local.contains(':') {
                return Err(Refusal::here(Reason::WrongKind("name with a prefix")));
            }
            return Ok(Lexical::QName(Name::new(namespace.unwrap_or_default(), local), "".into()));
        }
        let checked = self.schemas().check(kind, &text).map_err(|e| Refusal::here(Reason::NotOfType(e)))?;
        Ok(Lexical::Text(match (value, checked) {
            // Text that is written as it came is not copied.
            (Value::Text(whole), Cow::Borrowed(written)) if written.len() == whole.len() => Arc::clone(whole),
            (_, written) => written.into(),
        }))
    }

    fn attributes(&self, tree: &mut Tree, complex: &Complex, node: &Node) -> Result<(), Refusal> {
        let mut left: Vec<&(Arc<str>, Value)> = node.attributes.iter().filter(|(_, v)| !v.is_missing()).collect();
        for attribute in &complex.attributes {
            let given = left.iter().position(|(name, _)| attribute.name.answers_to(name)).map(|at| left.remove(at));
            if let Some(written) =
                self.attribute(attribute, given.map(|(_, value)| value)).map_err(|r| r.inside(&format!("@{}", attribute.name.local)))?
            {
                tree.attributes.push((attribute.name.clone(), written));
            }
        }
        for (name, value) in left {
            let step = format!("@{name}");
            if !complex.any_attribute {
                let near = nearest(Node::local(name), complex.attributes.iter().map(|a| &*a.name.local)).map(Into::into);
                return Err(Refusal::at(&step, Reason::UnknownAttribute(near)));
            }
            let (namespace, local) = Name::split(name);
            if !crate::wire::xml::is_ncname(local) {
                return Err(Refusal::at(&step, Reason::UnknownAttribute(None)));
            }
            let written = self.text(Builtin::AnySimpleType.id(), value).map_err(|r| r.inside(&step))?;
            let full = Name::new(namespace.unwrap_or_default(), local);
            // What was written already is Kith's own: `xsi:type`, `xsi:nil`.
            if tree.attributes.iter().all(|(known, _)| *known != full) {
                tree.attributes.push((full, written));
            }
        }
        Ok(())
    }

    fn attribute(&self, attribute: &AttributeUse, given: Option<&Value>) -> Result<Option<Lexical>, Refusal> {
        let Some(value) = given else {
            // Receivers that know no schema learn the default from the message.
            return match attribute.fixed.as_ref().or(attribute.default.as_ref()) {
                Some(value) if attribute.required || attribute.fixed.is_none() => {
                    self.text(attribute.kind, &Value::Text(Arc::clone(value))).map(Some)
                }
                None if attribute.required => Err(Refusal::here(Reason::Missing)),
                Some(_) | None => Ok(None),
            };
        };
        let written = self.text(attribute.kind, value)?;
        match &attribute.fixed {
            Some(fixed) if !same(&written, fixed) => Err(Refusal::here(Reason::Fixed)),
            _ => Ok(Some(written)),
        }
    }

    fn complex(
        &self,
        tree: &mut Tree,
        kind: TypeId,
        complex: &Complex,
        decl: &ElementDecl,
        node: &Node,
        depth: usize,
    ) -> Result<(), Refusal> {
        let value = match &node.content {
            // An empty text is an element that is to stand there empty.
            NodeContent::Value(value) => Some(value).filter(|v| !v.is_missing() && v.as_text() != Some("")),
            NodeContent::Nodes(_) | NodeContent::Nil | NodeContent::Tree(_) => None,
        };
        match &complex.content {
            Content::Simple(simple) => self.simple(tree, *simple, decl, node),
            Content::Empty if value.is_some() => Err(Refusal::here(Reason::NoValue)),
            Content::Empty => match node.nodes().iter().flat_map(Node::each).next() {
                Some(first) => Err(Refusal::at(&first.name, Reason::UnknownElement(None))),
                None => Ok(()),
            },
            Content::Elements { particle, mixed } => {
                if let Some(value) = value {
                    if !mixed {
                        return Err(Refusal::here(Reason::NoValue));
                    }
                    let simple = if kind == Builtin::AnyType.id() { Builtin::AnySimpleType } else { Builtin::String };
                    tree.children.push(Child::Lexical(self.text(simple.id(), value)?));
                }
                let nodes: Vec<Cow<'_, Node>> = node.nodes().iter().flat_map(Node::each).collect();
                if let Some(item) = complex.array {
                    return self.array(tree, item, &nodes, depth);
                }
                tree.children.append(&mut self.content(particle, nodes, depth + 1)?);
                Ok(())
            }
        }
    }

    /// An array of the SOAP encoding (SOAP 1.1, 5.4.2; SOAP 1.2 part 2, 3.1.6): items are elements of any name.
    fn array(&self, tree: &mut Tree, item: TypeId, nodes: &[Cow<'_, Node>], depth: usize) -> Result<(), Refusal> {
        for (at, node) in nodes.iter().enumerate() {
            let step = format!("{}[{}]", node.name, at + 1);
            let (namespace, local) = Name::split(&node.name);
            if !crate::wire::xml::is_ncname(local) {
                return Err(Refusal::at(&step, Reason::UnknownElement(None)));
            }
            let name = Name::new(namespace.unwrap_or_default(), local);
            let decl = ElementDecl { name, kind: item, nillable: true, default: None, fixed: None, is_abstract: false };
            tree.children.push(Child::Tree(self.element(&decl, node, depth + 1).map_err(|r| r.inside(&step))?));
        }
        if self.encoded {
            let (name, behind) = self.item_type(item);
            let encoding = self.version.encoding();
            match self.version {
                Version::V11 => {
                    tree.attributes
                        .push((Name::new(encoding, "arrayType"), Lexical::QName(name, format!("{behind}[{}]", nodes.len()).into())));
                }
                Version::V12 => {
                    tree.attributes.push((Name::new(encoding, "itemType"), Lexical::QName(name, "".into())));
                    tree.attributes.push((Name::new(encoding, "arraySize"), Lexical::Text(nodes.len().to_string().into())));
                }
            }
            // A type without a name of its own is an array none the less.
            let type_name = Name::new(XSI_NS, "type");
            if tree.attributes.iter().all(|(known, _)| *known != type_name) {
                tree.attributes.push((type_name, Lexical::QName(Name::new(encoding, "Array"), "".into())));
            }
        }
        Ok(())
    }

    /// The name of an item's type; `[]` behind it for each array within the array.
    fn item_type(&self, item: TypeId) -> (Name, String) {
        let (mut item, mut behind) = (item, String::new());
        loop {
            let kind = self.schemas().kind(item);
            match (&kind.name, &kind.kind) {
                (Some(name), _) => return (name.clone(), behind),
                (None, Kind::Complex(Complex { array: Some(inner), .. })) if behind.len() < 2 * DEPTH => {
                    behind.push_str("[]");
                    item = *inner;
                }
                (None, _) => {
                    return (self.schemas().kind(Builtin::AnyType.id()).name.clone().unwrap_or_else(|| Name::local("anyType")), behind);
                }
            }
        }
    }

    /// Whether a wildcard takes a node: names without a namespace only where there is nothing that they could be a misspelling of.
    pub(super) fn fits_wildcard(wildcard: &Wildcard, node: &Node, open: bool) -> bool {
        if let NodeContent::Tree(tree) = &node.content {
            return wildcard.takes(&tree.name.namespace);
        }
        let (namespace, local) = Name::split(&node.name);
        crate::wire::xml::is_ncname(local) && (open || namespace.is_some()) && wildcard.takes(namespace.unwrap_or_default())
    }

    /// An element of a wildcard: by its global declaration where there is one, else as it is.
    pub(super) fn free(&self, node: &Node, depth: usize) -> Result<Child, Refusal> {
        if depth >= DEPTH {
            return Err(Refusal::here(Reason::TooDeep(DEPTH)));
        }
        if let NodeContent::Tree(tree) = &node.content {
            return Ok(Child::Tree(tree.clone()));
        }
        let (namespace, local) = Name::split(&node.name);
        let name = Name::new(namespace.unwrap_or_default(), local);
        if let Some(global) = self.schemas().element_named(&name) {
            return self.element_of(global, node, depth);
        }
        let decl = ElementDecl { name, kind: Builtin::AnyType.id(), nillable: true, default: None, fixed: None, is_abstract: false };
        self.element(&decl, node, depth).map(Child::Tree)
    }
}

/// Whether a written value is the fixed one; blanks around are nobody's intention.
fn same(written: &Lexical, fixed: &str) -> bool {
    match written {
        Lexical::Text(text) => text.trim() == fixed.trim(),
        Lexical::QName(name, _) => fixed.trim().rsplit(':').next() == Some(&name.local),
    }
}

impl Node {
    /// The part of a name behind its namespace.
    pub(super) fn local(written: &str) -> &str {
        Name::split(written).1
    }
}
