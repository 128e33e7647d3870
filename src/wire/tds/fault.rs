//! What can go wrong with a SQL Server, by number: engines differ in their words, and their words hold values.

use std::sync::Arc;
use std::time::Duration;

/// Why a command has no good answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TdsFault {
    /// Nobody answers, or not in time: nothing was asked yet.
    #[error("{message}")]
    Unreachable {
        /// What the network says.
        message: Arc<str>,
    },
    /// The server's certificate is not trusted, or TLS can't be agreed on. Nothing was asked yet.
    #[error("{message}")]
    Tls {
        /// What is wrong with it.
        message: Arc<str>,
    },
    /// There is nothing to log in with: no Kerberos ticket, or a program without Kerberos. Nothing was asked yet.
    #[error("{message}")]
    NoTicket {
        /// What is missing.
        message: Arc<str>,
    },
    /// The server answers with an error.
    #[error("{}", said(*number, *state, named.as_deref()))]
    Server {
        /// Its number: what everything is decided by.
        number: u32,
        /// Its severity (0–25).
        class: u8,
        /// Where in the server it was raised.
        state: u8,
        /// The constraint, column or object that it names; never a value.
        named: Option<Arc<str>>,
    },
    /// The connection broke, or the time was up, after the command was sent: it may have been done.
    #[error("{message}")]
    Lost {
        /// What happened.
        message: Arc<str>,
    },
    /// What came is not understood; the session is given up, and the command may have been done.
    #[error("the server's answer is not understood: {message}")]
    NotUnderstood {
        /// What the driver says, without data.
        message: Arc<str>,
    },
}

fn said(number: u32, state: u8, named: Option<&str>) -> String {
    let what = meaning(number).words;
    match named {
        Some(name) => format!("{what} (`{name}`; error {number}, state {state})"),
        None => format!("{what} (error {number}, state {state})"),
    }
}

/// What an error of a number means for a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// A race was lost: the whole transaction again.
    Race,
    /// Another row has the value already: in an upsert a lost race, or this record's own fault.
    Duplicate,
    /// This record is at fault.
    Record,
    /// The table, column, procedure or right is not as the target file needs it: an operator's matter.
    Shape,
    /// The login or its password.
    Login,
    /// The server or database can't take anything now.
    Away,
    /// The server says: too much.
    Throttled,
    /// Nothing known: the batch is refused, and split until the record stands alone.
    Other,
}

/// What an error of a number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// What is done.
    pub policy: Policy,
    /// The page that explains it.
    pub code: &'static str,
    /// What it is, in our words.
    pub words: &'static str,
    /// How long the server is left alone, where it is known by its documentation.
    pub rest: Option<Duration>,
}

const fn means(policy: Policy, code: &'static str, words: &'static str) -> Meaning {
    Meaning { policy, code, words, rest: None }
}

const fn busy(words: &'static str) -> Meaning {
    // Azure SQL's documentation asks for ten seconds before the next attempt after each of these.
    Meaning { policy: Policy::Throttled, code: "KITH-D047", words, rest: Some(Duration::from_secs(10)) }
}

/// What an error's number means (Microsoft's list of Database Engine errors; for Azure SQL, "Troubleshoot transient connection errors").
pub const fn meaning(number: u32) -> Meaning {
    match number {
        1205 => means(Policy::Race, "KITH-D043", "the server chose this transaction as the victim of a deadlock"),
        1222 => means(Policy::Race, "KITH-D043", "another program held a lock for too long"),
        1204 | 1221 => means(Policy::Race, "KITH-D043", "the server has no more locks to give"),
        3960 | 3961 | 3965 | 41302 | 41305 | 41325 | 41301 => {
            means(Policy::Race, "KITH-D043", "another transaction changed the same row first")
        }
        2627 | 2601 => means(Policy::Duplicate, "KITH-D044", "another row has a value that must be unique"),
        547 => means(Policy::Record, "KITH-D045", "a foreign key or a check of the table does not hold"),
        515 => means(Policy::Record, "KITH-D045", "a column that must not be NULL has no value"),
        550 => means(Policy::Record, "KITH-D045", "the row would not be seen through the view's own condition"),
        334 | 428 | 1505 => means(Policy::Shape, "KITH-D003", "the table does not allow the statement"),
        8152 | 2628 => means(Policy::Record, "KITH-D046", "a value is too long for its column"),
        8115 | 220 | 8114 | 232 | 3606 | 1007 => means(Policy::Record, "KITH-D046", "a number is too large for its column"),
        241 | 242 | 295 | 296 => means(Policy::Record, "KITH-D046", "a date or time can't stand in its column"),
        206 | 245 | 248 | 257 | 529 | 8169 | 9402 | 9420..=9436 => {
            means(Policy::Record, "KITH-D046", "a value can't be converted to its column's type")
        }
        18456 | 18452 | 18461 | 18470 | 18486..=18488 | 18401 => means(Policy::Login, "KITH-D040", "the server refuses the login"),
        4060 | 911 | 4062..=4064 | 916 => means(Policy::Away, "KITH-D041", "the login can't use the database"),
        942 | 945 | 946 | 922 | 926 | 927 | 952 | 954 | 976 | 978 | 979 | 982 | 983 | 3906 | 3908 | 40197 | 40613 | 42108 | 42109
        | 40143 => means(Policy::Away, "KITH-D041", "the database can't be written now"),
        229 | 230 | 262 | 297 | 300 | 15247 | 371 => means(Policy::Shape, "KITH-D042", "the login lacks a right"),
        207
        | 208
        | 213
        | 201
        | 2812
        | 2705
        | 2706
        | 4902
        | 4701
        | 8144..=8146
        | 8162
        | 137
        | 468
        | 449
        | 451
        | 457
        | 271..=273
        | 544
        | 8101
        | 8102 => means(Policy::Shape, "KITH-D003", "a table, column or procedure is not as the target file says"),
        10928 | 10929 => busy("the server has reached a limit of its resources"),
        40501 => busy("the server is too busy"),
        40549..=40553 => busy("the server ended the session for the resources that it took"),
        49918..=49920 => busy("the server has too many operations under way"),
        701 | 802 | 8645 | 8651 | 17803 => busy("the server is short of memory"),
        1101 | 1105 | 9002 | 3959 | 5149 => means(Policy::Away, "KITH-D051", "the server has no room for more"),
        823..=825 | 605 | 3414 | 3624 => means(Policy::Away, "KITH-D051", "the server's storage fails"),
        596 | 6001..=6006 | 17142 | 17143 | 17147 | 17148 | 233 | 10053 | 10054 | 10060 | 121 | 64 | 20 | 26 | 53 => {
            means(Policy::Away, "KITH-D001", "the server is going down, pausing or not taking connections")
        }
        // What Babelfish says of every error of PostgreSQL that SQL Server has no number for: serialisation failures and time-outs among them.
        33_557_097 => means(Policy::Race, "KITH-D049", "the engine refuses the statement for a reason of its own"),
        50_000.. => means(Policy::Record, "KITH-D048", "a trigger or procedure of the database refuses the record"),
        _ => means(Policy::Other, "KITH-D049", "the server refuses the statement"),
    }
}

impl TdsFault {
    /// From the driver's error about a command that was under way.
    pub(super) fn of(error: &tiberius::error::Error) -> Self {
        match error {
            tiberius::error::Error::Server(token) => {
                let named = named(token.code(), token.message()).map(Arc::from);
                Self::Server { number: token.code(), class: token.class(), state: token.state(), named }
            }
            tiberius::error::Error::Io { kind, .. } => Self::Lost { message: format!("the connection broke: {kind}").into() },
            // Its words are about bytes and types, not about rows.
            tiberius::error::Error::Protocol(message) => Self::NotUnderstood { message: message.to_string().into() },
            tiberius::error::Error::Encoding(_) | tiberius::error::Error::Utf8 | tiberius::error::Error::Utf16 => {
                Self::NotUnderstood { message: "text in an encoding that can't be read".into() }
            }
            tiberius::error::Error::Conversion(_) | tiberius::error::Error::ParseInt(_) | tiberius::error::Error::BulkInput(_) => {
                Self::NotUnderstood { message: "a value of another type than was agreed".into() }
            }
            other => Self::NotUnderstood { message: class_of(other).into() },
        }
    }

    /// Whether the session may be used again.
    pub const fn leaves_a_session(&self) -> bool {
        match self {
            // From severity 20 on, the server ends the connection itself.
            Self::Server { class, .. } => *class < 20,
            Self::Unreachable { .. } | Self::Tls { .. } | Self::NoTicket { .. } | Self::Lost { .. } | Self::NotUnderstood { .. } => false,
        }
    }

    /// The number, where the server gave one.
    pub const fn number(&self) -> Option<u32> {
        match self {
            Self::Server { number, .. } => Some(*number),
            Self::Unreachable { .. } | Self::Tls { .. } | Self::NoTicket { .. } | Self::Lost { .. } | Self::NotUnderstood { .. } => None,
        }
    }
}

const fn class_of(error: &tiberius::error::Error) -> &'static str {
    match error {
        tiberius::error::Error::Tls(_) => "TLS ended in the middle",
        tiberius::error::Error::Routing { .. } => "the server sends to another address in the middle of a session",
        _ => "the driver gave up",
    }
}

/// The name that an error's words hold, for the numbers where it is known which quoted word that is. Every other quoted word may be a value.
fn named(number: u32, words: &str) -> Option<String> {
    // `INSERT … conflicted with the FOREIGN KEY constraint "FK_x". …`: the word after `constraint`.
    // `Violation of UNIQUE KEY constraint 'UQ_x'. Cannot insert duplicate key in object …. The duplicate key value is (…)`
    let after = match number {
        547 | 2627 => "constraint",
        2601 => "unique index",
        515 | 2628 => "column",
        207 => "column name",
        208 => "object name",
        2812 => "procedure",
        229 => "on the object",
        _ => return None,
    };
    let rest = words.split_once(after)?.1.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let name = rest.get(1..)?.split_once(quote)?.0;
    // A name of the catalogue; anything else is not shown.
    let plain = !name.is_empty()
        && name.chars().count() <= crate::declare::connector::LONGEST_SQL_NAME
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '#' | ' '));
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_values_are_not() {
        let unique = "Violation of UNIQUE KEY constraint 'UQ_Social'. Cannot insert duplicate key in object 'dbo.S'. The duplicate key value is (x, ada@example.org).";
        assert_eq!(named(2627, unique).as_deref(), Some("UQ_Social"));
        let long = "String or binary data would be truncated in table 'crm.dbo.S', column 'Body'. Truncated value: 'my secret'.";
        assert_eq!(named(2628, long).as_deref(), Some("Body"));
        let check =
            "The INSERT statement conflicted with the FOREIGN KEY constraint \"FK_Contact\". The conflict occurred in database \"crm\".";
        assert_eq!(named(547, check).as_deref(), Some("FK_Contact"));
        let conversion = "Conversion failed when converting the varchar value 'ada@example.org' to data type int.";
        assert_eq!(named(245, conversion), None);
        let fault = TdsFault::Server { number: 2627, class: 14, state: 1, named: named(2627, unique).map(Arc::from) };
        assert_eq!(fault.to_string(), "another row has a value that must be unique (`UQ_Social`; error 2627, state 1)");
    }

    #[test]
    fn the_numbers_of_the_field_have_their_policies() {
        let policy = |number| meaning(number).policy;
        assert!([1205, 1222].map(policy).iter().all(|p| *p == Policy::Race));
        assert!([2627, 2601].map(policy).iter().all(|p| *p == Policy::Duplicate));
        assert!([547, 515, 8152, 2628, 8115, 220, 245, 50_000, 51_234].map(policy).iter().all(|p| *p == Policy::Record));
        assert!([18456, 18488].map(policy).iter().all(|p| *p == Policy::Login));
        assert!([911, 4060, 40613, 9002].map(policy).iter().all(|p| *p == Policy::Away));
        assert!([10928, 10929, 40501].map(policy).iter().all(|p| *p == Policy::Throttled));
        assert!([207, 208, 229, 2812].map(policy).iter().all(|p| *p == Policy::Shape));
        assert_eq!(policy(102), Policy::Other);
        assert_eq!(policy(33_557_097), Policy::Race);
    }
}
