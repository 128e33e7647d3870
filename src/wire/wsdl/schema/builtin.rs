//! The built-in simple types and their lexical forms (XML Schema part 2, second edition, 3.2 and 3.3).

#![expect(clippy::wildcard_enum_match_arm, reason = "the built-in types fall into few groups, and XML Schema 1.0 gets no more of them")]

use super::moment;
use super::number::{self, Decimal};
use crate::wire::xml::is_ncname;

macro_rules! builtins {
    ($($variant:ident $name:literal)+) => {
        /// A built-in type.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[allow(missing_docs, reason = "they are what XML Schema calls them")]
        pub enum Builtin { $($variant,)+ }

        impl Builtin {
            /// All, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the namespace of XML Schema.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

builtins! {
    AnyType "anyType"
    AnySimpleType "anySimpleType"
    String "string"
    NormalizedString "normalizedString"
    Token "token"
    Language "language"
    Name "Name"
    NcName "NCName"
    NmToken "NMTOKEN"
    NmTokens "NMTOKENS"
    Id "ID"
    IdRef "IDREF"
    IdRefs "IDREFS"
    Entity "ENTITY"
    Entities "ENTITIES"
    Boolean "boolean"
    Decimal "decimal"
    Integer "integer"
    NonPositiveInteger "nonPositiveInteger"
    NegativeInteger "negativeInteger"
    NonNegativeInteger "nonNegativeInteger"
    PositiveInteger "positiveInteger"
    Long "long"
    Int "int"
    Short "short"
    Byte "byte"
    UnsignedLong "unsignedLong"
    UnsignedInt "unsignedInt"
    UnsignedShort "unsignedShort"
    UnsignedByte "unsignedByte"
    Float "float"
    Double "double"
    Duration "duration"
    DateTime "dateTime"
    Time "time"
    Date "date"
    GYearMonth "gYearMonth"
    GYear "gYear"
    GMonthDay "gMonthDay"
    GDay "gDay"
    GMonth "gMonth"
    HexBinary "hexBinary"
    Base64Binary "base64Binary"
    AnyUri "anyURI"
    QName "QName"
    Notation "NOTATION"
}

/// How blanks are read (part 2, 4.3.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhiteSpace {
    /// As they are.
    Preserve,
    /// Each a space.
    Replace,
    /// Replaced, runs made one, none at the ends.
    Collapse,
}

impl WhiteSpace {
    /// The text as a reader of the type sees it.
    pub fn apply(self, text: &str) -> std::borrow::Cow<'_, str> {
        let blank = |c: char| matches!(c, '\t' | '\n' | '\r' | ' ');
        match self {
            Self::Replace if text.contains(['\t', '\n', '\r']) => text.replace(['\t', '\n', '\r'], " ").into(),
            Self::Preserve | Self::Replace => text.into(),
            Self::Collapse => {
                let trimmed = text.trim_matches(blank);
                if trimmed.contains(['\t', '\n', '\r']) || trimmed.contains("  ") {
                    trimmed.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").into()
                } else {
                    trimmed.into()
                }
            }
        }
    }
}

/// What the length facets count (part 2, 4.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Characters.
    Characters,
    /// Bytes that are encoded.
    Bytes,
    /// Nothing: the facets do not apply.
    Nothing,
}

/// What the bounds and digits compare.
#[derive(Clone, PartialEq, Debug)]
pub enum Ordered {
    /// Decimals and integers.
    Decimal(Decimal),
    /// Floats and doubles.
    Float(f64),
    /// Dates and times, in nanoseconds; without a time zone as if in UTC.
    Moment(i128),
}

impl Ordered {
    /// The order, where both are of one kind and neither is NaN.
    pub fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Decimal(a), Self::Decimal(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Moment(a), Self::Moment(b)) => Some(a.cmp(b)),
            (Self::Decimal(_) | Self::Float(_) | Self::Moment(_), _) => None,
        }
    }
}

impl Builtin {
    /// By name, in the namespace of XML Schema (the SOAP encoding has the same names and means the same).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|b| b.name() == name)
    }

    /// The type it is derived from, where that is not `anySimpleType`.
    pub const fn base(self) -> Option<Self> {
        use Builtin as B;
        Some(match self {
            B::AnyType => return None,
            B::AnySimpleType => B::AnyType,
            B::NormalizedString => B::String,
            B::Token => B::NormalizedString,
            B::Language | B::Name | B::NmToken => B::Token,
            B::NcName => B::Name,
            B::Id | B::IdRef | B::Entity => B::NcName,
            B::Integer => B::Decimal,
            B::NonPositiveInteger | B::Long | B::NonNegativeInteger => B::Integer,
            B::NegativeInteger => B::NonPositiveInteger,
            B::Int => B::Long,
            B::Short => B::Int,
            B::Byte => B::Short,
            B::UnsignedLong | B::PositiveInteger => B::NonNegativeInteger,
            B::UnsignedInt => B::UnsignedLong,
            B::UnsignedShort => B::UnsignedInt,
            B::UnsignedByte => B::UnsignedShort,
            _ => B::AnySimpleType,
        })
    }

    /// What a built-in list is made of.
    pub const fn item(self) -> Option<Self> {
        match self {
            Self::NmTokens => Some(Self::NmToken),
            Self::IdRefs => Some(Self::IdRef),
            Self::Entities => Some(Self::Entity),
            _ => None,
        }
    }

    /// How blanks are read.
    pub const fn white_space(self) -> WhiteSpace {
        match self {
            Self::AnyType | Self::AnySimpleType | Self::String => WhiteSpace::Preserve,
            Self::NormalizedString => WhiteSpace::Replace,
            _ => WhiteSpace::Collapse,
        }
    }

    /// What the length facets count.
    pub const fn unit(self) -> Unit {
        match self {
            Self::HexBinary | Self::Base64Binary => Unit::Bytes,
            Self::String
            | Self::NormalizedString
            | Self::Token
            | Self::Language
            | Self::Name
            | Self::NcName
            | Self::NmToken
            | Self::Id
            | Self::IdRef
            | Self::Entity
            | Self::AnyUri => Unit::Characters,
            _ => Unit::Nothing,
        }
    }

    /// Smallest and largest value of an integer type.
    pub const fn range(self) -> Option<(Option<&'static str>, Option<&'static str>)> {
        Some(match self {
            Self::Integer => (None, None),
            Self::NonPositiveInteger => (None, Some("0")),
            Self::NegativeInteger => (None, Some("-1")),
            Self::NonNegativeInteger => (Some("0"), None),
            Self::PositiveInteger => (Some("1"), None),
            Self::Long => (Some("-9223372036854775808"), Some("9223372036854775807")),
            Self::Int => (Some("-2147483648"), Some("2147483647")),
            Self::Short => (Some("-32768"), Some("32767")),
            Self::Byte => (Some("-128"), Some("127")),
            Self::UnsignedLong => (Some("0"), Some("18446744073709551615")),
            Self::UnsignedInt => (Some("0"), Some("4294967295")),
            Self::UnsignedShort => (Some("0"), Some("65535")),
            Self::UnsignedByte => (Some("0"), Some("255")),
            _ => return None,
        })
    }

    /// Whether a text, blanks already collapsed, is of the type. A qualified name is looked at as `local` or `prefix:local`.
    pub fn accepts(self, text: &str) -> bool {
        let words = |one: fn(&str) -> bool| !text.is_empty() && text.split(' ').all(one);
        match self {
            Self::AnyType | Self::AnySimpleType | Self::String => true,
            Self::NormalizedString => !text.contains(['\t', '\n', '\r']),
            Self::Token => !text.contains(['\t', '\n', '\r']) && text.trim_matches(' ').len() == text.len() && !text.contains("  "),
            Self::Language => language(text),
            Self::Name => name(text),
            Self::NcName | Self::Id | Self::IdRef | Self::Entity => is_ncname(text),
            Self::NmToken => nmtoken(text),
            Self::NmTokens => words(nmtoken),
            Self::IdRefs | Self::Entities => words(is_ncname),
            Self::Boolean => matches!(text, "true" | "false" | "1" | "0"),
            Self::Decimal => Decimal::parse(text).is_some(),
            Self::Float | Self::Double => number::float(text).is_some(),
            Self::Duration => moment::is_duration(text),
            Self::DateTime | Self::Time | Self::Date | Self::GYearMonth | Self::GYear | Self::GMonthDay | Self::GDay | Self::GMonth => {
                moment::parse(self, text).is_some()
            }
            Self::HexBinary => text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Base64Binary => base64(text).is_some(),
            // Anything may be one (part 2, 3.2.17 leaves it to the application); blanks inside are no URI's.
            Self::AnyUri => !text.contains(' '),
            Self::QName | Self::Notation => text.split_once(':').map_or_else(|| is_ncname(text), |(p, l)| is_ncname(p) && is_ncname(l)),
            _ => self.integer(text),
        }
    }

    fn integer(self, text: &str) -> bool {
        let Some((low, high)) = self.range() else { return false };
        let Some(value) = Decimal::parse(text).filter(|_| !text.contains('.')) else { return false };
        let bound = |text: Option<&'static str>| text.and_then(Decimal::parse);
        bound(low).is_none_or(|low| value >= low) && bound(high).is_none_or(|high| value <= high)
    }

    /// Its value, where the type has an order that the bounds can use.
    pub fn ordered(self, text: &str) -> Option<Ordered> {
        match self {
            Self::Float | Self::Double => number::float(text).map(Ordered::Float),
            Self::DateTime | Self::Time | Self::Date | Self::GYearMonth | Self::GYear | Self::GMonthDay | Self::GDay | Self::GMonth => {
                moment::parse(self, text).map(Ordered::Moment)
            }
            Self::Decimal => Decimal::parse(text).map(Ordered::Decimal),
            _ if self.range().is_some() => Decimal::parse(text).map(Ordered::Decimal),
            _ => None,
        }
    }

    /// How long a value is, in [`Builtin::unit`].
    pub fn length(self, text: &str) -> Option<usize> {
        match self.unit() {
            Unit::Characters => Some(text.chars().count()),
            Unit::Bytes if self == Self::HexBinary => Some(text.len() / 2),
            Unit::Bytes => base64(text),
            Unit::Nothing => None,
        }
    }
}

/// RFC 3066 as part 2, 3.3.3 writes it.
fn language(text: &str) -> bool {
    text.split('-').enumerate().all(|(at, part)| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| if at == 0 { b.is_ascii_alphabetic() } else { b.is_ascii_alphanumeric() })
    })
}

fn name(text: &str) -> bool {
    // A name may hold colons anywhere.
    is_ncname(&text.replace(':', "_"))
}

fn nmtoken(text: &str) -> bool {
    !text.is_empty() && name(&format!("_{text}"))
}

/// How many bytes a base64 text holds; blanks between its letters are allowed (part 2, 3.2.16).
fn base64(text: &str) -> Option<usize> {
    let (mut letters, mut padding) = (0_usize, 0_usize);
    let mut last = 'A';
    for c in text.chars().filter(|c| *c != ' ') {
        match c {
            '=' => padding += 1,
            _ if padding > 0 => return None,
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => {
                letters += 1;
                last = c;
            }
            _ => return None,
        }
    }
    let whole = (letters + padding).is_multiple_of(4);
    // What the padding cuts off must be zero.
    let clean = match padding {
        0 => true,
        1 => "AEIMQUYcgkosw048".contains(last),
        2 => "AQgw".contains(last),
        _ => false,
    };
    (whole && clean && (padding == 0 || letters >= 2)).then_some(letters * 3 / 4)
}
