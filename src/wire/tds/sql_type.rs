//! The types of columns as the catalogue names them.

/// How much a text or bytes column takes: characters of UTF-16, or bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// `varchar(40)`
    Most(u16),
    /// `varchar(max)`, and the old `text`, `ntext`, `image`
    Max,
}

/// A column's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SqlType {
    /// 0 to 255
    TinyInt,
    /// 16 bits
    SmallInt,
    /// 32 bits
    Int,
    /// 64 bits
    BigInt,
    /// 0 or 1
    Bit,
    /// Single precision
    Real,
    /// Double precision
    Float,
    /// `decimal(p, s)`, `numeric(p, s)`
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Four decimals in 64 bits
    Money,
    /// Four decimals in 32 bits
    SmallMoney,
    /// A day
    Date,
    /// A time of day
    Time {
        /// Digits of a second, 0 to 7.
        scale: u8,
    },
    /// To the minute, 1900 to 2079
    SmallDateTime,
    /// To 1/300 of a second, from 1753
    DateTime,
    /// A day and a time, without a zone
    DateTime2 {
        /// Digits of a second, 0 to 7.
        scale: u8,
    },
    /// With an offset from UTC
    DateTimeOffset {
        /// Digits of a second, 0 to 7.
        scale: u8,
    },
    /// Text in a code page, in bytes; padded with blanks where fixed
    VarChar {
        /// In bytes.
        length: Length,
        /// `char`
        fixed: bool,
    },
    /// Text in UTF-16, in units; padded with blanks where fixed
    NVarChar {
        /// In units of UTF-16.
        length: Length,
        /// `nchar`
        fixed: bool,
    },
    /// Bytes; padded with zeros where fixed
    VarBinary {
        /// In bytes.
        length: Length,
        /// `binary`
        fixed: bool,
    },
    /// A GUID
    Uuid,
    /// XML
    Xml,
    /// `rowversion`, once called `timestamp`: eight bytes that the server changes with each write
    RowVersion,
    /// Anything else: can't be written, and is read as text where the server converts it
    Other,
}

impl SqlType {
    /// From the catalogue's words: name, `max_length` in bytes (-1: max), precision, scale.
    pub fn of(name: &str, max_length: i32, precision: u8, scale: u8) -> Self {
        let bytes =
            |unit: i32| if max_length < 0 { Length::Max } else { Length::Most(u16::try_from(max_length / unit).unwrap_or(u16::MAX)) };
        match name.to_ascii_lowercase().as_str() {
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" | "integer" => Self::Int,
            "bigint" => Self::BigInt,
            "bit" => Self::Bit,
            "real" => Self::Real,
            "float" => Self::Float,
            "decimal" | "numeric" => Self::Decimal { precision, scale },
            "money" => Self::Money,
            "smallmoney" => Self::SmallMoney,
            "date" => Self::Date,
            "time" => Self::Time { scale },
            "smalldatetime" => Self::SmallDateTime,
            "datetime" => Self::DateTime,
            "datetime2" => Self::DateTime2 { scale },
            "datetimeoffset" => Self::DateTimeOffset { scale },
            "varchar" => Self::VarChar { length: bytes(1), fixed: false },
            "char" | "bpchar" => Self::VarChar { length: bytes(1), fixed: true },
            "text" => Self::VarChar { length: Length::Max, fixed: false },
            "nvarchar" | "sysname" => Self::NVarChar { length: bytes(2), fixed: false },
            "nchar" => Self::NVarChar { length: bytes(2), fixed: true },
            "ntext" => Self::NVarChar { length: Length::Max, fixed: false },
            "varbinary" => Self::VarBinary { length: bytes(1), fixed: false },
            "binary" => Self::VarBinary { length: bytes(1), fixed: true },
            "image" => Self::VarBinary { length: Length::Max, fixed: false },
            "uniqueidentifier" => Self::Uuid,
            "xml" => Self::Xml,
            "timestamp" | "rowversion" => Self::RowVersion,
            _ => Self::Other,
        }
    }

    /// As Transact-SQL declares it.
    pub fn sql(self) -> String {
        let with = |name: &str, length: Length| match length {
            Length::Max => format!("{name}(max)"),
            Length::Most(most) => format!("{name}({most})"),
        };
        match self {
            Self::TinyInt => "tinyint".into(),
            Self::SmallInt => "smallint".into(),
            Self::Int => "int".into(),
            Self::BigInt => "bigint".into(),
            Self::Bit => "bit".into(),
            Self::Real => "real".into(),
            Self::Float => "float".into(),
            Self::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
            Self::Money => "money".into(),
            Self::SmallMoney => "smallmoney".into(),
            Self::Date => "date".into(),
            Self::Time { scale } => format!("time({scale})"),
            Self::SmallDateTime => "smalldatetime".into(),
            Self::DateTime => "datetime".into(),
            Self::DateTime2 { scale } => format!("datetime2({scale})"),
            Self::DateTimeOffset { scale } => format!("datetimeoffset({scale})"),
            Self::VarChar { length, fixed } => with(if fixed { "char" } else { "varchar" }, length),
            Self::NVarChar { length, fixed } => with(if fixed { "nchar" } else { "nvarchar" }, length),
            Self::VarBinary { length, fixed } => with(if fixed { "binary" } else { "varbinary" }, length),
            Self::Uuid => "uniqueidentifier".into(),
            Self::Xml => "xml".into(),
            Self::RowVersion => "rowversion".into(),
            Self::Other => "sql_variant".into(),
        }
    }

    #[must_use]
    /// The type of its column in a stage table: itself where every engine's bulk load takes it exactly, else text that the statement converts.
    pub fn staged(self) -> Self {
        let text = |most| Self::VarChar { length: Length::Most(most), fixed: false };
        match self {
            // Bulk decimals differ between engines; money travels as a double. 38 digits, sign and point are 40 characters.
            Self::Decimal { .. } | Self::Money | Self::SmallMoney => text(41),
            Self::Time { .. } | Self::SmallDateTime => text(20),
            Self::DateTimeOffset { .. } => text(40),
            // Between 2,001 and 4,000 the driver announces `nvarchar(max)` and sends rows of a limited length: SQL Server refuses that (4816).
            Self::NVarChar { length: Length::Most(2_001..), .. } | Self::Xml | Self::Other => {
                Self::NVarChar { length: Length::Max, fixed: false }
            }
            // Fixed columns pad by themselves.
            Self::VarChar { length, .. } => Self::VarChar { length, fixed: false },
            Self::NVarChar { length, .. } => Self::NVarChar { length, fixed: false },
            Self::VarBinary { length, .. } => Self::VarBinary { length, fixed: false },
            Self::RowVersion => Self::VarBinary { length: Length::Most(8), fixed: false },
            other => other,
        }
    }

    /// Whether values can be written into it.
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::RowVersion | Self::Other)
    }
}
