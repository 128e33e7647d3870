//! A WSDL with all that it imports, fetched once from inside the company into a folder: names become local, and nothing leads elsewhere.

use super::http::{Client, Extent, Request, SendError, Url};
use super::xml::{self, Element, Limits};
use std::collections::VecDeque;

/// The largest contracts that vendors publish come in about 150 documents.
const MOST_FILES: usize = 300;
/// Of all documents together.
const MOST_BYTES: usize = 64 << 20;
/// Redirects of one document; each is looked at.
const MOST_REDIRECTS: usize = 5;

/// A document as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Its name in the folder.
    pub name: String,
    /// Where it came from.
    pub from: String,
    /// UTF-8, with local names where it imports.
    pub text: String,
}

/// Why it can't be fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VendorError {
    /// An address that is none.
    #[error("`{0}` is no `http` or `https` address")]
    Address(String),
    /// It leads to a host that nobody named.
    #[error("{from} leads to the host `{host}`, which was not named")]
    OtherHost {
        /// Which document.
        from: String,
        /// The host.
        host: String,
    },
    /// No answer.
    #[error("{from} can't be fetched: {why}")]
    NotFetched {
        /// Which document.
        from: String,
        /// Why.
        why: String,
    },
    /// No document.
    #[error("{from} is no WSDL and no schema: {why}")]
    NoDocument {
        /// Which.
        from: String,
        /// Why.
        why: String,
    },
    /// Too much.
    #[error("there are more than {0}")]
    TooMuch(&'static str),
}

/// Fetches a WSDL and everything that it imports, the WSDL first. Only its own host is asked, and those of `hosts`; redirects as well.
///
/// # Errors
/// Where one of them can't be had.
pub async fn fetch(
    client: &Client,
    url: &str,
    hosts: &[String],
    authorization: Option<super::http::Authorization>,
) -> Result<Vec<Document>, VendorError> {
    let first = parsed(url)?;
    let own = host(&first).ok_or_else(|| VendorError::Address(url.to_owned()))?;
    let allowed = |host: &str| host == own || hosts.iter().any(|named| named.eq_ignore_ascii_case(host));
    let mut names: Vec<(String, String)> = vec![(url.to_owned(), name_of(&first, "wsdl", &[]))];
    let mut queue: VecDeque<usize> = VecDeque::from([0]);
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while let Some(at) = queue.pop_front() {
        let Some((from, name)) = names.get(at).cloned() else { break };
        // The login is the first host's alone.
        let login = authorization.clone().filter(|_| parsed(&from).ok().and_then(|u| host(&u)).as_deref() == Some(own.as_str()));
        let (body, base) = get(client, &from, &allowed, login).await?;
        bytes += body.len();
        if bytes > MOST_BYTES {
            return Err(VendorError::TooMuch("64 MiB of documents"));
        }
        let fail = |why: String| VendorError::NoDocument { from: from.clone(), why };
        let text = xml::decode(&body, None).map_err(|error| fail(error.to_string()))?;
        let root = xml::parse(&text, &Limits::CONTRACT).map_err(|error| fail(error.to_string()))?;
        if !matches!(&*root.name.local, "definitions" | "schema") {
            return Err(fail("its root is neither `definitions` nor `schema`".into()));
        }
        let base = parsed(&base)?;
        let mut places = Vec::new();
        imports(&root, &mut places);
        let mut edits = Vec::new();
        for (element, attribute) in places {
            let Some(location) = element.attribute(attribute) else { continue };
            let target = base.join(location.trim()).map_err(|_source| VendorError::Address(location.to_owned()))?;
            let target_host = host(&target).ok_or_else(|| VendorError::Address(location.to_owned()))?;
            if !allowed(&target_host) {
                return Err(VendorError::OtherHost { from: from.clone(), host: target_host });
            }
            let mut plain = target.clone();
            plain.set_fragment(None);
            let found = names.iter().position(|(known, _)| *known == plain.as_str());
            let index = match found {
                Some(index) => index,
                None if names.len() >= MOST_FILES => return Err(VendorError::TooMuch("300 documents")),
                None => {
                    let ending = if attribute == "location" { "wsdl" } else { "xsd" };
                    let taken: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
                    let name = name_of(&plain, ending, &taken);
                    names.push((plain.to_string(), name));
                    queue.push_back(names.len() - 1);
                    names.len() - 1
                }
            };
            if let Some((_, local)) = names.get(index) {
                edits.push((element.tag, attribute, local.clone()));
            }
        }
        documents.push(Document { name, from: from.clone(), text: rewritten(&text, &edits) });
    }
    Ok(documents)
}

fn parsed(url: &str) -> Result<Url, VendorError> {
    let parsed = Url::parse(url).map_err(|_source| VendorError::Address(url.to_owned()))?;
    let plain = matches!(parsed.scheme(), "http" | "https") && parsed.username().is_empty() && parsed.password().is_none();
    if plain { Ok(parsed) } else { Err(VendorError::Address(format!("{}://…", parsed.scheme()))) }
}

fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

async fn get(
    client: &Client,
    from: &str,
    allowed: &dyn Fn(&str) -> bool,
    authorization: Option<super::http::Authorization>,
) -> Result<(Vec<u8>, String), VendorError> {
    let mut url = from.to_owned();
    let failed = |why: String| VendorError::NotFetched { from: from.to_owned(), why };
    for hop in 0..=MOST_REDIRECTS {
        let authorization = authorization.clone().filter(|_| hop == 0);
        let request = Request { method: "GET", url: url.clone(), headers: Vec::new(), authorization, body: None };
        let reply = client.send(request).await.map_err(|error| match error {
            SendError::NotSent(why) | SendError::Unanswered(why) => failed(why),
            SendError::Unsendable(why) => failed(why.to_string()),
        })?;
        match reply.status {
            200 if reply.extent == Extent::Whole => return Ok((reply.body, url)),
            200 => return Err(failed("it is cut off, or larger than a document may be".into())),
            301 | 302 | 303 | 307 | 308 => {
                let location = reply.header("location").ok_or_else(|| failed("it redirects to nowhere".into()))?;
                let next = parsed(&url)?.join(location).map_err(|_source| failed("it redirects to what is no address".into()))?;
                let next = parsed(next.as_str())?;
                let next_host = host(&next).unwrap_or_default();
                if !allowed(&next_host) {
                    return Err(VendorError::OtherHost { from: from.to_owned(), host: next_host });
                }
                if url.starts_with("https:") && next.scheme() == "http" {
                    return Err(failed("it redirects to an address that is not encrypted".into()));
                }
                url = next.to_string();
            }
            status => return Err(failed(format!("HTTP {status}"))),
        }
    }
    Err(failed(format!("it redirects more than {MOST_REDIRECTS} times")))
}

/// Every element that names another document, with the attribute that does.
fn imports<'e>(element: &'e Element, into: &mut Vec<(&'e Element, &'static str)>) {
    const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
    const XSD: &str = "http://www.w3.org/2001/XMLSchema";
    if element.name.is(WSDL, "import") && element.attribute("location").is_some() {
        into.push((element, "location"));
    }
    let names_schema = ["import", "include", "redefine"].iter().any(|local| element.name.is(XSD, local));
    if names_schema && element.attribute("schemaLocation").is_some() {
        into.push((element, "schemaLocation"));
    }
    for child in element.children() {
        imports(child, into);
    }
}

/// A name for a document, of its address, that no other has.
fn name_of(url: &Url, ending: &str, taken: &[&str]) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back().map(str::to_owned)).unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last.as_str(), |(stem, _)| stem);
    // `service?xsd=1` and `service?xsd=2` are two.
    let query = url.query().filter(|query| !query.eq_ignore_ascii_case("wsdl")).unwrap_or_default();
    let plain: String = format!("{stem}-{query}").chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let stem = plain.trim_matches('-');
    let stem: String = if stem.is_empty() { "service".to_owned() } else { stem.chars().take(80).collect() };
    let mut name = format!("{stem}.{ending}");
    let mut count = 2;
    while taken.contains(&name.as_str()) {
        name = format!("{stem}-{count}.{ending}");
        count += 1;
    }
    name
}

/// The text with local names in those tags, and the declaration that fits it.
fn rewritten(text: &str, edits: &[((usize, usize), &'static str, String)]) -> String {
    let mut edits: Vec<_> = edits.iter().collect();
    edits.sort_by_key(|((start, _), _, _)| *start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for ((start, end), attribute, name) in edits {
        let tag = text.get(*start..*end).unwrap_or_default();
        if let Some((value_start, value_end)) = value_of(tag, attribute) {
            out.push_str(text.get(from..start + value_start).unwrap_or_default());
            out.push_str(name);
            from = start + value_end;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    // It is written as UTF-8, whatever it was.
    let body = match out.trim_start_matches('\u{feff}').trim_start().strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, behind)| behind).trim_start().to_owned(),
        None => out.trim_start_matches('\u{feff}').to_owned(),
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}")
}

/// Where the value of an attribute without a prefix stands in a start tag: behind its first quotation mark and before its last.
fn value_of(tag: &str, attribute: &str) -> Option<(usize, usize)> {
    let bytes = tag.as_bytes();
    let mut at = 1;
    // Names and values alternate; a value may hold anything but its own quotation mark.
    while at < bytes.len() {
        let name_start = at;
        while bytes.get(at).is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b'=' | b'>' | b'/')) {
            at += 1;
        }
        let name = tag.get(name_start..at)?;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if bytes.get(at) != Some(&b'=') {
            at = at.max(name_start + 1);
            continue;
        }
        at += 1;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let quote = *bytes.get(at).filter(|b| matches!(b, b'"' | b'\''))?;
        let start = at + 1;
        let length = bytes.get(start..)?.iter().position(|b| *b == quote)?;
        if name == attribute {
            return Some((start, start + length));
        }
        at = start + length + 1;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_become_local_names_and_nothing_else_changes() {
        let text =
            "<?xml version='1.0' encoding='ISO-8859-1'?>\n<d><i  x='location=\"no\"'\n schemaLocation = 'http://a/b?xsd=1' y=\"1\"/>é</d>";
        let start = text.find("<i").unwrap();
        let end = start + text.get(start..).and_then(|rest| rest.find("/>")).unwrap() + 2;
        let out = rewritten(text, &[((start, end), "schemaLocation", "b-xsd-1.xsd".into())]);
        assert_eq!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d><i  x='location=\"no\"'\n schemaLocation = 'b-xsd-1.xsd' y=\"1\"/>é</d>"
        );
    }

    #[test]
    fn each_document_has_a_name_of_its_own_below_the_folder() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(name_of(&url("http://h/crm/service.asmx?WSDL"), "wsdl", &[]), "service.wsdl");
        assert_eq!(name_of(&url("http://h/crm?xsd=xsd0"), "xsd", &[]), "crm-xsd-xsd0.xsd");
        assert_eq!(name_of(&url("http://h/a/../%2e%2e/"), "xsd", &["service.xsd"]), "service-2.xsd");
        assert_eq!(name_of(&url("http://h/types.xsd"), "xsd", &["types.xsd"]), "types-2.xsd");
    }
}
