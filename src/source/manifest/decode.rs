//! From an answer's bytes to values: unpacked, decoded, and records picked out without reading what nobody looks at.

use crate::manifest::encoding::Encoding;
use crate::manifest::json::{Json, Members};
use crate::manifest::source::Decoder;
use crate::wire::xml::{self, Element, Item};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

/// 256 MiB: four times the longest answer that is read; text packs about ten times, and what packs a hundred times is made to harm.
pub const MOST_UNPACKED: u64 = 256 << 20;

/// Why an answer is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is packed, and can't be unpacked.
    #[error("the answer can't be unpacked")]
    Packed,
    /// Unpacked it is longer than its limit.
    #[error("the answer is longer than {MOST_UNPACKED} bytes when it is unpacked")]
    TooLong,
    /// It is not in the form that the manifest says.
    #[error("the answer is not {0}")]
    Form(&'static str),
}

/// Unpacks gzip.
///
/// # Errors
/// Where it can't be, or is too long.
pub fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MOST_UNPACKED + 1);
    reader.read_to_end(&mut out).map_err(|_damaged| DecodeError::Packed)?;
    if u64::try_from(out.len()).is_ok_and(|length| length > MOST_UNPACKED) {
        return Err(DecodeError::TooLong);
    }
    Ok(out)
}

/// The values of an answer: of JSON the whole, or each item where it is a list.
///
/// # Errors
/// Where it is not in the decoder's form. The reference takes such an answer for one without records, which would look like the end of a stream.
pub fn decode(decoder: &Decoder, bytes: &[u8]) -> Result<Vec<Json>, DecodeError> {
    match decoder {
        // No content is no records.
        Decoder::Json if bytes.iter().all(u8::is_ascii_whitespace) => Ok(vec![Json::object()]),
        Decoder::Json => match Json::parse(bytes) {
            Ok(Json::List(items)) if items.is_empty() => Ok(vec![Json::object()]),
            Ok(Json::List(items)) => Ok(Arc::unwrap_or_clone(items)),
            Ok(value) => Ok(vec![value]),
            Err(_no_json) => Err(DecodeError::Form("JSON")),
        },
        Decoder::JsonLines => {
            // A line that is no JSON is left out, as in the reference.
            Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| Json::parse(line).ok()).collect())
        }
        Decoder::Lines => {
            let text = std::str::from_utf8(bytes).map_err(|_no_text| DecodeError::Form("lines of text"))?;
            Ok(lines(text).map(|line| Json::Map(Arc::new([("record".into(), Json::text(line))].into_iter().collect()))).collect())
        }
        Decoder::Xml => {
            let text = xml::decode(bytes, None).map_err(|_no_text| DecodeError::Form("XML"))?;
            let root = xml::parse(&text, &xml::Limits::ANSWER).map_err(|_no_xml| DecodeError::Form("XML"))?;
            let mut members = Members::new();
            members.insert(written(&root, &text).0.into(), of_xml(&root, &text));
            Ok(vec![Json::Map(Arc::new(members))])
        }
        Decoder::Csv { delimiter, nulls, encoding } => csv_rows(&as_utf8(*encoding, bytes)?, *delimiter, nulls),
        Decoder::JsonItems { at, encoding } => {
            let whole = Json::parse(&as_utf8(*encoding, bytes)?).map_err(|_no_json| DecodeError::Form("JSON"))?;
            let mut found = Vec::new();
            listed(&whole, at, &mut found);
            Ok(found)
        }
        Decoder::Zip(inner) => unzipped(inner, bytes),
        Decoder::Gzip(inner) => {
            if bytes.starts_with(&[0x1f, 0x8b]) {
                decode(inner, &gunzip(bytes)?)
            } else {
                decode(inner, bytes)
            }
        }
    }
}

fn as_utf8(encoding: Encoding, bytes: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    encoding.decode(bytes).ok_or(DecodeError::Form("in the encoding that the manifest says"))
}

/// The items of the list at a path; on the way `item` means each item of a list.
fn listed(value: &Json, at: &[String], found: &mut Vec<Json>) {
    match (at.split_first(), value) {
        (None, Json::List(items)) => found.extend(items.iter().cloned()),
        (Some((segment, rest)), Json::List(items)) if segment == "item" => items.iter().for_each(|item| listed(item, rest, found)),
        (Some((segment, rest)), Json::Map(members)) => {
            members.get(segment.as_str()).into_iter().for_each(|inner| listed(inner, rest, found));
        }
        _ => {}
    }
}

/// The values of each file of an archive, in its order.
fn unzipped(inner: &Decoder, bytes: &[u8]) -> Result<Vec<Json>, DecodeError> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|_damaged| DecodeError::Packed)?;
    let (mut values, mut left) = (Vec::new(), MOST_UNPACKED);
    for position in 0..archive.len() {
        let mut file = archive.by_index(position).map_err(|_damaged| DecodeError::Packed)?;
        if file.is_dir() {
            continue;
        }
        let mut content = Vec::new();
        let read = file.by_ref().take(left + 1).read_to_end(&mut content).map_err(|_damaged| DecodeError::Packed)?;
        left = u64::try_from(read).ok().and_then(|read| left.checked_sub(read)).ok_or(DecodeError::TooLong)?;
        values.extend(decode(inner, &content)?);
    }
    Ok(values)
}

/// Lines that end with `\n`, `\r` or both, as Python's `bytes.splitlines` finds them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = match rest.find(['\n', '\r']) {
            None => (rest, ""),
            Some(at) => {
                let (line, end) = rest.split_at(at);
                (line, end.strip_prefix("\r\n").or_else(|| end.get(1..)).unwrap_or_default())
            }
        };
        rest = after;
        Some(line)
    })
}

fn csv_rows(bytes: &[u8], delimiter: u8, nulls: &[String]) -> Result<Vec<Json>, DecodeError> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
    let wrong = |_: csv::Error| DecodeError::Form("CSV");
    let names: Vec<Arc<str>> = reader.headers().map_err(wrong)?.iter().map(Arc::from).collect();
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(wrong)?;
        let mut members = Members::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let value = match row.get(at) {
                Some(text) if !nulls.iter().any(|null| null == text) => Json::text(text),
                Some(_) | None => Json::Null,
            };
            members.insert(name.clone(), value);
        }
        rows.push(Json::Map(Arc::new(members)));
    }
    Ok(rows)
}

/// The name and the attributes of a start tag as they were written, with prefixes and declarations of namespaces.
fn written(element: &Element, text: &str) -> (String, Vec<(String, String)>) {
    let tag = text.get(element.tag.0..element.tag.1).unwrap_or_default();
    let inner = tag.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/');
    let end = inner.find(char::is_whitespace).unwrap_or(inner.len());
    let (name, mut rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let mut values = element.attributes.iter();
    let mut attributes = Vec::new();
    // Each turn takes an attribute off; the parser has seen that they are well formed.
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next() else { break };
        let Some((raw, after)) = after.get(1..).and_then(|value| value.split_once(quote)) else { break };
        let name = name.trim();
        let value = if name == "xmlns" || name.starts_with("xmlns:") {
            raw.to_owned()
        } else {
            values.next().map_or_else(String::new, |a| a.value.clone())
        };
        attributes.push((name.to_owned(), value));
        rest = after;
    }
    (name.to_owned(), attributes)
}

/// As xmltodict shows an element: attributes with `@`, text beside them in `#text`, repeated elements as a list.
fn of_xml(element: &Element, text: &str) -> Json {
    let mut members = Members::new();
    for (name, value) in written(element, text).1 {
        members.insert(format!("@{name}").into(), Json::Text(value.into()));
    }
    // Names that are lists already: a child that is itself a list does not exist.
    let (mut inside, mut repeated) = (String::new(), Vec::new());
    for item in &element.items {
        match item {
            Item::Element(child) => {
                let (name, value) = (written(child, text).0, of_xml(child, text));
                match members.get_mut(name.as_str()) {
                    None => _ = members.insert(name.into(), value),
                    Some(Json::List(items)) if repeated.contains(&name) => Arc::make_mut(items).push(value),
                    Some(there) => {
                        *there = Json::List(Arc::new(vec![std::mem::take(there), value]));
                        repeated.push(name);
                    }
                }
            }
            Item::Text(more) => inside.push_str(more),
        }
    }
    let inside = inside.trim();
    match (members.is_empty(), inside.is_empty()) {
        (true, true) => Json::Null,
        (true, false) => Json::text(inside),
        (false, true) => Json::Map(Arc::new(members)),
        (false, false) => {
            members.insert("#text".into(), Json::text(inside));
            Json::Map(Arc::new(members))
        }
    }
}

/// What was picked out of an answer.
pub struct Picked<'a> {
    /// What stands at the path, as text.
    pub at: Option<&'a RawValue>,
    /// The rest, where it was asked for: everything beside the path.
    pub rest: Json,
}

/// Picks what stands at a path of an object's members; `None` where the whole is no object, or a part of the path is none.
pub fn pick<'a>(bytes: &'a [u8], path: &[String], with_rest: bool) -> Option<Picked<'a>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let picked = Pick { path, with_rest }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(picked)
}

/// The items of a list, as text; a single object is one; nothing where it is neither.
pub fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'[' => serde_json::from_str(text).ok(),
        b'{' if text.bytes().skip(1).all(|b| b.is_ascii_whitespace() || b == b'}') => Some(Vec::new()),
        b'{' => Some(vec![value]),
        b'n' => Some(Vec::new()),
        _ => None,
    }
}

/// A member of an object, without reading the others.
pub fn member(object: &str, name: &str) -> Option<Json> {
    struct One<'n>(&'n str);
    impl<'de> Visitor<'de> for One<'_> {
        type Value = Option<Json>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(is_it) = members.next_key_seed(Is(self.0))? {
                if is_it {
                    found = Some(members.next_value()?);
                } else {
                    members.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object);
    serde::Deserializer::deserialize_map(&mut reader, One(name)).ok().flatten()
}

/// Whether a key is this one, without keeping it.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

struct Pick<'p> {
    path: &'p [String],
    with_rest: bool,
}

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Picked<'de>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Picked<'de>, D::Error> {
        if self.path.is_empty() {
            let at = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
            return Ok(Picked { at: Some(at), rest: Json::Null });
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Picked<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Picked<'de>, A::Error> {
        let (first, path) = self.path.split_first().ok_or_else(|| A::Error::custom("no path"))?;
        let (mut at, mut rest) = (None, Members::new());
        while let Some(key) = members.next_key::<String>()? {
            if key == *first {
                let inner = members.next_value_seed(Pick { path, with_rest: self.with_rest })?;
                at = inner.at;
                rest.insert(key.into(), inner.rest);
            } else if self.with_rest {
                rest.insert(key.into(), members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Picked { at, rest: Json::Map(Arc::new(rest)) })
    }
}
