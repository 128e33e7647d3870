//! What a WSDL offers: services, ports, operations and their messages.

use super::schema::{ElementId, Schemas};
use crate::diagnose::nearest;
use std::fmt;
use std::sync::Arc;

/// A version of SOAP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// SOAP 1.1 (W3C note of May 2000).
    V11,
    /// SOAP 1.2 (W3C recommendation, second edition).
    V12,
}

impl Version {
    /// The namespace of its envelope.
    pub const fn envelope(self) -> &'static str {
        match self {
            Self::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Self::V12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }

    /// The namespace of its encoding.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::V11 => super::documents::ENCODING_11,
            Self::V12 => super::documents::ENCODING_12,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V11 => "SOAP 1.1",
            Self::V12 => "SOAP 1.2",
        })
    }
}

/// How a body is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// The body holds what the schema declares.
    Document,
    /// The body holds an element named after the operation, and in it the parts.
    Rpc,
}

/// A checked contract. What was not understood is a warning, and only the operation that needs it can't be used.
#[derive(Debug)]
pub struct Contract {
    /// In the order of the file.
    pub services: Vec<Service>,
    /// All types and elements.
    pub schemas: Schemas,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: Arc<str>,
    /// Those that speak SOAP over HTTP, in the order of the file.
    pub ports: Vec<Port>,
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// Its name.
    pub name: Arc<str>,
    /// The SOAP that it speaks.
    pub version: Version,
    /// Where it is, as the file says; a target's own address usually stands in its place.
    pub address: Option<Arc<str>>,
    /// In the order of the file.
    pub operations: Vec<Operation>,
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name.
    pub name: Arc<str>,
    /// The action; empty for none.
    pub action: Arc<str>,
    /// How its bodies are made.
    pub style: Style,
    /// What the WSDL says about it.
    pub documentation: Option<Arc<str>>,
    /// What is sent, or why it can't be.
    pub input: Result<Message, Arc<str>>,
    /// What comes back; `None` for one-way operations.
    pub output: Option<Result<Message, Arc<str>>>,
    /// The faults that it declares.
    pub faults: Vec<FaultMessage>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The elements right inside the body. One but for document style with several parts, or none.
    pub roots: Vec<ElementId>,
    /// Whether it is of the SOAP encoding: types stand at the elements.
    pub encoded: bool,
    /// The header blocks that the binding declares.
    pub headers: Vec<Header>,
}

/// A header block.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Its element.
    pub element: ElementId,
    /// Whether it is of the SOAP encoding.
    pub encoded: bool,
}

/// A fault that an operation declares.
#[derive(Clone, Debug)]
pub struct FaultMessage {
    /// Its name.
    pub name: Arc<str>,
    /// The element in its detail, where it could be read.
    pub detail: Option<ElementId>,
}

/// An operation of a port of a service.
#[derive(Clone, Copy, Debug)]
pub struct OperationRef<'a> {
    /// The contract.
    pub contract: &'a Contract,
    /// The service.
    pub service: &'a Service,
    /// The port.
    pub port: &'a Port,
    /// The operation.
    pub operation: &'a Operation,
    /// The operation's input: what is sent.
    pub input: &'a Message,
}

/// Why there is no such operation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindError {
    /// No service of this name.
    #[error("the WSDL has no service `{name}`{}", near(.nearest.as_deref()))]
    Service {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// No port of this name that speaks SOAP.
    #[error("the WSDL has no SOAP port `{name}`{}", near(.nearest.as_deref()))]
    Port {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// No operation of this name.
    #[error("the WSDL has no operation `{name}`{}", near(.nearest.as_deref()))]
    Operation {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// Several services have one.
    #[error("several services have an operation `{name}`: {}", .services.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Who has it.
        services: Vec<Arc<str>>,
    },
    /// The WSDL has it, but Kith does not understand its input.
    #[error("the operation `{name}` can't be used: {why}")]
    NotUnderstood {
        /// What was asked for.
        name: String,
        /// Why.
        why: Arc<str>,
    },
}

fn near(word: Option<&str>) -> String {
    word.map(|w| format!("; `{w}` is near")).unwrap_or_default()
}

impl Contract {
    /// An operation by name, in the service and port that are asked for. Without them in the one service that has it, and there in the
    /// first port of the file that has it.
    ///
    /// # Errors
    /// There is none, several services have one, or it can't be used.
    pub fn find(&self, service: Option<&str>, port: Option<&str>, operation: &str) -> Result<OperationRef<'_>, FindError> {
        let known = |wanted: &str, names: Vec<&Arc<str>>| nearest(wanted, names.iter().map(|n| &***n)).map(Into::into);
        let services: Vec<&Service> = self.services.iter().filter(|s| service.is_none_or(|w| *s.name == *w)).collect();
        if let (Some(name), true) = (service, services.is_empty()) {
            let nearest = known(name, self.services.iter().map(|s| &s.name).collect());
            return Err(FindError::Service { name: name.to_owned(), nearest });
        }
        let ports: Vec<(&Service, &Port)> =
            services.iter().flat_map(|s| s.ports.iter().filter(|p| port.is_none_or(|w| *p.name == *w)).map(move |p| (*s, p))).collect();
        if let (Some(name), true) = (port, ports.is_empty()) {
            let nearest = known(name, services.iter().flat_map(|s| &s.ports).map(|p| &p.name).collect());
            return Err(FindError::Port { name: name.to_owned(), nearest });
        }
        let found: Vec<(&Service, &Port, &Operation)> =
            ports.iter().filter_map(|(s, p)| p.operations.iter().find(|o| *o.name == *operation).map(|o| (*s, *p, o))).collect();
        let Some((first, port, found_operation)) = found.first().copied() else {
            let nearest = known(operation, ports.iter().flat_map(|(_, p)| &p.operations).map(|o| &o.name).collect());
            return Err(FindError::Operation { name: operation.to_owned(), nearest });
        };
        let mut names: Vec<Arc<str>> = found.iter().map(|(s, _, _)| Arc::clone(&s.name)).collect();
        names.dedup();
        if names.len() > 1 {
            return Err(FindError::Ambiguous { name: operation.to_owned(), services: names });
        }
        match &found_operation.input {
            Ok(input) => Ok(OperationRef { contract: self, service: first, port, operation: found_operation, input }),
            Err(why) => Err(FindError::NotUnderstood { name: operation.to_owned(), why: Arc::clone(why) }),
        }
    }

    /// Every operation that can be used, in the order of the file.
    pub fn operations(&self) -> impl Iterator<Item = OperationRef<'_>> {
        self.services.iter().flat_map(move |service| {
            service.ports.iter().flat_map(move |port| {
                port.operations.iter().filter_map(move |operation| {
                    let input = operation.input.as_ref().ok()?;
                    Some(OperationRef { contract: self, service, port, operation, input })
                })
            })
        })
    }
}
