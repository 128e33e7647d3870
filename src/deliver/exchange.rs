//! What travelled, as text for a dead letter: secrets masked, cut to a length.

use crate::deliver::Exchange;
use crate::model::Personal;
use crate::wire::http::{Extent, Reply, Request};

/// What stands in place of a secret.
const HIDDEN: &str = "‹hidden›";
/// What stands at the end of a text that was cut.
const CUT: &str = "… (cut)";

/// What travelled about one record. `content` is the part of the request that concerns it; `answered` the part of the answer, or why there
/// is none.
pub(super) fn exchange(request: &Request, content: Option<&str>, reply: Option<&Reply>, answered: &str) -> Exchange {
    let hide = |text: &str| request.authorization.as_ref().map_or_else(|| text.to_owned(), |secret| secret.hide(text));
    hidden(request, content, reply, answered, &hide)
}

/// The same, where more than the login must be hidden.
pub(super) fn hidden(
    request: &Request,
    content: Option<&str>,
    reply: Option<&Reply>,
    answered: &str,
    hide: &dyn Fn(&str) -> String,
) -> Exchange {
    let sent = sent(request, content, request.authorization.is_some());
    let mut came = String::new();
    if let Some(reply) = reply {
        came = format!("HTTP {}\n", reply.status);
        lines(&reply.headers, &mut came);
        came.push('\n');
    }
    came.push_str(answered);
    match reply.map(|reply| reply.extent) {
        Some(Extent::Broken) => came.push_str("\n(the answer broke off here)"),
        Some(Extent::TooLong) => came.push_str("\n(the answer goes on)"),
        Some(Extent::Whole) | None => {}
    }
    // Masked first: a secret that is cut in two would not be found.
    Exchange { request: Personal::new(cut(hide(&sent))), answer: Personal::new(cut(hide(&came))) }
}

/// A request as text, with the login masked where it has one.
pub(super) fn sent(request: &Request, content: Option<&str>, login: bool) -> String {
    let mut sent = format!("{} {}\n", request.method, request.url);
    lines(&request.headers, &mut sent);
    if login {
        sent.push_str("authorization: ");
        sent.push_str(HIDDEN);
        sent.push('\n');
    }
    if let Some(content) = content {
        sent.push('\n');
        sent.push_str(content);
    }
    sent
}

/// The content of an answer as text.
pub(super) fn content(reply: &Reply) -> String {
    // Twice the length that is kept: what is no UTF-8 becomes longer or shorter.
    String::from_utf8_lossy(reply.body.get(..Exchange::LONGEST * 2).unwrap_or(&reply.body)).into_owned()
}

fn lines(headers: &[(String, String)], into: &mut String) {
    const SECRET: [&str; 8] = ["authorization", "cookie", "token", "secret", "api-key", "apikey", "password", "session"];
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let value = if SECRET.iter().any(|part| lower.contains(part)) { HIDDEN } else { value };
        into.push_str(name);
        into.push_str(": ");
        into.push_str(value);
        into.push('\n');
    }
}

/// At most as long as an exchange may be.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > Exchange::LONGEST {
        text.truncate(text.floor_char_boundary(Exchange::LONGEST - CUT.len()));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::config::Secret;
    use crate::wire::http::Authorization;

    #[test]
    fn no_secret_stands_in_it_and_it_is_never_too_long() {
        let secret = Secret::from_bytes(b"s3cr3t-t0ken".to_vec()).unwrap();
        let request = Request {
            method: "PUT",
            url: "http://h/x".into(),
            headers: vec![("x-api-key".into(), "k1".into()), ("x-source".into(), "kith".into())],
            authorization: Some(Authorization::bearer(&secret).unwrap()),
            body: None,
        };
        let reply = Reply {
            status: 400,
            headers: vec![("set-cookie".into(), "sid=k2".into())],
            body: format!("you sent Bearer s3cr3t-t0ken{}", "ä".repeat(Exchange::LONGEST)).into_bytes(),
            extent: Extent::Whole,
            over: None,
        };
        let kept = exchange(&request, Some("{}"), Some(&reply), &content(&reply));
        let (sent, came) = (kept.request.reveal(), kept.answer.reveal());
        assert_eq!(sent, "PUT http://h/x\nx-api-key: ‹hidden›\nx-source: kith\nauthorization: ‹hidden›\n\n{}");
        assert!(came.starts_with("HTTP 400\nset-cookie: ‹hidden›\n\nyou sent Bearer ‹hidden›ää"), "{came}");
        assert!(came.len() <= Exchange::LONGEST && came.ends_with(CUT));
        assert!(!format!("{request:?}").contains("s3cr3t"));
    }
}
