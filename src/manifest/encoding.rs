//! Encodings of text, by the names that Python knows them by.

use encoding_rs::Encoding as Table;
use std::borrow::Cow;

/// How text is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// As it is; a byte order mark stays.
    Utf8,
    /// Without its byte order mark.
    Utf8Signed,
    /// Each byte a character: ISO 8859-1, and not what browsers take for it.
    Latin1,
    /// Seven bits.
    Ascii,
    /// The byte order mark says in which order; else the lower byte comes first.
    Utf16,
    /// As the Encoding Standard has it.
    Table(&'static Table),
}

impl Encoding {
    /// By its name. Case, `-`, `_` and spaces make no difference.
    pub fn of(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        Some(match plain.as_str() {
            "utf8" | "u8" | "utf" | "cp65001" => Self::Utf8,
            "utf8sig" => Self::Utf8Signed,
            "iso88591" | "latin1" | "latin" | "l1" | "cp819" | "8859" | "ibm819" => Self::Latin1,
            "ascii" | "usascii" | "646" => Self::Ascii,
            "utf16" | "u16" => Self::Utf16,
            "utf16le" => Self::Table(encoding_rs::UTF_16LE),
            "utf16be" => Self::Table(encoding_rs::UTF_16BE),
            "macroman" => Self::Table(encoding_rs::MACINTOSH),
            // ISO 8859-9 and -11 are Windows' own there.
            "iso88599" | "latin5" | "l5" | "iso885911" => return None,
            _ => {
                let windows = plain.strip_prefix("cp").filter(|number| number.len() == 4).map(|number| format!("windows-{number}"));
                let dashed = name.trim().replace(['_', ' '], "-");
                let labels = [windows.as_deref(), Some(name), Some(dashed.as_str()), Some(plain.as_str())];
                let found = labels.into_iter().flatten().find_map(|label| Table::for_label_no_replacement(label.as_bytes()))?;
                // Other names that browsers take for these.
                if found == encoding_rs::UTF_8 || (found == encoding_rs::WINDOWS_1252 && windows.is_none() && !plain.starts_with("windows"))
                {
                    return None;
                }
                Self::Table(found)
            }
        })
    }

    /// As UTF-8; `None` where a byte has no meaning.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned().into_bytes());
        Some(match self {
            Self::Utf8 => Cow::Borrowed(bytes),
            Self::Utf8Signed => Cow::Borrowed(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
            Self::Latin1 => owned(encoding_rs::mem::decode_latin1(bytes)),
            Self::Ascii => bytes.is_ascii().then_some(Cow::Borrowed(bytes))?,
            Self::Utf16 => {
                let (table, text) = match bytes {
                    [0xfe, 0xff, text @ ..] => (encoding_rs::UTF_16BE, text),
                    [0xff, 0xfe, text @ ..] | text => (encoding_rs::UTF_16LE, text),
                };
                owned(table.decode_without_bom_handling_and_without_replacement(text)?)
            }
            Self::Table(table) => owned(table.decode_without_bom_handling_and_without_replacement(bytes)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pythons_and_bytes_mean_what_they_mean_there() {
        let read = |name: &str, bytes: &[u8]| {
            let decoded = Encoding::of(name)?.decode(bytes)?.into_owned();
            Some(String::from_utf8(decoded).unwrap())
        };
        for (name, bytes, text) in [
            ("iso-8859-1", &b"\xe9\x93"[..], "é\u{93}"),
            ("Latin_1", b"\xe9", "é"),
            ("cp1252", b"\xe9\x93", "é\u{201c}"),
            ("windows-1251", b"\xcf", "П"),
            ("iso8859-15", b"\xa4", "€"),
            ("iso_8859_2", b"\xb3", "ł"),
            ("shift_jis", b"\x82\xa0", "あ"),
            ("gbk", b"\xc4\xe3", "你"),
            ("utf-16", b"\xff\xfeA\0", "A"),
            ("utf-16", b"\xfe\xff\0A", "A"),
            ("utf-16-le", b"A\0", "A"),
            ("utf-8-sig", b"\xef\xbb\xbfA", "A"),
            ("UTF8", b"\xef\xbb\xbfA", "\u{feff}A"),
            ("us-ascii", b"A", "A"),
        ] {
            assert_eq!(read(name, bytes).as_deref(), Some(text), "{name}");
        }
        assert_eq!(read("ascii", b"\xe9"), None);
        assert_eq!(read("utf-16", b"\xff\xfe\x00\xd8"), None, "half a pair");
        for unknown in ["rot13", "utf-7", "idna", "iso-8859-9", "", "x-user-defined", "ansi_x3.4-1968"] {
            assert_eq!(Encoding::of(unknown).filter(|_| unknown != "x-user-defined"), None, "{unknown}");
        }
    }
}
