//! The root part of an answer in parts: SOAP with attachments and MTOM (RFC 2387). Attachments are not read.

use crate::wire::xml::parameter;

/// The root part of a `multipart/related` answer and its content type. `None` where it can't be found.
pub(super) fn root_part<'a>(bytes: &'a [u8], content_type: &str) -> Option<(&'a [u8], Option<String>)> {
    // RFC 2046, 5.1.1: at most 70 characters.
    let boundary = parameter(content_type, "boundary").filter(|b| (1..=70).contains(&b.len()))?;
    let start = parameter(content_type, "start");
    let delimiter = format!("--{boundary}");
    let mut first = None;
    let mut rest = bytes;
    // As many parts as fit: each takes its delimiter's length, so the loop ends with the bytes.
    while let Some(at) = find(rest, delimiter.as_bytes()) {
        let after = rest.get(at + delimiter.len()..)?;
        if after.starts_with(b"--") {
            break;
        }
        let part = after.strip_prefix(b"\r\n").or_else(|| after.strip_prefix(b"\n")).unwrap_or(after);
        // A part that does not end is one that was cut off: what there is of it says so.
        let end = find(part, delimiter.as_bytes()).unwrap_or(part.len());
        let (head, body) = split_head(part.get(..end)?)?;
        let is_root = start.is_none_or(|start| field(&head, "content-id").is_some_and(|id| id.trim() == start));
        let body = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n")).unwrap_or(body);
        let plain = field(&head, "content-transfer-encoding")
            .is_none_or(|e| matches!(e.trim().to_ascii_lowercase().as_str(), "8bit" | "7bit" | "binary"));
        if plain && is_root {
            return Some((body, field(&head, "content-type").map(|t| t.trim().to_owned())));
        }
        if plain && first.is_none() {
            first = Some((body, field(&head, "content-type").map(|t| t.trim().to_owned())));
        }
        rest = part.get(end..)?;
    }
    first
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn split_head(part: &[u8]) -> Option<(String, &[u8])> {
    let (at, length) = match (find(part, b"\r\n\r\n"), find(part, b"\n\n")) {
        (Some(at), other) if other.is_none_or(|o| at <= o) => (at, 4),
        (_, Some(at)) => (at, 2),
        (Some(at), None) => (at, 4),
        (None, None) => return None,
    };
    Some((String::from_utf8_lossy(part.get(..at)?).into_owned(), part.get(at + length..)?))
}

/// A header field's value; folded lines are joined.
fn field(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    unfolded
        .lines()
        .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()))
}
