//! YAML as Kith reads it: a tree of text with the place of every node, and every complaint about the file.
//!
//! The subset that operators write: maps, lists and scalars. A scalar is text exactly as typed, quoted or not, so that `no`, `00123`
//! and `1.10` mean what they show. Anchors, aliases, tags and several documents in one file are refused: one file says one thing, once.
//! This module owns the YAML parser; nothing else imports it.

use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, SourceFile, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as CharSpan};
use std::sync::Arc;

/// 1 MiB: a mapping of 300 lines is about 20 KiB; fifty times that is nothing a person wrote.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// The deepest path of the formats has about 10 levels (`tests[].activity.actor.location.name`); 32 leaves room for nested `any`/`not`
/// and keeps every recursive walk over a tree far below a thread's stack.
pub const MAX_DEPTH: usize = 32;

/// Nodes of a tree: a 300-line mapping has about 1,500; at about 100 bytes a node 100,000 are 10 MB.
pub const MAX_NODES: usize = 100_000;

/// How many syntax errors of one file are told: after each, reading goes on at the next line that starts a top-level key.
const MAX_SYNTAX_ERRORS: usize = 20;

/// The file is not YAML.
pub const SYNTAX: Code = Code("KITH-M001");
/// It is YAML, with a feature that Kith refuses.
pub const REFUSED_FEATURE: Code = Code("KITH-M002");
/// It is larger, deeper or longer than the limits, or not UTF-8 text.
pub const UNREADABLE: Code = Code("KITH-M003");
/// A key stands twice in one map.
pub const DUPLICATE_KEY: Code = Code("KITH-M004");

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The outermost node.
    pub root: Node,
    /// The text that it was read from.
    pub file: Arc<SourceFile>,
}

/// A node with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Bytes of the file, without blanks around.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// A key without a value.
    Nothing,
    /// Text as typed.
    Text(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// A map, in file order; a key that stands twice is here once, with its first value.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key as typed.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Tree {
    /// The place of a span of this file.
    pub fn place(&self, span: Span) -> Place {
        Place::InFile(self.file.clone(), span)
    }

    /// Like [`Node::get`] at the root.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.root.get(key)
    }
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The text of a scalar, shared.
    pub fn shared_text(&self) -> Option<Arc<str>> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The items of a list; empty for anything else.
    pub fn list(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Nothing | Kind::Text(_) | Kind::Map(_) => &[],
        }
    }

    /// The items of a list, or the node itself where it is a single value: `from: name` and `from: [network, handle]`.
    pub fn list_or_one(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Nothing => &[],
            Kind::Text(_) | Kind::Map(_) => std::slice::from_ref(self),
        }
    }

    /// The entries of a map, in file order; empty for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing | Kind::Text(_) | Kind::List(_) => &[],
        }
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| &*e.key == key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The text of a key's value.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// What it is called in messages.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Text(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map of keys",
        }
    }

    /// As JSON; every scalar is a string, a key without a value is null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.kind {
            Kind::Nothing => J::Null,
            Kind::Text(text) => J::String(text.to_string()),
            Kind::List(items) => J::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => J::Object(entries.iter().map(|e| (e.key.to_string(), e.value.to_json())).collect()),
        }
    }
}

/// Makes a source file of bytes.
///
/// # Errors
/// Where the bytes are more than [`MAX_FILE_BYTES`] or not UTF-8; the line of the first bad byte is told.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Arc<SourceFile>, Diagnostic> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(too_large(name, bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceFile { name: name.to_owned(), text: text.to_owned() })),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|b| *b == b'\n').count();
            Err(Diagnostic::error(
                UNREADABLE,
                Place::Line(name.to_owned(), u64::try_from(line).unwrap_or(u64::MAX)),
                "the file is not UTF-8 text",
                "Save it again with the encoding UTF-8",
            ))
        }
    }
}

fn too_large(name: &str, bytes: usize) -> Diagnostic {
    Diagnostic::error(
        UNREADABLE,
        Place::Path(name.to_owned()),
        format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are read"),
        "Split it, or check that it is the file you meant",
    )
}

/// Reads a file. Every complaint is told: after a syntax error, reading goes on at the next top-level key.
pub fn read(file: &Arc<SourceFile>) -> Checked<Tree> {
    let mut problems = Problems::default();
    if file.text.len() > MAX_FILE_BYTES {
        return Checked::new(None, too_large(&file.name, file.text.len()).into());
    }
    // A byte order mark is no text of the file.
    let mut start = if file.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut nodes = 0;
    let mut root: Option<Node> = None;
    for _ in 0..MAX_SYNTAX_ERRORS {
        let Some(text) = file.text.get(start..) else { break };
        let mut builder =
            Builder { file, base: start, offsets: Offsets::new(text), stack: Vec::new(), nodes, root: None, problems: &mut problems };
        let resume = builder.run(text);
        nodes = builder.nodes;
        let part = builder.finish();
        root = merge(root, part);
        match resume {
            Some(at) if at > start => start = at,
            Some(_) | None => break,
        }
    }
    let root = root.unwrap_or(Node { span: Span { start: 0, end: 0 }, kind: Kind::Nothing });
    // A map that was cut in two by a syntax error is still shown to nobody: `Checked` drops it.
    Checked::new(Some(Tree { root, file: file.clone() }), problems)
}

/// Joins what was read before and after a syntax error.
fn merge(first: Option<Node>, second: Option<Node>) -> Option<Node> {
    match (first, second) {
        (Some(Node { span, kind: Kind::Map(mut entries) }), Some(Node { span: other, kind: Kind::Map(more) })) => {
            entries.extend(more);
            Some(Node { span: Span { start: span.start, end: other.end }, kind: Kind::Map(entries) })
        }
        (Some(node), _) | (None, Some(node)) => Some(node),
        (None, None) => None,
    }
}

/// From character offsets, as the parser counts, to bytes.
struct Offsets {
    /// Byte offset of each character and of the end; empty where the text is ASCII and both are the same.
    bytes: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).collect() };
        Self { bytes, len: text.len() }
    }

    fn byte(&self, marker: &Marker) -> usize {
        if self.bytes.is_empty() { marker.index().min(self.len) } else { self.bytes.get(marker.index()).copied().unwrap_or(self.len) }
    }
}

/// A collection that is being read.
struct Open {
    node: Node,
    /// In a map: the key that waits for its value. The flag says that the key already stood in the map.
    key: Option<(Arc<str>, Span, bool)>,
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    base: usize,
    offsets: Offsets,
    stack: Vec<Open>,
    nodes: usize,
    root: Option<Node>,
    problems: &'a mut Problems,
}

/// Reading of this part ends: nothing more to learn.
struct Stop;

impl Builder<'_> {
    /// Reads events until the end; where a syntax error stopped it, the byte offset at which to go on.
    fn run(&mut self, text: &str) -> Option<usize> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0_u32;
        loop {
            match parser.next_event()? {
                Ok((event, span)) => {
                    if matches!(event, Event::DocumentStart(_)) {
                        documents += 1;
                        if documents > 1 {
                            self.refuse(
                                self.span(&span),
                                "the file holds more than one YAML document",
                                "Put each document into a file of its own",
                            );
                            return None;
                        }
                    }
                    if self.event(event, &span).is_err() {
                        return None;
                    }
                }
                Err(error) => {
                    let at = self.offsets.byte(error.marker()).min(text.len());
                    let start = text.get(..at).map_or(0, |before| before.trim_end().len()).min(at);
                    // An error at the end of the file is shown at the last character that there is.
                    let shown = if at >= text.len() { start.saturating_sub(1) } else { at };
                    let shown = floor_boundary(text, shown);
                    let end = text.get(shown..).and_then(|rest| rest.chars().next()).map_or(shown, |c| shown + c.len_utf8());
                    self.error(
                        SYNTAX,
                        Span { start: self.base + shown, end: self.base + end },
                        format!("this is not YAML: {}", plain_words(error.info())),
                        syntax_remedy(text, shown),
                    );
                    return next_top_level_key(text, at).map(|found| self.base + found);
                }
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: &CharSpan) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
            Event::Alias(_) => {
                let span = self.span(span);
                self.refuse(span, "`*` refers to another part of the file", "Write the value out: each part of the file is read alone");
                self.add(Node { span, kind: Kind::Nothing })
            }
            Event::Scalar(text, style, anchor, tag) => {
                let mut span = self.span(span);
                if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
                    span.end = self.closing_quote(span);
                }
                self.decorations(span, anchor, tag.is_some());
                let nothing = text.is_empty() && style == ScalarStyle::Plain;
                self.add(Node { span, kind: if nothing { Kind::Nothing } else { Kind::Text(Arc::from(&*text)) } })
            }
            Event::SequenceStart(anchor, tag) => {
                let span = self.span(span);
                self.decorations(span, anchor, tag.is_some());
                self.open(span, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let span = self.span(span);
                self.decorations(span, anchor, tag.is_some());
                self.open(span, Kind::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let end = self.span(span).end;
                self.close(end)
            }
        }
    }

    fn open(&mut self, span: Span, kind: Kind) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            self.error(UNREADABLE, span, format!("more than {MAX_DEPTH} levels inside each other"), "Write it flatter".to_owned());
            return Err(Stop);
        }
        self.stack.push(Open { node: Node { span, kind }, key: None });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        let Some(mut open) = self.stack.pop() else { return Err(Stop) };
        // A block collection ends where its last child ends, not at the next token.
        let flow = matches!(self.file.text.as_bytes().get(open.node.span.start), Some(b'[' | b'{'));
        let last = match &open.node.kind {
            Kind::List(items) => items.last().map(|n| n.span.end),
            Kind::Map(entries) => entries.last().map(|e| e.value.span.end.max(e.key_span.end)),
            Kind::Nothing | Kind::Text(_) => None,
        };
        open.node.span.end = match last {
            Some(last) if !flow => last,
            Some(_) | None => end.max(open.node.span.start),
        };
        self.add(open.node)
    }

    fn add(&mut self, node: Node) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.error(UNREADABLE, node.span, format!("the file has more than {MAX_NODES} values"), "Split it".to_owned());
            return Err(Stop);
        }
        let Some(mut open) = self.stack.pop() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some((key, key_span, repeated))) => {
                if !repeated {
                    entries.push(Entry { key, key_span, value: node });
                }
            }
            (Kind::Map(entries), None) => {
                let (key, repeated) = if let Kind::Text(text) = &node.kind {
                    let earlier = entries.iter().find(|e| e.key == *text).map(|e| e.key_span);
                    if let Some(earlier) = earlier {
                        self.problems.push(
                            Diagnostic::error(
                                DUPLICATE_KEY,
                                self.place(node.span),
                                format!("`{text}` stands twice in the same place"),
                                "Keep one of the two, or give one another name",
                            )
                            .related(self.place(earlier), "here first"),
                        );
                    }
                    (text.clone(), earlier.is_some())
                } else {
                    self.error(
                        SYNTAX,
                        node.span,
                        format!("a key must be a single word or text, not {}", node.kind_name()),
                        "Write `key: value`".to_owned(),
                    );
                    // Read on as a repeated key: its value is looked at and let go.
                    (Arc::from(""), true)
                };
                open.key = Some((key, node.span, repeated));
            }
            (Kind::Nothing | Kind::Text(_), _) => {}
        }
        self.stack.push(open);
        Ok(())
    }

    /// What was read, open collections closed where reading stopped.
    fn finish(mut self) -> Option<Node> {
        while let Some(open) = self.stack.last() {
            let end = open.node.span.end;
            if open.key.is_some() && self.add(Node { span: Span { start: end, end }, kind: Kind::Nothing }).is_err() {
                return self.root;
            }
            if self.close(end).is_err() {
                break;
            }
        }
        self.root
    }

    fn decorations(&mut self, span: Span, anchor: usize, tag: bool) {
        if anchor > 0 {
            self.refuse(span, "`&` names a part of the file for later use", "Remove the `&name`: each part of the file is read alone");
        }
        if tag {
            self.refuse(
                span,
                "`!` gives a value a type",
                "Remove the `!type`: every value is text as typed; put text that starts with `!` in quotes",
            );
        }
    }

    fn refuse(&mut self, span: Span, message: &str, remedy: &str) {
        self.error(REFUSED_FEATURE, span, message.to_owned(), remedy.to_owned());
    }

    fn error(&mut self, code: Code, span: Span, message: String, remedy: impl Into<String>) {
        let place = self.place(span);
        self.problems.push(Diagnostic::error(code, place, message, remedy));
    }

    fn place(&self, span: Span) -> Place {
        Place::InFile(self.file.clone(), span)
    }

    fn closing_quote(&self, span: Span) -> usize {
        span.start + quoted_length(self.file.text.get(span.start..span.end).unwrap_or_default())
    }

    /// The bytes of a span of characters, blanks and line ends after it left out.
    fn span(&self, span: &CharSpan) -> Span {
        let start = self.base + self.offsets.byte(&span.start);
        let end = (self.base + self.offsets.byte(&span.end)).max(start);
        let text = self.file.text.get(start..end).unwrap_or_default();
        Span { start, end: start + text.trim_end().len() }
    }
}

/// One past the quote that closes the text starting at the first byte; the parser's own end lies behind blanks and comments.
fn quoted_length(text: &str) -> usize {
    let quote = text.chars().next().unwrap_or_default();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote {
            if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') {
                chars.next();
            } else {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// The parser's words, without its jargon.
fn plain_words(info: &str) -> String {
    let mut words = info.trim_end_matches('.').to_owned();
    for (jargon, plain) in [
        ("while parsing a block mapping, ", ""),
        ("while parsing a flow mapping, ", "inside `{ … }` "),
        ("while parsing a flow sequence, ", "inside `[ … ]` "),
        ("while parsing a node, ", ""),
        ("block mapping", "map of keys"),
        ("block collection", "list"),
        ("flow mapping", "`{ … }`"),
        ("flow sequence", "`[ … ]`"),
        ("simple key", "key"),
    ] {
        words = words.replace(jargon, plain);
    }
    words
}

/// What usually is behind a syntax error at this place.
fn syntax_remedy(text: &str, at: usize) -> String {
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |n| n + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    // What is left open is noticed on the next line with a key.
    let above = text.get(..line_start).and_then(|before| before.lines().rfind(|l| !l.trim().is_empty())).unwrap_or_default();
    let open = |line: &str| line.matches('{').count() > line.matches('}').count() || line.matches('[').count() > line.matches(']').count();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let remedy = if indent.contains('\t') {
        "Indent with blanks: YAML refuses tabs"
    } else if line.matches('"').count() % 2 == 1 || line.matches('\'').count() % 2 == 1 {
        "A quote seems to be open: close it, or put text that holds a quote inside the other kind of quotes"
    } else if open(line) || open(above) {
        "A bracket seems to be open on this line or the one above: close every `{` with `}` and every `[` with `]`"
    } else if line.matches(": ").count() > 1 {
        "Text that holds `: ` needs quotes around it"
    } else {
        "Check the indentation against the lines above, and that brackets and quotes are closed; the error may start a few lines earlier"
    };
    remedy.to_owned()
}

/// Where the next line starts that looks like a key of the outermost map.
fn next_top_level_key(text: &str, after: usize) -> Option<usize> {
    let mut at = after + text.get(after..)?.find('\n')? + 1;
    for line in text.get(at..)?.split_inclusive('\n') {
        let word: String = line.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect();
        if !word.is_empty() && !word.starts_with('-') && line.get(word.len()..).is_some_and(|rest| rest.starts_with(':')) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: "m.yaml".into(), text: text.into() })
    }

    fn complaints(text: &str) -> Vec<String> {
        read(&file(text)).problems.0.iter().map(ToString::to_string).collect()
    }

    fn tree(text: &str) -> Tree {
        read(&file(text)).into_result().unwrap().0
    }

    #[test]
    fn scalars_are_text_exactly_as_typed() {
        let tree = tree("a: no\nb: 00123\nc: 1.10\nd: \"x\\ny\"\ne: 'it''s'\nf:\ng: ~\nh: 99.5 %\ni: 2026-01-01\n");
        assert_eq!(
            tree.root.to_json(),
            serde_json::json!({"a":"no","b":"00123","c":"1.10","d":"x\ny","e":"it's","f":null,"g":"~","h":"99.5 %","i":"2026-01-01"})
        );
    }

    #[test]
    fn spans_are_bytes_even_after_characters_of_several_bytes() {
        let text = "\u{feff}é: \"ü — 🇮🇹\"  # note\nkey: [ção, { x: ñ }]\nlast:\n  - é é   \n  - z\nend: q\n";
        let tree = tree(text);
        let at = |span: Span| text.get(span.start..span.end).unwrap();
        let entries = tree.root.entries();
        assert_eq!(at(entries[0].key_span), "é");
        assert_eq!(at(entries[0].value.span), "\"ü — 🇮🇹\"");
        assert_eq!(at(entries[1].value.span), "[ção, { x: ñ }]");
        assert_eq!(at(entries[1].value.list()[1].span), "{ x: ñ }");
        assert_eq!(at(entries[2].value.span), "- é é   \n  - z");
        assert_eq!(at(entries[2].value.list()[0].span), "é é");
        assert_eq!(at(tree.get("end").unwrap().span), "q");
    }

    #[test]
    fn refused_features_and_repeated_keys_are_all_told() {
        insta::assert_snapshot!(complaints("a: &x 1\nb: *x\nc: !!str 2\na: 3\nd: { k: 1, k: 2 }\n? [p, q]\n: 1\n").join("\n"), @r#"
        KITH-M002 m.yaml:1:4: `&` names a part of the file for later use; Remove the `&name`: each part of the file is read alone
        KITH-M002 m.yaml:2:4: `*` refers to another part of the file; Write the value out: each part of the file is read alone
        KITH-M002 m.yaml:3:4: `!` gives a value a type; Remove the `!type`: every value is text as typed; put text that starts with `!` in quotes
        KITH-M004 m.yaml:4:1: `a` stands twice in the same place; Keep one of the two, or give one another name
        KITH-M004 m.yaml:5:12: `k` stands twice in the same place; Keep one of the two, or give one another name
        KITH-M001 m.yaml:6:3: a key must be a single word or text, not a list; Write `key: value`
        "#);
        insta::assert_snapshot!(complaints("a: 1\n---\nb: 2\n").join("\n"), @r#"KITH-M002 m.yaml:2:1: the file holds more than one YAML document; Put each document into a file of its own"#);
    }

    #[test]
    fn reading_goes_on_after_a_syntax_error() {
        insta::assert_snapshot!(complaints("a: { x: 1\nb: 2\nc:\n\t- d\nok: 1\nok: 2\ne: \"open\n").join("\n"), @r#"
        KITH-M001 m.yaml:2:2: this is not YAML: inside `{ … }` did not find expected ',' or '}'; A bracket seems to be open on this line or the one above: close every `{` with `}` and every `[` with `]`
        KITH-M001 m.yaml:4:2: this is not YAML: tabs disallowed within this context (block indentation); Indent with blanks: YAML refuses tabs
        KITH-M004 m.yaml:6:1: `ok` stands twice in the same place; Keep one of the two, or give one another name
        KITH-M001 m.yaml:7:4: this is not YAML: while scanning a quoted scalar, found unexpected end of stream; A quote seems to be open: close it, or put text that holds a quote inside the other kind of quotes
        "#);
    }

    #[test]
    fn too_deep_too_long_and_not_utf8_are_told() {
        assert_eq!(complaints(&"[".repeat(100_000)).len(), 1);
        assert!(complaints(&format!("a: {}", "[".repeat(MAX_DEPTH)))[0].contains("KITH-M003"));
        assert!(complaints(&format!("[{}]", "1,".repeat(MAX_NODES + 1)))[0].contains("KITH-M003"));
        assert!(decode("m.yaml", &vec![b'a'; MAX_FILE_BYTES + 1]).is_err());
        assert_eq!(
            decode("m.yaml", b"a: 1\nb: \xff").unwrap_err().to_string(),
            "KITH-M003 m.yaml:2: the file is not UTF-8 text; Save it again with the encoding UTF-8"
        );
        assert!(decode("m.yaml", "a: é".as_bytes()).is_ok());
    }

    fn spans_lie_inside_their_parents(node: &Node, text: &str) {
        assert!(text.get(node.span.start..node.span.end).is_some());
        for child in node.list() {
            spans_lie_inside_their_parents(child, text);
        }
        for entry in node.entries() {
            assert!(text.get(entry.key_span.start..entry.key_span.end).is_some());
            spans_lie_inside_their_parents(&entry.value, text);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(file) = decode("x", &bytes) {
                let checked = read(&file);
                prop_assert_eq!(checked.value.is_none(), checked.problems.has_errors());
            }
        }

        #[test]
        fn anything_that_looks_like_yaml_is_read_without_panic_and_every_span_is_text(text in "([a-c\u{e9}]{1,2}|[:\\[\\]{},&*!|>'\"#%@`?~-]|: |- |\n|  |\t|---\n){0,60}") {
            let file = file(&text);
            let checked = read(&file);
            for problem in &checked.problems.0 {
                prop_assert!(problem.place.line_column().is_some());
            }
            if let Some(tree) = checked.value {
                spans_lie_inside_their_parents(&tree.root, &text);
            }
        }
    }
}
