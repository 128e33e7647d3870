//! What a network lets be shown of what people show and say there.

use super::Value;
use std::sync::Arc;

/// Limits on what is written into a CRM and shown to people. Matching and conditions read everything all the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Display {
    /// Names that are not shown, as expressions read them: what the network withholds, and fields that are made from it.
    pub withheld: Vec<Arc<str>>,
    /// The most characters (Unicode scalar values) of what somebody said.
    pub text_at_most: Option<usize>,
    /// Whether what somebody said is shown beside the address of the post alone.
    pub with_link: bool,
}

impl Display {
    /// Whether a name reads what somebody said.
    pub fn is_text(name: &str) -> bool {
        matches!(name, "content" | "object.content")
    }

    /// Whether a name is not shown.
    pub fn withholds(&self, name: &str) -> bool {
        self.withheld.iter().any(|withheld| {
            let rest = name.strip_prefix(&**withheld);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// As much of a value as may be shown; `linked`: whether the post has an address.
    #[must_use]
    pub fn shown(&self, name: &str, value: Value, linked: bool) -> Value {
        if self.withholds(name) || (Self::is_text(name) && self.with_link && !linked) {
            return Value::Missing;
        }
        match self.text_at_most {
            Some(most) if Self::is_text(name) => value.cut(most),
            Some(_) | None => value,
        }
    }

    /// What is not shown of a value, in words without it; `None` where all of it is.
    pub fn lacks(&self, name: &str, value: &Value, linked: bool) -> Option<String> {
        let limited = !value.is_missing() && (self.withholds(name) || Self::is_text(name));
        let shown = limited.then(|| self.shown(name, value.clone(), linked)).filter(|shown| shown != value)?;
        Some(match self.text_at_most {
            Some(most) if !shown.is_missing() => format!("{name} cut to {most} characters"),
            Some(_) | None if self.withholds(name) => format!("{name} withheld"),
            Some(_) | None => format!("{name} withheld, since the post has no address"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_missing_with_all_below_it_and_texts_are_cut_at_characters() {
        let display = Display { withheld: vec!["actor.location".into(), "identity.city".into()], text_at_most: Some(3), with_link: true };
        let shown = |name: &str, linked| display.shown(name, "Più caffè".into(), linked);
        assert_eq!(["actor.location", "actor.location.name", "identity.city"].map(|name| shown(name, true)), [const { Value::Missing }; 3]);
        assert_eq!(["actor.locations", "identity.city_name"].map(|name| shown(name, false)), ["Più caffè".into(), "Più caffè".into()]);
        assert_eq!(["content", "object.content"].map(|name| shown(name, true)), ["Più".into(), "Più".into()]);
        assert_eq!(shown("content", false), Value::Missing);
    }

    #[test]
    fn what_is_lacking_is_told_without_a_value() {
        let display = Display { withheld: vec!["actor.name".into()], text_at_most: Some(3), with_link: true };
        let lacks = |name: &str, value: &str, linked| display.lacks(name, &value.into(), linked);
        assert_eq!(lacks("actor.name", "Ada", true).as_deref(), Some("actor.name withheld"));
        assert_eq!(lacks("content", "four", true).as_deref(), Some("content cut to 3 characters"));
        assert_eq!(lacks("content", "one", false).as_deref(), Some("content withheld, since the post has no address"));
        assert_eq!(
            [lacks("content", "one", true), lacks("actor.name", "", true), lacks("actor.url", "https://a", false)],
            [None, None, None]
        );
    }
}
