//! The documents of a contract, parsed, and which of them an import means.

use crate::diagnose::{Code, Diagnostic, Place, Problems, SourceFile, Span};
use crate::wire::xml::{self, Element, Limits, XmlError, XmlErrorKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// WSDL 1.1.
pub(super) const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
/// XML Schema 1.0.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// The SOAP encoding (SOAP 1.1, 5).
pub const ENCODING_11: &str = "http://schemas.xmlsoap.org/soap/encoding/";
/// The SOAP encoding of SOAP 1.2 (part 2, 3).
pub const ENCODING_12: &str = "http://www.w3.org/2003/05/soap-encoding";

/// Complaints about one contract that are kept: nobody reads more.
const MOST_PROBLEMS: usize = 200;

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    /// Its name among the others, with `/` between folders.
    pub name: String,
    /// Its text.
    pub file: Arc<SourceFile>,
    /// Its root.
    pub root: Result<Element, XmlError>,
}

/// All that were given.
#[derive(Debug)]
pub(super) struct Documents(pub Vec<Document>);

impl Documents {
    pub(super) fn parse(files: &BTreeMap<String, Vec<u8>>, shown: &dyn Fn(&str) -> String) -> Self {
        Self(files.iter().map(|(name, bytes)| Document::parse(name, shown(name), bytes)).collect())
    }

    pub(super) fn get(&self, at: usize) -> Option<&Document> {
        self.0.get(at)
    }

    /// The root of a document that could be read.
    pub(super) fn root(&self, at: usize) -> Option<&Element> {
        self.get(at).and_then(|d| d.root.as_ref().ok())
    }

    /// The document of a name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|d| d.name == name)
    }

    /// Which document an import means: by path from the importing one, by file name, by target namespace of the root `root`.
    pub(super) fn resolve(&self, from: usize, location: Option<&str>, namespace: Option<&str>, root: (&str, &str)) -> Option<usize> {
        if let Some(location) = location.map(str::trim).filter(|l| !l.is_empty()) {
            let folder = self.get(from).and_then(|d| d.name.rsplit_once('/')).map_or("", |(folder, _)| folder);
            let exact = joined(folder, location).and_then(|path| self.named(&path));
            // `http://host/x/y.xsd` and `y.xsd?wsdl` are looked for as `y.xsd`; `crm.wsdl?xsd=xsd0` also as it stands.
            let last = location.rsplit('/').next().unwrap_or(location);
            let plain = last.split(['?', '#']).next().unwrap_or(last);
            let by_file = [last, plain].into_iter().find_map(|file| self.only(|d| d.name.rsplit('/').next() == Some(file)));
            if let Some(found) = exact.or(by_file) {
                return Some(found);
            }
        }
        let namespace = namespace?;
        let fits = |d: &Document| {
            d.root.as_ref().is_ok_and(|r| r.name.is(root.0, root.1) && r.attribute("targetNamespace").unwrap_or_default() == namespace)
        };
        self.0.iter().enumerate().find(|(at, d)| *at != from && fits(d)).map(|(at, _)| at)
    }

    fn only(&self, fits: impl Fn(&Document) -> bool) -> Option<usize> {
        let mut found = self.0.iter().enumerate().filter(|(_, d)| fits(d)).map(|(at, _)| at);
        found.next().filter(|_| found.next().is_none())
    }
}

impl Document {
    fn parse(name: &str, shown: String, bytes: &[u8]) -> Self {
        let decoded = if bytes.len() > Limits::CONTRACT.bytes {
            Err(XmlError { kind: XmlErrorKind::TooLarge(Limits::CONTRACT.bytes), offset: 0 })
        } else {
            xml::decode(bytes, None)
        };
        let (text, root) = match decoded {
            Ok(text) => {
                let root = xml::parse(&text, &Limits::CONTRACT);
                (text.into_owned(), root)
            }
            Err(error) => (String::new(), Err(error)),
        };
        Self { name: name.to_owned(), file: Arc::new(SourceFile { name: shown, text }), root }
    }

    /// A place in it.
    pub(super) fn place(&self, element: &Element) -> Place {
        Place::InFile(Arc::clone(&self.file), Span { start: element.tag.0, end: element.tag.1 })
    }

    /// What is wrong with it, where it can't be read.
    pub(super) fn unreadable(&self, error: XmlError) -> Diagnostic {
        let place = if self.file.text.is_empty() {
            Place::Path(self.file.name.clone())
        } else {
            let start = (0..=error.offset.min(self.file.text.len())).rev().find(|at| self.file.text.is_char_boundary(*at)).unwrap_or(0);
            Place::InFile(Arc::clone(&self.file), Span { start, end: start })
        };
        let remedy = match error.kind {
            XmlErrorKind::DocType | XmlErrorKind::Entity => {
                return Diagnostic::error(
                    Code("KITH-W003"),
                    place,
                    error.to_string(),
                    "Remove the `<!DOCTYPE …>` and write out its entities; a WSDL or schema needs neither",
                );
            }
            XmlErrorKind::TooLarge(_)
            | XmlErrorKind::TooDeep(_)
            | XmlErrorKind::TooManyElements(_)
            | XmlErrorKind::TooManyAttributes(_) => {
                return Diagnostic::error(
                    Code("KITH-W004"),
                    place,
                    error.to_string(),
                    "Cut the WSDL down to the operations that are used; vendors' tools can write one for a selection",
                );
            }
            XmlErrorKind::UnknownEncoding | XmlErrorKind::NotText(_) => {
                "Save the file as UTF-8 and say so in its first line, or nothing at all"
            }
            XmlErrorKind::CutOff => "Fetch the file again: its end is missing",
            XmlErrorKind::Empty | XmlErrorKind::Malformed(_) | XmlErrorKind::Character | XmlErrorKind::Prefix => {
                "Fetch the file again; where a login page or an error page was saved in its place, log in first"
            }
        };
        Diagnostic::error(Code("KITH-W002"), place, error.to_string(), remedy)
    }
}

/// A path relative to a folder, with `.` and `..` taken out. `None` where it leads out of the root or is a URL.
fn joined(folder: &str, location: &str) -> Option<String> {
    if location.contains("://") || location.starts_with('/') {
        return None;
    }
    let location = location.replace('\\', "/");
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in location.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Complaints, each once and not without end.
#[derive(Debug, Default)]
pub(super) struct Complaints(pub Problems);

impl Complaints {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        let problems = &mut self.0;
        // An error is always kept: without one the contract would count as good.
        let room = problems.0.len() < MOST_PROBLEMS || diagnostic.severity == crate::diagnose::Severity::Error;
        if room && !problems.0.contains(&diagnostic) {
            problems.push(diagnostic);
        }
    }
}
