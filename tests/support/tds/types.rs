//! The types of T-SQL: their names, their numbers in `sys.types`, their limits and who wins where two meet.

use std::fmt;

/// A length in characters or bytes; `None` is `(max)`.
pub type Length = Option<u16>;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Type {
    /// The type of `NULL` with nothing beside it.
    Null,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Bit,
    Real,
    Float,
    /// Precision, scale.
    Decimal(u8, u8),
    /// Precision, scale.
    Numeric(u8, u8),
    Money,
    SmallMoney,
    Char(u16),
    VarChar(Length),
    NChar(u16),
    NVarChar(Length),
    Binary(u16),
    VarBinary(Length),
    Guid,
    Date,
    /// Digits of a second.
    Time(u8),
    DateTime,
    SmallDateTime,
    /// Digits of a second.
    DateTime2(u8),
    /// Digits of a second.
    DateTimeOffset(u8),
    Xml,
    RowVersion,
    Text,
    NText,
    Image,
}

/// A row of `sys.types`: name, `system_type_id`, `user_type_id`, `max_length`, `precision`, `scale`.
pub const SYSTEM_TYPES: &[(&str, i64, i64, i64, i64, i64)] = &[
    ("image", 34, 34, 16, 0, 0),
    ("text", 35, 35, 16, 0, 0),
    ("uniqueidentifier", 36, 36, 16, 0, 0),
    ("date", 40, 40, 3, 10, 0),
    ("time", 41, 41, 5, 16, 7),
    ("datetime2", 42, 42, 8, 27, 7),
    ("datetimeoffset", 43, 43, 10, 34, 7),
    ("tinyint", 48, 48, 1, 3, 0),
    ("smallint", 52, 52, 2, 5, 0),
    ("int", 56, 56, 4, 10, 0),
    ("smalldatetime", 58, 58, 4, 16, 0),
    ("real", 59, 59, 4, 24, 0),
    ("money", 60, 60, 8, 19, 4),
    ("datetime", 61, 61, 8, 23, 3),
    ("float", 62, 62, 8, 53, 0),
    ("sql_variant", 98, 98, 8016, 0, 0),
    ("ntext", 99, 99, 16, 0, 0),
    ("bit", 104, 104, 1, 1, 0),
    ("decimal", 106, 106, 17, 38, 38),
    ("numeric", 108, 108, 17, 38, 38),
    ("smallmoney", 122, 122, 4, 10, 4),
    ("bigint", 127, 127, 8, 19, 0),
    ("varbinary", 165, 165, 8000, 0, 0),
    ("varchar", 167, 167, 8000, 0, 0),
    ("binary", 173, 173, 8000, 0, 0),
    ("char", 175, 175, 8000, 0, 0),
    ("timestamp", 189, 189, 8, 0, 0),
    ("nvarchar", 231, 231, 8000, 0, 0),
    ("nchar", 239, 239, 8000, 0, 0),
    ("xml", 241, 241, -1, 0, 0),
    ("sysname", 231, 256, 256, 0, 0),
];

impl Type {
    /// `nvarchar(40)`, `decimal (10, 2)`, `[int]`; `None` for a type that the peer does not know.
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '[' | ']' | '"')).collect::<String>().to_lowercase();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')?.split(',').map(str::to_owned).collect()),
            None => (text.as_str(), Vec::new()),
        };
        let name = name.rsplit('.').next()?;
        let number = |at: usize| arguments.get(at).map(|a: &String| a.parse::<u16>());
        let small = |default: u8| match number(0) {
            None => Some(default),
            Some(Ok(n)) if n <= 7 => Some(n as u8),
            Some(_) => None,
        };
        let length = |most: u16| match arguments.first().map(String::as_str) {
            None => Some(Some(1)),
            Some("max") => Some(None),
            Some(n) => n.parse().ok().filter(|n| (1..=most).contains(n)).map(Some),
        };
        let decimal = || {
            let precision = number(0).unwrap_or(Ok(18)).ok()?;
            let scale = number(1).unwrap_or(Ok(0)).ok()?;
            ((1..=38).contains(&precision) && scale <= precision).then_some((precision as u8, scale as u8))
        };
        Some(match name {
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" | "integer" => Self::Int,
            "bigint" => Self::BigInt,
            "bit" => Self::Bit,
            "real" => Self::Real,
            "float" => match number(0) {
                Some(Ok(1..=24)) => Self::Real,
                _ => Self::Float,
            },
            "double precision" | "doubleprecision" => Self::Float,
            "decimal" | "dec" => decimal().map(|(p, s)| Self::Decimal(p, s))?,
            "numeric" => decimal().map(|(p, s)| Self::Numeric(p, s))?,
            "money" => Self::Money,
            "smallmoney" => Self::SmallMoney,
            "char" | "character" => Self::Char(length(8000)??),
            "varchar" => Self::VarChar(length(8000)?),
            "nchar" => Self::NChar(length(4000)??),
            "nvarchar" => Self::NVarChar(length(4000)?),
            "sysname" => Self::NVarChar(Some(128)),
            "binary" => Self::Binary(length(8000)??),
            "varbinary" => Self::VarBinary(length(8000)?),
            "uniqueidentifier" => Self::Guid,
            "date" => Self::Date,
            "time" => Self::Time(small(7)?),
            "datetime" => Self::DateTime,
            "smalldatetime" => Self::SmallDateTime,
            "datetime2" => Self::DateTime2(small(7)?),
            "datetimeoffset" => Self::DateTimeOffset(small(7)?),
            "xml" => Self::Xml,
            "rowversion" | "timestamp" => Self::RowVersion,
            "text" => Self::Text,
            "ntext" => Self::NText,
            "image" => Self::Image,
            "null" => Self::Null,
            _ => return None,
        })
    }

    /// In `sys.types`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null | Self::Int => "int",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::BigInt => "bigint",
            Self::Bit => "bit",
            Self::Real => "real",
            Self::Float => "float",
            Self::Decimal(..) => "decimal",
            Self::Numeric(..) => "numeric",
            Self::Money => "money",
            Self::SmallMoney => "smallmoney",
            Self::Char(_) => "char",
            Self::VarChar(_) => "varchar",
            Self::NChar(_) => "nchar",
            Self::NVarChar(_) => "nvarchar",
            Self::Binary(_) => "binary",
            Self::VarBinary(_) => "varbinary",
            Self::Guid => "uniqueidentifier",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::DateTime => "datetime",
            Self::SmallDateTime => "smalldatetime",
            Self::DateTime2(_) => "datetime2",
            Self::DateTimeOffset(_) => "datetimeoffset",
            Self::Xml => "xml",
            Self::RowVersion => "timestamp",
            Self::Text => "text",
            Self::NText => "ntext",
            Self::Image => "image",
        }
    }

    pub fn system_id(self) -> i64 {
        SYSTEM_TYPES.iter().find(|t| t.0 == self.name()).map_or(56, |t| t.1)
    }

    /// `max_length`, `precision` and `scale` of `sys.columns`.
    pub fn facets(self) -> (i64, i64, i64) {
        let length = |n: Length, width: i64| n.map_or(-1, |n| i64::from(n) * width);
        let digits = |s: u8| i64::from(s);
        match self {
            Self::Decimal(p, s) | Self::Numeric(p, s) => (i64::from(decimal_size(p)), i64::from(p), i64::from(s)),
            Self::Char(n) | Self::Binary(n) => (i64::from(n), 0, 0),
            Self::VarChar(n) | Self::VarBinary(n) => (length(n, 1), 0, 0),
            Self::NChar(n) => (i64::from(n) * 2, 0, 0),
            Self::NVarChar(n) => (length(n, 2), 0, 0),
            Self::Time(s) => (i64::from(time_size(s)), if s == 0 { 8 } else { 9 + digits(s) }, digits(s)),
            Self::DateTime2(s) => (i64::from(time_size(s)) + 3, if s == 0 { 19 } else { 20 + digits(s) }, digits(s)),
            Self::DateTimeOffset(s) => (i64::from(time_size(s)) + 5, if s == 0 { 26 } else { 27 + digits(s) }, digits(s)),
            other => SYSTEM_TYPES.iter().find(|t| t.0 == other.name()).map_or((4, 10, 0), |t| (t.3, t.4, t.5)),
        }
    }

    pub fn decimal(self) -> Option<(u8, u8)> {
        match self {
            Self::Decimal(p, s) | Self::Numeric(p, s) => Some((p, s)),
            Self::Money => Some((19, 4)),
            Self::SmallMoney => Some((10, 4)),
            _ => None,
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt | Self::Bit)
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Char(_) | Self::VarChar(_) | Self::NChar(_) | Self::NVarChar(_) | Self::Text | Self::NText | Self::Xml)
    }

    pub fn is_wide(self) -> bool {
        matches!(self, Self::NChar(_) | Self::NVarChar(_) | Self::NText | Self::Xml)
    }

    pub fn is_binary(self) -> bool {
        matches!(self, Self::Binary(_) | Self::VarBinary(_) | Self::Image | Self::RowVersion)
    }

    pub fn is_temporal(self) -> bool {
        matches!(self, Self::Date | Self::Time(_) | Self::DateTime | Self::SmallDateTime | Self::DateTime2(_) | Self::DateTimeOffset(_))
    }

    /// The longest value: characters of text (bytes of `varchar`, which has one a character), bytes of binary.
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::Char(n) | Self::NChar(n) | Self::Binary(n) => Some(n.into()),
            Self::VarChar(n) | Self::NVarChar(n) | Self::VarBinary(n) => n.map(usize::from),
            _ => None,
        }
    }

    /// What SQLite keeps it in.
    pub fn storage(self) -> &'static str {
        match self {
            t if t.is_integer() => "INTEGER",
            Self::Real | Self::Float => "REAL",
            t if t.is_binary() => "BLOB",
            t if t.decimal().is_some() => "TEXT COLLATE tds_decimal",
            t if t.is_temporal() => "TEXT COLLATE tds_time",
            Self::Null => "",
            _ => "TEXT COLLATE tds_ci",
        }
    }

    /// Data type precedence of T-SQL: the higher wins where two meet.
    fn precedence(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::RowVersion => 1,
            Self::Binary(_) => 2,
            Self::VarBinary(_) => 3,
            Self::Char(_) => 4,
            Self::VarChar(_) => 5,
            Self::NChar(_) => 6,
            Self::NVarChar(_) => 7,
            Self::Guid => 8,
            Self::Image => 9,
            Self::Text => 10,
            Self::NText => 11,
            Self::Bit => 12,
            Self::TinyInt => 13,
            Self::SmallInt => 14,
            Self::Int => 15,
            Self::BigInt => 16,
            Self::SmallMoney => 17,
            Self::Money => 18,
            Self::Numeric(..) | Self::Decimal(..) => 19,
            Self::Real => 20,
            Self::Float => 21,
            Self::Time(_) => 22,
            Self::Date => 23,
            Self::SmallDateTime => 24,
            Self::DateTime => 25,
            Self::DateTime2(_) => 26,
            Self::DateTimeOffset(_) => 27,
            Self::Xml => 28,
        }
    }

    /// The type of `CASE … THEN a ELSE b`, `COALESCE(a, b)`, `a UNION b`.
    pub fn meet(self, other: Self) -> Self {
        let longer = |a: Length, b: Length| a.zip(b).map(|(a, b)| a.max(b));
        let as_length = |t: Self| t.limit().map(|n| n as u16);
        let (high, low) = if self.precedence() >= other.precedence() { (self, other) } else { (other, self) };
        match (high, low) {
            (Self::Decimal(p, s) | Self::Numeric(p, s), low) if low.decimal().is_some() || low.is_integer() => {
                let (p2, s2) = low.decimal().unwrap_or(match low {
                    Self::BigInt => (19, 0),
                    Self::SmallInt => (5, 0),
                    Self::TinyInt => (3, 0),
                    Self::Bit => (1, 0),
                    _ => (10, 0),
                });
                let scale = s.max(s2);
                let whole = (p - s).max(p2 - s2);
                let precision = (whole + scale).min(38);
                if matches!(high, Self::Decimal(..)) { Self::Decimal(precision, scale) } else { Self::Numeric(precision, scale) }
            }
            (Self::NVarChar(a) | Self::VarChar(a), low) if low.is_text() || low.is_binary() => {
                let length = longer(a, as_length(low));
                if matches!(high, Self::NVarChar(_)) { Self::NVarChar(length.map(|n| n.min(4000))) } else { Self::VarChar(length) }
            }
            (Self::NChar(a), Self::Char(b) | Self::NChar(b)) => Self::NChar(a.max(b)),
            (Self::NChar(a), Self::VarChar(b)) => Self::NVarChar(longer(Some(a), b)),
            (Self::Char(a), Self::Char(b)) => Self::Char(a.max(b)),
            (Self::VarBinary(a), low) if low.is_binary() => Self::VarBinary(longer(a, as_length(low))),
            (Self::DateTime2(a), Self::DateTime2(b)) => Self::DateTime2(a.max(b)),
            (Self::DateTimeOffset(a), Self::DateTimeOffset(b) | Self::DateTime2(b)) => Self::DateTimeOffset(a.max(b)),
            (high, _) => high,
        }
    }
}

/// Bytes of a decimal on the wire and in `sys.columns`.
pub fn decimal_size(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Bytes of a time of so many digits of a second.
pub fn time_size(scale: u8) -> u8 {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Null => write!(f, "null"),
            Self::Decimal(p, s) | Self::Numeric(p, s) => write!(f, "{name}({p},{s})"),
            Self::Char(n) | Self::NChar(n) | Self::Binary(n) => write!(f, "{name}({n})"),
            Self::VarChar(Some(n)) | Self::NVarChar(Some(n)) | Self::VarBinary(Some(n)) => write!(f, "{name}({n})"),
            Self::VarChar(None) | Self::NVarChar(None) | Self::VarBinary(None) => write!(f, "{name}(max)"),
            Self::Time(s) | Self::DateTime2(s) | Self::DateTimeOffset(s) => write!(f, "{name}({s})"),
            _ => write!(f, "{name}"),
        }
    }
}
