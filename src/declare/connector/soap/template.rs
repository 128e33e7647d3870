//! Values with names in them: `{session}`, `contacts.kith_key_c = '{key}'`, `{password:md5}`.

use std::sync::Arc;

/// Queries that people maintain are far below.
const LONGEST_TEMPLATE: usize = 20_000;

/// Something that a call may name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Slot {
    /// The value of a field.
    Field(Arc<str>),
    /// `key`: SHA-256 of the record key, in hex.
    Key,
    /// `keys`: those of the records that are asked about, each in `'…'`.
    Keys,
    /// `idempotency_key`, in hex.
    IdempotencyKey,
    /// What the look-up found.
    Found,
    /// `new`: `1` for a record that the look-up did not find.
    New,
    /// The token of the session.
    Session,
    /// The user of the configuration.
    User,
    /// The password of the configuration.
    Password,
    /// How many rows a page may have.
    PageSize,
    /// Where a page begins.
    Offset,
    /// The key of the last row.
    After,
    /// What the last page said about the next.
    PageToken,
}

impl Slot {
    /// Reads a name; what is no word of ours is a field.
    pub fn read(text: &str) -> Self {
        match text {
            "key" => Self::Key,
            "keys" => Self::Keys,
            "idempotency_key" => Self::IdempotencyKey,
            "found" => Self::Found,
            "new" => Self::New,
            "session" => Self::Session,
            "user" => Self::User,
            "password" => Self::Password,
            "page_size" => Self::PageSize,
            "offset" => Self::Offset,
            "after" => Self::After,
            "page_token" => Self::PageToken,
            field => Self::Field(field.into()),
        }
    }

    /// As files write it.
    pub fn name(&self) -> &str {
        match self {
            Self::Field(name) => name,
            Self::Key => "key",
            Self::Keys => "keys",
            Self::IdempotencyKey => "idempotency_key",
            Self::Found => "found",
            Self::New => "new",
            Self::Session => "session",
            Self::User => "user",
            Self::Password => "password",
            Self::PageSize => "page_size",
            Self::Offset => "offset",
            Self::After => "after",
            Self::PageToken => "page_token",
        }
    }

    /// Whether its text may hold any character: within other text it must be told how it is escaped.
    pub const fn is_free(&self) -> bool {
        match self {
            Self::Field(_) | Self::Found | Self::User | Self::Password | Self::After | Self::PageToken => true,
            Self::Key | Self::Keys | Self::IdempotencyKey | Self::New | Self::Session | Self::PageSize | Self::Offset => false,
        }
    }
}

/// What is done with a value before it stands in its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Filter {
    /// Nothing.
    Text,
    /// MD5, in hex.
    Md5,
    /// For a string in quotation marks of SQL as `MySQL` reads it: `'` doubled, `\` doubled.
    Sql,
    /// For a string of Salesforce's query language: `\'` and `\\`.
    Soql,
    /// Our key as a UUID (RFC 9562, version 8, of its first 128 bits): for services that take an id of their own form.
    Uuid,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 5] = [Self::Text, Self::Md5, Self::Sql, Self::Soql, Self::Uuid];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Md5 => "md5",
            Self::Sql => "sql",
            Self::Soql => "soql",
            Self::Uuid => "uuid",
        }
    }
}

/// A piece of a template.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// As it stands.
    Text(Arc<str>),
    /// A value.
    Value(Slot, Filter),
}

/// A value with names in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Template(pub Vec<Part>);

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner, or nothing in between.
    #[error("`{{` and `}}` hold a name, `{{{{` and `}}}}` stand for braces")]
    Braces,
    /// A filter that is none.
    #[error("`{0}` is no filter; there are text, md5, sql, soql and uuid")]
    Filter(String),
    /// A UUID of something else than our key.
    #[error("`uuid` makes a UUID of `{{key}}` and `{{keys}}` alone")]
    NoKey,
    /// Free text inside other text.
    #[error("`{{{0}}}` stands inside other text: say how it is escaped: `{{{0}:sql}}`, `{{{0}:soql}}`, or `{{{0}:text}}` for as it is")]
    Unescaped(String),
    /// Too long.
    #[error("it is longer than {LONGEST_TEMPLATE} bytes")]
    Long,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST_TEMPLATE {
            return Err(TemplateError::Long);
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        let mut unsaid: Option<String> = None;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at_checked(at).ok_or(TemplateError::Braces)?;
            plain.push_str(before);
            if let Some(behind) = after.strip_prefix("{{") {
                plain.push('{');
                rest = behind;
            } else if let Some(behind) = after.strip_prefix("}}") {
                plain.push('}');
                rest = behind;
            } else {
                let (named, behind) = after.strip_prefix('{').and_then(|inside| inside.split_once('}')).ok_or(TemplateError::Braces)?;
                let (name, word) = named.split_once(':').map_or((named, None), |(name, word)| (name, Some(word)));
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err(TemplateError::Braces);
                }
                let filter = match word {
                    None => Filter::Text,
                    Some(word) => {
                        Filter::ALL.into_iter().find(|f| f.name() == word).ok_or_else(|| TemplateError::Filter(word.to_owned()))?
                    }
                };
                let slot = Slot::read(name);
                if filter == Filter::Uuid && !matches!(slot, Slot::Key | Slot::Keys) {
                    return Err(TemplateError::NoKey);
                }
                if word.is_none() && slot.is_free() {
                    unsaid.get_or_insert_with(|| name.to_owned());
                }
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(Part::Value(slot, filter));
                rest = behind;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        match unsaid {
            Some(name) if parts.len() > 1 => Err(TemplateError::Unescaped(name)),
            _ => Ok(Self(parts)),
        }
    }

    /// A fixed text.
    pub fn fixed(text: impl Into<Arc<str>>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// What it names.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(slot, _) => Some(slot),
            Part::Text(_) => None,
        })
    }

    /// Whether our key stands in it as a UUID.
    pub fn names_uuid(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Value(_, Filter::Uuid)))
    }

    /// The one name that it is; where that has no value, nothing is written.
    pub fn single(&self) -> Option<(&Slot, Filter)> {
        match self.0.as_slice() {
            [Part::Value(slot, filter)] => Some((slot, *filter)),
            _ => None,
        }
    }

    /// The text that it always is.
    pub fn constant(&self) -> Option<&Arc<str>> {
        match self.0.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}
