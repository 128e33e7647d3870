//! `'%s of %d' % (a, b)`: text that is filled in as Python fills it in.

use super::python;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// The longest that a value is filled up to.
const WIDEST: usize = 1_000;

fn wrong(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// `text % values`
///
/// # Errors
/// Where there are more or fewer values than places, a place wants a number that is none, or its letter is not one of `srdiuxXofFc%`.
pub fn filled(text: &str, values: &Value) -> Result<String, Error> {
    let places = text.replace("%%", "").matches('%').count();
    let several = matches!(values.kind(), ValueKind::Seq) && (values.is_tuple() || places > 1);
    let list: Vec<Value> = if several { values.try_iter()?.collect() } else { vec![values.clone()] };
    let (mut list, mut named) = (list.into_iter(), false);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Each turn takes a place off.
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((name, after)) => (Some(name), after),
            None => (None, after),
        };
        let end = after.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| wrong("a place without its letter"))?;
        let (how, after) = after.split_at_checked(end).unwrap_or((after, ""));
        let letter = after.chars().next().unwrap_or_default();
        rest = after.get(letter.len_utf8()..).unwrap_or_default();
        let value = match name {
            Some(name) => {
                named = true;
                values
                    .get_item(&Value::from(name))
                    .ok()
                    .filter(|value| !value.is_undefined())
                    .ok_or_else(|| wrong("a place without its value"))?
            }
            None => list.next().ok_or_else(|| wrong("fewer values than places"))?,
        };
        place(how, letter, &value, &mut out)?;
    }
    out.push_str(rest);
    if list.next().is_some() && !named && values.kind() != ValueKind::Map {
        return Err(wrong("more values than places"));
    }
    Ok(out)
}

/// One place: flags, width, precision and letter.
fn place(how: &str, letter: char, value: &Value, out: &mut String) -> Result<(), Error> {
    let flags = how.chars().take_while(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')).count();
    let (flags, sizes) = how.split_at_checked(flags).unwrap_or((how, ""));
    let (width, precision) = sizes.split_once('.').map_or((sizes, None), |(width, precision)| (width, Some(precision)));
    let size = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<usize>().ok().filter(|n| *n <= WIDEST) };
    let width = size(width).ok_or_else(|| wrong("a place that is too wide"))?;
    let precision = precision.map(|text| size(text).ok_or_else(|| wrong("a place that is too wide"))).transpose()?;
    let float = || f64::try_from(value.clone()).map_err(|_none| wrong("a place for a number without one"));
    #[expect(clippy::cast_possible_truncation, reason = "saturates, where Python's int() goes on; no count is that large")]
    let whole = || {
        if value.kind() != ValueKind::Number {
            return Err(wrong("a place for a number without one"));
        }
        i128::try_from(value.clone()).or_else(|_none| float().map(|number| number.trunc() as i128))
    };
    let based = |number: i128, digits: String| if number < 0 { format!("-{digits}") } else { digits };
    let text = match letter {
        's' | 'r' => {
            let text = if letter == 's' { python::text(value) } else { python::shown(value) };
            precision.map_or(text.clone(), |most| text.chars().take(most).collect())
        }
        'd' | 'i' | 'u' => whole()?.to_string(),
        'x' => whole().map(|n| based(n, format!("{:x}", n.unsigned_abs())))?,
        'X' => whole().map(|n| based(n, format!("{:X}", n.unsigned_abs())))?,
        'o' => whole().map(|n| based(n, format!("{:o}", n.unsigned_abs())))?,
        'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), float()?),
        'c' if value.kind() == ValueKind::String => python::text(value),
        _ => return Err(wrong("a place with a letter that is not known")),
    };
    let number = !matches!(letter, 's' | 'r' | 'c');
    let (sign, digits) = match text.strip_prefix('-').filter(|_| number) {
        Some(digits) => ("-", digits.to_owned()),
        None if number && flags.contains('+') => ("+", text),
        None if number && flags.contains(' ') => (" ", text),
        None => ("", text),
    };
    let missing = width.saturating_sub(sign.len() + digits.chars().count());
    if flags.contains('-') {
        out.extend([sign, &digits, &" ".repeat(missing)]);
    } else if flags.contains('0') && number {
        out.extend([sign, &"0".repeat(missing), &digits]);
    } else {
        out.extend([" ".repeat(missing).as_str(), sign, &digits]);
    }
    Ok(())
}
