//! Paths into JSON as `dpath` walks them: keys, list positions as text, `*` for any of them, `**` for any depth.

use super::json::{Json, Members};
use std::sync::Arc;

/// Whether a name fits a segment with `*` and `?`.
pub fn fits(segment: &str, name: &str) -> bool {
    fn walk(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            // Backtracks at most length × length times: segments are short, and stars that follow each other are one.
            Some((b'*', rest)) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| walk(rest, name))),
            Some((b'?', rest)) => name.split_first().is_some_and(|(_, name)| walk(rest, name)),
            Some((byte, rest)) => name.split_first().is_some_and(|(first, name)| first == byte && walk(rest, name)),
        }
    }
    if segment.contains(['*', '?']) {
        let mut short = segment.to_owned();
        while short.contains("**") {
            short = short.replace("**", "*");
        }
        walk(short.as_bytes(), name.as_bytes())
    } else {
        segment == name
    }
}

/// What stands at a path without wildcards.
pub fn get<'a>(value: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(value, |value, segment| match value {
        Json::Map(members) => members.get(segment.as_str()),
        Json::List(items) => segment.parse::<usize>().ok().and_then(|at| items.get(at)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => None,
    })
}

/// Everything that fits a path with wildcards, in order.
pub fn values<'a>(value: &'a Json, path: &[String], found: &mut Vec<&'a Json>) {
    let Some((segment, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    if segment == "**" {
        values(value, rest, found);
    }
    let next = if segment == "**" { path } else { rest };
    let fitting = |name: &str| segment == "**" || fits(segment, name);
    match value {
        Json::Map(members) => members.iter().filter(|(key, _)| fitting(key)).for_each(|(_, child)| values(child, next, found)),
        Json::List(items) => {
            items.iter().enumerate().filter(|(at, _)| fitting(&at.to_string())).for_each(|(_, child)| values(child, next, found));
        }
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => {}
    }
}

/// Puts a value at a path; objects that are missing on the way are made, and what is no object is replaced.
pub fn set(target: &mut Json, path: &[String], value: Json) {
    let Some((segment, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if let Json::List(items) = target
        && let Ok(at) = segment.parse::<usize>()
    {
        let items = Arc::make_mut(items);
        // dpath fills with nothing up to the position; nobody means more than a thousand.
        while items.len() <= at.min(1_000) {
            items.push(Json::Null);
        }
        if let Some(item) = items.get_mut(at) {
            set(item, rest, value);
        }
        return;
    }
    let members = target.members_mut();
    set(members.entry(segment.as_str().into()).or_default(), rest, value);
}

/// Removes everything that fits a path and that `wanted` agrees to.
///
/// # Errors
/// The first error of `wanted`.
pub fn delete<E>(target: &mut Json, path: &[String], wanted: &mut dyn FnMut(&Json) -> Result<bool, E>) -> Result<(), E> {
    let Some((segment, rest)) = path.split_first() else { return Ok(()) };
    if segment == "**" && !rest.is_empty() {
        delete(target, rest, wanted)?;
        return match target {
            Json::Map(members) => Arc::make_mut(members).values_mut().try_for_each(|value| delete(value, path, wanted)),
            Json::List(items) => Arc::make_mut(items).iter_mut().try_for_each(|item| delete(item, path, wanted)),
            Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => Ok(()),
        };
    }
    match target {
        Json::Map(members) => {
            if !members.keys().any(|key| fits(segment, key)) {
                return Ok(());
            }
            let members = Arc::make_mut(members);
            if rest.is_empty() {
                let mut gone = Vec::new();
                for (key, value) in members.iter() {
                    if fits(segment, key) && wanted(value)? {
                        gone.push(key.clone());
                    }
                }
                for key in &gone {
                    members.shift_remove(key);
                }
            } else {
                for (_, value) in members.iter_mut().filter(|(key, _)| fits(segment, key)) {
                    delete(value, rest, wanted)?;
                }
            }
        }
        Json::List(items) => {
            let items = Arc::make_mut(items);
            if rest.is_empty() {
                let mut kept = Vec::with_capacity(items.len());
                for (at, item) in items.drain(..).enumerate() {
                    if !(fits(segment, &at.to_string()) && wanted(&item)?) {
                        kept.push(item);
                    }
                }
                *items = kept;
            } else {
                for (_, item) in items.iter_mut().enumerate().filter(|(at, _)| fits(segment, &at.to_string())) {
                    delete(item, rest, wanted)?;
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => {}
    }
    Ok(())
}

/// A path that is written as one text, with `/` between.
pub fn split(path: &str) -> Vec<String> {
    path.trim_start_matches('/').split('/').map(str::to_owned).collect()
}

/// The members of both, the second winning.
pub fn join(first: &Members, second: &Members) -> Members {
    let mut joined = first.clone();
    joined.extend(second.iter().map(|(key, value)| (key.clone(), value.clone())));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        split(text)
    }

    #[test]
    fn paths_are_walked_set_and_deleted() {
        let mut json = Json::parse(br#"{"a":{"b":[{"c":1},{"c":2}]},"x_1":0,"x_2":1}"#).unwrap();
        assert_eq!(get(&json, &path("a/b/1/c")), Some(&Json::Int(2)));
        assert_eq!(get(&json, &path("a/z")), None);
        let mut found = Vec::new();
        values(&json, &path("a/b/*/c"), &mut found);
        assert_eq!(found.len(), 2);
        let mut found = Vec::new();
        values(&json, &path("**/c"), &mut found);
        assert_eq!(found.len(), 2);
        set(&mut json, &path("n/m"), Json::Int(7));
        set(&mut json, &path("a/b/0/c"), Json::Null);
        delete::<()>(&mut json, &path("x_*"), &mut |_| Ok(true)).unwrap();
        delete::<()>(&mut json, &path("a/b/1"), &mut |_| Ok(true)).unwrap();
        assert_eq!(json.compact(), r#"{"a":{"b":[{"c":null}]},"n":{"m":7}}"#);
    }

    #[test]
    fn two_stars_are_any_depth_and_none_where_something_is_removed() {
        for (path, left) in
            [("**/s", r#"{"a":{"b":{}},"l":[{"k":5}]}"#), ("a/**/s", r#"{"s":1,"a":{"b":{}},"l":[{"s":4,"k":5}]}"#), ("**", "{}")]
        {
            let mut json = Json::parse(br#"{"s":1,"a":{"s":2,"b":{"s":3}},"l":[{"s":4,"k":5}]}"#).unwrap();
            delete::<()>(&mut json, &split(path), &mut |_| Ok(true)).unwrap();
            assert_eq!(json.compact(), left, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_stars_end(pattern in "[ab*?]{0,12}", name in "[ab]{0,12}") {
            fits(&pattern, &name);
        }
    }
}
