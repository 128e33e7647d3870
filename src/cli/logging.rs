//! The service's own log: to stderr, by the configuration and the flags.

use super::Session;
use crate::declare::config::{Log, LogFormat, LogLevel};
use crate::pipeline::FLOW;
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

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
    // The flow of activities is told at `debug`, so that level brings it; alone it is asked for by `[log] flow`.
    let flow = if log.flow && !session.global.quiet { filter.max(LevelFilter::DEBUG) } else { filter };
    let filter = Targets::new().with_default(filter).with_target(FLOW, flow);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()
        }
        LogFormat::Text => {
            let color = std::io::stderr().is_terminal() && session.environment.wants_color();
            tracing_subscriber::registry().with(lines.with_ansi(color).with_target(false).with_filter(filter)).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("the log runs already");
    }
}
