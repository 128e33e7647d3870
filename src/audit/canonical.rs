//! Canonical JSON (RFC 8785): one value has exactly one text, so that a hash of it means something.

use super::tape::Tape;
use serde_json::Value;
use std::cmp::Ordering;

/// Deeper nesting is refused: entries are at most 8 deep; 64 leaves room and keeps the checker's stack small.
pub const MAX_DEPTH: usize = 64;

/// The largest whole number that every JSON reader keeps exactly: 2^53 − 1 (RFC 7493 §2.2).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The canonical text of a JSON value.
///
/// Numbers are doubles, as RFC 8785 has it: a whole number beyond 2^53 reads as the nearest double.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.into_bytes()
}

/// The order of object members: by UTF-16 code units (RFC 8785 §3.2.3). It differs from that of the bytes only between characters beyond ASCII.
pub(super) fn key_order(a: &str, b: &str) -> Ordering {
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        Some((a_byte, b_byte)) if !a_byte.is_ascii() && !b_byte.is_ascii() => a.encode_utf16().cmp(b.encode_utf16()),
        Some((a, b)) => a.cmp(&b),
        None => a.len().cmp(&b.len()),
    }
}

/// Writes canonical JSON piece by piece. The caller gives object members in key order; [`check`] proves it in tests.
#[derive(Clone, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// A comma unless this is the first member or element.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.separate();
        self.out.push(b'{');
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.out.push(b'}');
    }

    /// `[`
    pub fn begin_array(&mut self) {
        self.separate();
        self.out.push(b'[');
    }

    /// `]`
    pub fn end_array(&mut self) {
        self.out.push(b']');
    }

    /// `"key":`
    pub fn key(&mut self, key: &str) {
        self.separate();
        self.quoted(key);
        self.out.push(b':');
    }

    /// A string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        self.quoted(text);
    }

    /// A number; one that JSON can't carry (infinite, not a number) is written as null, as ECMAScript does.
    pub fn number(&mut self, number: f64) {
        self.separate();
        push_number(&mut self.out, number);
    }

    /// A whole number, at most 2^53 − 1: larger ones are written as that.
    pub fn count(&mut self, count: u64) {
        self.separate();
        push_decimal(&mut self.out, count.min(MAX_SAFE_INTEGER));
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.separate();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(b"null");
    }

    /// A string whose characters need no escapes: hexadecimal, base64, RFC 3339.
    pub fn plain(&mut self, text: &[u8]) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    /// Bytes as lower-case hexadecimal digits.
    pub fn hex(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.push(b'"');
        super::hex::push(&mut self.out, bytes);
        self.out.push(b'"');
    }

    /// A value that is canonical JSON already.
    pub fn raw(&mut self, canonical: &[u8]) {
        self.separate();
        self.out.extend_from_slice(canonical);
    }

    /// Any JSON value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(b) => self.boolean(*b),
            Value::Number(n) => match n.as_f64() {
                Some(number) => self.number(number),
                None => self.null(),
            },
            Value::String(s) => self.string(s),
            Value::Array(items) => {
                self.begin_array();
                for item in items {
                    self.value(item);
                }
                self.end_array();
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by(|a, b| key_order(a.0, b.0));
                self.begin_object();
                for (key, value) in members {
                    self.key(key);
                    self.value(value);
                }
                self.end_object();
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\') {
            let (plain, tail) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            let Some((special, tail)) = tail.split_first() else { break };
            push_escape(&mut self.out, *special);
            rest = tail;
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }
}

/// The one escape that RFC 8785 §3.2.2.2 allows for a byte that needs one.
pub(super) fn push_escape(out: &mut Vec<u8>, byte: u8) {
    out.push(b'\\');
    match byte {
        b'"' | b'\\' => out.push(byte),
        0x08 => out.push(b'b'),
        0x09 => out.push(b't'),
        0x0a => out.push(b'n'),
        0x0c => out.push(b'f'),
        0x0d => out.push(b'r'),
        _ => out.extend_from_slice(format!("u{byte:04x}").as_bytes()),
    }
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// ECMAScript `Number::toString` (ECMA-262 §6.1.6.1.20): the shortest digits that read back as the same double.
pub(super) fn push_number(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    if number == 0.0 {
        out.push(b'0');
        return;
    }
    if number < 0.0 {
        out.push(b'-');
    }
    // serde_json's writer gives the shortest digits, the closest of them, the even one of two as close (the standard library rounds
    // such a tie up); only their layout differs.
    let mut buffer = [0_u8; 40];
    let mut cursor = buffer.as_mut_slice();
    let written = serde_json::to_writer(&mut cursor, &number.abs());
    let unused = cursor.len();
    let text = buffer.get(..buffer.len() - unused).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("0e0");
    debug_assert!(written.is_ok(), "17 digits, a point, zeros and an exponent fit in 40 bytes");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let whole_digits = mantissa.find('.').unwrap_or(mantissa.len());
    let all: Vec<u8> = mantissa.bytes().filter(|b| *b != b'.').collect();
    let leading = all.iter().take_while(|b| **b == b'0').count();
    let significant = all.len() - all.iter().rev().take_while(|b| **b == b'0').count();
    let digits = all.get(leading..significant).unwrap_or_default();
    let count = i32::try_from(digits.len()).unwrap_or(0);
    let point = exponent + i32::try_from(whole_digits).unwrap_or(0) - i32::try_from(leading).unwrap_or(0);
    let exponent = point - 1;
    let zeros = |out: &mut Vec<u8>, n: i32| out.extend(std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0)));
    if (count..=21).contains(&point) {
        out.extend_from_slice(digits);
        zeros(out, point - count);
    } else if (1..=21).contains(&point) {
        let (whole, part) = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(part);
    } else if (-5..=0).contains(&point) {
        out.extend_from_slice(b"0.");
        zeros(out, -point);
        out.extend_from_slice(digits);
    } else {
        let (first, rest) = digits.split_at(1.min(digits.len()));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        push_decimal(out, u64::from(exponent.unsigned_abs()));
    }
}

/// Bytes that are not canonical JSON, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not canonical JSON at byte {at}: {reason}")]
pub struct NotCanonical {
    /// The first byte that is wrong.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Whether bytes are one canonical JSON value: the text that [`to_vec`] would write.
///
/// # Errors
/// The first place where they are not.
pub fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
    Tape::read(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(json: &str) -> String {
        String::from_utf8(to_vec(&serde_json::from_str(json).unwrap())).unwrap()
    }

    fn number(bits: u64) -> String {
        let mut out = Vec::new();
        push_number(&mut out, f64::from_bits(bits));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_read_as_rfc_8785_appendix_b_lists_them() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(number(bits), text, "{bits:016x}");
        }
        assert_eq!(number(f64::NAN.to_bits()), "null");
        assert_eq!(number(f64::INFINITY.to_bits()), "null");
    }

    #[test]
    fn the_example_of_rfc_8785_section_3_2_2_reads_as_printed_there() {
        let given = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
        let expected =
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(canonical(given), expected);
    }

    #[test]
    fn members_stand_in_utf_16_order_as_rfc_8785_section_3_2_3_prints_them() {
        let given = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        let values: Vec<String> = canonical(given).split('"').skip(3).step_by(4).map(str::to_owned).collect();
        assert_eq!(
            values,
            [
                "Carriage Return",
                "One",
                "Control",
                "Latin Small Letter O With Diaeresis",
                "Euro Sign",
                "Emoji: Grinning Face",
                "Hebrew Letter Dalet With Dagesh"
            ]
        );
    }

    #[test]
    fn what_is_almost_canonical_is_refused_with_its_place() {
        for (text, at) in [
            ("{\"b\":1,\"a\":2}", 7),
            ("{\"a\":1,\"a\":2}", 7),
            ("{\"a\": 1}", 5),
            ("[1,]", 3),
            ("[1.0]", 1),
            ("[01]", 1),
            ("[-0]", 1),
            ("[1e5]", 1),
            ("[9007199254740993]", 1),
            ("\"\\u0041\"", 1),
            ("\"\\u000A\"", 1),
            ("\"\\/\"", 1),
            ("\"a\nb\"", 2),
            ("\"abc", 4),
            ("nul", 0),
            ("1 ", 1),
            ("", 0),
        ] {
            assert_eq!(check(text.as_bytes()).unwrap_err().at, at, "{text}");
        }
        assert_eq!(check(b"\"\xff\"").unwrap_err().reason, "not UTF-8");
        let deep = "[".repeat(100_000);
        assert_eq!(check(deep.as_bytes()).unwrap_err().reason, "nested too deep");
    }

    proptest! {
        #[test]
        fn names_are_ordered_by_their_utf_16_code_units(a in "[aé\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}b]{0,4}", b in "[aé\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}b]{0,4}") {
            prop_assert_eq!(key_order(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_map(|n| serde_json::Number::from_f64(n).map_or(Value::Null, Value::Number)),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::String),
            "[\\x00-\\x1f\"\\\\]{0,5}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                proptest::collection::btree_map(any::<String>(), inner, 0..8).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_is_canonical_and_a_fixed_point(value in json()) {
            let text = to_vec(&value);
            prop_assert_eq!(check(&text), Ok(()));
            let again: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(to_vec(&again), text);
        }

        #[test]
        fn every_double_reads_back_as_the_same_double(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value.to_bits() != (-0.0_f64).to_bits());
            prop_assert_eq!(number(bits).parse::<f64>().unwrap().to_bits(), bits);
            let by_serde: f64 = serde_json::from_str(&number(bits)).unwrap();
            prop_assert_eq!(by_serde.to_bits(), bits);
        }

        #[test]
        fn a_changed_byte_is_refused_or_is_another_canonical_value(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = to_vec(&value);
            let at = at.index(text.len());
            text[at] = byte;
            if check(&text).is_ok() {
                let read: Value = serde_json::from_slice(&text).unwrap();
                prop_assert_eq!(to_vec(&read), text);
            }
        }

        #[test]
        fn the_checker_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(check(&bytes), check(&bytes.clone()));
        }
    }
}
