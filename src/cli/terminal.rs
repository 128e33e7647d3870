//! Where output goes: the one owner of stdout and stderr. A reader that went away is no error.

use super::{Environment, Exit, Format, Global};
use crate::diagnose::{Diagnostic, Look, Problems};
use serde_json::Value as Json;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Write};

/// stdout for data, stderr for everything else.
pub struct Terminal {
    out: Stream,
    err: Stream,
    format: Format,
    quiet: bool,
    /// Whether a person looks at stderr: progress bars make sense.
    interactive: bool,
}

struct Stream {
    to: Box<dyn Write + Send>,
    look: Look,
    /// After the first failure nothing more is written.
    failed: Option<io::ErrorKind>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("format", &self.format).field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl Stream {
    fn line(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if let Err(error) = self.to.write_all(text.as_bytes()).and_then(|()| self.to.write_all(end.as_bytes())) {
            self.failed = Some(error.kind());
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.to.flush()
        {
            self.failed = Some(error.kind());
        }
    }
}

impl Terminal {
    /// The process's own stdout and stderr. Colour where a terminal shows it and neither `NO_COLOR` nor `TERM=dumb` forbids it.
    pub fn standard(global: &Global, environment: &Environment) -> Self {
        let color = environment.wants_color();
        let width = environment.columns();
        let look = |terminal: bool| if terminal { Look { color, width } } else { Look::PLAIN };
        let (out, err) = (io::stdout(), io::stderr());
        let interactive = err.is_terminal();
        let (out_look, err_look) = (look(out.is_terminal()), look(interactive));
        Self {
            out: Stream { to: Box::new(BufWriter::new(out)), look: out_look, failed: None },
            err: Stream { to: Box::new(err), look: err_look, failed: None },
            format: global.format,
            quiet: global.quiet,
            interactive,
        }
    }

    /// What the user wants on stdout.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether to write JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether to draw progress on stderr: a person looks and did not ask for quiet.
    pub const fn shows_progress(&self) -> bool {
        self.interactive && !self.quiet
    }

    /// How text for stdout is drawn.
    pub const fn look(&self) -> Look {
        self.out.look
    }

    /// A line, or several, of data to stdout.
    pub fn data(&mut self, text: &str) {
        self.out.line(text);
    }

    /// A JSON value on one line of stdout.
    pub fn json(&mut self, value: &Json) {
        self.out.line(&value.to_string());
    }

    /// A note to stderr, unless quiet is wanted.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.out.flush();
            self.err.line(text);
        }
    }

    /// A problem to stderr, quiet or not: as text, or as a line of JSON.
    pub fn problem(&mut self, problem: &Diagnostic) {
        self.out.flush();
        match self.format {
            Format::Human | Format::Csv => {
                let text = problem.render(self.err.look);
                self.err.line(&text);
                self.err.line("");
            }
            Format::Json => self.err.line(&problem.to_json().to_string()),
        }
    }

    /// Problems to stderr, with a count and where to read more.
    pub fn problems(&mut self, problems: &Problems) {
        for problem in &problems.0 {
            self.problem(problem);
        }
        if let (Format::Human, Some(first)) = (self.format, problems.0.first()) {
            let text = format!("{}. More about a code: kith explain {}", counted(problems), first.code);
            self.err.line(&text);
        }
    }

    /// Flushes, and turns a stdout that could not be written (but for a reader that went away) into a failure.
    pub fn finish(mut self, exit: Exit) -> Exit {
        self.out.flush();
        match self.out.failed {
            None | Some(io::ErrorKind::BrokenPipe) => exit,
            Some(kind) => {
                self.err.line(&format!("kith: stdout can't be written: {kind}"));
                exit.max(Exit::Failed)
            }
        }
    }
}

/// `2 errors, 1 warning`
pub(super) fn counted(problems: &Problems) -> String {
    let (errors, warnings) = problems.counts();
    format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
}

/// `1 file`, `2 files`
pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
