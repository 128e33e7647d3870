//! The functions and filters that Airbyte's runner adds to Jinja, and the filters of Jinja itself that behave differently in the engine.

#![allow(clippy::wildcard_enum_match_arm, reason = "kinds of values of another crate")]
#![allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over")]

use super::dates::{DateObject, GapObject, MomentObject, value_error};
use super::gap::Gap;
use super::moment::{Moment, of_seconds};
use super::python;
use super::template::Ambient;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use sha2::Digest as _;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::Arc;

const FUNCTIONS: &[&str] = &[
    "now_utc",
    "today_utc",
    "timestamp",
    "max",
    "min",
    "day_delta",
    "duration",
    "format_datetime",
    "today_with_timezone",
    "str_to_datetime",
    "sanitize_url",
    "camel_case_to_snake_case",
    "generate_uuid",
];

/// Filters of Jinja that the engine has too, and the runner's own.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "hash",
    "base64encode",
    "base64decode",
    "base64binascii_decode",
    "regex_search",
    "regex_replace",
    "hmac",
];

/// Whether a name is a function.
pub fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// Whether a name is a filter.
pub fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

/// Adds them.
pub fn install(environment: &mut Environment<'static>, ambient: &Arc<Ambient>) {
    clock(environment, ambient);
    environment.add_function("timestamp", |at: Value| match at.kind() {
        ValueKind::Number if at.is_integer() => Ok(at),
        ValueKind::Number => f64::try_from(at).map(|n| Value::from(whole(n))),
        _ => Ok(Value::from(str_to_datetime(at.as_str())?.seconds())),
    });
    environment.add_function("max", |args: Rest<Value>| extreme(&args.0, Ordering::Greater));
    environment.add_function("min", |args: Rest<Value>| extreme(&args.0, Ordering::Less));
    environment.add_function("duration", |text: &str| {
        Gap::parse(text).map(|gap| Value::from_object(GapObject(gap))).ok_or_else(|| value_error("no ISO 8601 duration"))
    });
    environment.add_function("format_datetime", format_datetime);
    environment.add_function("str_to_datetime", |text: &str| Ok(Value::from_object(MomentObject(str_to_datetime(Some(text))?))));
    environment.add_function("sanitize_url", |text: &str| quote_plus(text));
    environment.add_function("camel_case_to_snake_case", |text: &str| snake_case(text));
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("hash", hash);
    environment.add_filter("hmac", hmac_filter);
    environment.add_filter("base64encode", |text: &str| STANDARD.encode(text));
    environment.add_filter("base64binascii_decode", |text: &str| STANDARD.encode(text));
    environment.add_filter("base64decode", |text: &str| {
        STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| value_error("no Base64 of text"))
    });
    environment.add_filter("string", |value: Value| match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        // Python's JSON does not know it.
        None if value.is_undefined() => Err(Error::from(ErrorKind::InvalidOperation)),
        None => Ok(format!("\"\"\"{}\"\"\"", python_json(&value)?)),
    });
    environment.add_filter("regex_search", |text: &str, pattern: &str| {
        let regex = pattern_of(pattern)?;
        Ok::<_, Error>(regex.captures(text).and_then(|c| c.get(1)).map_or_else(String::new, |m| m.as_str().to_owned()))
    });
    environment.add_filter("regex_replace", |text: &str, pattern: &str, by: &str| {
        Ok::<_, Error>(pattern_of(pattern)?.replace_all(text, replacement(by).as_str()).into_owned())
    });
    environment.add_filter("int", |value: Value, default: Option<Value>| to_int(&value).or(default).unwrap_or_else(|| Value::from(0)));
    environment.add_filter("float", |value: Value, default: Option<Value>| {
        to_float(&value).map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
    });
}

fn clock(environment: &mut Environment<'static>, ambient: &Arc<Ambient>) {
    let now = {
        let ambient = ambient.clone();
        move || Moment::from_micros(ambient.now()).ok_or_else(|| value_error("a clock out of range"))
    };
    let at = now.clone();
    environment.add_function("now_utc", move || Ok::<_, Error>(Value::from_object(MomentObject(at()?))));
    let at = now.clone();
    environment.add_function("today_utc", move || Ok::<_, Error>(Value::from_object(DateObject(at()?.date()))));
    let at = now.clone();
    environment.add_function("today_with_timezone", move |zone: &str| {
        let zone = jiff::tz::TimeZone::get(zone).map_err(|_unknown| value_error("no such time zone"))?;
        let stamp = jiff::Timestamp::from_microsecond(at()?.micros()).map_err(|_range| value_error("a clock out of range"))?;
        Ok::<_, Error>(Value::from_object(DateObject(zone.to_datetime(stamp).date())))
    });
    environment.add_function("day_delta", move |days: Value, format: Option<&str>| {
        let days = f64::try_from(days)?;
        let later = of_seconds(now()?.seconds() + days * 86_400.0);
        // Whole days keep the microseconds exact.
        let exact = if days.fract().abs() > 0.0 {
            later
        } else {
            now()?.plus(Gap { months: 0, micros: whole(days).saturating_mul(86_400_000_000) })
        };
        let at = exact.ok_or_else(|| value_error("a date out of range"))?;
        Ok::<_, Error>(at.strftime(format.unwrap_or("%Y-%m-%dT%H:%M:%S.%f%z")))
    });
    let ambient = ambient.clone();
    environment.add_function("generate_uuid", move || {
        let mut hash = sha2::Sha256::new();
        hash.update(ambient.next().to_be_bytes());
        hash.update(ambient.now().to_be_bytes());
        let digest = hash.finalize();
        let hex = hex(digest.iter().copied().take(16));
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        // Version 4, variant 1 (RFC 9562).
        format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    });
}

#[expect(clippy::cast_possible_truncation, reason = "saturates; no date is that far")]
fn whole(number: f64) -> i64 {
    number.trunc() as i64
}

fn extreme(args: &[Value], wanted: Ordering) -> Result<Value, Error> {
    let items: Vec<Value> = match args {
        [one] => one.try_iter()?.collect(),
        many => many.to_vec(),
    };
    let mut items = items.into_iter();
    let mut best = items.next().ok_or_else(|| value_error("no values to compare"))?;
    for item in items {
        if item.partial_cmp(&best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}

fn str_to_datetime(text: Option<&str>) -> Result<Moment, Error> {
    let text = text.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "a date must be text"))?;
    Moment::parse_iso(text).ok_or_else(|| value_error("no ISO 8601 date"))
}

fn format_datetime(at: Value, format: Option<String>, input: Option<String>, names: Kwargs) -> Result<String, Error> {
    let format = match format {
        Some(format) => format,
        None => names.get::<String>("format")?,
    };
    let input = match input {
        Some(input) => Some(input),
        None => names.get::<Option<String>>("input_format")?,
    };
    if let Some(moment) = at.downcast_object_ref::<MomentObject>() {
        return Ok(moment.0.strftime(&format));
    }
    let moment = if at.is_integer() {
        Moment::parse(&at.to_string(), input.as_deref().unwrap_or("%s"))
    } else {
        let text = at.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "a date must be text"))?;
        match &input {
            Some(input) => Moment::parse(text, input),
            None => Moment::parse_iso(text),
        }
    };
    Ok(moment.ok_or_else(|| value_error("a date that its format does not fit"))?.format(&format))
}

/// As Jinja's filter does: a text by `urllib.parse.quote`, a mapping or a list of pairs as a query.
fn urlencode(value: Value) -> Result<String, Error> {
    let part = |value: &Value| quote_plus(&value.to_string());
    match value.kind() {
        ValueKind::Map => {
            let pair = |name: Value| Ok(format!("{}={}", part(&name), part(&value.get_item(&name)?)));
            Ok(value.try_iter()?.map(pair).collect::<Result<Vec<_>, Error>>()?.join("&"))
        }
        ValueKind::Seq => {
            let pair = |pair: Value| Ok(format!("{}={}", part(&pair.get_item_by_index(0)?), part(&pair.get_item_by_index(1)?)));
            Ok(value.try_iter()?.map(pair).collect::<Result<Vec<_>, Error>>()?.join("&"))
        }
        _ => Ok(quote(&value.to_string(), "/", "%20")),
    }
}

/// As `urllib.parse.quote_plus` does.
pub fn quote_plus(text: &str) -> String {
    quote(text, "", "+")
}

/// Everything but letters, digits, `_.-~` and what is safe by its bytes.
fn quote(text: &str, safe: &str, space: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b' ' => out.push_str(space),
            other if safe.as_bytes().contains(&other) => out.push(char::from(other)),
            // A string takes every write.
            other => _ = write!(out, "%{other:02X}"),
        }
    }
    out
}

fn snake_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.chars().enumerate() {
        if at > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Small letters, two for each byte.
pub(super) fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes.fold(String::new(), |mut text, byte| {
        // A string takes every write.
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn hash(value: Value, kind: Option<&str>, salt: Option<Value>) -> Result<String, Error> {
    let mut bytes = python::text(&value).into_bytes();
    if let Some(salt) = salt.filter(Value::is_true) {
        bytes.extend_from_slice(python::text(&salt).as_bytes());
    }
    let digest: Vec<u8> = match kind.unwrap_or("md5") {
        "md5" => md5::Md5::digest(&bytes).to_vec(),
        "sha1" => sha1::Sha1::digest(&bytes).to_vec(),
        "sha224" => sha2::Sha224::digest(&bytes).to_vec(),
        "sha256" => sha2::Sha256::digest(&bytes).to_vec(),
        "sha384" => sha2::Sha384::digest(&bytes).to_vec(),
        "sha512" => sha2::Sha512::digest(&bytes).to_vec(),
        _ => return Err(value_error("no such hash")),
    };
    Ok(hex(digest.into_iter()))
}

fn hmac_filter(value: Value, key: Value, kind: Option<&str>) -> Result<String, Error> {
    if kind.is_some_and(|kind| kind != "sha256") {
        return Err(value_error("no such hash"));
    }
    let key = python::text(&key);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).map_err(|_length| value_error("no key"))?;
    mac.update(python::text(&value).as_bytes());
    Ok(hex(mac.finalize().into_bytes().into_iter()))
}

/// As `json.dumps` writes it: blanks after `:` and `,`, everything beyond ASCII escaped.
fn python_json(value: &Value) -> Result<String, Error> {
    struct Blanks;
    impl serde_json::ser::Formatter for Blanks {
        fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
        fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, fragment: &str) -> std::io::Result<()> {
            for c in fragment.chars() {
                if c.is_ascii() {
                    write!(writer, "{c}")?;
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
            Ok(())
        }
    }
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Blanks);
    serde::Serialize::serialize(value, &mut serializer).map_err(|_unsaid| Error::from(ErrorKind::InvalidOperation))?;
    String::from_utf8(out).map_err(|_never| Error::from(ErrorKind::InvalidOperation))
}

/// 1 MiB compiled: a pattern of a manifest needs some KiB.
fn pattern_of(pattern: &str) -> Result<regex::Regex, Error> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|_bad| value_error("a pattern that can't be used"))
}

/// `\1` and `\g<name>` as the regex crate writes them.
fn replacement(text: &str) -> String {
    let doubled = text.replace('$', "$$");
    let mut out = String::with_capacity(doubled.len() + 4);
    let mut rest = doubled.as_str();
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let (name, left) = if digits > 0 {
            (after.get(..digits), after.get(digits..).unwrap_or_default())
        } else if let Some((name, left)) = after.strip_prefix("g<").and_then(|named| named.split_once('>')) {
            (Some(name), left)
        } else {
            (None, after)
        };
        match name {
            Some(name) => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
            None => out.push('\\'),
        }
        rest = left;
    }
    out.push_str(rest);
    out
}

fn to_int(value: &Value) -> Option<Value> {
    if value.is_integer() {
        return Some(value.clone());
    }
    match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok().filter(|n| n.is_finite()).map(|n| Value::from(whole(n))),
        ValueKind::String => {
            let text = value.as_str()?.trim().replace('_', "");
            text.parse::<i128>()
                .map(Value::from)
                .ok()
                .or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| Value::from(whole(n))))
        }
        _ => None,
    }
}

fn to_float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}
