//! What XML 1.0 can carry, and what becomes of the rest.

use std::borrow::Cow;

/// What becomes of a character that XML 1.0 has no way to write (2.2 `Char`: most control characters, U+FFFE, U+FFFF).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Uncarried {
    /// The value is refused.
    #[default]
    Refuse,
    /// U+FFFD stands for it.
    Replace,
    /// It is left out.
    Strip,
}

/// So many characters of a value can't be carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} characters that XML cannot carry")]
pub struct Uncarriable(pub usize);

/// Whether XML 1.0 can carry a character (2.2 `Char`).
pub const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

impl Uncarried {
    /// The text as XML can carry it.
    ///
    /// # Errors
    /// `Refuse` met such a character.
    pub fn apply(self, text: &str) -> Result<Cow<'_, str>, Uncarriable> {
        // The common case costs a look at the bytes: U+FFFE and U+FFFF begin with EF BF.
        if text.bytes().all(|b| b >= b' ' && b != 0xEF || matches!(b, b'\t' | b'\n' | b'\r')) || text.chars().all(is_char) {
            return Ok(Cow::Borrowed(text));
        }
        match self {
            Self::Refuse => Err(Uncarriable(text.chars().filter(|c| !is_char(*c)).count())),
            Self::Replace => Ok(text.chars().map(|c| if is_char(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()),
            Self::Strip => Ok(text.chars().filter(|c| is_char(*c)).collect()),
        }
    }
}

/// Whether a name may begin with it (XML 1.0, 2.3 `NameStartChar`, without the colon).
const fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// Whether a name may hold it (2.3 `NameChar`, without the colon).
pub(super) const fn in_name(c: char) -> bool {
    starts_name(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether it is a name without a colon (Namespaces in XML 1.0, 3 `NCName`).
pub fn is_ncname(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(starts_name) && chars.all(in_name)
}
