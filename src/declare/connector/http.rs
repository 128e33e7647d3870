//! What a target file of kind http says: requests, how a lost answer is settled, and what an answer means.

use crate::model::WriteIntent;
use std::sync::Arc;

/// A request's method.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// Sets the whole; again is the same.
    Put,
    /// Adds; again may add again.
    Post,
    /// Changes parts.
    Patch,
    /// Removes; again is the same.
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Put, Self::Post, Self::Patch, Self::Delete];

    /// As it is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the same request again changes nothing (RFC 9110 §9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Put | Self::Delete)
    }
}

/// Something of a delivery that a request or an answer may name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Named {
    /// The value of a field.
    Field(Arc<str>),
    /// `key`: SHA-256 of the record key, in hex.
    Key,
    /// `idempotency_key`, in hex.
    IdempotencyKey,
}

/// A piece of a path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// As it stands.
    Text(Arc<str>),
    /// A value, percent-encoded as one segment.
    Value(Named),
}

/// A path with values in it, relative to the target's `url`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PathTemplate(pub Vec<Piece>);

/// Why a text is no path template.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// No `/` at the beginning, or an address.
    #[error("a path begins with `/` and is relative to the target's `url`")]
    Start,
    /// A brace without its partner, or nothing in between.
    #[error("`{{` and `}}` hold the name of a field, `key` or `idempotency_key`")]
    Braces,
    /// A character that must not stand in an address.
    #[error("blanks, control characters, `#`, `\\` and characters beyond ASCII can't stand in a path")]
    Character,
    /// `/../`
    #[error("`.` and `..` can't be segments of a path")]
    Dots,
}

impl PathTemplate {
    /// Reads `/interactions/{Network}/{key}`.
    ///
    /// # Errors
    /// Where the text can't be a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') || text.starts_with("//") {
            return Err(PathError::Start);
        }
        if text.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '#' | '\\' | '"' | '<' | '>')) {
            return Err(PathError::Character);
        }
        if text.split(['/', '?']).any(|segment| segment == "." || segment == "..") {
            return Err(PathError::Dots);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(PathError::Braces)?;
            if before.contains('}') || name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(PathError::Braces);
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::Value(Named::read(name)));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(PathError::Braces);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// The fields that it needs.
    pub fn fields(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(Named::Field(name)) => Some(name),
            Piece::Value(Named::Key | Named::IdempotencyKey) | Piece::Text(_) => None,
        })
    }
}

impl Named {
    /// Reads a name; what is no word of ours is a field.
    pub fn read(text: &str) -> Self {
        match text {
            "key" => Self::Key,
            "idempotency_key" => Self::IdempotencyKey,
            field => Self::Field(field.into()),
        }
    }
}

/// Method and path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: PathTemplate,
}

/// Which status codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusSet {
    /// One code.
    One(u16),
    /// `4xx`: the hundred that begins so.
    Hundred(u16),
}

impl StatusSet {
    /// Reads `409` or `4xx`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            Some(first) => first.parse().ok().filter(|first| (1..=5).contains(first)).map(Self::Hundred),
            None => text.parse().ok().filter(|code| (100..=599).contains(code)).map(Self::One),
        }
    }

    /// Whether a code is among them.
    pub const fn holds(self, status: u16) -> bool {
        match self {
            Self::One(code) => code == status,
            Self::Hundred(first) => status / 100 == first,
        }
    }
}

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Meaning {
    /// The record is written.
    Delivered,
    /// It was so already.
    Unchanged,
    /// This record is refused for what it is.
    Refused,
    /// The whole request is refused, and nobody says which record is at fault.
    BatchRefused,
    /// It failed for a reason that may pass; nothing was written.
    Failed,
    /// The service can't take anything now.
    Unavailable,
    /// Not now, too much.
    Throttled,
    /// The login has run out.
    LoginExpired,
    /// The write may have arrived.
    Unknown,
}

impl Meaning {
    /// Every meaning.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::Unchanged,
        Self::Refused,
        Self::BatchRefused,
        Self::Failed,
        Self::Unavailable,
        Self::Throttled,
        Self::LoginExpired,
        Self::Unknown,
    ];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::BatchRefused => "batch_refused",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::LoginExpired => "login_expired",
            Self::Unknown => "unknown",
        }
    }
}

/// A rule of `answers`. The first that fits decides; after all of them come the built-in ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerRule {
    /// Any of these codes; empty: any code.
    pub status: Vec<StatusSet>,
    /// JSON pointers with the values that are meant, as text; all must fit.
    pub json: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// What it means then.
    pub is: Meaning,
}

/// Which record a result of a batch is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResultOrder {
    /// The one at the same place of the request.
    Position,
    /// The one of which this member of the result says so.
    Member {
        /// JSON pointer inside the result.
        pointer: Arc<str>,
        /// What it holds.
        is: Named,
    },
}

/// Where a batch's answer tells about each record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchResults {
    /// JSON pointer of the list.
    pub at: Arc<str>,
    /// Which record a result is about.
    pub by: ResultOrder,
    /// JSON pointer, inside a result, of its HTTP status.
    pub status: Option<Arc<str>>,
}

/// Many records in one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRequest {
    /// The method.
    pub method: Method,
    /// The path, without values.
    pub path: Arc<str>,
    /// The member that holds the records; `None`: the content is the list itself.
    pub records: Option<Arc<str>>,
    /// Where the answer tells about each; `None`: all are written, or none.
    pub results: Option<BatchResults>,
    /// Records in one request.
    pub at_most: usize,
}

/// How to ask what became of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookUp {
    /// What is read, by `GET`.
    pub path: PathTemplate,
    /// The record is there.
    pub found: Vec<StatusSet>,
    /// It is not.
    pub missing: Vec<StatusSet>,
    /// The answer lists records at this JSON pointer; `None`: it is the record.
    pub list: Option<Arc<str>>,
    /// JSON pointers inside the record, and what they hold where the write has arrived.
    pub json: Vec<(Arc<str>, Named)>,
}

/// How a write is settled whose answer was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settle {
    /// By reading.
    LookUp(LookUp),
    /// By the same request again, which changes nothing where it had arrived.
    Repeat,
    /// By a person.
    Person,
}

/// The http part of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpOperation {
    /// What writes a record.
    pub write: HttpRequest,
    /// What removes one.
    pub remove: Option<HttpRequest>,
    /// What empties fields; `None`: the request that writes.
    pub blank: Option<HttpRequest>,
    /// The member that holds the fields; `None`: the content is the fields.
    pub wrap: Option<Arc<str>>,
    /// The member that holds the idempotency key beside the fields.
    pub key_member: Option<Arc<str>>,
    /// Many records in one request, where the service takes them.
    pub batch: Option<BatchRequest>,
    /// How a lost answer is settled; `None`: by repeating where the method is idempotent, else by a person.
    pub settle: Option<Settle>,
    /// What answers mean, before those of the whole target.
    pub answers: Vec<AnswerRule>,
}

impl HttpOperation {
    /// Whether a delivery of this intent travels in the operation's batch.
    pub fn is_batched(&self, intent: WriteIntent) -> bool {
        let by_batch = match intent {
            WriteIntent::Write => true,
            WriteIntent::Blank => self.blank.is_none(),
            WriteIntent::Remove | WriteIntent::Keep => false,
        };
        by_batch && self.batch.is_some()
    }
}

/// The http part of a target file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpService {
    /// The header that carries the idempotency key; `None`: it is not sent.
    pub idempotency_header: Option<Arc<str>>,
    /// Headers of every request.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// What `check` reads, relative to `url`; `None`: `url` itself.
    pub health: Option<Arc<str>>,
    /// What answers mean.
    pub answers: Vec<AnswerRule>,
}

impl Default for HttpService {
    fn default() -> Self {
        Self { idempotency_header: Some("Idempotency-Key".into()), headers: Vec::new(), health: None, answers: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_template_is_text_and_named_values() {
        let read = PathTemplate::parse("/i/{Network}/{key}?v={idempotency_key}").unwrap();
        let text = |t: &str| Piece::Text(t.into());
        let expected = [
            text("/i/"),
            Piece::Value(Named::Field("Network".into())),
            text("/"),
            Piece::Value(Named::Key),
            text("?v="),
            Piece::Value(Named::IdempotencyKey),
        ];
        assert_eq!(read.0, expected);
        assert_eq!(read.fields().map(|f| &**f).collect::<Vec<_>>(), ["Network"]);
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_path() {
        for (text, error) in [
            ("https://other/x", PathError::Start),
            ("//other/x", PathError::Start),
            ("x", PathError::Start),
            ("/a/../b", PathError::Dots),
            ("/a/.", PathError::Dots),
            ("/a b", PathError::Character),
            ("/a#b", PathError::Character),
            ("/{a", PathError::Braces),
            ("/a}", PathError::Braces),
            ("/{}", PathError::Braces),
            ("/{a}}{b}", PathError::Braces),
            ("/{a-b}", PathError::Braces),
        ] {
            assert_eq!(PathTemplate::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_status_set_is_a_code_or_a_hundred() {
        assert!(StatusSet::parse("4xx").unwrap().holds(404) && !StatusSet::parse("4xx").unwrap().holds(500));
        assert!(StatusSet::parse("409").unwrap().holds(409) && !StatusSet::parse("409").unwrap().holds(408));
        for text in ["6xx", "0xx", "99", "600", "x", "4x", ""] {
            assert_eq!(StatusSet::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_path_reader_panic(text in "\\PC{0,40}") {
            drop(PathTemplate::parse(&text));
        }
    }
}
