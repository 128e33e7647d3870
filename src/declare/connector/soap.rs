//! What a target file of kind soap says: calls, where each field stands in them, how a record is found, and what an answer means.

mod path;
mod read;
mod read_call;
mod read_query;
mod shape;
mod template;

#[cfg(test)]
mod tests;

pub use path::{ElementName, ElementPath, PathError, Select, Step};
pub(super) use read::SoapOfFile;
pub(super) use shape::{FIELD_KEYS, OPERATION_SOAP, SERVICE};
pub use template::{Filter, Part, Slot, Template, TemplateError};

use super::http::{Meaning, StatusSet};
use crate::model::WriteIntent;
use jiff::civil::Date;
use std::sync::Arc;
use std::time::Duration;

/// The version of SOAP that a target file may name; without, the binding of the WSDL says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SoapVersion {
    /// SOAP 1.1 (W3C note of 2000).
    V11,
    /// SOAP 1.2 (W3C recommendation of 2007).
    V12,
}

impl SoapVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V11, Self::V12];

    /// As files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }
}

/// What happens to characters that XML 1.0 can't carry (§2.2: most control characters, U+FFFE, U+FFFF).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BadCharacters {
    /// The delivery is refused, with the place.
    #[default]
    Refuse,
    /// Each becomes U+FFFD.
    Replace,
    /// Each is left out.
    Drop,
}

impl BadCharacters {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Replace, Self::Drop];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
            Self::Drop => "drop",
        }
    }
}

/// What stands at a place: one value, or several, for which the element is repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Where.
    pub path: ElementPath,
    /// What. Never empty.
    pub values: Vec<Template>,
}

/// What an element of an answer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Which.
    pub path: ElementPath,
    /// Any of these texts; `*` is any text but the empty one.
    pub values: Vec<Arc<str>>,
}

/// A call of an operation of the WSDL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The operation's name.
    pub operation: Arc<str>,
    /// The element that holds the fields; empty: the operation's own parameters.
    pub record: ElementPath,
    /// What stands in the request, from the operation's parameters.
    pub values: Vec<Placed>,
    /// What stands in each record, from `record`.
    pub each: Vec<Placed>,
    /// SOAP headers; the first step is the header's element.
    pub headers: Vec<Placed>,
    /// `xsi:type` of elements, from the operation's parameters.
    pub types: Vec<(ElementPath, ElementName)>,
    /// Stands in the answer only where the record was written.
    pub proof: Option<ElementPath>,
    /// Tells that the record is new; empty: a success is an update.
    pub created: Vec<Expected>,
    /// The only fields that travel; `None`: what is usual.
    pub fields: Option<Vec<Arc<str>>>,
    /// What its answers mean, before the operation's own rules.
    pub answers: Vec<AnswerRule>,
}

impl Call {
    /// A call of an operation without anything else.
    pub fn plain(operation: Arc<str>) -> Self {
        Self {
            operation,
            record: ElementPath::default(),
            values: Vec::new(),
            each: Vec::new(),
            headers: Vec::new(),
            types: Vec::new(),
            proof: None,
            created: Vec::new(),
            fields: None,
            answers: Vec::new(),
        }
    }

    /// Every template in it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.values.iter().chain(&self.each).chain(&self.headers).flat_map(|placed| &placed.values)
    }

    /// Whether a template in it names this.
    pub fn names(&self, slot: &Slot) -> bool {
        self.templates().any(|template| template.slots().any(|named| named == slot))
    }
}

/// Which record a result of a batch is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResultOrder {
    /// The one at the same place of the request.
    Position,
    /// The one of which this element of the result says so.
    Element {
        /// Inside the result.
        path: ElementPath,
        /// What it holds.
        is: Template,
    },
}

/// Where the answer of a batch tells about each record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Results {
    /// The repeated element.
    pub at: ElementPath,
    /// Which record a result is about.
    pub by: ResultOrder,
    /// What stands in a result where the record was written.
    pub ok: Vec<Expected>,
    /// What stands in it where the record is new.
    pub created: Vec<Expected>,
    /// An error code, for people.
    pub code: Option<ElementPath>,
    /// Rules before `ok`; their paths are inside the result.
    pub answers: Vec<AnswerRule>,
}

/// Many records in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The call; its `record` is repeated.
    pub call: Call,
    /// Records in one call.
    pub at_most: usize,
    /// Where the answer tells about each; `None`: all are written, or none.
    pub results: Option<Results>,
}

/// How a record is found by our key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookUp {
    /// The call.
    pub call: Call,
    /// Each record that was found; `None`: the answer is about one.
    pub list: Option<ElementPath>,
    /// Inside a record: our key.
    pub key: Option<ElementPath>,
    /// Inside a record: what `{found}` is.
    pub id: Option<ElementPath>,
    /// Inside a record: what it holds where this very write has arrived.
    pub compare: Vec<(ElementPath, Template)>,
    /// Inside a record: where the fields stand, laid out as in a write.
    pub shows: Option<ElementPath>,
    /// What says that it is not there, besides an empty list.
    pub missing: Vec<Condition>,
}

impl LookUp {
    /// Whether one call asks about many records.
    pub fn asks_about_many(&self) -> bool {
        self.call.names(&Slot::Keys)
    }

    /// Whether it asks for our key as a UUID; so the records that it finds show it.
    pub fn asks_by_uuid(&self) -> bool {
        self.call.templates().any(Template::names_uuid)
    }
}

/// How a write is settled whose answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Settle {
    /// By the look-up.
    LookUp,
    /// By the same call again, which changes nothing where it had arrived.
    Repeat,
    /// By a person.
    Person,
}

impl Settle {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::LookUp, Self::Repeat, Self::Person];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Repeat => "repeat",
            Self::Person => "person",
        }
    }
}

/// How a field is emptied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Emptied {
    /// `xsi:nil` where the schema allows it, else an empty element.
    AsSchema,
    /// `xsi:nil`
    Nil,
    /// An empty element.
    Empty,
    /// Its name stands in this element of the record, which is repeated.
    NamesIn(ElementPath),
}

/// Entries of a name/value list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entries {
    /// The repeated element, from the record.
    pub item: ElementPath,
    /// Inside it: the name.
    pub name: ElementName,
    /// Inside it: the value.
    pub value: ElementName,
}

/// How a value is written where the schema does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Form {
    /// A moment by strftime, in UTC.
    Time(Arc<str>),
    /// Words for true and false.
    Words(Arc<str>, Arc<str>),
}

/// Where a field stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPlace {
    /// The element (or attribute); with entries already the value of the entry.
    pub path: ElementPath,
    /// Whether the path begins at the operation's parameters, not at the record.
    pub from_top: bool,
    /// The `xsi:type` of the element.
    pub type_name: Option<ElementName>,
    /// Inside the element; empty: the element itself.
    pub inner: ElementPath,
    /// Fixed values inside the element.
    pub beside: Vec<(ElementPath, Arc<str>)>,
    /// How it is written.
    pub form: Option<Form>,
    /// Its name where names of emptied fields are listed.
    pub listed_as: Arc<str>,
}

/// What must hold of an answer; all of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// HTTP: any of these; empty: any.
    pub status: Vec<StatusSet>,
    /// Fault codes; empty: none is asked for.
    pub fault: Vec<Arc<str>>,
    /// Subcodes of SOAP 1.2; empty: none is asked for.
    pub subcode: Vec<Arc<str>>,
    /// Inside the fault's detail.
    pub detail: Vec<Expected>,
    /// Inside the answer, or the result of a batch.
    pub answer: Vec<Expected>,
    /// Any of these words in the fault's reason, or in an answer that is no SOAP; empty: any.
    pub says: Vec<Arc<str>>,
}

/// A rule of `answers`. The first that fits decides; after all of them come the built-in ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerRule {
    /// When.
    pub when: Condition,
    /// What it means then.
    pub is: Meaning,
}

/// The soap part of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoapOperation {
    /// What writes a record where one call does it.
    pub call: Option<Call>,
    /// What makes a record that is not there.
    pub create: Option<Call>,
    /// What changes one that is.
    pub update: Option<Call>,
    /// What removes one.
    pub remove: Option<Call>,
    /// What empties fields.
    pub blank: Option<Call>,
    /// Many records in one call.
    pub batch: Option<Batch>,
    /// How a record is found.
    pub look_up: Option<LookUp>,
    /// How a lost answer is settled.
    pub settle: Settle,
    /// How a field is emptied.
    pub empty: Emptied,
    /// What answers mean, before those of the whole target.
    pub answers: Vec<AnswerRule>,
    /// Where each field stands, aligned with the operation's fields.
    pub places: Vec<FieldPlace>,
}

impl SoapOperation {
    /// The call that empties fields.
    pub fn blanking(&self) -> Option<&Call> {
        self.blank.as_ref().or(self.call.as_ref()).or(self.update.as_ref())
    }

    /// Whether a delivery of this intent travels in the operation's batch.
    pub fn is_batched(&self, intent: WriteIntent) -> bool {
        let by_batch = match intent {
            WriteIntent::Write => true,
            WriteIntent::Blank => self.blank.is_none(),
            WriteIntent::Remove | WriteIntent::Keep => false,
        };
        by_batch && self.batch.is_some()
    }

    /// Every call, with what it is for.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, &Call)> {
        [
            ("call", self.call.as_ref()),
            ("create", self.create.as_ref()),
            ("update", self.update.as_ref()),
            ("remove", self.remove.as_ref()),
            ("blank", self.blank.as_ref()),
            ("batch", self.batch.as_ref().map(|batch| &batch.call)),
            ("look_up", self.look_up.as_ref().map(|look_up| &look_up.call)),
        ]
        .into_iter()
        .filter_map(|(what, call)| call.map(|call| (what, call)))
    }
}

/// A login operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionLogin {
    /// The call.
    pub call: Call,
    /// Where the token stands in the answer.
    pub token: ElementPath,
    /// It is renewed so long after it was made.
    pub lasts: Option<Duration>,
    /// Where the answer tells the address of all further calls.
    pub address: Option<ElementPath>,
    /// Hosts that may stand there: `*.example.com` or a name.
    pub hosts: Vec<Arc<str>>,
}

/// How the pages of a query follow each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Paging {
    /// `{offset}`: what the answer tells, else the rows so far.
    Offset {
        /// Where the answer tells the next offset.
        next: Option<ElementPath>,
    },
    /// `{after}`: this column of the last row.
    After(Arc<str>),
    /// Another operation, with a token of the answer.
    Next {
        /// The call.
        call: Box<Call>,
        /// Where an answer holds the token.
        token: ElementPath,
        /// What an answer holds that is the last.
        done: Vec<Expected>,
        /// Rows in its answer; `None`: as in the first.
        rows: Option<ElementPath>,
    },
}

/// A paged query: customers or records that belong to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Its name: what `query = …` of the configuration says.
    pub name: Arc<str>,
    /// The call.
    pub call: Call,
    /// The repeated element, one a row.
    pub rows: ElementPath,
    /// Where columns are entries of a name/value list.
    pub entries: Option<Entries>,
    /// Further columns.
    pub columns: Vec<(Arc<str>, ElementPath)>,
    /// How pages follow each other.
    pub paging: Paging,
    /// `{page_size}`
    pub size: u32,
    /// How many rows a page says it has.
    pub count: Option<ElementPath>,
    /// How many rows there are in all.
    pub total: Option<ElementPath>,
    /// What means an empty page.
    pub missing: Vec<Condition>,
}

/// The soap part of a target file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoapService {
    /// File or folder, relative to the target file.
    pub wsdl: Arc<str>,
    /// The service; `None`: the only one.
    pub service: Option<Arc<str>>,
    /// The port; `None`: the one that fits.
    pub port: Option<Arc<str>>,
    /// The version; `None`: the binding says.
    pub version: Option<SoapVersion>,
    /// Comes behind the `url` of the configuration.
    pub path: Option<Arc<str>>,
    /// What happens to characters that XML can't carry.
    pub characters: BadCharacters,
    /// Whether texts come back HTML-escaped.
    pub escaped: bool,
    /// The day on which the vendor switches it off.
    pub sunset: Option<Date>,
    /// Headers of every request over HTTP.
    pub http_headers: Vec<(Arc<str>, Arc<str>)>,
    /// Values of every call that has such parameters.
    pub every_value: Vec<Placed>,
    /// SOAP headers of every call.
    pub every_header: Vec<Placed>,
    /// The login operation.
    pub session: Option<SessionLogin>,
    /// What `kith doctor` calls.
    pub health: Option<Call>,
    /// What answers mean.
    pub answers: Vec<AnswerRule>,
    /// Paged queries.
    pub queries: Vec<Query>,
}

impl SoapService {
    /// A query by its name.
    pub fn query(&self, name: &str) -> Option<&Query> {
        self.queries.iter().find(|query| &*query.name == name)
    }
}
