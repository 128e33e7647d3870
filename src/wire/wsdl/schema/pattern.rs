//! Patterns of XML Schema (part 2, appendix F) as regular expressions of ours.

use regex::{Regex, RegexBuilder};

/// A pattern as written is at most this long; the longest in published WSDLs have about 600 characters.
const LONGEST: usize = 4096;
/// `[\c]{1,255}` compiles to about 2 MiB.
const COMPILED: usize = 8 << 20;

/// Why a pattern is not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTranslated {
    /// Blocks of Unicode, `\p{IsGreek}`.
    #[error("blocks of Unicode (`\\p{{Is…}}`) are not known")]
    Block,
    /// Not a regular expression, or too large a one.
    #[error("it is no regular expression, or too large a one")]
    Syntax,
    /// Longer than 4,096 bytes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// A contract with more different patterns than are compiled.
    #[error("the contract has too many patterns")]
    TooMany,
}

/// What may begin a name (XML 1.0, 2.3), as part of a class.
const INITIAL: &str = "_:A-Za-z\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{2FF}\u{370}-\u{37D}\u{37F}-\u{1FFF}\u{200C}\u{200D}\u{2070}-\u{218F}\u{2C00}-\u{2FEF}\u{3001}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFFD}\u{10000}-\u{EFFFF}";

/// Besides those that begin a name, what a name may hold.
const LATER: &str = "\\-.0-9\u{B7}\u{300}-\u{36F}\u{203F}\u{2040}";

/// One or more patterns of one derivation step: a value matches where one of them does.
pub fn translate(patterns: &[&str]) -> Result<Regex, NotTranslated> {
    let mut alternatives = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        if pattern.len() > LONGEST {
            return Err(NotTranslated::TooLong);
        }
        alternatives.push(format!("(?:{})", one(pattern)?));
    }
    RegexBuilder::new(&format!("^(?:{})$", alternatives.join("|"))).size_limit(COMPILED).build().map_err(|_error| NotTranslated::Syntax)
}

fn one(pattern: &str) -> Result<String, NotTranslated> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // How many classes are open: `[a-z-[aeiou]]` nests.
    let mut class = 0_u32;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut out, &mut chars, class > 0)?,
            '[' if class > 0 => return Err(NotTranslated::Syntax),
            '[' => {
                class += 1;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.push('^');
                    chars.next();
                }
            }
            ']' if class > 0 => {
                class -= 1;
                out.push(']');
            }
            '-' if class > 0 && chars.peek() == Some(&'[') => {
                chars.next();
                class += 1;
                out.push_str("--[");
                if chars.peek() == Some(&'^') {
                    out.push('^');
                    chars.next();
                }
            }
            // A range keeps its dash; two of ours side by side would subtract.
            '-' if class > 0 && chars.peek() == Some(&'-') => out.push_str("\\-"),
            '&' | '~' | '^' if class > 0 => {
                out.push('\\');
                out.push(c);
            }
            // In XML Schema these are letters like any other.
            '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '.' if class == 0 => out.push_str("[^\\n\\r]"),
            // Groups are never anything but groups.
            '(' if class == 0 && chars.peek() == Some(&'?') => return Err(NotTranslated::Syntax),
            // `a{,3}` and lazy `a+?` are none of XML Schema's.
            '?' | '+' | '*' | '}' if class == 0 && matches!(chars.peek(), Some('?' | '+')) => return Err(NotTranslated::Syntax),
            '(' if class == 0 => out.push_str("(?:"),
            _ => out.push(c),
        }
    }
    if class == 0 { Ok(out) } else { Err(NotTranslated::Syntax) }
}

fn escape(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>, class: bool) -> Result<(), NotTranslated> {
    let c = chars.next().ok_or(NotTranslated::Syntax)?;
    match c {
        'd' | 'D' | 'n' | 'r' | 't' | '\\' | '|' | '.' | '-' | '^' | '?' | '*' | '+' | '{' | '}' | '(' | ')' | '[' | ']' => {
            out.push('\\');
            out.push(c);
        }
        's' => out.push_str(if class { " \\t\\n\\r" } else { "[ \\t\\n\\r]" }),
        'S' => out.push_str("[^ \\t\\n\\r]"),
        'w' => out.push_str("[^\\p{P}\\p{Z}\\p{C}]"),
        'W' => out.push_str("[\\p{P}\\p{Z}\\p{C}]"),
        'i' => out.extend(["[", INITIAL, "]"]),
        'I' => out.extend(["[^", INITIAL, "]"]),
        'c' => out.extend(["[", INITIAL, LATER, "]"]),
        'C' => out.extend(["[^", INITIAL, LATER, "]"]),
        'p' | 'P' => {
            if chars.next() != Some('{') {
                return Err(NotTranslated::Syntax);
            }
            let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
            if name.starts_with("Is") {
                return Err(NotTranslated::Block);
            }
            out.extend(["\\", c.encode_utf8(&mut [0; 4]), "{", &name, "}"]);
        }
        _ => return Err(NotTranslated::Syntax),
    }
    Ok(())
}
