//! Functions of lists, and of what may be a list or a text.

use super::text_function::{one, whole};
use super::value::Val;
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) fn list(a: &[Val<'_>], at: usize) -> Option<Arc<[Val<'static>]>> {
    a.get(at).and_then(Val::list)
}

pub(super) fn lists<'v>(a: &[Val<'v>], of: impl Fn(&[Val<'static>], &[Val<'static>]) -> Val<'static>) -> Val<'v> {
    match (list(a, 0), list(a, 1)) {
        (Some(x), Some(y)) => of(&x, &y),
        _ => Val::Null,
    }
}

pub(super) fn has(list: &[Val<'_>], value: &Val<'_>) -> bool {
    list.iter().any(|member| member.order(value) == Some(Ordering::Equal))
}

pub(super) fn distinct(list: &[Val<'static>]) -> Arc<[Val<'static>]> {
    let mut kept: Vec<Val<'static>> = Vec::new();
    for value in list.iter().filter(|v| !v.is_null()) {
        if !has(&kept, value) {
            kept.push(value.clone());
        }
    }
    kept.into()
}

pub(super) fn intersect(x: &[Val<'static>], y: &[Val<'static>]) -> Val<'static> {
    Val::List(distinct(&x.iter().filter(|v| has(y, v)).cloned().collect::<Vec<_>>()))
}

pub(super) fn contains<'v>(a: &[Val<'v>]) -> Val<'v> {
    match (list(a, 0), a.get(1)) {
        (Some(list), Some(value)) => Val::Bool(has(&list, value)),
        _ => Val::Null,
    }
}

pub(super) fn extreme<'v>(values: &[Val<'v>], wanted: Ordering) -> Val<'v> {
    let mut best: Option<&Val<'v>> = None;
    for value in values.iter().filter(|v| !v.is_null()) {
        if best.is_none_or(|best| value.order(best) == Some(wanted)) {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or(Val::Null)
}

/// A member of a list by position, 1 the first, −1 the last; a character of a text that is no list.
pub(super) fn element<'v>(a: &[Val<'v>]) -> Val<'v> {
    let Some(at) = whole(a.get(1)) else { return Val::Null };
    let size = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    let place = |count: usize| if at < 0 { count.checked_sub(size) } else { size.checked_sub(1) };
    match list(a, 0) {
        Some(list) => place(list.len()).and_then(|at| list.get(at)).cloned().unwrap_or(Val::Null),
        None => one(a, |text| place(text.chars().count()).and_then(|at| text.chars().nth(at)).map(String::from).unwrap_or_default()),
    }
}

pub(super) fn vectors<'v>(a: &[Val<'v>], of: impl Fn(&[f64], &[f64]) -> f64) -> Val<'v> {
    let vector = |at: usize| list(a, at).and_then(|list| list.iter().map(Val::number).collect::<Option<Vec<f64>>>());
    match (vector(0), vector(1)) {
        (Some(x), Some(y)) if x.len() == y.len() && !x.is_empty() => Val::Number(of(&x, &y)),
        _ => Val::Null,
    }
}

pub(super) fn cosine<'v>(a: &[Val<'v>]) -> Val<'v> {
    vectors(a, |x, y| {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).fold(0.0, |sum, (a, b)| sum + a * b);
        (dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()).clamp(-1.0, 1.0)
    })
}

/// The members of a list, or characters of a text, from one position to another, both within; negative ones count from the end.
pub(super) fn slice<'v>(a: &[Val<'v>]) -> Val<'v> {
    let (Some(from), Some(to)) = (whole(a.get(1)), whole(a.get(2))) else { return Val::Null };
    let within = |count: usize| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let place = |at: i64| if at < 0 { count.saturating_add(at).saturating_add(1) } else { at };
        let (from, to) = (place(from).clamp(1, count.saturating_add(1)), place(to).clamp(0, count));
        let before = usize::try_from(from - 1).unwrap_or(0);
        (before, usize::try_from(to).unwrap_or(0).saturating_sub(before))
    };
    if let Some(list) = list(a, 0) {
        let (before, length) = within(list.len());
        return Val::List(list.iter().skip(before).take(length).cloned().collect());
    }
    one(a, |text| {
        let (before, length) = within(text.chars().count());
        text.chars().skip(before).take(length).collect()
    })
}
