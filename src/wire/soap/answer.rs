//! What came back: an answer, a fault, or one of the many things that services send instead.

use super::mime;
use super::multiref;
use crate::wire::wsdl::Version;
use crate::wire::xml::{self, Element, Item, Limits, Name, XmlError, XmlErrorKind};
use std::borrow::Cow;
use std::fmt;

/// What an answer turned out to be. Only [`Reading::Answer`] says that the service did what it was asked.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made for each request, and moved once")]
pub enum Reading {
    /// An envelope with something else than a fault in it, or with nothing.
    Answer(Answer),
    /// A fault.
    Fault(Fault),
    /// No SOAP.
    NotSoap(NotSoap),
}

/// What services, proxies and portals send in place of SOAP.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotSoap {
    /// No bytes but blanks: usual for one-way operations (HTTP 202), and for services that died.
    #[error("the answer is empty")]
    Empty,
    /// A page for people: a login form, a proxy's or a server's error.
    #[error("a page for people in place of an answer: a login page, a proxy's or a server's error")]
    Html {
        /// Its title, at most 200 characters.
        title: Option<String>,
    },
    /// Text that is no XML: a stack trace, a message of PHP before the envelope, JSON.
    #[error("the answer is no XML: a stack trace, or a warning before the envelope")]
    Text,
    /// XML that ends in the middle.
    #[error("the answer ends in the middle")]
    CutOff,
    /// XML whose root is no envelope.
    #[error("the answer is XML, and no SOAP envelope")]
    NotAnEnvelope(Name),
    /// An envelope of another kind than SOAP 1.1 and 1.2: its namespace.
    #[error("the answer is an envelope of neither SOAP 1.1 nor 1.2")]
    UnknownVersion(Name),
    /// An envelope that does not hold what one must: no body, or references that lead nowhere.
    #[error("the answer's envelope can't be read: {0}")]
    Broken(&'static str),
    /// Not well-formed, not of its encoding, or with something that is refused, a document type for instance.
    #[error("the answer can't be read: {0}")]
    Malformed(XmlError),
    /// Larger or deeper than answers may be.
    #[error("the answer can't be read: {0}")]
    TooLarge(XmlError),
    /// Parts of which none is the envelope.
    #[error("the answer has several parts, and none is the envelope")]
    Parts,
}

impl Reading {
    /// `Envelope`, where there was one of a version that is known: what paths like `/Body/…` start from.
    pub const fn envelope(&self) -> Option<&Element> {
        match self {
            Self::Answer(answer) => Some(&answer.envelope),
            Self::Fault(fault) => Some(&fault.envelope),
            Self::NotSoap(_) => None,
        }
    }
}

/// An envelope.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The SOAP that it speaks, which need not be the request's.
    pub version: Version,
    /// `Envelope`: what paths like `/Body/…` start from.
    pub envelope: Element,
}

/// A fault of either version. `Debug` shows no text of the service.
#[derive(Clone)]
pub struct Fault {
    /// The SOAP of the envelope.
    pub envelope_version: Version,
    /// The SOAP in whose form the fault is written, which some services mix up.
    pub version: Version,
    /// `faultcode`, or `Code/Value`. Without a namespace where the service forgot to declare the prefix.
    pub code: Name,
    /// The code as it was written, prefix and all.
    pub code_written: String,
    /// `Subcode/Value` of SOAP 1.2, outermost first.
    pub subcodes: Vec<Name>,
    /// `faultstring`, or `Reason/Text`: the English one, else the first.
    pub reason: String,
    /// `faultactor`, or `Role`.
    pub actor: Option<String>,
    /// `detail`, or `Detail`.
    pub detail: Option<Element>,
    /// `Envelope`: what paths like `/Body/Fault/…` start from.
    pub envelope: Element,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Fault({} in {}, {}, {} subcodes, detail {:?})",
            self.version,
            self.envelope_version,
            self.code,
            self.subcodes.len(),
            self.detail
        )
    }
}

impl Fault {
    /// Whose fault it is, as the code says: the sender's, where its first part is `Client` or `Sender` (SOAP 1.1, 4.4.1; 1.2 part 1,
    /// 5.4.6); the receiver's, where it is `Server` or `Receiver`; unknown for a service's own codes.
    pub fn is_senders(&self) -> Option<bool> {
        // SOAP 1.1 allows `Client.Authentication`.
        match self.code.local.split('.').next().unwrap_or_default() {
            "Client" | "Sender" => Some(true),
            "Server" | "Receiver" => Some(false),
            _ => None,
        }
    }
}

impl Answer {
    /// `Body`.
    pub fn body(&self) -> Option<&Element> {
        self.envelope.child(self.version.envelope(), "Body")
    }

    /// The first element of the body: the answer itself.
    pub fn first(&self) -> Option<&Element> {
        self.body().and_then(|body| body.children().next())
    }
}

/// Reads an answer. Never fails: what it is not, it says.
pub fn read(bytes: &[u8], content_type: Option<&str>) -> Reading {
    soap(bytes, content_type).unwrap_or_else(Reading::NotSoap)
}

fn soap(bytes: &[u8], content_type: Option<&str>) -> Result<Reading, NotSoap> {
    let is_multipart = content_type.is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("multipart/"));
    match content_type.filter(|_| is_multipart) {
        Some(kind) => match mime::root_part(bytes, kind) {
            Some((part, part_type)) => one(part, part_type.as_deref()),
            None if bytes.trim_ascii().is_empty() => Err(NotSoap::Empty),
            None => Err(NotSoap::Parts),
        },
        None => one(bytes, content_type),
    }
}

fn one(bytes: &[u8], content_type: Option<&str>) -> Result<Reading, NotSoap> {
    if bytes.trim_ascii().is_empty() {
        return Err(NotSoap::Empty);
    }
    if bytes.len() > Limits::ANSWER.bytes {
        return Err(NotSoap::TooLarge(XmlError { kind: XmlErrorKind::TooLarge(Limits::ANSWER.bytes), offset: Limits::ANSWER.bytes }));
    }
    // What is not of its encoding may still be plainly a page, or no XML at all.
    let text =
        xml::decode(bytes, content_type).map_err(|error| sniffed(&String::from_utf8_lossy(bytes)).unwrap_or(NotSoap::Malformed(error)))?;
    if let Some(other) = sniffed(&text) {
        return Err(other);
    }
    match xml::parse(&text, &Limits::ANSWER) {
        Ok(root) => envelope(root),
        Err(XmlError { kind: XmlErrorKind::CutOff, .. }) => Err(NotSoap::CutOff),
        Err(error) => Err(match error.kind {
            XmlErrorKind::TooLarge(_)
            | XmlErrorKind::TooDeep(_)
            | XmlErrorKind::TooManyElements(_)
            | XmlErrorKind::TooManyAttributes(_) => NotSoap::TooLarge(error),
            XmlErrorKind::UnknownEncoding
            | XmlErrorKind::NotText(_)
            | XmlErrorKind::CutOff
            | XmlErrorKind::Empty
            | XmlErrorKind::Malformed(_)
            | XmlErrorKind::DocType
            | XmlErrorKind::Entity
            | XmlErrorKind::Character
            | XmlErrorKind::Prefix => NotSoap::Malformed(error),
        }),
    }
}

/// What a look at the first bytes tells.
fn sniffed(text: &str) -> Option<NotSoap> {
    let start = text.trim_start();
    if !start.starts_with('<') {
        return Some(NotSoap::Text);
    }
    // A declaration and comments may stand before `<html`.
    let head: String = start.chars().take(1024).collect::<String>().to_ascii_lowercase();
    let mut rest = head.as_str();
    loop {
        rest = rest.trim_start();
        if rest.starts_with("<!doctype html") || rest.starts_with("<html") || rest.starts_with("<head") || rest.starts_with("<body") {
            return Some(NotSoap::Html { title: title(text) });
        }
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            // What PHP and old servers write: text with tags, which is a page as much as it is anything.
            _ if rest.starts_with("<br") || rest.starts_with("<b>") || rest.starts_with("<h1") || rest.starts_with("<p>") => {
                return Some(NotSoap::Html { title: title(text) });
            }
            _ => return None,
        };
        rest = rest.split_once(end)?.1;
    }
}

fn title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let from = lower.find("<title")?;
    let from = from + lower.get(from..)?.find('>')? + 1;
    let to = from + lower.get(from..)?.find("</title")?;
    let title: String = text.get(from..to)?.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    Some(title).filter(|t| !t.is_empty())
}

fn envelope(mut root: Element) -> Result<Reading, NotSoap> {
    if &*root.name.local != "Envelope" {
        return Err(NotSoap::NotAnEnvelope(root.name));
    }
    let Some(version) = [Version::V11, Version::V12].into_iter().find(|v| *root.name.namespace == *v.envelope()) else {
        return Err(NotSoap::UnknownVersion(root.name));
    };
    let body = root.items.iter_mut().find_map(|item| match item {
        Item::Element(element) if element.name.is(version.envelope(), "Body") => Some(element),
        Item::Element(_) | Item::Text(_) => None,
    });
    let body = body.ok_or(NotSoap::Broken("it has no body"))?;
    if multiref::resolve(body).is_err() {
        return Err(NotSoap::Broken("its references lead round in a circle, or to too much"));
    }
    let fault = body.children().find(|c| is_fault(c)).map(|f| fault(f, version));
    Ok(match fault {
        Some(mut fault) => {
            fault.envelope = root;
            Reading::Fault(fault)
        }
        None => Reading::Answer(Answer { version, envelope: root }),
    })
}

/// A fault by name in either version's namespace, whatever the envelope's.
fn is_fault(element: &Element) -> bool {
    &*element.name.local == "Fault" && [Version::V11, Version::V12].iter().any(|v| *element.name.namespace == *v.envelope())
}

/// A child by local name: faults are written with and without prefixes.
fn child<'e>(element: &'e Element, local: &str) -> Option<&'e Element> {
    element.children().find(|c| &*c.name.local == local)
}

fn fault(fault: &Element, envelope_version: Version) -> Fault {
    let code_12 = child(fault, "Code");
    // The form decides, not the namespace: `faultcode` is 1.1's, `Code` 1.2's.
    let version = match (child(fault, "faultcode"), code_12) {
        (Some(_), _) => Version::V11,
        (None, Some(_)) => Version::V12,
        (None, None) => envelope_version,
    };
    let value = |element: &Element| child(element, "Value").map(|v| (qname(v), v.text().trim().to_owned()));
    let (code, code_written) = match version {
        Version::V11 => child(fault, "faultcode").map(|c| (qname(c), c.text().trim().to_owned())),
        Version::V12 => code_12.and_then(value),
    }
    .unwrap_or_else(|| (Name::local(""), String::new()));
    let mut subcodes = Vec::new();
    let mut at = code_12.and_then(|c| child(c, "Subcode"));
    while let Some(subcode) = at {
        subcodes.extend(value(subcode).map(|(name, _)| name));
        at = child(subcode, "Subcode");
    }
    let text = |element: Option<&Element>| element.map(|e| e.text().trim().to_owned());
    let reason = match version {
        Version::V11 => text(child(fault, "faultstring")),
        Version::V12 => child(fault, "Reason").and_then(|reason| {
            let texts: Vec<&Element> = reason.children().filter(|c| &*c.name.local == "Text").collect();
            let english = texts.iter().find(|t| t.attribute_in(xml::XML_NS, "lang").is_some_and(|l| l.starts_with("en")));
            text(english.or(texts.first()).copied())
        }),
    };
    Fault {
        envelope_version,
        version,
        code,
        code_written,
        subcodes,
        reason: reason.unwrap_or_default(),
        actor: text(child(fault, "faultactor").or_else(|| child(fault, "Role"))).filter(|a| !a.is_empty()),
        detail: child(fault, "detail").or_else(|| child(fault, "Detail")).cloned(),
        // Replaced by the whole envelope, which this element is still part of here.
        envelope: Element {
            items: Vec::new(),
            attributes: Vec::new(),
            name: fault.name.clone(),
            scope: std::sync::Arc::clone(&fault.scope),
            tag: fault.tag,
        },
    }
}

/// The name in an element's text; without a namespace where its prefix is not declared.
fn qname(element: &Element) -> Name {
    let text: Cow<'_, str> = element.text();
    let text = text.trim();
    element.scope.qname(text).unwrap_or_else(|| Name::local(text.rsplit(':').next().unwrap_or(text)))
}
