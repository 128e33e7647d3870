//! Singer taps as child processes: a program of others that prints records and states; what is stored together with a state is where it goes on.

mod error;
mod left;
mod message;
mod process;
mod said;

pub use error::TapError;
pub use message::Message;
pub use process::{LONGEST_LINE, Line, Process};

use crate::declare::config::SingerSource;
use serde_json::value::RawValue;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Of the service's environment, what a tap is given: where programs and homes are, and the language. Nothing of it is secret, and a proxy is
/// the tap's own business.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// A tap that runs, and its files: they go when it ends.
#[derive(Debug)]
pub struct Tap {
    process: Process,
    files: Files,
}

/// The folder with the tap's configuration and state, for the service's user alone.
#[derive(Debug)]
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // A secret stands in it. What can't be removed now is removed before the next run.
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Files {
    fn make(folder: &Path) -> Result<Self, TapError> {
        let failed = |error: std::io::Error| TapError::Files(error.to_string());
        if folder.exists() {
            left::end_what_runs(folder);
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        Ok(Self(folder.to_owned()))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, TapError> {
        let path = self.0.join(name);
        let open = || -> std::io::Result<File> { OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) };
        open().and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| TapError::Files(error.to_string()))?;
        Ok(path)
    }
}

impl Tap {
    /// Starts a tap. `folder` is its own, made anew: what a run before left there, its process included, goes first. `state` is what it gave
    /// last; `environment` is where its few variables are taken from.
    ///
    /// # Errors
    /// Where its settings are no JSON object, its files can't be written, or the system does not start it.
    pub fn start(
        source: &Arc<str>,
        spec: &SingerSource,
        folder: &Path,
        state: Option<&RawValue>,
        environment: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, TapError> {
        let settings = spec.settings.value.as_ref().ok_or(TapError::Settings)?;
        let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(settings.expose()).is_ok();
        if !is_object {
            return Err(TapError::Settings);
        }
        let files = Files::make(folder)?;
        // Paths of the configuration are relative to where the service stands, and the tap stands in its own folder.
        let whole = |path: &Path| std::path::absolute(path).map_err(|error| TapError::Files(error.to_string()));
        let mut command = Command::new(whole(&spec.command)?);
        command.current_dir(&files.0).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((*name, environment(name)?))));
        // What a tap prints comes at once, not when a block is full.
        command.env("PYTHONUNBUFFERED", "1");
        command.args(spec.arguments.iter().map(|argument| &**argument));
        command.arg("--config").arg(files.write("config.json", settings.expose())?);
        if let Some(catalog) = &spec.catalog {
            command.arg("--catalog").arg(whole(catalog)?);
        }
        if let Some(state) = state {
            command.arg("--state").arg(files.write("state.json", state.get())?);
        }
        let streams = spec.loaded.iter().flat_map(|records| &records.projections).map(|projection| projection.stream.clone()).collect();
        let process = Process::start(&mut command, source, streams, spec.idle, spec.longest)?;
        if let Some(mark) = process.pid().and_then(left::mark) {
            files.write(left::MARK, &mark)?;
        }
        Ok(Self { process, files })
    }

    /// The next line, as [`Process::next_line`].
    ///
    /// # Errors
    /// As there.
    pub async fn next_line(&mut self) -> Result<Option<Line>, TapError> {
        self.process.next_line().await
    }

    /// How it ended by itself, as [`Process::end`].
    ///
    /// # Errors
    /// As there.
    pub async fn end(self) -> Result<(), TapError> {
        let Self { process, files } = self;
        let ended = process.end().await;
        drop(files);
        ended
    }

    /// Stops it, as [`Process::stop`].
    pub async fn stop(self) {
        let Self { process, files } = self;
        process.stop().await;
        drop(files);
    }
}
