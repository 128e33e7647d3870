//! Why a line is not an activity that Kith takes: a closed list, each with its code.

use crate::diagnose::Code;
use crate::model::ParkReason;

/// Why a line was parked. Messages name members and counts, never what stands in them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// A byte sequence that is no UTF-8.
    #[error("the line is not UTF-8 (byte {at})")]
    NotUtf8 {
        /// 1-based byte in the line.
        at: usize,
    },
    /// The JSON stops in the middle.
    #[error("the line is cut off: its JSON ends too early")]
    CutOff,
    /// A syntax error.
    #[error("the line is not JSON (column {column})")]
    NotJson {
        /// 1-based byte in the line.
        column: usize,
    },
    /// Longer than [`super::MAX_LINE_BYTES`].
    #[error("the line has {bytes} bytes; at most {} are read", super::MAX_LINE_BYTES)]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Objects and lists in each other beyond the limit.
    #[error("the line's objects are nested more than {} deep", super::tree::MAX_DEPTH)]
    TooDeep,
    /// JSON, but a number, a list, ….
    #[error("the line is {found}, not an activity")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// Nobody did it.
    #[error("`actor` is missing: nobody is named who did this")]
    MissingActor,
    /// A member without which an activity says nothing.
    #[error("`{member}` is missing")]
    Missing {
        /// Its path.
        member: &'static str,
    },
    /// A member of another kind than Activity Streams allows.
    #[error("`{member}` is {found}; {expected} is needed")]
    WrongType {
        /// Its path.
        member: &'static str,
        /// What is needed.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// Not a moment of RFC 3339 with an offset.
    #[error("`{member}` is not an RFC 3339 time with an offset, such as 2026-03-01T09:30:00Z")]
    BadDate {
        /// Its path.
        member: &'static str,
    },
    /// Neither the source, nor `generator`, nor the actor's host names a network of the closed list.
    #[error("the network is unknown: neither the source nor `generator` nor the host of `actor.id` names one")]
    UnknownNetwork,
    /// A verb, or an object of a verb, that is not delivered to a CRM.
    #[error("{what} is not supported")]
    Unsupported {
        /// The Activity Streams type, `Like` for instance.
        what: String,
    },
    /// An id longer than [`super::MAX_ID_BYTES`].
    #[error("`{member}` has {bytes} bytes; an id may have {}", super::MAX_ID_BYTES)]
    IdTooLong {
        /// Its path.
        member: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// What a webhook brought is not in the form that its connector says.
    #[error("the delivery is not {form}")]
    OtherForm {
        /// The form.
        form: &'static str,
    },
    /// A row of CSV with more or fewer cells than the first one.
    #[error("the row has {found} cells, and the first row names {expected}")]
    Cells {
        /// Its cells.
        found: usize,
        /// The columns.
        expected: usize,
    },
    /// A quotation mark of CSV without its second.
    #[error("a quotation mark of the row is not closed")]
    OpenQuote,
}

impl Malformed {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::NotUtf8 { .. } => "KITH-I001",
            Self::CutOff => "KITH-I002",
            Self::NotJson { .. } => "KITH-I003",
            Self::TooLong { .. } => "KITH-I004",
            Self::TooDeep => "KITH-I005",
            Self::NotAnObject { .. } => "KITH-I006",
            Self::MissingActor => "KITH-I007",
            Self::Missing { .. } => "KITH-I008",
            Self::WrongType { .. } => "KITH-I009",
            Self::BadDate { .. } => "KITH-I010",
            Self::UnknownNetwork => "KITH-I011",
            Self::Unsupported { .. } => "KITH-I012",
            Self::IdTooLong { .. } => "KITH-I013",
            Self::OtherForm { .. } => "KITH-I070",
            Self::Cells { .. } | Self::OpenQuote => "KITH-I091",
        })
    }

    /// As the reason of a dead letter.
    pub fn park_reason(&self) -> ParkReason {
        ParkReason { code: self.code().0, message: self.to_string().into() }
    }
}
