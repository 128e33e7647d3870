//! The parts of a request to the nodes that the library renders: forms, types and nothing by the schema. Pure.

use super::declared::{self, Inside, written};
use super::part::{Content, Part};
use crate::declare::connector::soap::{ElementName, Form};
use crate::model::Value;
use crate::wire::soap::{Node, NodeContent};
use crate::wire::wsdl::OperationRef;
use crate::wire::wsdl::schema::{Builtin, Schemas, TypeId};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// XML Schema's own types.
const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// A value in the form that the file asks for.
fn formed(value: &Value, form: Option<&Form>) -> Value {
    match (value, form) {
        (Value::Time(time), Some(Form::Time(form))) => {
            Value::Text(time.to_zoned(TimeZone::UTC).strftime(form.as_bytes()).to_string().into())
        }
        (Value::Bool(truth), Some(Form::Words(yes, no))) => Value::Text(if *truth { yes.clone() } else { no.clone() }),
        _ => value.clone(),
    }
}

/// The type that a value is said to have where the schema says nothing.
const fn open_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Integer(_) => "long",
        Value::Number(_) => "double",
        Value::Time(_) => "dateTime",
        Value::Text(_) | Value::Missing | Value::List(_) | Value::Record(_) => "string",
    }
}

struct Conversion<'a> {
    schemas: &'a Schemas,
    encoded: bool,
}

impl Conversion<'_> {
    fn inside(&self, kind: Option<TypeId>, name: &ElementName) -> Option<Inside> {
        declared::child(self.schemas, kind?, name)
    }

    fn node(&self, part: &Part, found: Option<Inside>) -> Node {
        let (declared, nillable) = match found {
            Some(Inside::Element(declared)) => (Some(declared.kind), declared.nillable),
            // What may be anything may also be nothing.
            Some(Inside::Open) => (Some(Builtin::AnyType.id()), true),
            Some(Inside::Attribute(_)) | None => (None, false),
        };
        let named = part.type_name.as_ref();
        let kind = named.zip(declared).and_then(|(name, declared)| declared::named_type(self.schemas, name, declared)).or(declared);
        let content = match &part.content {
            Content::Value(value, form) => NodeContent::Value(formed(value, form.as_ref())),
            Content::Nil => NodeContent::Nil,
            Content::Emptied if nillable || self.encoded => NodeContent::Nil,
            Content::Emptied => NodeContent::Value(Value::Text("".into())),
            Content::None => {
                NodeContent::Nodes(part.children.iter().map(|child| self.node(child, self.inside(kind, &child.name))).collect())
            }
        };
        let mut node = Node::with(written(&part.name), content);
        for (name, content) in &part.attributes {
            if let Content::Value(value, form) = content {
                node = node.attribute(written(name), formed(value, form.as_ref()));
            }
        }
        let open = declared == Some(Builtin::AnyType.id()) && matches!(found, Some(Inside::Element(_)));
        match (named, &node.content) {
            (Some(name), _) => node.typed(written(name)),
            (None, NodeContent::Value(value)) if open && !self.encoded && !value.is_missing() => {
                let name: Arc<str> = format!("{{{XSD}}}{}", open_type(value)).into();
                node.typed(name)
            }
            (None, _) => node,
        }
    }
}

/// The body of a request.
pub fn body(operation: &OperationRef<'_>, root: &Part) -> Node {
    let schemas = &operation.contract.schemas;
    let conversion = Conversion { schemas, encoded: operation.input.encoded };
    let declared = |id| {
        let element = schemas.element(id)?;
        Some(Inside::Element(declared::Declared { kind: element.kind, nillable: element.nillable, repeats: false }))
    };
    if let [only] = operation.input.roots.as_slice() {
        let mut top = root.clone();
        top.name = ElementName { namespace: None, local: "".into() };
        // A parameter that takes nothing at all is still the operation's element.
        return conversion.node(&top, declared(*only));
    }
    let of_body = |part: &Part| {
        let id = operation.input.roots.iter().find(|id| schemas.element(**id).is_some_and(|e| e.name.answers_to(&written(&part.name))));
        conversion.node(part, id.and_then(|id| declared(*id)))
    };
    Node::body(root.children.iter().map(of_body).collect())
}

/// A block of the header.
pub fn header(operation: &OperationRef<'_>, part: &Part) -> Node {
    let schemas = &operation.contract.schemas;
    let name = written(&part.name);
    let block = operation.input.headers.iter().find_map(|h| schemas.element(h.element).filter(|e| e.name.answers_to(&name)));
    let found = block.map(|e| Inside::Element(declared::Declared { kind: e.kind, nillable: e.nillable, repeats: false }));
    Conversion { schemas, encoded: false }.node(part, found)
}

/// The type that paths of a request begin in; `None` where the body has several elements, or none.
pub fn start(operation: &OperationRef<'_>) -> Option<TypeId> {
    let [only] = operation.input.roots.as_slice() else { return None };
    operation.contract.schemas.element(*only).map(|element| element.kind)
}
