//! Texts that come back HTML-escaped (`SuiteCRM` stores them so). Pure.

use std::borrow::Cow;

/// `&#1114111;` is the longest reference that means something.
const LONGEST: usize = 12;

/// The text without its references; what is none stays as it is.
pub fn html(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let named = after.split_once(';').filter(|(name, _)| name.len() < LONGEST).and_then(|(name, behind)| Some((meant(name)?, behind)));
        if let Some((character, behind)) = named {
            out.push(character);
            rest = behind;
        } else {
            out.push('&');
            rest = after;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What PHP's `htmlspecialchars` and `htmlentities` write for what CRMs hold, and every number.
fn meant(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_are_read_once_and_what_is_none_stays() {
        assert_eq!(html("R&amp;D &lt;b&gt; &#039;x&#x27; &quot;"), "R&D <b> 'x' \"");
        assert_eq!(html("&amp;lt; & &; &nope; &#; &#xD800; AT&T"), "&lt; & &; &nope; &#; &#xD800; AT&T");
    }

    proptest! {
        #[test]
        fn what_was_escaped_comes_back(text in "\\PC{0,60}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#039;");
            prop_assert_eq!(html(&escaped), text);
        }
    }
}
