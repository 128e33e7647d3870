//! What the soap parts of a target file look like.

use super::{BadCharacters, Settle, SoapVersion};
use crate::declare::connector::http::Meaning;
use crate::declare::shape::{Key, Record, Shape};

/// Rules of one list: far more than a service has kinds of answers.
pub(super) const MAX_ANSWERS: usize = 100;
/// Records in one call where the file does not say: at 4 KiB each that is 400 KiB, below the usual limit of 1 MiB (nginx).
pub(super) const USUAL_BATCH: usize = 100;
/// Rows of a page where the file does not say: at 2 KiB each that is 400 KiB.
pub(super) const USUAL_PAGE: u32 = 200;

/// Element paths with one text or several.
const TEXTS: Shape = Shape::Named { what: "an element path", identifiers: false, of: &Shape::OneOrList(&Shape::Text) };
const ONE_TEXT: Shape = Shape::Named { what: "an element path", identifiers: false, of: &Shape::Text };
const ONE_OR_MORE: Shape = Shape::OneOrList(&Shape::Text);

const OPERATION: Key = Key::required("operation", Shape::Text, "UpsertContact", "The operation of the WSDL.");
const RECORD: Key =
    Key::optional("record", Shape::Text, "Contact", "The element that holds the fields. Without it: the operation's own parameters.");
const VALUES: Key = Key::optional(
    "values",
    TEXTS,
    "{ module_name: Notes }",
    "Element paths from the operation's parameters, with what stands there: text with names such as `{key}` in it. A list repeats the element.",
);
const EACH: Key =
    Key::optional("each", TEXTS, "{ \"item[name=id]/value\": \"{found}\" }", "The same from `record` on: in a batch, of each record.");
const HEADERS: Key = Key::optional(
    "headers",
    TEXTS,
    "{ SessionHeader/sessionId: \"{session}\" }",
    "SOAP headers: the header's element, as the WSDL declares it, and the path in it.",
);
const TYPES: Key = Key::optional("types", ONE_TEXT, "{ request: UpsertRequest }", "`xsi:type` of elements.");
const PROOF: Key = Key::optional(
    "proof",
    Shape::Text,
    "return/id",
    "Stands in the answer only where the record was written; without it the outcome is unknown.",
);
const CREATED: Key = Key::optional("created", TEXTS, "{ Created: \"true\" }", "What tells that the record is new.");
const FIELDS: Key = Key::optional("fields", ONE_OR_MORE, "[Body]", "The only fields that travel.");

static CALL: Shape = Shape::Record(&Record {
    doc: "A call of an operation.",
    keys: &[OPERATION, RECORD, VALUES, EACH, HEADERS, TYPES, PROOF, CREATED, FIELDS, ANSWERS_KEY],
    others: None,
});

static PLAIN_CALL: Shape =
    Shape::Record(&Record { doc: "A call of an operation that writes nothing.", keys: &[OPERATION, VALUES, HEADERS, TYPES], others: None });

const CONDITION: [Key; 6] = [
    Key::optional("status", ONE_OR_MORE, "503", "The HTTP status, or several: `503`, `5xx`."),
    Key::optional("fault", ONE_OR_MORE, "INVALID_SESSION_ID", "The fault's code: its local name, or as it came with its prefix; `any`."),
    Key::optional("subcode", ONE_OR_MORE, "DEADLOCK", "SOAP 1.2: a subcode of the fault."),
    Key::optional(
        "detail",
        TEXTS,
        "{ CrmFault/Code: DEADLOCK }",
        "Element paths inside the fault's detail, with the values that are meant.",
    ),
    Key::optional(
        "answer",
        TEXTS,
        "{ return/id: \"-1\" }",
        "Element paths in the answer, with the values that are meant; `*` is any text.",
    ),
    Key::optional(
        "says",
        ONE_OR_MORE,
        "duplicate value",
        "Words in the fault's reason, or in an answer that is no SOAP; upper and lower case make no difference.",
    ),
];

static WHEN: Shape = Shape::Record(&Record { doc: "What an answer must hold; all of it.", keys: &CONDITION, others: None });
static CONDITIONS: Shape = Shape::List { of: &WHEN, min: 1, max: MAX_ANSWERS };

static ANSWER: Shape = Shape::Record(&Record {
    doc: "What an answer means. The first rule that fits decides.",
    keys: &[
        CONDITION[0],
        CONDITION[1],
        CONDITION[2],
        CONDITION[3],
        CONDITION[4],
        CONDITION[5],
        Key::required(
            "is",
            Shape::Word(|| Meaning::ALL.map(Meaning::name).to_vec()),
            "unchanged",
            "delivered, unchanged, refused, batch_refused, failed, unavailable, throttled, login_expired or unknown.",
        ),
    ],
    others: None,
});
static ANSWERS: Shape = Shape::List { of: &ANSWER, min: 1, max: MAX_ANSWERS };
const ANSWERS_KEY: Key = Key::optional("answers", ANSWERS, "[{ fault: \"11\", is: login_expired }]", "What answers mean.");

static BY: Shape = Shape::OneOf(&[
    Shape::Word(|| vec!["position"]),
    Shape::Record(&Record {
        doc: "The result names its record.",
        keys: &[
            Key::required("path", Shape::Text, "externalKey", "Inside the result."),
            Key::required("is", Shape::Text, "\"{key}\"", "What it holds."),
        ],
        others: None,
    }),
]);

static RESULTS: Shape = Shape::Record(&Record {
    doc: "Where the answer tells about each record.",
    keys: &[
        Key::required("at", Shape::Text, "result", "The repeated element of the answer."),
        Key::optional("by", BY, "position", "Which record a result is about: `position`, or `{ path: externalKey, is: \"{key}\" }`."),
        Key::required("ok", TEXTS, "{ success: \"true\" }", "What stands in a result where the record was written; `*` is any text."),
        CREATED,
        Key::optional("code", Shape::Text, "errors/statusCode", "An error code in a result, for people."),
        ANSWERS_KEY,
    ],
    others: None,
});

static BATCH: Shape = Shape::Record(&Record {
    doc: "Many records in one call; `record` is repeated.",
    keys: &[
        OPERATION,
        Key::required("record", Shape::Text, "sObjects", "The element that is repeated, one a record."),
        VALUES,
        EACH,
        HEADERS,
        TYPES,
        FIELDS,
        Key::optional("at_most", Shape::Whole { min: 1, max: 5_000 }, "100", "Records in one call."),
        Key::optional("results", RESULTS, "{ at: result, ok: { success: \"true\" } }", "Where the answer tells about each record."),
    ],
    others: None,
});

static LOOK_UP: Shape = Shape::Record(&Record {
    doc: "How a record is found by our key.",
    keys: &[
        OPERATION,
        VALUES,
        HEADERS,
        TYPES,
        Key::optional("list", Shape::Text, "return/entry_list/item", "Each record that was found. Without it, the answer is about one."),
        Key::optional("key", Shape::Text, "ExternalId", "Inside a record: its `{key}`."),
        Key::optional("id", Shape::Text, "id", "Inside a record: what `{found}` is."),
        Key::optional(
            "compare",
            ONE_TEXT,
            "{ Version: \"{idempotency_key}\" }",
            "Inside a record: what it holds where this very write has arrived.",
        ),
        Key::optional("record", Shape::Text, "name_value_list", "Inside a record: where the fields stand, laid out as in a write."),
        Key::optional("missing", CONDITIONS, "[{ fault: \"20\" }]", "What says that it is not there, besides an empty list."),
    ],
    others: None,
});

static ENTRIES: Shape = Shape::Record(&Record {
    doc: "Entries of a name/value list.",
    keys: &[
        Key::required("item", Shape::Text, "item", "The repeated element."),
        Key::required("name", Shape::Text, "name", "Inside it: the name."),
        Key::required("value", Shape::Text, "value", "Inside it: the value."),
    ],
    others: None,
});

static EMPTY: Shape = Shape::OneOf(&[
    Shape::Word(|| vec!["nil", "empty"]),
    Shape::Record(&Record {
        doc: "Names of emptied fields.",
        keys: &[Key::required("names_in", Shape::Text, "fieldsToNull", "The element of the record that lists them; it is repeated.")],
        others: None,
    }),
]);

static SOAP_OPERATION: Shape = Shape::Record(&Record {
    doc: "Kind soap: the calls of an operation.",
    keys: &[
        Key::optional("entries", ENTRIES, "{ item: item, name: name, value: value }", "The fields are entries of a name/value list."),
        Key::optional("empty", EMPTY, "nil", "How a field is emptied: `nil`, `empty` or `{ names_in: fieldsToNull }`."),
        Key::optional("call", CALL, "{ operation: UpsertContact, record: Contact }", "What writes a record where one call does it."),
        Key::optional("create", CALL, "{ operation: CreateContact }", "What makes a record that the look-up does not find."),
        Key::optional("update", CALL, "{ operation: UpdateContact, values: { Id: \"{found}\" } }", "What changes one that it finds."),
        Key::optional("remove", CALL, "{ operation: DeleteContact, values: { Id: \"{found}\" } }", "What removes a record."),
        Key::optional("blank", CALL, "{ operation: UpdateContact }", "What empties fields. Without it: what writes."),
        Key::optional("batch", BATCH, "{ operation: set_entries, record: name_value_lists/item }", "Many records in one call."),
        Key::optional("look_up", LOOK_UP, "{ operation: FindContacts, values: { Query: \"{key}\" } }", "How a record is found by our key."),
        Key::optional(
            "settle",
            Shape::Word(|| Settle::ALL.map(Settle::name).to_vec()),
            "look_up",
            "What is done when the answer was lost: `look_up`, `repeat` or `person`. Without it: the look-up, where it compares.",
        ),
        ANSWERS_KEY,
    ],
    others: None,
});

/// The key of an operation.
pub(in crate::declare::connector) const OPERATION_SOAP: Key =
    Key::optional("soap", SOAP_OPERATION, "{ call: { operation: UpsertContact } }", "Kind soap: the calls.");

static PLACE: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&Record {
        doc: "A place with a type, or with values beside.",
        keys: &[
            Key::required("path", Shape::Text, "prioritycode", "The element, or the entry's name."),
            Key::optional("type", Shape::Text, "b:OptionSetValue", "Its `xsi:type`."),
            Key::optional("inner", Shape::Text, "b:Value", "Where in it the value stands."),
            Key::optional("beside", ONE_TEXT, "{ b:LogicalName: contact }", "Fixed values in it."),
        ],
        others: None,
    }),
]);

/// Keys of a field.
pub(in crate::declare::connector) const FIELD_KEYS: [Key; 2] = [
    Key::optional(
        "at",
        PLACE,
        "Address/City",
        "Kind soap: where it stands, from the record on; with `/` at the beginning, from the operation's parameters on. Without it: its name.",
    ),
    Key::optional(
        "form",
        Shape::Text,
        "\"%Y-%m-%d %H:%M:%S\"",
        "Kind soap: how it is written where the schema says text: strftime of a time in UTC, or `1|0` for true and false.",
    ),
];

static EVERY_CALL: Shape = Shape::Record(&Record {
    doc: "What stands in every call but the login: values where the operation has such a parameter, and headers.",
    keys: &[VALUES, HEADERS],
    others: None,
});

static SESSION: Shape = Shape::Record(&Record {
    doc: "A login operation.",
    keys: &[
        OPERATION,
        VALUES,
        HEADERS,
        TYPES,
        Key::required("token", Shape::Text, "return/id", "Where the token stands in the answer."),
        Key::optional("lasts", Shape::Duration, "20min", "It is renewed so long after it was made."),
        Key::optional("address", Shape::Text, "result/serverUrl", "Where the answer tells the address of all further calls."),
        Key::optional("hosts", ONE_OR_MORE, "[\"*.example.com\"]", "Hosts that may stand there."),
    ],
    others: None,
});

static OFFSET: Shape = Shape::Record(&Record {
    doc: "Pages by their first row.",
    keys: &[Key::optional("next", Shape::Text, "return/next_offset", "Where the answer tells the next offset.")],
    others: None,
});

static NEXT: Shape = Shape::Record(&Record {
    doc: "Another operation brings the next page.",
    keys: &[
        OPERATION,
        VALUES,
        HEADERS,
        TYPES,
        Key::required("token", Shape::Text, "result/queryLocator", "Where an answer holds what names the next page."),
        Key::required("done", TEXTS, "{ result/done: \"true\" }", "What the last answer holds."),
        Key::optional("rows", Shape::Text, "result/records", "The repeated element of its answer. Without it: as in the first."),
    ],
    others: None,
});

static PAGE: Shape = Shape::Record(&Record {
    doc: "How pages follow each other: one of `after`, `offset` and `next`.",
    keys: &[
        Key::optional("size", Shape::Whole { min: 1, max: 10_000 }, "200", "`{page_size}`"),
        Key::optional("count", Shape::Text, "return/result_count", "How many rows a page says it has."),
        Key::optional("total", Shape::Text, "return/total_count", "How many rows there are in all."),
        Key::optional("after", Shape::Text, "id", "By key: `{after}` is this column of the last row."),
        Key::optional("offset", OFFSET, "{ next: return/next_offset }", "By `{offset}`."),
        Key::optional("next", NEXT, "{ operation: queryMore }", "By another operation with `{page_token}`."),
    ],
    others: None,
});

static QUERY: Shape = Shape::Record(&Record {
    doc: "A paged query, for customers and related records.",
    keys: &[
        OPERATION,
        VALUES,
        HEADERS,
        TYPES,
        Key::required("rows", Shape::Text, "return/entry_list/item", "The repeated element, one a row."),
        Key::optional("entries", ENTRIES, "{ item: name_value_list/item, name: name, value: value }", "Columns are entries of a list."),
        Key::optional("columns", ONE_TEXT, "{ customer_id: id }", "Further columns, with the path in a row."),
        Key::required("page", PAGE, "{ size: 200, after: id }", "How pages follow each other."),
        Key::optional("missing", CONDITIONS, "[{ fault: \"20\" }]", "What means an empty page."),
    ],
    others: None,
});

/// The `soap` of a file.
pub(in crate::declare::connector) static SERVICE: Shape = Shape::Record(&Record {
    doc: "Kind soap: the WSDL and what holds for every call.",
    keys: &[
        Key::required(
            "wsdl",
            Shape::Text,
            "wsdl/crm.wsdl",
            "The WSDL: a file, or a folder with it and its schemas, relative to this file.",
        ),
        Key::optional("service", Shape::Text, "LegacyCrm", "The service, where the WSDL has several."),
        Key::optional("port", Shape::Text, "CrmSoap11", "The port, where several fit."),
        Key::optional("version", Shape::Word(|| SoapVersion::ALL.map(SoapVersion::name).to_vec()), "\"1.1\"", "1.1 or 1.2."),
        Key::optional("path", Shape::Text, "/service/v4_1/soap.php", "Comes behind the `url` of the configuration."),
        Key::optional(
            "namespaces",
            Shape::Named { what: "a prefix", identifiers: true, of: &Shape::Text },
            "{ sf: \"urn:sobject.partner.soap.sforce.com\" }",
            "Prefixes for paths and types.",
        ),
        Key::optional(
            "characters",
            Shape::Word(|| BadCharacters::ALL.map(BadCharacters::name).to_vec()),
            "refuse",
            "What happens to characters that XML can't carry: `refuse`, `replace` (by U+FFFD) or `drop`.",
        ),
        Key::optional("escaped", Shape::Word(|| vec!["html"]), "html", "Texts come back HTML-escaped, and are read accordingly."),
        Key::optional("sunset", Shape::Text, "2028-06-30", "The day on which the vendor switches it off."),
        Key::optional(
            "http_headers",
            Shape::Named { what: "a header", identifiers: false, of: &Shape::Text },
            "{ X-Source: kith }",
            "Headers over HTTP. No secrets: logins stand in the configuration.",
        ),
        Key::optional("every_call", EVERY_CALL, "{ values: { session: \"{session}\" } }", "What stands in every call but the login."),
        Key::optional("session", SESSION, "{ operation: login, token: return/id }", "A login operation."),
        Key::optional("health", PLAIN_CALL, "{ operation: get_server_info }", "What `kith doctor` calls."),
        ANSWERS_KEY,
        Key::optional(
            "queries",
            Shape::Named { what: "a query", identifiers: true, of: &QUERY },
            "{ contacts: { operation: get_entry_list } }",
            "Paged queries, for customers and related records.",
        ),
    ],
    others: None,
});
