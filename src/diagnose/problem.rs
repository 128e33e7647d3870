//! What a problem is, and how several of them are collected.

use std::fmt;
use std::sync::Arc;

/// A stable code: `KITH-` and a letter for the part (`C` config, `M` mapping, `T` target and connector, `L` linkage model, `I` input,
/// `U` customers, `N` sources over the network, `S` store, `D` delivery, `A` audit, `R` run, `W` service contracts and the messages made by them) and three digits. Each
/// has a page in `diagnose/pages/`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How bad it is. Errors stop the work; warnings do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The file can't be used as it is.
    Error,
    /// It can be used; it probably says something else than meant.
    Warning,
}

/// A text file that was read, as diagnostics show it.
#[derive(PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user gave it.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.name)
    }
}

/// A range of bytes in a [`SourceFile`], on character borders.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Where a problem is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A range of a file that was read.
    InFile(Arc<SourceFile>, Span),
    /// A file or folder as a whole, or one that could not be read.
    Path(String),
    /// A line of a data file (1-based), whose text is not shown: it may hold personal data.
    Line(String, u64),
    /// Something without a file: an environment variable, an argument.
    Named(String),
}

impl Place {
    /// 1-based line and column (in characters), where the place has them.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        match self {
            Self::InFile(file, span) => {
                let before = file.text.get(..span.start.min(file.text.len()))?;
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let column = before.get(line_start..)?.chars().count() + 1;
                Some((before.matches('\n').count() + 1, column))
            }
            Self::Line(_, line) => Some((usize::try_from(*line).unwrap_or(usize::MAX), 1)),
            Self::Path(_) | Self::Named(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.line_column()) {
            (Self::InFile(file, _), Some((line, column))) => {
                write!(f, "{}:{line}:{column}", file.name)
            }
            (Self::InFile(file, _), None) => f.write_str(&file.name),
            (Self::Line(path, line), _) => write!(f, "{path}:{line}"),
            (Self::Path(name) | Self::Named(name), _) => f.write_str(name),
        }
    }
}

/// One problem: what is wrong, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop. Never personal data or a secret.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to do, one sentence or two.
    pub remedy: String,
    /// Other places that belong to it, each with a label.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), place, remedy: remedy.into(), related: Vec::new() }
    }

    /// A warning.
    pub fn warning(code: Code, place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message, remedy) }
    }

    /// With one more place.
    #[must_use]
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.code, self.place, self.message, self.remedy)
    }
}

impl std::error::Error for Diagnostic {}

/// Every complaint about what was read, in the order found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Problems(pub Vec<Diagnostic>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Brings complaints about one file into the order of the file; those without a place in it come last, in the order found.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|d| match &d.place {
            Place::InFile(_, span) => span.start,
            Place::Path(_) | Place::Line(..) | Place::Named(_) => usize::MAX,
        });
    }

    /// How many errors and how many warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.0.iter().filter(|d| d.severity == Severity::Error).count();
        (errors, self.0.len() - errors)
    }
}

impl From<Diagnostic> for Problems {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// What came of checking: a value unless there are errors, and every complaint either way.
#[derive(Debug)]
pub struct Checked<T> {
    /// The checked value; `None` exactly where `problems` has an error.
    pub value: Option<T>,
    /// Every complaint.
    pub problems: Problems,
}

impl<T> Checked<T> {
    /// A value with warnings, or nothing where one complaint is an error.
    pub fn new(value: Option<T>, problems: Problems) -> Self {
        Self { value: value.filter(|_| !problems.has_errors()), problems }
    }

    /// The value with its warnings, or the complaints.
    ///
    /// # Errors
    /// Every complaint, where one is an error.
    pub fn into_result(self) -> Result<(T, Problems), Problems> {
        match self.value {
            Some(value) => Ok((value, self.problems)),
            None => Err(self.problems),
        }
    }
}
