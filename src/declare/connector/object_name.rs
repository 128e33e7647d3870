//! Names of a SQL Server's objects as Transact-SQL writes them.

use std::fmt;
use std::sync::Arc;

/// SQL Server's limit for an identifier (`sysname`).
pub const LONGEST: usize = 128;

/// A table, view or procedure: `dbo.Contact`, or without its schema `dbo` is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectName {
    /// The schema.
    pub schema: Arc<str>,
    /// The object in it.
    pub name: Arc<str>,
}

impl ObjectName {
    /// `name`, `schema.name`, each part plain or in `[…]`, where `]` is doubled. Another database or server can't be named.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let part;
            if let Some(inner) = rest.strip_prefix('[') {
                let mut name = String::new();
                let mut left = inner;
                loop {
                    let at = left.find(']')?;
                    name.push_str(left.get(..at)?);
                    left = left.get(at + 1..)?;
                    match left.strip_prefix(']') {
                        Some(more) => {
                            name.push(']');
                            left = more;
                        }
                        None => break,
                    }
                }
                part = name;
                rest = left;
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                part = rest.get(..end)?.to_owned();
                if !is_plain(&part) {
                    return None;
                }
                rest = rest.get(end..)?;
            }
            if part.is_empty() || part.encode_utf16().count() > LONGEST || part.chars().any(char::is_control) {
                return None;
            }
            parts.push(part);
            match rest.strip_prefix('.') {
                Some(more) => rest = more,
                None if rest.is_empty() => break,
                None => return None,
            }
        }
        match parts.as_slice() {
            [name] => Some(Self { schema: "dbo".into(), name: name.as_str().into() }),
            [schema, name] => Some(Self { schema: schema.as_str().into(), name: name.as_str().into() }),
            _ => None,
        }
    }

    /// `[dbo].[Contact]`
    pub fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |part: &str| if is_plain(part) { part.to_owned() } else { quoted(part) };
        write!(f, "{}.{}", shown(&self.schema), shown(&self.name))
    }
}

/// Letters, digits, `_`, `@`, `$`, `#` (the rules for regular identifiers), not beginning with a digit.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '#'))
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '$' | '#'))
}

/// A name in brackets, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// Text as a Unicode literal: `N'…'`.
pub fn text_literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_dbas_write_them() {
        let name = |schema: &str, name: &str| Some(ObjectName { schema: schema.into(), name: name.into() });
        assert_eq!(ObjectName::parse("Contact"), name("dbo", "Contact"));
        assert_eq!(ObjectName::parse("crm.Contact"), name("crm", "Contact"));
        assert_eq!(ObjectName::parse("[Social CRM].[a]]b.c]"), name("Social CRM", "a]b.c"));
        for bad in ["", ".", "dbo.", "a.b.c", "dbo.Contact; DROP TABLE x", "a b", "[a", "[a]b", "1a", "dbo.[ok]]"] {
            assert_eq!(ObjectName::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_again(schema in "\\PC{1,40}", name in "\\PC{1,40}") {
            let object = ObjectName { schema: schema.as_str().into(), name: name.as_str().into() };
            prop_assert_eq!(ObjectName::parse(&object.to_string()), Some(object.clone()));
            prop_assert_eq!(ObjectName::parse(&object.sql()), Some(object));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            if let Some(object) = ObjectName::parse(&text) {
                prop_assert_eq!(ObjectName::parse(&object.sql()), Some(object));
            }
        }
    }
}
