//! An envelope for an operation.

use super::node::Node;
use super::refusal::{Reason, Refusal};
use super::render::Rendering;
use crate::diagnose::nearest;
use crate::wire::wsdl::{OperationRef, Version};
use crate::wire::xml::{Child, Lexical, Name, Tree, Uncarried, Writer, XSI_NS};
use std::fmt;
use std::sync::Arc;

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The operation.
    pub operation: OperationRef<'a>,
    /// Header blocks, in this order: those that the contract declares from [`header`], others (WS-Security) as they are.
    pub headers: Vec<Tree>,
    /// What is inside of the operation's element; where the body has several elements or none, those. Any order.
    pub body: Node,
    /// What becomes of characters that XML cannot carry.
    pub uncarried: Uncarried,
}

/// A message as it travels.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The body of the HTTP request.
    pub bytes: Vec<u8>,
    /// The header `Content-Type`; of SOAP 1.2 with the action.
    pub content_type: String,
    /// The header `SOAPAction` of SOAP 1.1, in its quotation marks.
    pub soap_action: Option<String>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rendered({} bytes, {}, {:?})", self.bytes.len(), self.content_type, self.soap_action)
    }
}

impl Request<'_> {
    /// The envelope.
    ///
    /// # Errors
    /// The values do not fit the contract; the first that does not, in the order of the schema.
    pub fn render(&self) -> Result<Rendered, Refusal> {
        let version = self.operation.port.version;
        let envelope = self.envelope()?;
        let writer = Writer::with(&[
            ("soapenv", version.envelope()),
            ("xsi", XSI_NS),
            ("xsd", "http://www.w3.org/2001/XMLSchema"),
            ("soapenc", version.encoding()),
        ]);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        text.push_str(&writer.write(&envelope));
        // A quotation mark in an action is none that a header can carry.
        let action: String = self.operation.operation.action.chars().filter(|c| !c.is_control() && *c != '"' && c.is_ascii()).collect();
        let (content_type, soap_action) = match version {
            Version::V11 => ("text/xml; charset=utf-8".to_owned(), Some(format!("\"{action}\""))),
            Version::V12 if action.is_empty() => ("application/soap+xml; charset=utf-8".to_owned(), None),
            Version::V12 => (format!("application/soap+xml; charset=utf-8; action=\"{action}\""), None),
        };
        Ok(Rendered { bytes: text.into_bytes(), content_type, soap_action })
    }

    /// The envelope as a tree.
    fn envelope(&self) -> Result<Tree, Refusal> {
        let version = self.operation.port.version;
        let named = |local: &str| Name::new(version.envelope(), local);
        let mut envelope = Tree::new(named("Envelope"));
        if !self.headers.is_empty() {
            let mut header = Tree::new(named("Header"));
            header.children = self.headers.iter().cloned().map(Child::Tree).collect();
            envelope = envelope.child(header);
        }
        let mut body = Tree::new(named("Body"));
        body.children = self.body_children()?;
        if self.operation.input.encoded {
            for child in &mut body.children {
                if let Child::Tree(root) = child {
                    root.attributes.push((named("encodingStyle"), Lexical::Text(version.encoding().into())));
                }
            }
        }
        Ok(envelope.child(body))
    }

    fn body_children(&self) -> Result<Vec<Child>, Refusal> {
        let input = self.operation.input;
        let rendering = rendering(&self.operation, input.encoded, self.uncarried);
        if let [root] = input.roots.as_slice() {
            let mut child = rendering.element_of(*root, &self.body, 0)?;
            if let Child::Tree(tree) = &mut child {
                // The operation's own element is no value: it has no type to name.
                tree.attributes.retain(|(name, _)| self.body.xsi_type.is_some() || !name.is(XSI_NS, "type"));
            }
            return Ok(vec![child]);
        }
        let mut left: Vec<Node> = self.body.nodes().iter().flat_map(Node::each).map(std::borrow::Cow::into_owned).collect();
        let mut children = Vec::with_capacity(input.roots.len());
        for root in &input.roots {
            let Some(decl) = self.operation.contract.schemas.element(*root) else { continue };
            let at = left.iter().position(|node| decl.name.answers_to(&node.name));
            let node = at.map(|at| left.remove(at)).ok_or_else(|| Refusal::at(&decl.name.local, Reason::Missing))?;
            children.push(rendering.element_of(*root, &node, 0).map_err(|r| r.inside(&decl.name.local))?);
        }
        match left.first() {
            None => Ok(children),
            Some(unknown) => {
                let names = input.roots.iter().filter_map(|id| self.operation.contract.schemas.element(*id)).map(|d| &*d.name.local);
                Err(Refusal::at(&unknown.name, Reason::UnknownElement(nearest(Node::local(&unknown.name), names).map(Into::into))))
            }
        }
    }
}

const fn rendering<'a>(operation: &OperationRef<'a>, encoded: bool, uncarried: Uncarried) -> Rendering<'a> {
    Rendering { contract: operation.contract, version: operation.port.version, encoded, uncarried }
}

/// A header block that the contract declares for an operation, or any global element of its schemas, checked as a body is.
///
/// # Errors
/// There is no such element, or the values do not fit it.
pub fn header(operation: &OperationRef<'_>, block: &Node, uncarried: Uncarried) -> Result<Tree, Refusal> {
    let schemas = &operation.contract.schemas;
    let declared = operation.input.headers.iter().find(|h| schemas.element(h.element).is_some_and(|d| d.name.answers_to(&block.name)));
    let (element, encoded) = if let Some(header) = declared {
        (Some(header.element), header.encoded)
    } else {
        let (namespace, local) = Name::split(&block.name);
        (schemas.element_named(&Name::new(namespace.unwrap_or_default(), local)), false)
    };
    let Some(element) = element else {
        let names = operation.input.headers.iter().filter_map(|h| schemas.element(h.element)).map(|d| &*d.name.local);
        let near: Option<Arc<str>> = nearest(Node::local(&block.name), names).map(Into::into);
        return Err(Refusal::at(&block.name, Reason::UnknownElement(near)));
    };
    match rendering(operation, encoded, uncarried).element_of(element, block, 0).map_err(|r| r.inside(&block.name))? {
        Child::Tree(tree) => Ok(tree),
        Child::Lexical(_) => Err(Refusal::here(Reason::NoElements)),
    }
}
