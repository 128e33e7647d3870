//! A clock that runs faster, for one process: libfaketime, which nobody here wrote.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The library, and how many times as fast.
pub struct FasterClock {
    library: PathBuf,
    times: u32,
}

impl FasterClock {
    /// `None`, said loudly, where the library is not installed.
    pub fn installed(times: u32) -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
        if library.is_none() {
            assert!(std::env::var("CI").is_err(), "no libfaketime");
            eprintln!("SKIPPED: no libfaketime (apt-get install libfaketime)");
        }
        library.map(|library| Self { library, times })
    }

    /// Lets a program live by it.
    pub fn hold<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", format!("+0 x{}", self.times))
    }

    /// Lets a program live so much later: `+32d`.
    pub fn ahead<'c>(&self, command: &'c mut Command, by: &str) -> &'c mut Command {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", by)
    }

    /// How long its time takes by ours.
    pub fn ours(&self, its: Duration) -> Duration {
        its / self.times
    }
}
