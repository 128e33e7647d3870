//! A value while a condition is evaluated, and how values convert and compare.

use super::moment;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// Most members of a list that is read from a cell.
const MOST_MEMBERS: usize = 1_024;

/// A value. Cells are texts, whatever they hold: functions read from them what they want.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Val<'v> {
    Null,
    Bool(bool),
    Number(f64),
    /// Microseconds since 1970.
    Time(i64),
    Text(Cow<'v, str>),
    List(Arc<[Val<'v>]>),
}

impl<'v> Val<'v> {
    pub(super) fn text(text: impl Into<Cow<'v, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Without copying a text.
    pub(super) fn view<'s: 's>(&'s self) -> Val<'s> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(b) => Val::Bool(*b),
            Self::Number(n) => Val::Number(*n),
            Self::Time(t) => Val::Time(*t),
            Self::Text(text) => Val::Text(Cow::Borrowed(text)),
            Self::List(items) => Val::List(items.clone()),
        }
    }

    /// The value as nobody else's.
    pub(super) fn owned(&self) -> Val<'static> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(b) => Val::Bool(*b),
            Self::Number(n) => Val::Number(*n),
            Self::Time(t) => Val::Time(*t),
            Self::Text(text) => Val::Text(Cow::Owned(text.clone().into_owned())),
            Self::List(items) => Val::List(items.iter().map(Val::owned).collect()),
        }
    }

    /// As a number; `None` where it is none.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Time(at) => Some(moment::seconds(*at)),
            Self::Null | Self::List(_) => None,
        }
    }

    /// As a text; `None` for null.
    pub(super) fn string(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Bool(b) => Some(Cow::Borrowed(if *b { "true" } else { "false" })),
            Self::Number(n) => Some(Cow::Owned(n.to_string())),
            Self::Time(at) => Some(Cow::Owned(timestamp(*at))),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.string().unwrap_or(Cow::Borrowed("NULL")).into_owned()).collect();
                Some(Cow::Owned(format!("[{}]", items.join(", "))))
            }
        }
    }

    /// As a truth value; `None` for null and what is none.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Number(n) => Some(*n != 0.0),
            Self::Text(text) if text.eq_ignore_ascii_case("true") || &**text == "t" || &**text == "1" => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") || &**text == "f" || &**text == "0" => Some(false),
            Self::Text(_) | Self::Null | Self::Time(_) | Self::List(_) => None,
        }
    }

    /// As a point in time.
    pub(super) fn time(&self) -> Option<i64> {
        match self {
            Self::Time(at) => Some(*at),
            Self::Text(text) => moment::iso(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) => None,
        }
    }

    /// As a list: a cell holds one as JSON (`["a", "b"]`) or as `DuckDB` writes it (`[a, b]`).
    pub(super) fn list(&self) -> Option<Arc<[Val<'static>]>> {
        match self {
            Self::List(items) => Some(items.iter().map(Val::owned).collect()),
            Self::Text(text) => of_text(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Time(_) => None,
        }
    }

    /// How two values that are not null stand to each other; `None` where they can't be compared.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Time(_), _) | (_, Self::Time(_)) => Some(self.time()?.cmp(&other.time()?)),
            (Self::List(a), Self::List(b)) => {
                for (x, y) in a.iter().zip(&**b) {
                    let order = match (x.is_null(), y.is_null()) {
                        (false, false) => x.order(y)?,
                        (x, y) => x.cmp(&y),
                    };
                    if order != Ordering::Equal {
                        return Some(order);
                    }
                }
                Some(a.len().cmp(&b.len()))
            }
            (Self::List(_), Self::Text(_)) | (Self::Text(_), Self::List(_)) => Val::List(self.list()?).order(&Val::List(other.list()?)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(_) | Self::Bool(_), _) | (_, Self::Number(_) | Self::Bool(_)) => {
                // NaN is equal to itself and greater than anything, as in DuckDB.
                let (a, b) = (self.number()?, other.number()?);
                Some(a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())))
            }
            (Self::Null, _) | (_, Self::Null) => None,
        }
    }

    /// Bytes that are equal exactly where the values are, for keys.
    pub(super) fn key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Bool(b) => out.extend([1, u8::from(*b)]),
            Self::Number(n) => {
                out.push(2);
                out.extend((n + 0.0).to_bits().to_be_bytes());
            }
            Self::Time(at) => {
                out.push(3);
                out.extend(at.to_be_bytes());
            }
            Self::Text(text) => {
                out.push(4);
                out.extend(text.as_bytes());
                out.push(0xff);
            }
            Self::List(items) => {
                out.push(5);
                items.iter().for_each(|item| item.key(out));
                out.push(6);
            }
        }
    }
}

fn timestamp(micros: i64) -> String {
    let day = micros.div_euclid(86_400_000_000);
    let (year, month, of_month) = moment::civil(day);
    let rest = micros.rem_euclid(86_400_000_000) / 1_000_000;
    format!("{year:04}-{month:02}-{of_month:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// What stands behind each member of a list that a mapping's cleaner gave: the ASCII unit separator, which no cleaner lets through.
const SEPARATOR: char = '\u{1f}';

fn of_text(text: &str) -> Option<Arc<[Val<'static>]>> {
    if let Some(members) = text.strip_suffix(SEPARATOR) {
        return Some(members.split(SEPARATOR).take(MOST_MEMBERS).map(|member| Val::Text(Cow::Owned(member.to_owned()))).collect());
    }
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    if let Ok(serde_json::Value::Array(items)) = serde_json::from_str(text) {
        return Some(items.iter().take(MOST_MEMBERS).map(of_json).collect());
    }
    if inner.trim().is_empty() {
        return Some(Arc::new([]));
    }
    let member = |item: &str| {
        let item = item.trim();
        let bare = ['\'', '"'].iter().find_map(|quote| item.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(item);
        if item == "NULL" { Val::Null } else { Val::Text(Cow::Owned(bare.to_owned())) }
    };
    Some(inner.split(',').take(MOST_MEMBERS).map(member).collect())
}

fn of_json(json: &serde_json::Value) -> Val<'static> {
    match json {
        serde_json::Value::Null => Val::Null,
        serde_json::Value::Bool(b) => Val::Bool(*b),
        serde_json::Value::Number(n) => n.as_f64().map_or(Val::Null, Val::Number),
        serde_json::Value::String(text) => Val::Text(Cow::Owned(text.clone())),
        serde_json::Value::Array(items) => Val::List(items.iter().take(MOST_MEMBERS).map(of_json).collect()),
        serde_json::Value::Object(_) => Val::Text(Cow::Owned(json.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_from_cells() {
        let list = |text: &'static str| {
            Val::text(text).list().map(|l| l.iter().filter_map(|v| v.string().map(Cow::into_owned)).collect::<Vec<_>>())
        };
        for text in [r#"["a", "b"]"#, "[a, b]", "['a', 'b']", "[a,b]"] {
            assert_eq!(list(text), Some(vec!["a".to_owned(), "b".into()]), "{text}");
        }
        assert_eq!(list("a\u{1f}b\u{1f}"), Some(vec!["a".to_owned(), "b".into()]));
        assert_eq!(list("[]"), Some(vec![]));
        assert_eq!(list("a"), None);
    }

    #[test]
    fn values_compare_by_what_they_are() {
        assert_eq!(Val::text("10").order(&Val::text("9")), Some(Ordering::Less));
        assert_eq!(Val::Number(10.0).order(&Val::text("9")), Some(Ordering::Greater));
        assert_eq!(Val::Time(0).order(&Val::text("1970-01-02")), Some(Ordering::Less));
        assert_eq!(Val::Null.order(&Val::Number(1.0)), None);
        assert_eq!(Val::text("[1, 2]").order(&Val::List(Arc::new([Val::Number(1.0), Val::Number(2.0)]))), Some(Ordering::Equal));
        assert_eq!(Val::Time(0).string().unwrap(), "1970-01-01 00:00:00");
    }
}
