//! What a tap says on its standard error, for the log: a closed list of words. A tap is a program of others, and prints addresses, tokens and
//! whole records as it likes; what is not on the list, and could be about a person, is left out.

/// Words that say how a run goes and name nobody; sorted.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "abort", "aborted", "access", "account", "activate", "active", "after", "again", "already", "and", "api", "argument", "arguments",
    "array", "as", "at", "attempt", "attempts", "auth", "authentication", "authorization", "available", "back", "backing", "backoff",
    "bad", "batch", "be", "because", "before", "beginning", "bookmark", "broken", "bytes", "call", "calls", "can't", "cannot", "catalog",
    "certificate", "check", "client", "closed", "code", "command", "complete", "completed", "config", "configuration", "connect",
    "connection", "content", "could", "count", "counter", "credentials", "critical", "data", "date", "debug", "decode", "default",
    "denied", "deprecated", "did", "discover", "discovery", "done", "due", "during", "elapsed", "empty", "end", "ended", "ending",
    "endpoint", "error", "errors", "exceeded", "exception", "exit", "exited", "expected", "expired", "extracted", "failed", "failing",
    "failure", "fatal", "fetch", "fetching", "field", "fields", "file", "finished", "for", "forbidden", "found", "from", "full",
    "gateway", "get", "given", "got", "gzip", "handshake", "has", "header", "headers", "host", "http", "http_request_count",
    "http_request_duration", "http_status_code", "https", "if", "in", "incremental", "index", "info", "initial", "input", "instance",
    "internal", "invalid", "is", "it", "items", "job_timer", "json", "key", "keys", "last", "length", "limit", "line", "load", "loaded",
    "loading", "login", "lost", "max", "maximum", "memory", "message", "messages", "method", "metric", "missing", "module", "most",
    "must", "name", "named", "network", "next", "no", "none", "not", "null", "number", "object", "of", "off", "on", "open", "option",
    "options", "or", "out", "output", "page", "pages", "parameter", "parse", "parsing", "path", "permission", "plugin", "port", "process",
    "properties", "property", "proxy", "query", "quota", "raise", "raised", "rate", "read", "reading", "received", "recent", "record",
    "record_count", "records", "refresh", "refused", "replication", "replication_key", "request", "requests", "required", "reset",
    "response", "result", "retries", "retry", "retrying", "return", "root", "row", "rows", "running", "schema", "seconds", "selected",
    "server", "service", "session", "setting", "settings", "singer_sdk", "skipped", "skipping", "ssl", "start", "started", "starting",
    "state", "status", "stop", "stopped", "stopping", "stream", "stream_type", "streams", "string", "success", "successfully", "sync",
    "sync_duration", "synced", "syncing", "table", "tags", "tap", "target", "temporarily", "that", "the", "this", "throttled", "time",
    "timed", "timeout", "tls", "to", "token", "too", "total", "traceback", "tries", "try", "type", "unable", "unauthorized",
    "unavailable", "unexpected", "unknown", "unsupported", "until", "url", "usage", "use", "user", "using", "valid", "validation",
    "value", "values", "version", "wait", "waiting", "warning", "was", "while", "will", "with", "without", "write", "writing", "wrong",
    "yet",
];
/// The longest line that is shown, in bytes.
const LONGEST: usize = 400;
/// The longest name of a class.
const LONGEST_CLASS: usize = 80;

/// Whether a word may be shown.
fn is_shown(word: &str, streams: &[&str]) -> bool {
    let of_class = |c: char| c.is_ascii_alphabetic() || matches!(c, '.' | '_');
    // Names of classes, as Python writes them; exit codes and HTTP's statuses.
    let class = ["Error", "Exception", "Warning", "Timeout"].iter().any(|end| word.ends_with(end));
    let class = class && word.len() <= LONGEST_CLASS && word.chars().all(of_class);
    let number = (1..=3).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    class || number || WORDS.binary_search(&&*word.to_ascii_lowercase()).is_ok() || streams.contains(&word)
}

/// A line with what may be shown of it; what is left out is `…`. Empty where nothing is left. `streams` are names that the records file knows.
pub fn shown(line: &str, streams: &[&str]) -> String {
    let mut out = String::new();
    let mut hidden = false;
    for word in line.split(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'')) {
        let word = word.trim_end_matches(['.', ':', ',', '!', '?']);
        if word.is_empty() {
            continue;
        }
        let show = is_shown(word, streams);
        if !show && hidden {
            continue;
        }
        hidden = !show;
        let word = if show { word } else { "…" };
        if out.len() + word.len() > LONGEST {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    if out == "…" { String::new() } else { out }
}

/// Whether a line tells of trouble.
pub fn is_trouble(line: &str) -> bool {
    ["ERROR", "CRITICAL", "FATAL", "Error:", "Exception:", "WARNING"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_are_sorted_and_no_stranger_is_shown() {
        assert!(WORDS.is_sorted());
        let line =
            "2026-11-28 05:00:00,123 | ERROR | tap-x | Request failed for ada.lovelace@example.com: 401 Unauthorized, token=abc123secret";
        let shown_line = shown(line, &[]);
        assert_eq!(shown_line, "… ERROR … Request failed for … 401 Unauthorized token …");
        assert_eq!(
            shown("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x')", &[]),
            "requests.exceptions.ConnectionError … host …"
        );
        assert_eq!(shown("INFO Beginning full sync of 'tickets'", &["tickets"]), "INFO Beginning full sync of tickets");
        assert_eq!(shown("Grace Hopper, Arlington", &[]), "");
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_on_the_list(line: String) {
            for word in shown(&line, &["tickets"]).split(' ').filter(|word| !word.is_empty()) {
                prop_assert!(word == "…" || is_shown(word, &["tickets"]), "{}", word);
            }
        }
    }
}
