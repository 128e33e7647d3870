//! HTML to text: tags removed, entities decoded. What people post is read for words, never shown as a page, so that a whole HTML parser
//! would bring nothing but weight. The text is never longer than the HTML.

use memchr::{memchr, memchr2, memmem};

/// Elements that stand on lines of their own.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "div",
    "dd",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];

/// The text of an HTML fragment, without blanks at its ends. Plain text comes out as it is: a `<` that opens no tag is a `<`.
pub(super) fn text_of(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    // Without these two a hostile line of unclosed tags would cost the square of its length.
    let (mut tags_end, mut comments_end) = (true, true);
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        let Some((before, from)) = rest.split_at_checked(at) else { break };
        push_text(&mut out, before);
        rest = if from.starts_with('&') {
            entity(&mut out, from)
        } else if comments_end && from.starts_with("<!--") {
            after(from, "-->").unwrap_or_else(|| {
                comments_end = false;
                from
            })
        } else {
            match tag(from).filter(|_| tags_end) {
                Some(name) => close_of(from).map_or_else(
                    || {
                        tags_end = false;
                        from
                    },
                    |next| element(&mut out, name, from, next),
                ),
                None => from,
            }
        };
        if rest.len() == from.len() {
            // Nothing was taken: the character is text.
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    push_text(&mut out, rest);
    let trimmed = out.trim();
    if trimmed.len() == out.len() { out } else { trimmed.to_owned() }
}

/// Text that [`text_of`] reads back: `&`, `<` and `>` escaped.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// XML cannot carry control characters other than tab and line ends, and no CRM wants them.
fn push_text(out: &mut String, text: &str) {
    if text.bytes().any(|b| b < 0x20) {
        out.extend(text.chars().filter(|c| !c.is_ascii_control() || matches!(c, '\t' | '\n' | '\r')));
    } else {
        out.push_str(text);
    }
}

fn after<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    memmem::find(text.as_bytes(), end.as_bytes()).and_then(|at| text.get(at + end.len()..))
}

/// The name of the tag that `from` begins with, `/` included; empty for `<!…>` and `<?…>`. `None` where `<` is only a sign.
fn tag(from: &str) -> Option<&str> {
    let inner = from.get(1..)?;
    let name_start = usize::from(inner.starts_with('/'));
    match inner.as_bytes().get(name_start)? {
        b'!' | b'?' if name_start == 0 => Some(""),
        byte if byte.is_ascii_alphabetic() => {
            let length = inner.bytes().skip(name_start).take_while(u8::is_ascii_alphanumeric).count();
            inner.get(..name_start + length)
        }
        _ => None,
    }
}

/// What follows the `>` of the tag; a `>` inside quotes counts only where the quotes never close.
fn close_of(from: &str) -> Option<&str> {
    let bytes = from.as_bytes();
    let mut quote = None;
    let quoted = bytes.iter().position(|byte| match (quote, *byte) {
        (Some(open), b) if open == b => {
            quote = None;
            false
        }
        (None, b'"' | b'\'') => {
            quote = Some(*byte);
            false
        }
        (None, b'>') => true,
        _ => false,
    });
    quoted.or_else(|| memchr(b'>', bytes)).and_then(|at| from.get(at + 1..))
}

/// What an element adds, and what follows it.
fn element<'a>(out: &mut String, name: &str, from: &'a str, next: &'a str) -> &'a str {
    let (closing, name) = name.strip_prefix('/').map_or((false, name), |name| (true, name));
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("br") {
        out.push('\n');
    } else if BLOCKS.iter().any(|block| is(block)) {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
    } else if !closing && (is("script") || is("style")) {
        // Its text is code: skipped up to the end tag, or to the end where that is missing.
        let end = if is("script") { "</script" } else { "</style" };
        let mut rest = next;
        loop {
            let Some(at) = memmem::find(rest.as_bytes(), b"</") else { return "" };
            let Some(found) = rest.get(at..) else { return "" };
            if found.get(..end.len()).is_some_and(|head| head.eq_ignore_ascii_case(end)) {
                return close_of(found).unwrap_or("");
            }
            let Some(further) = found.get(2..) else { return "" };
            rest = further;
        }
    }
    debug_assert!(next.len() < from.len(), "a tag takes at least one byte");
    next
}

/// The longest entity we decode: `&thetasym;` has 10 bytes, `&#x10FFFF;` has 10, leading zeros allow for some more.
const LONGEST_ENTITY: usize = 16;

/// Decodes the entity that `from` begins with and returns what follows; `from` itself where it is none.
fn entity<'a>(out: &mut String, from: &'a str) -> &'a str {
    let head = from.as_bytes().get(..LONGEST_ENTITY.min(from.len())).unwrap_or_default();
    let Some(end) = memchr(b';', head) else { return from };
    let (Some(name), Some(next)) = (from.get(1..end), from.get(end + 1..)) else { return from };
    let decoded = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
                None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok(),
                _ => None,
            };
            match code {
                Some(code) => numeric(code),
                None => return from,
            }
        }
        None => match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, character)) => *character,
            None => return from,
        },
    };
    if !decoded.is_ascii_control() || matches!(decoded, '\t' | '\n' | '\r') {
        out.push(decoded);
    }
    next
}

/// A numeric reference as the HTML standard reads it: 128 to 159 mean Windows-1252, what is no character is U+FFFD.
fn numeric(code: u32) -> char {
    const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    match code {
        0 => '\u{fffd}',
        0x80..=0x9f => usize::try_from(code - 0x80).ok().and_then(|at| WINDOWS_1252.chars().nth(at)).unwrap_or('\u{fffd}'),
        _ => char::from_u32(code).unwrap_or('\u{fffd}'),
    }
}

/// The entities that people's clients write: XML's five, Latin-1, and the punctuation of word processors. An unknown name stays as it is.
#[rustfmt::skip]
const NAMED: &[(&str, char)] = &[
    ("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", '\u{a0}'),
    ("iexcl", '¡'), ("cent", '¢'), ("pound", '£'), ("curren", '¤'), ("yen", '¥'), ("brvbar", '¦'), ("sect", '§'), ("uml", '¨'),
    ("copy", '©'), ("ordf", 'ª'), ("laquo", '«'), ("not", '¬'), ("shy", '\u{ad}'), ("reg", '®'), ("macr", '¯'), ("deg", '°'),
    ("plusmn", '±'), ("sup2", '²'), ("sup3", '³'), ("acute", '´'), ("micro", 'µ'), ("para", '¶'), ("middot", '·'), ("cedil", '¸'),
    ("sup1", '¹'), ("ordm", 'º'), ("raquo", '»'), ("frac14", '¼'), ("frac12", '½'), ("frac34", '¾'), ("iquest", '¿'),
    ("Agrave", 'À'), ("Aacute", 'Á'), ("Acirc", 'Â'), ("Atilde", 'Ã'), ("Auml", 'Ä'), ("Aring", 'Å'), ("AElig", 'Æ'), ("Ccedil", 'Ç'),
    ("Egrave", 'È'), ("Eacute", 'É'), ("Ecirc", 'Ê'), ("Euml", 'Ë'), ("Igrave", 'Ì'), ("Iacute", 'Í'), ("Icirc", 'Î'), ("Iuml", 'Ï'),
    ("ETH", 'Ð'), ("Ntilde", 'Ñ'), ("Ograve", 'Ò'), ("Oacute", 'Ó'), ("Ocirc", 'Ô'), ("Otilde", 'Õ'), ("Ouml", 'Ö'), ("times", '×'),
    ("Oslash", 'Ø'), ("Ugrave", 'Ù'), ("Uacute", 'Ú'), ("Ucirc", 'Û'), ("Uuml", 'Ü'), ("Yacute", 'Ý'), ("THORN", 'Þ'), ("szlig", 'ß'),
    ("agrave", 'à'), ("aacute", 'á'), ("acirc", 'â'), ("atilde", 'ã'), ("auml", 'ä'), ("aring", 'å'), ("aelig", 'æ'), ("ccedil", 'ç'),
    ("egrave", 'è'), ("eacute", 'é'), ("ecirc", 'ê'), ("euml", 'ë'), ("igrave", 'ì'), ("iacute", 'í'), ("icirc", 'î'), ("iuml", 'ï'),
    ("eth", 'ð'), ("ntilde", 'ñ'), ("ograve", 'ò'), ("oacute", 'ó'), ("ocirc", 'ô'), ("otilde", 'õ'), ("ouml", 'ö'), ("divide", '÷'),
    ("oslash", 'ø'), ("ugrave", 'ù'), ("uacute", 'ú'), ("ucirc", 'û'), ("uuml", 'ü'), ("yacute", 'ý'), ("thorn", 'þ'), ("yuml", 'ÿ'),
    ("OElig", 'Œ'), ("oelig", 'œ'), ("Scaron", 'Š'), ("scaron", 'š'), ("Yuml", 'Ÿ'), ("ensp", '\u{2002}'), ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'), ("zwnj", '\u{200c}'), ("zwj", '\u{200d}'), ("ndash", '–'), ("mdash", '—'), ("lsquo", '‘'), ("rsquo", '’'),
    ("sbquo", '‚'), ("ldquo", '“'), ("rdquo", '”'), ("bdquo", '„'), ("dagger", '†'), ("bull", '•'), ("hellip", '…'), ("permil", '‰'),
    ("prime", '′'), ("lsaquo", '‹'), ("rsaquo", '›'), ("euro", '€'), ("trade", '™'), ("larr", '←'), ("rarr", '→'), ("hearts", '♥'),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_go_entities_are_decoded_and_lines_stay_lines() {
        for (html, text) in [
            ("plain, 5 < 6 & 7 > 3, I <3 U", "plain, 5 < 6 & 7 > 3, I <3 U"),
            ("<p>Ciao&nbsp;<b>Ada</b>,</p><p>l&#39;ordine &egrave; rotto<br/>grazie</p>", "Ciao\u{a0}Ada,\nl'ordine è rotto\ngrazie"),
            (r#"<a href="https://x.example/?a=1&b=>2" class='h-card'>@<span>brand</span></a> hi"#, "@brand hi"),
            ("a<script>alert('</b>')</SCRIPT >b<style>p{}", "ab"),
            ("<!-- note --><!DOCTYPE x><?php ?>ok", "ok"),
            ("if a <b then c", "if a <b then c"),
            ("&amp;lt; is decoded once; &unknown; &#xZZ; &#; & stay", "&lt; is decoded once; &unknown; &#xZZ; &#; & stay"),
            ("&#128; &#x1F600; &#0; &#xD800;&#1;", "€ 😀 \u{fffd} \u{fffd}"),
            ("  \u{0}blank\u{7} ends \n", "blank ends"),
        ] {
            assert_eq!(text_of(html), text, "{html}");
        }
    }

    #[test]
    fn a_megabyte_of_unclosed_tags_takes_linear_time() {
        for unit in ["<a", "<a \"", "<!--", "&", "<script></s", "<a '>", "<!"] {
            let hostile = unit.repeat((1 << 20) / unit.len());
            assert!(text_of(&hostile).len() <= hostile.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_never_grows(html in "\\PC*|([<>&;#!/a-z\"' -]|<p>|&amp;|&#x9;){0,60}") {
            prop_assert!(text_of(&html).len() <= html.len());
        }

        #[test]
        fn escaped_text_reads_back(html in "([<>&;#!/a-z\"' -]|<p>|&amp;|é){0,60}") {
            let text = text_of(&html);
            prop_assert_eq!(text_of(&escape(&text)), text);
        }
    }
}
