//! The functions and collations that the peer lends to SQLite: what T-SQL has and SQLite has not.

use super::catalogue::TableDef;
use super::error::TdsError;
use super::shared::{Facts, Shared};
use super::types::{SYSTEM_TYPES, Type};
use super::value::{Fit, coerce, cp1252_encode, guid_text, owned};
use super::{decimal, temporal};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use rusqlite::{Connection, Error};
use sha2::{Digest, Sha256, Sha512};
use std::cmp::Ordering;
use std::sync::{Arc, Mutex};

type Answer = rusqlite::Result<Value>;

fn failed(error: &TdsError) -> Error {
    Error::UserFunctionError(error.pack().into())
}

fn value(context: &Context<'_>, at: usize) -> Value {
    if at < context.len() { owned(context.get_raw(at)) } else { Value::Null }
}

fn text(context: &Context<'_>, at: usize) -> Option<String> {
    match value(context, at) {
        Value::Text(t) => Some(t),
        Value::Integer(i) => Some(i.to_string()),
        Value::Real(r) => Some(r.to_string()),
        Value::Blob(b) => Some(String::from_utf8_lossy(&b).into_owned()),
        Value::Null => None,
    }
}

fn int(context: &Context<'_>, at: usize) -> Option<i64> {
    match value(context, at) {
        Value::Integer(i) => Some(i),
        Value::Real(r) => Some(r as i64),
        Value::Text(t) => decimal::parse(&t).map(|(v, s)| (v / 10_i128.pow(s.into())) as i64),
        _ => None,
    }
}

fn ty(context: &Context<'_>, at: usize) -> Type {
    text(context, at).and_then(|t| Type::parse(&t)).unwrap_or(Type::Null)
}

/// Case and blanks at the end do not count.
fn folded(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

fn moments(a: &str, b: &str) -> Ordering {
    match (temporal::parse(a).and_then(temporal::Moment::utc), temporal::parse(b).and_then(temporal::Moment::utc)) {
        (Some(a), Some(b)) => (a.days, a.ticks).cmp(&(b.days, b.ticks)),
        _ => a.cmp(b),
    }
}

pub fn install(db: &Connection, shared: &Arc<Shared>, facts: &Arc<Mutex<Facts>>) -> rusqlite::Result<()> {
    db.create_collation("tds_ci", |a: &str, b: &str| folded(a).cmp(&folded(b)))?;
    db.create_collation("tds_cs", |a: &str, b: &str| a.trim_end_matches(' ').cmp(b.trim_end_matches(' ')))?;
    db.create_collation("tds_bin", |a: &str, b: &str| a.trim_end_matches(' ').cmp(b.trim_end_matches(' ')))?;
    db.create_collation("tds_decimal", decimal::compare)?;
    db.create_collation("tds_time", moments)?;
    pure(db)?;
    dates(db)?;
    catalogue(db, shared, facts)
}

fn pure(db: &Connection) -> rusqlite::Result<()> {
    let steady = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let add = |name: &str, function: fn(&Context<'_>) -> Answer| db.create_scalar_function(name, -1, steady, function);
    add("tds_cast", |c| cast(c).map_err(|e| failed(&e)))?;
    add("tds_try_cast", |c| Ok(cast(c).unwrap_or(Value::Null)))?;
    add("tds_len", |c| Ok(text(c, 0).map_or(Value::Null, |t| Value::Integer(t.trim_end_matches(' ').encode_utf16().count() as i64))))?;
    add("tds_datalength", |c| {
        let of = ty(c, 1);
        Ok(match value(c, 0) {
            Value::Null => Value::Null,
            Value::Text(t) if of.is_wide() => Value::Integer(t.encode_utf16().count() as i64 * 2),
            Value::Text(t) if of.is_text() => Value::Integer(t.chars().count() as i64),
            Value::Blob(b) => Value::Integer(b.len() as i64),
            _ => Value::Integer(of.facets().0),
        })
    })?;
    add("tds_upper", |c| Ok(text(c, 0).map_or(Value::Null, |t| Value::Text(t.to_uppercase()))))?;
    add("tds_lower", |c| Ok(text(c, 0).map_or(Value::Null, |t| Value::Text(t.to_lowercase()))))?;
    add("tds_substring", |c| {
        let (from, length) = (int(c, 1).unwrap_or(1), int(c, 2).unwrap_or(0));
        let (skip, take) = if from < 1 { (0, (length + from - 1).max(0)) } else { (from - 1, length.max(0)) };
        Ok(match value(c, 0) {
            Value::Blob(b) => Value::Blob(b.into_iter().skip(skip as usize).take(take as usize).collect()),
            Value::Null => Value::Null,
            _ => Value::Text(text(c, 0).unwrap_or_default().chars().skip(skip as usize).take(take as usize).collect()),
        })
    })?;
    add("tds_right", |c| {
        Ok(text(c, 0).map_or(Value::Null, |t| {
            let length = t.chars().count();
            Value::Text(t.chars().skip(length.saturating_sub(int(c, 1).unwrap_or(0).max(0) as usize)).collect())
        }))
    })?;
    add("tds_charindex", |c| {
        let (Some(what), Some(within)) = (text(c, 0), text(c, 1)) else { return Ok(Value::Null) };
        let start = int(c, 2).unwrap_or(1).max(1) as usize - 1;
        let within: String = within.to_lowercase().chars().skip(start).collect();
        Ok(Value::Integer(within.find(&what.to_lowercase()).map_or(0, |at| within[..at].chars().count() + start + 1) as i64))
    })?;
    add("tds_replicate", |c| {
        let (Some(what), Some(times)) = (text(c, 0), int(c, 1)) else { return Ok(Value::Null) };
        Ok(Value::Text(what.repeat(times.clamp(0, 1 << 22) as usize)))
    })?;
    add("tds_join", |c| {
        Ok(match (value(c, 0), value(c, 1)) {
            (Value::Blob(a), Value::Blob(b)) => Value::Blob([a, b].concat()),
            _ => Value::Null,
        })
    })?;
    add("tds_like", |c| {
        let (Some(what), Some(pattern)) = (text(c, 0), text(c, 1)) else { return Ok(Value::Null) };
        let escape = text(c, 2).and_then(|e| e.chars().next());
        let fold = |t: &str| t.to_lowercase().chars().collect::<Vec<_>>();
        Ok(Value::Integer(i64::from(like(&fold(&what), &fold(&pattern), escape))))
    })?;
    add("tds_divide", |c| divide(c, false))?;
    add("tds_modulo", |c| divide(c, true))?;
    add("tds_hashbytes", |c| {
        let bytes = match value(c, 1) {
            Value::Blob(b) => b,
            Value::Null => return Ok(Value::Null),
            _ if ty(c, 2).is_wide() => text(c, 1).unwrap_or_default().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => cp1252_encode(&text(c, 1).unwrap_or_default()),
        };
        Ok(match text(c, 0).unwrap_or_default().to_uppercase().as_str() {
            "SHA2_256" => Value::Blob(Sha256::digest(bytes).to_vec()),
            "SHA2_512" => Value::Blob(Sha512::digest(bytes).to_vec()),
            other => return Err(failed(&TdsError::unsupported(format!("HASHBYTES('{other}')")))),
        })
    })?;
    add("tds_checksum", |c| {
        let all: String = (0..c.len()).map(|at| format!("{:?}|", value(c, at))).collect();
        let digest = Sha256::digest(folded(&all));
        Ok(Value::Integer(i32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]).into()))
    })?;
    add("tds_type_name", |c| {
        let id = int(c, 0).unwrap_or(-1);
        Ok(SYSTEM_TYPES.iter().find(|t| t.2 == id).map_or(Value::Null, |t| Value::Text(t.0.to_owned())))
    })?;
    add("tds_type_id", |c| {
        let name = text(c, 0).unwrap_or_default().to_lowercase();
        Ok(SYSTEM_TYPES.iter().find(|t| t.0 == name).map_or(Value::Null, |t| Value::Integer(t.2)))
    })?;
    db.create_scalar_function("tds_newid", -1, FunctionFlags::SQLITE_UTF8, |_| {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::UserFunctionError(e.to_string().into()))?;
        bytes[7] = bytes[7] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Ok(Value::Text(guid_text(&bytes)))
    })
}

fn cast(c: &Context<'_>) -> Result<Value, TdsError> {
    let (from, to) = (ty(c, 1), ty(c, 2));
    let given = value(c, 0);
    let style = int(c, 3);
    if let Some(style) = style {
        match (&given, to.is_text()) {
            (Value::Text(t), true) if from.is_temporal() => {
                if let Some(text) = styled(t, from, style) {
                    return Ok(coerce(Value::Text(text), Type::NVarChar(None), to, Fit::Cut)?.stored());
                }
            }
            (Value::Blob(b), true) if style == 1 || style == 2 => {
                let hex: String = b.iter().map(|b| format!("{b:02X}")).collect();
                let hex = if style == 1 { format!("0x{hex}") } else { hex };
                return Ok(coerce(Value::Text(hex), Type::VarChar(None), to, Fit::Cut)?.stored());
            }
            (Value::Text(t), false) if to.is_binary() && (style == 1 || style == 2) => {
                let hex = t.trim_start_matches("0x");
                let bytes: Option<Vec<u8>> =
                    (0..hex.len() / 2).map(|at| hex.get(at * 2..at * 2 + 2).and_then(|h| u8::from_str_radix(h, 16).ok())).collect();
                let bytes = bytes.ok_or_else(|| TdsError::conversion(t, from, to))?;
                return Ok(coerce(Value::Blob(bytes), Type::VarBinary(None), to, Fit::Cut)?.stored());
            }
            _ => {}
        }
    }
    coerce(given, from, to, Fit::Cut).map(|v| v.stored())
}

/// The styles of `CONVERT` for dates that programs use.
fn styled(text: &str, from: Type, style: i64) -> Option<String> {
    let moment = temporal::parse(text)?;
    let (date, clock) = (moment.write(Type::Date), moment.write(Type::Time(3)));
    let fraction = match from {
        Type::DateTime2(s) | Type::DateTimeOffset(s) => moment.write(Type::Time(s)),
        _ => clock,
    };
    Some(match style {
        23 => date,
        112 => date.replace('-', ""),
        120 | 20 => format!("{date} {}", moment.write(Type::Time(0))),
        121 | 21 | 25 => format!("{date} {fraction}"),
        126 => format!("{date}T{fraction}"),
        127 => format!("{date}T{fraction}Z"),
        _ => return None,
    })
}

/// `%`, `_`, `[a-z]`, `[^a-z]` and an escape.
fn like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    if Some(*first) == escape {
        return match (rest.split_first(), text.split_first()) {
            (Some((p, rest)), Some((t, text))) => p == t && like(text, rest, escape),
            _ => false,
        };
    }
    match first {
        '%' => (0..=text.len()).any(|at| like(&text[at..], rest, escape)),
        '_' => text.split_first().is_some_and(|(_, text)| like(text, rest, escape)),
        '[' => {
            let Some(end) = rest.iter().position(|c| *c == ']') else { return false };
            let (set, rest) = (&rest[..end], &rest[end + 1..]);
            let (negated, set) = if set.first() == Some(&'^') { (true, &set[1..]) } else { (false, set) };
            let Some((t, text)) = text.split_first() else { return false };
            let mut within = false;
            let mut at = 0;
            while at < set.len() {
                if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
                    within |= (set[at]..=set[at + 2]).contains(t);
                    at += 3;
                } else {
                    within |= set[at] == *t;
                    at += 1;
                }
            }
            within != negated && like(text, rest, escape)
        }
        _ => text.split_first().is_some_and(|(t, text)| t == first && like(text, rest, escape)),
    }
}

fn divide(c: &Context<'_>, modulo: bool) -> Answer {
    let met = ty(c, 2);
    let number = |at: usize| match value(c, at) {
        Value::Integer(i) => Some(i as f64),
        Value::Real(r) => Some(r),
        Value::Text(t) => t.trim().parse().ok(),
        _ => None,
    };
    let (Some(a), Some(b)) = (number(0), number(1)) else { return Ok(Value::Null) };
    if b == 0.0 {
        return Err(failed(&TdsError::new(8134, 16, 1, "Divide by zero error encountered.")));
    }
    if met.is_integer() {
        let (a, b) = (int(c, 0).unwrap_or(0), int(c, 1).unwrap_or(1));
        return Ok(Value::Integer(if modulo { a.wrapping_rem(b) } else { a.wrapping_div(b) }));
    }
    Ok(Value::Real(if modulo { a % b } else { a / b }))
}

/// 100 ns in a unit; `None` for years, quarters, months.
fn ticks_of(unit: &str) -> Option<i64> {
    Some(match unit {
        "day" => 864_000_000_000,
        "week" => 6_048_000_000_000,
        "hour" => 36_000_000_000,
        "minute" => 600_000_000,
        "second" => 10_000_000,
        "millisecond" => 10_000,
        "microsecond" => 10,
        _ => return None,
    })
}

fn dates(db: &Connection) -> rusqlite::Result<()> {
    let steady = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let add = |name: &str, function: fn(&Context<'_>) -> Answer| db.create_scalar_function(name, -1, steady, function);
    add("tds_dateadd", |c| {
        let (Some(n), Some(m)) = (int(c, 1), text(c, 2).and_then(|t| temporal::parse(&t))) else { return Ok(Value::Null) };
        let unit = text(c, 0).unwrap_or_default();
        let to = ty(c, 3);
        let overflow = || failed(&TdsError::new(517, 16, 1, "Adding a value to a 'datetime' column caused an overflow."));
        let moved = match ticks_of(&unit) {
            Some(ticks) => {
                let day = 864_000_000_000_i128;
                let total = i128::from(m.days) * day + i128::from(m.ticks) + i128::from(n) * i128::from(ticks);
                temporal::Moment {
                    days: i32::try_from(total.div_euclid(day)).map_err(|_| overflow())?,
                    ticks: total.rem_euclid(day) as i64,
                    ..m
                }
            }
            None => {
                let months = match unit.as_str() {
                    "year" => n * 12,
                    "quarter" => n * 3,
                    "month" => n,
                    _ => return Err(failed(&TdsError::unsupported(format!("DATEADD({unit})")))),
                };
                let (year, month, day) = temporal::date_of(m.days);
                let total = i64::from(year) * 12 + i64::from(month) - 1 + months;
                let (year, month) = (total.div_euclid(12) as i32, total.rem_euclid(12) as u32 + 1);
                let days = (1..=day).rev().find_map(|day| temporal::days_of(year, month, day)).ok_or_else(overflow)?;
                temporal::Moment { days, ..m }
            }
        };
        let fitted = moved.fit(to).ok_or_else(overflow)?;
        Ok(Value::Text(fitted.write(to)))
    })?;
    add("tds_datediff", |c| {
        let read = |at| text(c, at).and_then(|t| temporal::parse(&t)).and_then(temporal::Moment::utc);
        let (Some(a), Some(b)) = (read(1), read(2)) else { return Ok(Value::Null) };
        let unit = text(c, 0).unwrap_or_default();
        // T-SQL counts the boundaries that lie between.
        Ok(Value::Integer(match ticks_of(&unit) {
            Some(ticks) => {
                let count = |m: temporal::Moment| (i128::from(m.days) * 864_000_000_000 + i128::from(m.ticks)).div_euclid(ticks.into());
                (count(b) - count(a)) as i64
            }
            None => {
                let months = |m: temporal::Moment| {
                    let (year, month, _) = temporal::date_of(m.days);
                    i64::from(year) * 12 + i64::from(month) - 1
                };
                let per = match unit.as_str() {
                    "year" => 12,
                    "quarter" => 3,
                    _ => 1,
                };
                months(b).div_euclid(per) - months(a).div_euclid(per)
            }
        }))
    })?;
    add("tds_datepart", |c| {
        let Some(m) = text(c, 1).and_then(|t| temporal::parse(&t)) else { return Ok(Value::Null) };
        let (year, month, day) = temporal::date_of(m.days);
        let seconds = m.ticks / 10_000_000;
        Ok(Value::Integer(match text(c, 0).unwrap_or_default().as_str() {
            "year" => year.into(),
            "quarter" => month.div_ceil(3).into(),
            "month" => month.into(),
            "day" => day.into(),
            "hour" => seconds / 3600,
            "minute" => seconds / 60 % 60,
            "second" => seconds % 60,
            "millisecond" => m.ticks % 10_000_000 / 10_000,
            "microsecond" => m.ticks % 10_000_000 / 10,
            "nanosecond" => m.ticks % 10_000_000 * 100,
            other => return Err(failed(&TdsError::unsupported(format!("DATEPART({other})")))),
        }))
    })?;
    add("tds_at_utc", |c| {
        let Some(m) = text(c, 0).and_then(|t| temporal::parse(&t)) else { return Ok(Value::Null) };
        let zone = text(c, 1).unwrap_or_default();
        if !zone.eq_ignore_ascii_case("UTC") {
            return Err(failed(&TdsError::unsupported(format!("AT TIME ZONE '{zone}'"))));
        }
        let utc = if m.offset.is_some() { m.utc() } else { Some(temporal::Moment { offset: Some(0), ..m }) };
        let scale = int(c, 2).unwrap_or(7).clamp(0, 7) as u8;
        Ok(utc.map_or(Value::Null, |m| Value::Text(m.write(Type::DateTimeOffset(scale)))))
    })?;
    let offset = |t: String| temporal::parse(&format!("2000-01-01T00:00:00{t}")).and_then(|m| m.offset);
    let _: fn(String) -> Option<i16> = offset;
    db.create_scalar_function("tds_todatetimeoffset", 2, steady, move |c| {
        let (Some(m), Some(o)) = (text(c, 0).and_then(|t| temporal::parse(&t)), text(c, 1).and_then(offset)) else {
            return Ok(Value::Null);
        };
        Ok(Value::Text(temporal::Moment { offset: Some(o), ..m }.write(Type::DateTimeOffset(7))))
    })?;
    db.create_scalar_function("tds_switchoffset", 2, steady, move |c| {
        let (Some(m), Some(o)) = (text(c, 0).and_then(|t| temporal::parse(&t)), text(c, 1).and_then(offset)) else {
            return Ok(Value::Null);
        };
        Ok(m.utc().and_then(|m| m.at(o)).map_or(Value::Null, |m| Value::Text(m.write(Type::DateTimeOffset(7)))))
    })?;
    db.create_scalar_function("tds_now", 1, FunctionFlags::SQLITE_UTF8, |c| {
        let to = ty(c, 0);
        Ok(temporal::now().fit(to).map_or(Value::Null, |m| Value::Text(m.write(to))))
    })
}

/// Schema and name of `[dbo].[T]`, `kith.dbo.T`, `tempdb..#t`.
fn split(name: &str) -> (String, String) {
    let mut parts: Vec<String> = name.split('.').map(|p| p.trim_matches(['[', ']', '"']).to_owned()).collect();
    let table = parts.pop().unwrap_or_default();
    (parts.pop().filter(|s| !s.is_empty()).unwrap_or_else(|| "dbo".to_owned()), table)
}

fn find(shared: &Shared, facts: &Mutex<Facts>, name: &str) -> Option<Arc<TableDef>> {
    let (schema, table) = split(name);
    if table.starts_with('#') {
        return facts.lock().ok()?.temp.get(&table.to_lowercase()).cloned();
    }
    shared.catalogue().table(&schema, &table)
}

fn catalogue(db: &Connection, shared: &Arc<Shared>, facts: &Arc<Mutex<Facts>>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let or_null = |v: Option<Value>| Ok::<_, Error>(v.unwrap_or(Value::Null));
    let (s, f) = (shared.clone(), facts.clone());
    db.create_scalar_function("tds_object_id", -1, flags, move |c| {
        let name = text(c, 0).unwrap_or_default();
        let kind = text(c, 1).map(|k| k.trim().to_uppercase());
        let wants = |k: &str| kind.as_deref().is_none_or(|kind| kind == k);
        let table =
            find(&s, &f, &name).filter(|t| wants(if t.kind == super::catalogue::Kind::View { "V" } else { "U" })).map(|t| t.object_id);
        let (schema, bare) = split(&name);
        let procedure = || {
            let catalogue = s.catalogue();
            let found = catalogue
                .procedures
                .iter()
                .find(|p| p.schema.eq_ignore_ascii_case(&schema) && p.name.eq_ignore_ascii_case(&bare) && wants("P"));
            found.map(|p| p.object_id)
        };
        or_null(table.or_else(procedure).map(Value::Integer))
    })?;
    for (name, schema) in [("tds_object_name", false), ("tds_object_schema", true)] {
        let s = shared.clone();
        db.create_scalar_function(name, -1, flags, move |c| {
            let id = int(c, 0).unwrap_or(0);
            let catalogue = s.catalogue();
            let table = catalogue.tables().find(|t| t.object_id == id).map(|t| if schema { t.schema.clone() } else { t.name.clone() });
            or_null(table.map(Value::Text))
        })?;
    }
    let s = shared.clone();
    db.create_scalar_function("tds_schema_id", 1, flags, move |c| {
        or_null(s.catalogue().schema_id(&text(c, 0).unwrap_or_default()).map(Value::Integer))
    })?;
    let s = shared.clone();
    db.create_scalar_function("tds_schema_name", 1, flags, move |c| {
        or_null(s.catalogue().schema_name(int(c, 0).unwrap_or(0)).map(|n| Value::Text(n.to_owned())))
    })?;
    let (s, f) = (shared.clone(), facts.clone());
    db.create_scalar_function("tds_col_length", 2, flags, move |c| {
        let table = find(&s, &f, &text(c, 0).unwrap_or_default());
        let column = text(c, 1).unwrap_or_default();
        or_null(table.and_then(|t| Some(Value::Integer(t.columns[t.position(&column)?].ty.facets().0))))
    })?;
    let s = shared.clone();
    db.create_scalar_function("tds_col_name", 2, flags, move |c| {
        let (id, at) = (int(c, 0).unwrap_or(0), int(c, 1).unwrap_or(0));
        let catalogue = s.catalogue();
        let table = catalogue.tables().find(|t| t.object_id == id);
        or_null(table.and_then(|t| t.columns.get(usize::try_from(at - 1).ok()?)).map(|c| Value::Text(c.name.clone())))
    })?;
    let f = facts.clone();
    db.create_scalar_function("tds_global", 1, flags, {
        let s = shared.clone();
        move |c| {
            let name = text(c, 0).unwrap_or_default();
            Ok(f.lock().map(|facts| facts.global(&name, &s)).unwrap_or(Value::Null))
        }
    })?;
    let (s, f) = (shared.clone(), facts.clone());
    db.create_scalar_function("tds_session", -1, flags, move |c| {
        let name = text(c, 0).unwrap_or_default();
        Ok(f.lock().map(|facts| facts.session(&name, &s)).unwrap_or(Value::Null))
    })?;
    let (s, f) = (shared.clone(), facts.clone());
    db.create_scalar_function("tds_property", -1, flags, move |c| {
        let name = text(c, 0).unwrap_or_default();
        let arguments: Vec<Option<String>> = (1..c.len()).map(|at| text(c, at)).collect();
        Ok(super::properties::property(&s, &f, &name, &arguments))
    })?;
    let s = shared.clone();
    db.create_scalar_function("tds_applock_mode", -1, flags, move |c| {
        Ok(Value::Text(if s.applocks.is_held(&text(c, 1).unwrap_or_default()) { "Exclusive" } else { "NoLock" }.to_owned()))
    })
}
