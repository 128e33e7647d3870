//! What a tap says on its standard output: one JSON object a line, as the Singer specification 0.3 describes them
//! (<https://hub.meltano.com/singer/spec>, looked at 2026-11-28).

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A message. Its `Debug` shows no record.
#[derive(Clone)]
pub enum Message {
    /// Records of this stream follow.
    Schema {
        /// The stream.
        stream: String,
    },
    /// A record.
    Record {
        /// The stream.
        stream: String,
        /// The record; an object.
        record: serde_json::Value,
    },
    /// What to give the tap the next time: everything before it need not be read again.
    State(Box<RawValue>),
    /// All records of a version of this stream came. Nothing follows from it here: that a record did not come again is no deletion.
    ActivateVersion,
    /// Records in a file, an extension that is not read.
    Batch,
    /// A type that a later version of the specification may bring.
    Other,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema { .. } => "SCHEMA",
            Self::Record { .. } => "RECORD",
            Self::State(_) => "STATE",
            Self::ActivateVersion => "ACTIVATE_VERSION",
            Self::Batch => "BATCH",
            Self::Other => "other",
        })
    }
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
    #[serde(default)]
    value: Option<&'a RawValue>,
}

impl Message {
    /// Reads a line; `None` where it is no message: the taps that print something else beside their messages are many.
    pub fn read(line: &[u8]) -> Option<Self> {
        let Written { kind, stream, record, value } = serde_json::from_slice(line).ok()?;
        let stream = stream.map(Cow::into_owned);
        Some(match &*kind {
            "SCHEMA" => Self::Schema { stream: stream? },
            "RECORD" => {
                let record: serde_json::Value = serde_json::from_str(record?.get()).ok()?;
                Self::Record { stream: stream?, record: Some(record).filter(serde_json::Value::is_object)? }
            }
            "STATE" => Self::State(value?.to_owned()),
            "ACTIVATE_VERSION" => Self::ActivateVersion,
            "BATCH" => Self::Batch,
            // Upper-case words are types; anything else with a member `type` is a tap's own print.
            word if !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') => Self::Other,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_of_the_specification_are_read_and_other_prints_are_none() {
        let read = |text: &str| Message::read(text.as_bytes());
        let schema =
            r#"{"type": "SCHEMA", "stream": "users", "schema": {"properties": {"id": {"type": "integer"}}}, "key_properties": ["id"]}"#;
        assert!(matches!(read(schema), Some(Message::Schema { stream }) if stream == "users"));
        let record = r#"{"type": "RECORD", "stream": "us\u0065rs", "record": {"id": 1.50, "name": "Ada"}, "time_extracted": "2020-01-01T00:00:00Z"}"#;
        let Some(Message::Record { stream, record }) = read(record) else { panic!("no record") };
        assert_eq!((stream.as_str(), record["name"].as_str()), ("users", Some("Ada")));
        let Some(Message::State(state)) = read(r#"{"type":"STATE","value":{"at": 1.10}}"#) else { panic!("no state") };
        assert_eq!(state.get(), r#"{"at": 1.10}"#, "the tap gets its state as it wrote it");
        assert!(matches!(read(r#"{"type":"ACTIVATE_VERSION","stream":"users","version":1}"#), Some(Message::ActivateVersion)));
        assert!(matches!(read(r#"{"type":"BATCH","stream":"users"}"#), Some(Message::Batch)));
        assert!(matches!(read(r#"{"type":"SOMETHING_NEW"}"#), Some(Message::Other)));
        for none in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"type":"RECORD","stream":"users"}"#,
            r#"{"type":"RECORD","stream":"users","record":[1]}"#,
            r#"{"type":"Create"}"#,
            r#"{"type":"STATE"}"#,
        ] {
            assert!(read(none).is_none(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_not(line: Vec<u8>) {
            let _ = Message::read(&line);
        }

        #[test]
        fn a_record_of_any_value_is_that_value(text: String, number: i64) {
            let line = serde_json::json!({ "type": "RECORD", "stream": text, "record": { "a": text, "b": number } }).to_string();
            let Some(Message::Record { stream, record }) = Message::read(line.as_bytes()) else { panic!("no record") };
            prop_assert_eq!((record["a"].as_str(), record["b"].as_i64()), (Some(text.as_str()), Some(number)));
            prop_assert_eq!(stream, text);
        }
    }
}
