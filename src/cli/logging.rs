//! The service's own log: to stderr, by the configuration and the flags.

use super::Session;
use crate::declare::config::{Log, LogFormat, LogLevel};
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;

/// Starts the log. `-v` and `--quiet` win over the configuration; the first call holds, later ones change nothing.
pub fn start_logging(log: Log, session: &Session) {
    let level = match (session.global.quiet, session.global.verbose) {
        (true, _) => LogLevel::Error,
        (false, 0) => log.level,
        (false, 1) => log.level.max(LogLevel::Debug),
        (false, _) => LogLevel::Trace,
    };
    let filter = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt().with_max_level(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            let color = std::io::stderr().is_terminal() && session.environment.wants_color();
            builder.with_ansi(color).with_target(false).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("the log runs already");
    }
}
