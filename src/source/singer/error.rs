//! Why a tap gives no records, or no more. No text holds what the tap printed beyond the words of `said`.

use crate::diagnose::{Code, Diagnostic, Place};
use std::time::Duration;

/// Why a tap gives no records, or no more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TapError {
    /// Its settings are no JSON object.
    #[error("the tap's settings are no JSON object")]
    Settings,
    /// Its folder in the state folder.
    #[error("the tap's files can't be written: {0}")]
    Files(String),
    /// Its program.
    #[error("the tap can't be started: {0}")]
    Start(String),
    /// It ended with an exit code.
    #[error("the tap ended with exit code {code}{}", and_said(.said))]
    Exit {
        /// The code.
        code: i32,
        /// The last trouble that it told, in words that may be shown.
        said: String,
    },
    /// Somebody ended it.
    #[error("the tap was ended by signal {signal}{}", and_said(.said))]
    Signal {
        /// The signal's number.
        signal: i32,
        /// The last trouble that it told, in words that may be shown.
        said: String,
    },
    /// It said nothing for too long.
    #[error("the tap said nothing for {} s, and was stopped", .0.as_secs())]
    Silent(Duration),
    /// It ran for too long.
    #[error("the tap ran for {} min, and was stopped", .0.as_secs() / 60)]
    Endless(Duration),
    /// Too many lines that are no messages.
    #[error("{0} lines of the tap are no Singer messages, and it was stopped")]
    Noise(u64),
    /// Records in files.
    #[error("the tap sends BATCH messages, which are not read")]
    Batch,
}

fn and_said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("; it said: {text}") }
}

impl TapError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Settings | Self::Files(_) | Self::Start(_) => "KITH-N071",
            Self::Exit { .. } | Self::Signal { .. } => "KITH-N072",
            Self::Silent(_) | Self::Endless(_) => "KITH-N073",
            Self::Noise(_) | Self::Batch => "KITH-N074",
        })
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        let remedy = match self {
            Self::Settings => "Write a JSON object as the tap's documentation describes it, and name it in `settings`",
            Self::Files(_) => "Give the service's user the right to write its state folder, and check for free space",
            Self::Start(_) => "Check `command` of the source: an absolute path of a program that the service's user may run",
            Self::Exit { .. } | Self::Signal { .. } => {
                "Run the tap by hand with the same settings to see all that it says; what came before its last state is kept, and the next run goes on there"
            }
            Self::Silent(_) => "See what the tap waits for, or raise `idle_seconds` of the source",
            Self::Endless(_) => {
                "Raise `longest_minutes` of the source; what came before the tap's last state is kept, and the next run goes on there"
            }
            Self::Noise(_) => "Make the tap print its messages alone on its standard output; `kith dead-letter list` has the lines",
            Self::Batch => "Switch the tap's `batch_config` off",
        };
        Diagnostic::error(self.code(), Place::Named(place.to_owned()), self.to_string(), remedy)
    }
}
