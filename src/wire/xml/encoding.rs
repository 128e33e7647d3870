//! Bytes to text: byte order mark, charset of the content type, XML declaration, UTF-8, in this order (RFC 7303, 3).

use super::{XmlError, XmlErrorKind};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// A declaration is looked for in so many bytes: `<?xml version="1.0" encoding="…" standalone="yes"?>` has 70 and the longest label 19.
const DECLARATION: usize = 256;

/// Decodes a document. A byte order mark is not part of the text.
///
/// # Errors
/// An encoding that nobody knows, or bytes that are not of the encoding.
pub fn decode<'a>(bytes: &'a [u8], content_type: Option<&str>) -> Result<Cow<'a, str>, XmlError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return whole(encoding, bytes.get(mark..).unwrap_or_default());
    }
    if let Some(label) = content_type.and_then(charset) {
        let encoding = known(label)?;
        // `charset=utf-16` without a mark: the bytes tell which (RFC 2781, 4.3 says big, servers send either).
        return whole(if encoding == UTF_16LE || encoding == UTF_16BE { utf_16(bytes).unwrap_or(encoding) } else { encoding }, bytes);
    }
    if let Some(encoding) = utf_16(bytes) {
        return whole(encoding, bytes);
    }
    match declared(bytes) {
        Some(label) => {
            let encoding = known(label)?;
            // Text that calls itself UTF-16 in bytes of ASCII was recoded on its way.
            whole(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding }, bytes)
        }
        None => whole(UTF_8, bytes),
    }
}

fn whole<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, XmlError> {
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or(XmlError { kind: XmlErrorKind::NotText(encoding.name()), offset: 0 })
}

fn known(label: &str) -> Result<&'static Encoding, XmlError> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or(XmlError { kind: XmlErrorKind::UnknownEncoding, offset: 0 })
}

/// UTF-16 without a mark begins with `<` and a zero.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// The parameter `charset` of a content type (RFC 9110, 8.3).
fn charset(content_type: &str) -> Option<&str> {
    parameter(content_type, "charset")
}

/// A parameter of a content type. Quotation marks around it are left out; one inside quotation marks is not looked at.
pub fn parameter<'a>(content_type: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.split_once(';').map_or("", |(_, next)| next))
            }
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = next;
    }
}

/// The label in the XML declaration (XML 1.0, 4.3.3).
fn declared(bytes: &[u8]) -> Option<&str> {
    let head = bytes.get(..DECLARATION.min(bytes.len()))?.trim_ascii_start().strip_prefix(b"<?xml")?;
    let head = head.get(..head.windows(2).position(|w| w == b"?>")?)?;
    let head = std::str::from_utf8(head).ok()?;
    let after = head.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after.strip_prefix(quote)?.split_once(quote).map(|(label, _)| label)
}
