//! The shape of a linkage model file: what the checker, the JSON Schema and an editor know about it.

use crate::declare::shape::{self, Key, Record, Shape};
use crate::resolve::{HandleAgreement, NameAgreement, Reuse};

/// Most blocking rules, term frequencies, comparisons and levels of one file: ten times what published models have.
const MOST: usize = 64;

/// A linkage model file.
pub static SHAPE: Shape = Shape::Record(&Record {
    doc: "A Fellegi–Sunter linkage model with written m and u probabilities.",
    keys: &[
        Key::required("kith", Shape::Word(|| vec!["1"]), "1", "The version of the format."),
        Key::required("model", Shape::Name, "retail", "The model's name."),
        Key::optional("description", Shape::Text, "Profiles against retail customers", "What it links and where its numbers come from."),
        Key::required("prior", PRIOR, "{ share: 60 %, customers: 100000 }", "How likely a pair is before anything is compared."),
        Key::required(
            "blocking",
            Shape::List { of: &BLOCKING, min: 1, max: MOST },
            "[{ id: name, same: [given_name, family_name], cut_above: 500 }]",
            "Which customers are compared at all: those that agree on every part of one rule.",
        ),
        Key::optional(
            "term_frequencies",
            Shape::Named { what: "a term frequency", identifiers: true, of: &FREQUENCY },
            "{ city: { of: [city], u: 0.04, typical: 0.01 } }",
            "Values that are counted in the CRM, so that agreeing on a rare one weighs more.",
        ),
        Key::required(
            "comparisons",
            Shape::List { of: &COMPARISON, min: 1, max: MOST },
            "[{ comparison: city, compare: city, levels: [] }]",
            "What is compared, in the order in which bits are summed.",
        ),
    ],
    others: None,
});

const PRIOR: Shape = Shape::OneOf(&[
    Shape::Record(&Record {
        doc: "By the share of identities that belong to some customer; serves a CRM of any size.",
        keys: &[
            Key::required("share", Shape::Percent, "60 %", "How many of the identities belong to a customer."),
            Key::required(
                "customers",
                Shape::Whole { min: 1, max: 1_000_000_000 },
                "100000",
                "How many customers there were where the model was made.",
            ),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "By pair: the probability that two random records match (λ).",
        keys: &[Key::required("pair", Shape::Text, "1 in 170000", "The probability.")],
        others: None,
    }),
]);

static BLOCKING: Shape = Shape::Record(&Record {
    doc: "A blocking rule.",
    keys: &[
        Key::required("id", Shape::Name, "name", "What evidence names where the rule was cut."),
        Key::required("same", Shape::List { of: &PART, min: 1, max: 8 }, "[given_name, family_name]", "What both sides must agree on."),
        Key::required("cut_above", Shape::Whole { min: 1, max: 1_000_000 }, "500", "A key that more customers share is not followed."),
    ],
    others: None,
});

static PART: Shape = Shape::OneOf(&[
    Shape::Name,
    NICKNAME,
    INITIAL,
    FIRST_THREE,
    LAST_THREE,
    Shape::Record(&Record {
        doc: "Different fields or forms on the two sides.",
        keys: &[
            Key::required("identity", SIDE, "{ handle: handle }", "The identity's field."),
            Key::required("customer", SIDE, "{ local_part: email }", "The customer's field."),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "The letters of the handle spell the customer's name.",
        keys: &[
            Key::required("spelled_in_handle", Shape::Name, "handle", "The identity's handle."),
            Key::required("given", Shape::Name, "given_name", "The customer's given name."),
            Key::required("family", Shape::Name, "family_name", "The customer's family name."),
        ],
        others: None,
    }),
]);

const SIDE: Shape = Shape::OneOf(&[Shape::Name, NICKNAME, INITIAL, FIRST_THREE, LAST_THREE, HANDLE, LOCAL_PART]);

const NICKNAME: Shape = Shape::Record(&Record {
    doc: "The given name or a formal name that it is short for.",
    keys: &[Key::required("nickname", Shape::Name, "given_name", "The field.")],
    others: None,
});
const INITIAL: Shape = Shape::Record(&Record {
    doc: "The first letter.",
    keys: &[Key::required("initial", Shape::Name, "given_name", "The field.")],
    others: None,
});
const FIRST_THREE: Shape = Shape::Record(&Record {
    doc: "The first three letters.",
    keys: &[Key::required("first_three", Shape::Name, "family_name", "The field.")],
    others: None,
});
const LAST_THREE: Shape = Shape::Record(&Record {
    doc: "The last three letters.",
    keys: &[Key::required("last_three", Shape::Name, "family_name", "The field.")],
    others: None,
});
const HANDLE: Shape = Shape::Record(&Record {
    doc: "The handle without its network.",
    keys: &[Key::required("handle", Shape::Name, "handle", "The field.")],
    others: None,
});
const LOCAL_PART: Shape = Shape::Record(&Record {
    doc: "What stands before the @.",
    keys: &[Key::required("local_part", Shape::Name, "email", "The field.")],
    others: None,
});

static FREQUENCY: Shape = Shape::Record(&Record {
    doc: "How common a value is among customers.",
    keys: &[
        Key::required(
            "of",
            Shape::List { of: &COUNTED, min: 1, max: 8 },
            "[given_name, family_name]",
            "The customer's fields that are counted together.",
        ),
        Key::required("u", Shape::Text, "1 in 47000", "The probability that two random records agree on it."),
        Key::required("typical", Shape::Text, "1 in 10000", "The frequency used in mapping tests, where there is no CRM to count."),
        Key::optional(
            "shape",
            Shape::Number { min: 0.01, max: 1_000.0 },
            "2",
            "How much the frequencies of the parts count against the count of the whole.",
        ),
        Key::optional("together", Shape::Times, "3 times", "How much more often the parts come together than if they were independent."),
        Key::optional(
            "table",
            Shape::Named { what: "a value", identifiers: false, of: &Shape::Text },
            "{ smith: 0.008 }",
            "Stored frequencies of single values for mapping tests.",
        ),
    ],
    others: None,
});

static COUNTED: Shape = Shape::OneOf(&[Shape::Name, INITIAL]);

static COMPARISON: Shape = Shape::Record(&Record {
    doc: "A comparison with its levels.",
    keys: &[
        Key::required("comparison", Shape::Text, "city", "Its name, as evidence shows it."),
        Key::required("compare", COMPARE, "city", "The fields it looks at."),
        Key::required(
            "levels",
            Shape::List { of: &LEVEL, min: 2, max: MOST },
            "[{ level: same, when: exact, m: 0.9, u: 0.01 }]",
            "Best first, `else` last; the first that holds wins.",
        ),
    ],
    others: None,
});

const COMPARE: Shape = Shape::OneOf(&[
    Shape::Name,
    Shape::Record(&Record {
        doc: "One field of each side, where their names differ.",
        keys: &[
            Key::required("identity", Shape::Name, "handle", "The identity's field."),
            Key::required("customer", Shape::Name, "handles", "The customer's field."),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "The displayed name and the handle together.",
        keys: &[
            Key::required("given", Shape::Name, "given_name", "The given name, on both sides."),
            Key::required("family", Shape::Name, "family_name", "The family name, on both sides."),
            Key::required("handle", Shape::Name, "handle", "The identity's handle."),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "What of a handle comes back in the customer's other accounts.",
        keys: &[
            Key::required("reused_handle", Shape::Name, "handle", "The identity's handle."),
            Key::optional("handles", Shape::Name, "handles", "The customer's handles."),
            Key::optional("email", Shape::Name, "email", "The customer's e-mail address."),
            Key::optional("birth_date", Shape::Name, "birth_date", "The customer's date of birth."),
            Key::optional("given_name", Shape::Name, "given_name", "The customer's given name: a handle that spells the name says less."),
            Key::optional("family_name", Shape::Name, "family_name", "The customer's family name."),
        ],
        others: None,
    }),
]);

static LEVEL: Shape = Shape::Record(&Record {
    doc: "A comparison level.",
    keys: &[
        Key::required("level", Shape::Text, "same city", "What evidence calls it."),
        Key::required("when", WHEN, "exact", "When it applies."),
        Key::required("m", Shape::Text, "0.85", "Its probability among pairs that match."),
        Key::required(
            "u",
            Shape::Text,
            "1 in 25",
            "Its probability among pairs that do not match (with a term frequency: where a value is as common as the frequency's `u`).",
        ),
        Key::optional("term_frequency", Shape::Name, "city", "The term frequency that adjusts it."),
    ],
    others: None,
});

/// Tests without a number.
pub(super) const PLAIN_TESTS: [&str; 5] = ["exact", "nickname", "starts_with", "same_local_part", "else"];

const WHEN: Shape = Shape::OneOf(&[
    Shape::Word(|| PLAIN_TESTS.to_vec()),
    Shape::Record(&Record {
        doc: "Alike by Jaro–Winkler similarity.",
        keys: &[Key::required("jaro_winkler", Shape::Number { min: 0.0, max: 1.0 }, "0.92", "At least this similar.")],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "Alike by Levenshtein distance.",
        keys: &[Key::required("levenshtein", Shape::Whole { min: 1, max: 20 }, "1", "At most this many edits.")],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "How the displayed name and the handle stand to the customer's name.",
        keys: &[
            Key::required(
                "name",
                Shape::OneOrList(&Shape::Word(|| std::iter::once("any").chain(NameAgreement::ALL.iter().map(|a| a.name())).collect())),
                "[full, nickname]",
                "How the displayed name may stand.",
            ),
            Key::optional(
                "handle",
                Shape::OneOrList(&Shape::Word(|| std::iter::once("any").chain(HandleAgreement::ALL.iter().map(|a| a.name())).collect())),
                "full",
                "How the handle may stand; left out: any way.",
            ),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "What of the handle comes back.",
        keys: &[Key::required(
            "again",
            Shape::OneOrList(&Shape::Word(|| Reuse::ALL.iter().map(|r| r.name()).collect())),
            "long_number",
            "What comes back.",
        )],
        others: None,
    }),
]);

/// The JSON Schema of linkage model files.
pub fn schema() -> serde_json::Value {
    shape::schema(&SHAPE, "urn:kith:model:1", "Kith linkage model", "A Fellegi–Sunter linkage model: `mappings/models/*.yaml`.")
}
