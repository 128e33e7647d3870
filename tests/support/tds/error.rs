//! Errors with SQL Server's numbers, as they travel in an ERROR token.

use std::fmt;

/// What happens to the batch and the transaction after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The statement is undone; the batch goes on unless `XACT_ABORT` is on.
    Statement,
    /// The batch ends.
    Batch,
    /// The batch ends and the transaction is rolled back.
    Transaction,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TdsError {
    pub number: u32,
    pub class: u8,
    pub state: u8,
    pub message: String,
    pub reach: Reach,
}

impl TdsError {
    pub fn new(number: u32, class: u8, state: u8, message: impl Into<String>) -> Self {
        Self { number, class, state, message: message.into(), reach: Reach::Statement }
    }

    pub fn ends(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// What the peer can't do and a real server may: told apart from SQL Server's own numbers, and said on stderr.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        let message = format!("the TDS peer of the tests can't run this: {what}");
        eprintln!("{message}");
        Self::new(50_999, 16, 1, message).ends(Reach::Batch)
    }

    pub fn syntax(near: impl fmt::Display) -> Self {
        Self::new(102, 15, 1, format!("Incorrect syntax near '{near}'.")).ends(Reach::Batch)
    }

    pub fn invalid_column(name: &str) -> Self {
        Self::new(207, 16, 1, format!("Invalid column name '{name}'.")).ends(Reach::Batch)
    }

    pub fn unbound(name: &str) -> Self {
        Self::new(4104, 16, 1, format!("The multi-part identifier \"{name}\" could not be bound.")).ends(Reach::Batch)
    }

    pub fn invalid_object(name: &str) -> Self {
        Self::new(208, 16, 1, format!("Invalid object name '{name}'.")).ends(Reach::Batch)
    }

    pub fn undeclared(name: &str) -> Self {
        Self::new(137, 15, 2, format!("Must declare the scalar variable \"{name}\".")).ends(Reach::Batch)
    }

    pub fn no_null(column: &str, table: &str, statement: &str) -> Self {
        Self::new(
            515,
            16,
            2,
            format!(
                "Cannot insert the value NULL into column '{column}', table '{table}'; column does not allow nulls. {statement} fails."
            ),
        )
    }

    pub fn overflow(target: super::types::Type) -> Self {
        use super::types::Type;
        if matches!(target, Type::TinyInt | Type::SmallInt) {
            return Self::new(220, 16, 1, format!("Arithmetic overflow error for data type {}.", target.name()));
        }
        Self::new(8115, 16, 2, format!("Arithmetic overflow error converting expression to data type {}.", target.name()))
    }

    pub fn conversion(value: &str, from: super::types::Type, to: super::types::Type) -> Self {
        use super::types::Type;
        let from = if from.is_text() { from.name() } else { "varchar" };
        match to {
            t if t.is_temporal() => {
                Self::new(241, 16, 1, "Conversion failed when converting date and/or time from character string.").ends(Reach::Transaction)
            }
            Type::Guid => Self::new(8169, 16, 2, "Conversion failed when converting from a character string to uniqueidentifier."),
            t if t.is_integer() => {
                Self::new(245, 16, 1, format!("Conversion failed when converting the {from} value '{value}' to data type {}.", to.name()))
                    .ends(Reach::Transaction)
            }
            _ => Self::new(8114, 16, 5, format!("Error converting data type {from} to {}.", to.name())),
        }
    }

    /// Through SQLite and back: a function of the peer can only fail with a text.
    pub fn pack(&self) -> String {
        let reach = match self.reach {
            Reach::Statement => 's',
            Reach::Batch => 'b',
            Reach::Transaction => 't',
        };
        format!("\u{1}{}\u{1}{}\u{1}{}\u{1}{reach}\u{1}{}", self.number, self.class, self.state, self.message)
    }

    pub fn unpack(text: &str) -> Option<Self> {
        let at = text.find('\u{1}')?;
        let mut parts = text[at + 1..].splitn(5, '\u{1}');
        let number = parts.next()?.parse().ok()?;
        let class = parts.next()?.parse().ok()?;
        let state = parts.next()?.parse().ok()?;
        let reach = match parts.next()? {
            "s" => Reach::Statement,
            "b" => Reach::Batch,
            _ => Reach::Transaction,
        };
        Some(Self { number, class, state, message: parts.next()?.to_owned(), reach })
    }
}

impl fmt::Display for TdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.message)
    }
}

impl std::error::Error for TdsError {}
