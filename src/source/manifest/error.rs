//! Why a declarative source gives no records, or no more. No text holds an address, a value or a secret.

use super::decode::DecodeError;
use super::paid::PurseError;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::EvaluationError;
use crate::manifest::again::Again;
use crate::manifest::cost::PriceError;
use crate::manifest::cursor::CursorError;
use crate::manifest::extract::NoObject;
use crate::manifest::page::PageError;
use crate::manifest::request::RequestError;
use crate::manifest::slice::TogetherError;
use crate::manifest::told_schema::ToldError;
use crate::wire::http::SetupError;
use std::time::Duration;

/// Why a stream gives no records, or no more.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The manifest has no such stream.
    #[error("the manifest has no stream `{0}`")]
    NoStream(String),
    /// The configuration leaves it out.
    #[error("the condition of stream `{0}` does not hold of the configuration")]
    LeftOut(String),
    /// A stream that is made while reading.
    #[error("the streams that are listed elsewhere can't be made: {0}")]
    Made(String),
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// A request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A cursor, or the state that was given.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// Partitions that can't be brought together.
    #[error(transparent)]
    Together(#[from] TogetherError),
    /// A schema that the source tells.
    #[error(transparent)]
    Told(#[from] ToldError),
    /// Records that hold others.
    #[error(transparent)]
    Held(#[from] NoObject),
    /// What a call costs is not known.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// A call is not made: the month's budget, or it can't be kept.
    #[error(transparent)]
    Purse(#[from] PurseError),
    /// An answer.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The client.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The configuration of the source.
    #[error("the source's configuration can't be used: {0}")]
    Config(String),
    /// No connection, no answer, not the whole answer; after all attempts.
    #[error("the source can't be reached: {0}")]
    Unreached(String),
    /// A status that ends the stream.
    #[error("the source answered {status}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// What the manifest's author tells about it.
        message: Option<String>,
    },
    /// It still says no after all attempts.
    #[error("the source answered {status} {attempts} times")]
    Exhausted {
        /// The last status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
    },
    /// It asks for pages in another way; who reads the pages knows what to do.
    #[error("the source asks for pages in another way than the stream has")]
    Again(Again),
    /// It refuses a page in every way that the manifest allows.
    #[error("the source refuses {what}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    NoWay {
        /// What was asked for last.
        what: String,
        /// What the manifest's author tells about it.
        message: Option<String>,
    },
    /// It asks to wait longer than this read may.
    #[error("the source asks to wait {} s", .0.as_secs())]
    Wait(Duration),
    /// The manifest does not allow so long a wait.
    #[error("the source asks to wait {0:.0} s, longer than the manifest allows")]
    WaitTooLong(f64),
    /// An answer beyond the limit.
    #[error("an answer of the source is longer than {0} bytes")]
    TooLong(usize),
    /// A page that was there before.
    #[error("the pages of stream `{0}` lead back to one that was there")]
    Loop(String),
    /// More pages than anybody reads.
    #[error("the stream has more than {0} pages in one slice")]
    Endless(usize),
    /// Another host, or a way back into the company.
    #[error("the source sends to another address: {0}")]
    Elsewhere(&'static str),
    /// The login gives no token.
    #[error("the login gives no token: {0}")]
    Login(String),
    /// More partitions than are held.
    #[error("the stream falls into more than {0} partitions")]
    Partitions(usize),
    /// Whoever takes the records is gone.
    #[error("nobody takes the records any more")]
    Abandoned,
}

impl ReadError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Again(_)
            | Self::Template(_)
            | Self::Request(_)
            | Self::Page(_)
            | Self::Together(_)
            | Self::Told(_)
            | Self::Held(_)
            | Self::Config(_) => "KITH-N020",
            Self::Unreached(_) | Self::Setup(_) | Self::Abandoned => "KITH-N021",
            Self::Refused { .. } => "KITH-N022",
            Self::Exhausted { .. } | Self::NoWay { .. } | Self::Wait(_) | Self::WaitTooLong(_) => "KITH-N023",
            Self::Decode(_) | Self::TooLong(_) => "KITH-N024",
            Self::Loop(_) | Self::Endless(_) | Self::Partitions(_) => "KITH-N025",
            Self::Elsewhere(_) => "KITH-N026",
            Self::Login(_) => "KITH-N027",
            Self::Cursor(_) => "KITH-N028",
            Self::NoStream(_) | Self::LeftOut(_) | Self::Made(_) => "KITH-N029",
            Self::Purse(PurseError::Spent { .. }) => "KITH-N075",
            Self::Price(_) => "KITH-N076",
            Self::Purse(PurseError::Unkept(_)) => "KITH-N078",
        })
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        let remedy = format!("`kith explain {}` says more", self.code());
        Diagnostic::error(self.code(), Place::Named(place.to_owned()), self.to_string(), remedy)
    }
}
