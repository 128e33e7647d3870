//! Functions of texts.

use super::bytes::number;
use super::value::Val;
use std::borrow::Cow;

pub(super) fn one<'v>(a: &[Val<'v>], change: impl Fn(&str) -> String) -> Val<'v> {
    a.first().and_then(Val::string).map_or(Val::Null, |text| Val::Text(Cow::Owned(change(&text))))
}

pub(super) fn two<'v>(a: &[Val<'v>], test: impl Fn(&str, &str) -> bool) -> Val<'v> {
    match (a.first().and_then(Val::string), a.get(1).and_then(Val::string)) {
        (Some(x), Some(y)) => Val::Bool(test(&x, &y)),
        _ => Val::Null,
    }
}

pub(super) fn three<'v>(a: &[Val<'v>], change: impl Fn(&str, &str, &str) -> String) -> Val<'v> {
    match (a.first().and_then(Val::string), a.get(1).and_then(Val::string), a.get(2).and_then(Val::string)) {
        (Some(x), Some(y), Some(z)) => Val::Text(Cow::Owned(change(&x, &y, &z))),
        _ => Val::Null,
    }
}

pub(super) fn translated(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    text.chars().filter_map(|c| from.chars().position(|f| f == c).map_or(Some(c), |at| to.get(at).copied())).collect()
}

pub(super) fn trimmed<'v>(a: &[Val<'v>], start: bool, end: bool) -> Val<'v> {
    let set: Vec<char> = a.get(1).and_then(Val::string).map_or_else(|| vec![' '], |set| set.chars().collect());
    one(a, |text| {
        let text = if start { text.trim_start_matches(&*set) } else { text };
        (if end { text.trim_end_matches(&*set) } else { text }).to_owned()
    })
}

/// A whole number from a value, cut to what positions and lengths can be.
#[expect(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
pub(super) fn whole(value: Option<&Val<'_>>) -> Option<i64> {
    let n = value?.number()?.trunc().clamp(-2_147_483_648.0, 2_147_483_647.0);
    Some(n as i64)
}

/// Characters from a position on: 1 is the first, negative ones count from the end, as in `DuckDB`.
pub(super) fn substring<'v>(a: &[Val<'v>]) -> Val<'v> {
    let (Some(from), length) = (whole(a.get(1)), a.get(2)) else { return Val::Null };
    let length = match length {
        None => i64::MAX,
        Some(length) => match whole(Some(length)) {
            Some(length) => length,
            None => return Val::Null,
        },
    };
    one(a, |text| {
        let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        let start = if from < 0 { count + from } else { from - 1 };
        let (start, end) = if length >= 0 { (start, start.saturating_add(length)) } else { (start.saturating_add(length), start) };
        let (start, end) = (start.clamp(0, count), end.clamp(0, count));
        let place = |n: i64| usize::try_from(n).unwrap_or(0);
        text.chars().skip(place(start)).take(place((end - start).max(0))).collect()
    })
}

pub(super) fn ends<'v>(a: &[Val<'v>], left: bool) -> Val<'v> {
    let Some(wanted) = whole(a.get(1)) else { return Val::Null };
    one(a, |text| {
        let count = text.chars().count();
        let size = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
        let kept = if wanted < 0 { count.saturating_sub(size) } else { size.min(count) };
        if left { text.chars().take(kept).collect() } else { text.chars().skip(count - kept).collect() }
    })
}

/// Longest text that padding makes.
const MOST_PADDED: usize = 4_096;

pub(super) fn padded<'v>(a: &[Val<'v>], left: bool) -> Val<'v> {
    let wanted = whole(a.get(1)).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(MOST_PADDED);
    let Some(fill) = a.get(2).and_then(Val::string).filter(|fill| !fill.is_empty()) else { return Val::Null };
    one(a, |text| {
        let count = text.chars().count();
        let more: String = fill.chars().cycle().take(wanted.saturating_sub(count)).collect();
        let kept: String = text.chars().take(wanted).collect();
        if left { more + &kept } else { kept + &more }
    })
}

pub(super) fn split_part<'v>(a: &[Val<'v>]) -> Val<'v> {
    let (Some(at), Some(separator)) = (whole(a.get(2)), a.get(1).and_then(Val::string)) else { return Val::Null };
    one(a, |text| {
        let parts: Vec<&str> = if separator.is_empty() { vec![text] } else { text.split(&*separator).collect() };
        let size = usize::try_from(at.unsigned_abs()).unwrap_or(0);
        let at = if at < 0 { parts.len().checked_sub(size) } else { size.checked_sub(1) };
        at.and_then(|at| parts.get(at)).copied().unwrap_or_default().to_owned()
    })
}

pub(super) fn concat_ws<'v>(a: &[Val<'v>]) -> Val<'v> {
    let Some(separator) = a.first().and_then(Val::string) else { return Val::Null };
    let parts: Vec<String> = a.iter().skip(1).filter_map(Val::string).map(Cow::into_owned).collect();
    Val::Text(Cow::Owned(parts.join(&separator)))
}

pub(super) fn length<'v>(a: &[Val<'v>]) -> Val<'v> {
    match a.first() {
        Some(Val::List(items)) => Val::Number(number(items.len())),
        Some(other) => other.string().map_or(Val::Null, |text| Val::Number(number(text.chars().count()))),
        None => Val::Null,
    }
}

pub(super) fn place<'v>(text: Option<&Val<'_>>, part: Option<&Val<'_>>) -> Val<'v> {
    let (Some(text), Some(part)) = (text.and_then(Val::string), part.and_then(Val::string)) else { return Val::Null };
    let before = text.find(&*part).and_then(|at| text.get(..at));
    Val::Number(before.map_or(0.0, |before| number(before.chars().count() + 1)))
}

pub(super) fn split<'v>(a: &[Val<'v>]) -> Val<'v> {
    let (Some(text), Some(separator)) = (a.first().and_then(Val::string), a.get(1).and_then(Val::string)) else { return Val::Null };
    let owned = |part: &str| Val::Text(Cow::Owned(part.to_owned()));
    if separator.is_empty() {
        return Val::List(text.chars().map(|c| Val::Text(Cow::Owned(c.to_string()))).collect());
    }
    Val::List(text.split(&*separator).map(owned).collect())
}
