//! Server-sent events: the bytes of `text/event-stream`, taken apart as the HTML standard says (WHATWG HTML, section 9.2.6 "Interpreting an event
//! stream"), with limits: what is too long is passed over, not kept. Pure.

/// 1 MiB: an event as long as the longest line of a file, `normalize::activity_streams::MAX_LINE_BYTES`.
pub const LONGEST_EVENT: usize = 1 << 20;
/// What is passed over of one event that is too long: 64 of them. Beyond it the stream is given up.
const LONGEST_PASSED: u64 = 64 << 20;
/// What is kept of an event that is too long, for its dead letter: the store holds 64 KiB.
const KEPT: usize = 64 * 1024;
/// Ids and names of events at most; they are words of a protocol.
const LONGEST_NAME: usize = 4 * 1024;
/// Mark of the byte order, which is not part of the first line.
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// An event as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` where the server names none.
    pub name: String,
    /// The id of the last event that had one, this one included.
    pub id: Option<String>,
    /// The data, without its last line end.
    pub data: String,
}

impl std::fmt::Debug for Event {
    /// The data may be personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event").field("name", &self.name).field("bytes", &self.data.len()).finish_non_exhaustive()
    }
}

/// What stands in a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// An event.
    Event(Event),
    /// A comment, or an event without data: a sign of life.
    Beat,
    /// How long the server wants to be left alone after an end, in milliseconds.
    Retry(u64),
    /// An event beyond [`LONGEST_EVENT`].
    TooLong {
        /// How long it was.
        bytes: u64,
        /// Its first part.
        kept: Vec<u8>,
    },
}

/// The stream holds something without an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event is longer than {LONGEST_PASSED} bytes")]
pub struct Endless;

/// Takes a stream apart, piece by piece. Holds at most one event, and a line of it.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    begun: bool,
    /// The last byte was a CR: a LF after it belongs to it.
    after_cr: bool,
    name: String,
    data: String,
    last_id: Option<String>,
    id: Option<String>,
    /// Bytes of the event that is too long, and its first part.
    passing: Option<(u64, Vec<u8>)>,
}

impl Parser {
    /// A stream from its first byte on, whose last event, heard over another connection, had this id.
    pub fn after(last_id: Option<String>) -> Self {
        Self { id: last_id.clone(), last_id, ..Self::default() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Endless`]; what was found before it stands in `found`.
    pub fn push(&mut self, bytes: &[u8], found: &mut Vec<Found>) -> Result<(), Endless> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.more(part)?;
            let Some(end) = end else { return Ok(()) };
            self.after_cr = rest.get(end) == Some(&b'\r');
            rest = rest.get(end + 1..).unwrap_or_default();
            self.ended(found);
        }
        Ok(())
    }

    fn more(&mut self, part: &[u8]) -> Result<(), Endless> {
        if let Some((bytes, kept)) = &mut self.passing {
            *bytes = bytes.saturating_add(part.len() as u64);
            let room = KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(part.get(..room).unwrap_or(part));
            // Whether the line is a blank one is all that is asked of it.
            if self.line.is_empty() {
                self.line.extend(part.first());
            }
            return if *bytes > LONGEST_PASSED { Err(Endless) } else { Ok(()) };
        }
        if self.line.len() + self.data.len() + part.len() > LONGEST_EVENT {
            let mut kept = std::mem::take(&mut self.data).into_bytes();
            kept.append(&mut self.line);
            let bytes = (kept.len() + part.len()) as u64;
            kept.extend_from_slice(part);
            kept.truncate(KEPT);
            kept.shrink_to_fit();
            self.line.push(b':');
            self.passing = Some((bytes, kept));
            return if bytes > LONGEST_PASSED { Err(Endless) } else { Ok(()) };
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// A line is whole.
    fn ended(&mut self, found: &mut Vec<Found>) {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        if line.is_empty() {
            found.push(self.dispatch());
        } else if self.passing.is_none() {
            let text = String::from_utf8_lossy(&line);
            self.field(&text, found);
        }
        line.clear();
        // The room is used again, but what one long line took is given back.
        if line.capacity() <= KEPT {
            self.line = line;
        }
    }

    fn field(&mut self, line: &str, found: &mut Vec<Found>) {
        let (field, value) = line.split_once(':').map_or((line, ""), |(field, value)| (field, value.strip_prefix(' ').unwrap_or(value)));
        match field {
            "" => found.push(Found::Beat),
            "event" => self.name = value.chars().take(LONGEST_NAME).collect(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // An id that is cut would be another one.
            "id" if !value.contains('\0') && value.len() <= LONGEST_NAME => self.id = Some(value.to_owned()).filter(|id| !id.is_empty()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                found.extend(value.parse().map(Found::Retry));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Found {
        self.last_id = self.id.clone();
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        if let Some((bytes, kept)) = self.passing.take() {
            return Found::TooLong { bytes, kept };
        }
        if data.is_empty() {
            return Found::Beat;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Found::Event(Event { name, id: self.last_id.clone(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn all(bytes: &[u8], cut: usize) -> Vec<Found> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(cut.max(1)) {
            parser.push(piece, &mut found).unwrap();
        }
        found
    }

    fn event(name: &str, id: Option<&str>, data: &str) -> Found {
        Found::Event(Event { name: name.into(), id: id.map(str::to_owned), data: data.into() })
    }

    #[test]
    fn the_examples_of_the_standard() {
        for cut in 1..40 {
            assert_eq!(all(b"data: YHOO\ndata: +2\ndata: 10\n\n", cut), [event("message", None, "YHOO\n+2\n10")]);
            assert_eq!(
                all(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", cut),
                [
                    Found::Beat,
                    Found::Beat,
                    event("message", Some("1"), "first event"),
                    event("message", None, "second event"),
                    event("message", None, " third event"),
                ]
            );
            assert_eq!(all(b"data\n\ndata\ndata\n\ndata:", cut), [event("message", None, ""), event("message", None, "\n")]);
            assert_eq!(all(b"data:test\n\ndata: test\n\n", cut), [event("message", None, "test"), event("message", None, "test")]);
        }
    }

    #[test]
    fn what_real_servers_send() {
        let stream = "\u{feff}:)\n\nevent: update\rdata: {\"id\":\"1\"}\r\n\r\nretry: 2500\nretry: soon\n:thump\nevent: delete\nid: 7\ndata: 109\n\nid: a\0b\ndata: x\n\n";
        for cut in 1..stream.len() {
            let found = all(stream.as_bytes(), cut);
            let expected = [
                Found::Beat,
                Found::Beat,
                event("update", None, "{\"id\":\"1\"}"),
                Found::Retry(2_500),
                Found::Beat,
                event("delete", Some("7"), "109"),
                event("message", Some("7"), "x"),
            ];
            assert_eq!(found, expected, "{cut}");
        }
    }

    #[test]
    fn an_id_of_another_connection_is_the_last_one_until_there_is_a_new_one() {
        let mut parser = Parser::after(Some("41".into()));
        let mut found = Vec::new();
        parser.push(b"data: a\n\nid: 42\ndata: b\n\n", &mut found).unwrap();
        assert_eq!(found, [event("message", Some("41"), "a"), event("message", Some("42"), "b")]);
    }

    #[test]
    fn what_is_too_long_is_passed_over_and_the_next_event_is_there() {
        for lines in [1, 3, 3_000] {
            let mut bytes = Vec::new();
            for _ in 0..lines {
                bytes.extend_from_slice(b"data: ");
                bytes.resize(bytes.len() + (LONGEST_EVENT + 10) / lines, b'x');
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(b"\ndata: next\n\n");
            let found = all(&bytes, 70_001);
            let [Found::TooLong { bytes, kept }, next] = found.as_slice() else { panic!("{} found", found.len()) };
            assert!(*bytes > LONGEST_EVENT as u64 && kept.len() <= KEPT);
            assert_eq!(*next, event("message", None, "next"));
        }
    }

    #[test]
    fn a_line_without_end_is_given_up_and_memory_stays_flat() {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        let piece = vec![b'x'; 1 << 20];
        let given_up = (0..80).find(|_| parser.push(&piece, &mut found).is_err());
        assert!(given_up.is_some_and(|at| at <= 65), "{given_up:?}");
        let held = parser.line.capacity() + parser.passing.as_ref().map_or(0, |(_, kept)| kept.capacity());
        assert!(held < 2 * LONGEST_EVENT + 2 * KEPT, "{held}");
        assert!(found.is_empty());
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_changes_nothing(
            lines in prop::collection::vec(
                prop_oneof![
                    Just("data: {}".to_owned()), Just(String::new()), Just(":thump".to_owned()), "id: ?[0-9]{0,3}", "event:[a-z]{0,4}", "retry: [0-9]{0,4}",
                    "[ -~\\x00\u{e4}]{0,12}",
                ],
                0..40,
            ),
            ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r"), Just("\r\n")], 40),
            cut in 1_usize..30,
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let whole = all(text.as_bytes(), text.len());
            prop_assert_eq!(all(text.as_bytes(), cut), whole);
        }

        #[test]
        fn every_event_that_is_written_is_read(
            events in prop::collection::vec(("[a-z.]{1,8}", prop::option::of("[0-9a-f]{1,8}"), "[^\r\u{0}]{0,80}"), 0..20)
        ) {
            let mut text = String::new();
            let mut last = None;
            let mut expected = Vec::new();
            for (name, id, data) in &events {
                writeln!(text, "event: {name}").unwrap();
                if let Some(id) = id {
                    writeln!(text, "id: {id}").unwrap();
                    last = Some(id.clone());
                }
                for line in data.split('\n') {
                    writeln!(text, "data: {line}").unwrap();
                }
                text.push('\n');
                expected.push(Found::Event(Event { name: name.clone(), id: last.clone(), data: data.clone() }));
            }
            prop_assert_eq!(all(text.as_bytes(), 7), expected);
        }
    }
}
