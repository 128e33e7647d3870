//! A declarative source as it was read and compiled: its streams, and everything that reading them needs.

use super::again::Ways;
use super::answer::ErrorHandling;
use super::cost::Cost;
use super::cursor::{CountCursorSpec, DateCursorSpec};
use super::dynamic::{Dynamic, Grow};
use super::encoding::Encoding;
use super::extract::Extractor;
use super::gap::Gap;
use super::json::Json;
use super::page::Paginator;
use super::properties::Properties;
use super::request::{Input, Outline, RequestOption};
use super::template::{Engine, Template};
use super::told_schema::ToldSchema;
use super::transform::Transformation;
use std::sync::Arc;

/// A declarative source.
#[derive(Debug)]
pub struct Source {
    /// Its templates.
    pub engine: Engine,
    /// In file order.
    pub streams: Vec<Arc<Stream>>,
    /// Streams that are made while reading.
    pub dynamic: Vec<Dynamic>,
    /// Makes them; nothing, where there are none.
    pub grow: Option<Arc<dyn Grow>>,
    /// The streams that a check reads.
    pub check: Vec<String>,
    /// The JSON Schema of the configuration.
    pub spec: Option<Json>,
    /// Changes of older configurations, then changes of any.
    pub config_changes: Vec<ConfigChange>,
    /// What the configuration is held against.
    pub validations: Vec<Validation>,
    /// Limits over all streams.
    pub budget: Vec<Policy>,
    /// What calls cost.
    pub cost: Option<Cost>,
    /// How many slices of a stream are read at once; one after the other, where nothing is said.
    pub concurrency: Option<Concurrency>,
}

/// `ConcurrencyLevel`
#[derive(Clone, Debug)]
pub struct Concurrency {
    /// So many: a whole number.
    pub usual: Template,
    /// At most so many.
    pub most: Option<i128>,
}

/// A change of the configuration before it is used.
#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// `ConfigAddFields`
    Add {
        /// Where and what, and which literals it may be.
        fields: Vec<(Vec<String>, Template, super::Wanted)>,
        /// Only where this holds.
        condition: Option<Template>,
    },
    /// `ConfigRemoveFields`
    Remove {
        /// Where.
        pointers: Vec<Vec<String>>,
        /// Only values of which this holds.
        condition: Option<Template>,
    },
    /// `ConfigRemapField`
    Remap {
        /// Where.
        path: Vec<Template>,
        /// Old value → new value.
        map: Vec<(Json, Json)>,
    },
}

/// What a value of the configuration is held against.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The value.
    pub of: Validated,
    /// A JSON Schema, or text that holds one.
    pub schema: Json,
}

/// A value that is held against a schema.
#[derive(Clone, Debug)]
pub enum Validated {
    /// What stands at a path in the configuration; nothing, where nothing stands there.
    At(Vec<Template>),
    /// As written.
    Fixed(Json),
}

/// A limit on calls.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Calls and the time in which they may be made; several hold at once. None: no limit.
    pub rates: Vec<(Template, Gap)>,
    /// Calls that it counts; all, where there are none.
    pub matchers: Vec<Matcher>,
}

/// Which calls a limit counts.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// `GET`
    pub method: Option<String>,
    /// The address up to the path.
    pub base: Option<String>,
    /// A pattern that is found in the path.
    pub path: Option<String>,
    /// Parameters that the address has.
    pub parameters: Vec<(String, String)>,
    /// Headers that the request has; names in small letters.
    pub headers: Vec<(String, String)>,
    /// As how many calls it counts; one, where nothing is said.
    pub weight: Option<Template>,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// How it is asked for.
    pub outline: Outline,
    /// How it logs in.
    pub login: Login,
    /// What it does about errors.
    pub errors: ErrorHandling,
    /// Properties that its requests name.
    pub properties: Option<Properties>,
    /// How answers are read.
    pub decoder: Decoder,
    /// Where the records are in an answer.
    pub extractor: Extractor<Template>,
    /// Which are taken.
    pub filter: Option<Template>,
    /// Transformed before filtered.
    pub transform_first: bool,
    /// Values become what the schema says.
    pub normalize: bool,
    /// What is done with them.
    pub transformations: Vec<Transformation>,
    /// How pages follow.
    pub paginator: Option<Paginator>,
    /// How they can be asked for in another way.
    pub ways: Ways,
    /// Pages after the first do not repeat the slice's options.
    pub slice_on_first_page_only: bool,
    /// Into which partitions it falls; more than one list: all combinations.
    pub routers: Vec<Router>,
    /// The state of its parents is remembered with its own: its router stands in no list.
    pub remembers_parents: bool,
    /// What is remembered.
    pub cursor: Option<CursorKind>,
    /// The schema of its records.
    pub schema: Option<Json>,
    /// How that is asked for instead, where values become what it says.
    pub told_schema: Option<Arc<ToldSchema>>,
    /// A state in the old form, a cursor by partition, is understood.
    pub takes_legacy_state: bool,
    /// It is there only where this holds of the configuration.
    pub when: Option<Template>,
    /// How it is read once there is a state; as the first time, where nothing is said.
    pub resumed: Option<Arc<Stream>>,
    /// A state that is older than this is none: the network no longer has what follows it.
    pub retention: Option<Template>,
}

/// How a stream is remembered.
#[derive(Clone, Debug)]
pub enum CursorKind {
    /// By time.
    Date {
        /// Dates, formats, steps.
        spec: Arc<DateCursorSpec>,
        /// Where a slice's start goes.
        start_option: Option<RequestOption>,
        /// Where its end goes.
        end_option: Option<RequestOption>,
        /// Pages end at the first record that is known.
        feed: bool,
        /// Records that are known are dropped here.
        client_side: bool,
        /// One cursor over all partitions.
        global: bool,
    },
    /// By a counting number.
    Count {
        /// Field and start.
        spec: Arc<CountCursorSpec>,
        /// Where the start goes.
        start_option: Option<RequestOption>,
    },
}

/// Into which partitions a stream falls.
#[derive(Clone, Debug)]
pub enum Router {
    /// Listed.
    List {
        /// The values: an evaluated list, or each.
        values: ListValues,
        /// The partition's member.
        field: Template,
        /// Where it goes.
        option: Option<RequestOption>,
    },
    /// One for each record of other streams.
    Parents(Vec<Parent>),
    /// Those of another, several in one: each member is a list.
    Grouped {
        /// The other.
        router: Box<Router>,
        /// How many; at least one.
        size: usize,
        /// Each value once.
        once: bool,
    },
    /// Those of several, one after the other, each value once.
    Union {
        /// The others.
        routers: Vec<Router>,
        /// The member that they have in common.
        field: String,
    },
}

impl Router {
    /// The parents that it asks, however deep.
    pub fn parents(&self) -> Vec<&Parent> {
        match self {
            Self::List { .. } => Vec::new(),
            Self::Parents(parents) => parents.iter().collect(),
            Self::Grouped { router, .. } => router.parents(),
            Self::Union { routers, .. } => routers.iter().flat_map(Self::parents).collect(),
        }
    }
}

/// Values of a list.
#[derive(Clone, Debug)]
pub enum ListValues {
    /// As written.
    Fixed(Vec<Json>),
    /// A template that gives a list.
    Template(Template),
}

/// A parent.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The other stream.
    pub stream: Arc<Stream>,
    /// The record's member that becomes the partition's.
    pub key: Template,
    /// The partition's member.
    pub field: Template,
    /// Where it goes.
    pub option: Option<RequestOption>,
    /// Members of the record that are carried along.
    pub extra: Vec<Vec<Template>>,
    /// The parent's state is remembered with the child's.
    pub incremental: bool,
    /// Where the parent's record holds the first page of the child's; nowhere, where it is empty.
    pub first_page: Vec<Template>,
}

/// How requests log in.
#[derive(Clone, Debug)]
pub enum Login {
    /// Not at all.
    None,
    /// User and password.
    Basic {
        /// User.
        user: Template,
        /// Password.
        password: Template,
    },
    /// `Authorization: Bearer …`
    Bearer(Template),
    /// A key.
    Key {
        /// Where it goes.
        option: RequestOption,
        /// The key.
        token: Template,
    },
    /// OAuth 2.
    OAuth(Arc<OAuth>),
    /// A token that a login call gives.
    Session(Arc<Session>),
    /// A token that is signed here.
    Jwt(Arc<Jwt>),
    /// A token of the configuration, or one that a call gives for a name and a password.
    OldSession(Arc<OldSession>),
    /// One of several, by a value of the configuration.
    Selected {
        /// Where the value is.
        path: Vec<String>,
        /// Value and login.
        choices: Vec<(String, Login)>,
    },
}

/// OAuth 2 with a refresh token or client credentials (RFC 6749).
#[derive(Debug)]
pub struct OAuth {
    /// Where tokens are given; without it the token of the configuration is used as it is.
    pub endpoint: Option<Template>,
    /// Name and value.
    pub client_id: (Template, Option<Template>),
    /// Name and value.
    pub client_secret: (Template, Option<Template>),
    /// Name and value.
    pub refresh_token: (Template, Option<Template>),
    /// Name and value.
    pub grant_type: (Template, Template),
    /// The answer's member with the token.
    pub access_token_name: Template,
    /// The answer's member with its life.
    pub expires_name: Template,
    /// A token that is there at the beginning.
    pub access_token: Option<Template>,
    /// When that token ends.
    pub expiry: Option<Template>,
    /// The life is a date.
    pub expiry_is_date: bool,
    /// Scopes.
    pub scopes: Vec<String>,
    /// More members of the request.
    pub body: Vec<(Template, Input)>,
    /// Headers of the request.
    pub headers: Vec<(Template, Input)>,
    /// In the address instead of the body.
    pub in_query: bool,
    /// A token that is signed here says who asks, instead of everything above (RFC 7523).
    pub assertion: Option<Jwt>,
    /// The provider gives a new refresh token each time; it is written back here.
    pub rotation: Option<Rotation>,
}

/// Where rotated tokens are kept in the configuration.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The answer's member.
    pub name: String,
    /// Where the refresh token is.
    pub refresh_path: Vec<String>,
    /// Where the access token is.
    pub access_path: Vec<String>,
    /// Where its end is.
    pub expiry_path: Vec<String>,
}

/// A JSON Web Token (RFC 7519).
#[derive(Debug)]
pub struct Jwt {
    /// What signs: text, or a private key in PEM.
    pub secret: Template,
    /// The text is written in Base64 before it signs.
    pub secret_in_base64: bool,
    /// What decrypts the key.
    pub passphrase: Option<Template>,
    /// How it signs.
    pub algorithm: JwtAlgorithm,
    /// How long it holds.
    pub seconds: i64,
    /// What stands before it.
    pub prefix: Option<Template>,
    /// Members of its header, but for `alg`.
    pub header: Vec<(Template, Template)>,
    /// Members of its payload, but for its times.
    pub payload: Vec<(Template, Template)>,
    /// Where it goes; `Authorization` where nothing is said.
    pub option: Option<RequestOption>,
}

macro_rules! algorithms {
    ($($kind:ident $name:literal;)+) => {
        /// How a token is signed (RFC 7518, RFC 8037, RFC 8812).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum JwtAlgorithm {
            $(#[doc = concat!("`", $name, "`.")] $kind),+
        }

        impl JwtAlgorithm {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// As a token's header says it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

algorithms! {
    Hs256 "HS256"; Hs384 "HS384"; Hs512 "HS512";
    Es256 "ES256"; Es256K "ES256K"; Es384 "ES384"; Es512 "ES512";
    Rs256 "RS256"; Rs384 "RS384"; Rs512 "RS512";
    Ps256 "PS256"; Ps384 "PS384"; Ps512 "PS512";
    EdDsa "EdDSA";
}

/// `LegacySessionTokenAuthenticator`
#[derive(Debug)]
pub struct OldSession {
    /// The address before those below.
    pub base: Template,
    /// The header that carries the token.
    pub header: Template,
    /// A token that may still hold.
    pub token: Option<Template>,
    /// Where it is seen whether it does.
    pub try_at: Template,
    /// Where a new one is given.
    pub login_at: Template,
    /// The answer's member with it.
    pub member: Template,
    /// User.
    pub user: Option<Template>,
    /// Password.
    pub password: Option<Template>,
}

/// A login call.
#[derive(Debug)]
pub struct Session {
    /// The call.
    pub outline: Outline,
    /// How it logs in itself.
    pub login: Login,
    /// What it does about errors.
    pub errors: ErrorHandling,
    /// Where the token is in its answer.
    pub token_at: Vec<String>,
    /// How long it lives; asked for with each request, where nothing is said.
    pub life: Option<Gap>,
    /// Where it goes; `Authorization: Bearer …` where nothing is said.
    pub option: Option<RequestOption>,
    /// What of it is sent: a template over `session_token`.
    pub shape: Option<Template>,
}

/// How answers are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoder {
    /// JSON.
    Json,
    /// A JSON value on each line.
    JsonLines,
    /// Lines of text, each a record with the member `record`.
    Lines,
    /// XML.
    Xml,
    /// Comma-separated values with a header.
    Csv {
        /// Between cells.
        delimiter: u8,
        /// Cells that are nothing.
        nulls: Vec<String>,
        /// How its text is written.
        encoding: Encoding,
    },
    /// JSON, of which the items of one list are read.
    JsonItems {
        /// The list's path.
        at: Vec<String>,
        /// How its text is written.
        encoding: Encoding,
    },
    /// Packed.
    Gzip(Box<Decoder>),
    /// Files packed in one, read one after the other.
    Zip(Box<Decoder>),
}

impl Decoder {
    /// Whether a page's template can look at what it reads; the others are streams in the reference.
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Json | Self::Xml)
    }
}

impl Stream {
    /// Whether its parents' records hold the first page of its own.
    pub fn begins_in_parents(&self) -> bool {
        matches!(self.routers.as_slice(), [Router::Parents(parents)] if parents.iter().any(|parent| !parent.first_page.is_empty()))
            && self.remembers_parents
    }

    /// Whether records that are known are left out here.
    pub const fn leaves_out_known(&self) -> bool {
        matches!(self.cursor, Some(CursorKind::Date { feed, client_side, .. }) if feed || client_side)
    }

    /// As it is read after this state.
    pub fn after(&self, state: Option<&Json>) -> &Self {
        match &self.resumed {
            Some(resumed) if state.is_some_and(Json::is_true) => resumed,
            Some(_) | None => self,
        }
    }

    /// Whether any template that sees records needs them parsed.
    pub fn looks_at_records(&self) -> bool {
        self.filter.is_some()
            || !self.transformations.is_empty()
            || self.normalize
            || self.paginator.as_ref().is_some_and(|p| p.names("last_record"))
    }
}

impl Source {
    /// A stream.
    pub fn stream(&self, name: &str) -> Option<&Arc<Stream>> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}
