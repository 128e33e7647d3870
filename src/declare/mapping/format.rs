//! The shape of a mapping file: what the reader accepts and what the JSON Schema says.

use crate::declare::shape::{Key, Record, Shape};
use crate::enrich::OnConflict;
use crate::model::{Audience, Network, Outcome, Priority, Verb};

/// At most this many items in a list of a mapping: rules, deliveries, bases, choices. Nobody reads more aloud.
const MAX_ITEMS: usize = 200;

/// At most this many tests, and customers in one.
const MAX_TESTS: usize = 1_000;

/// A mapping file.
pub(super) static MAPPING: Shape = Shape::Record(&Record {
    doc: "A mapping: who is compared with whom, on what basis, what is delivered.",
    keys: &[
        Key::required("kith", Shape::Word(|| vec!["1"]), "1", "The version of this format."),
        Key::required("mapping", Shape::Name, "retail", "The mapping's name: the log and the CRM show it."),
        Key::optional("description", Shape::Text, "Link public profiles to customers.", "What it is for, in a sentence."),
        Key::optional("owner", Shape::Text, "data-stewards", "Who answers for it."),
        Key::required("customers", Shape::Record(&CUSTOMERS), "{ from: crm, key: customer_id, fields: … }", "The CRM's side."),
        Key::required("identities", Shape::Record(&IDENTITIES), "{ fields: … }", "The social side: an actor's profile."),
        Key::required(
            "policy",
            Shape::Record(&POLICY),
            "{ audience: [public], basis: …, retain: … }",
            "Asked first: without a basis nobody is matched.",
        ),
        Key::required("match", Shape::Record(&MATCH), "{ rules: …, decide: … }", "Exact rules, then the model, then the thresholds."),
        Key::optional(
            "enrich",
            Shape::Named { what: "an enriched field", identifiers: true, of: &ENRICHED },
            "{ topic: [{ is: question, when: { content: { ends_with: \"?\" } } }] }",
            "Fields made of what is known, in order; later ones may read earlier ones.",
        ),
        Key::required(
            "deliver",
            Shape::List { of: &DELIVER, min: 1, max: MAX_ITEMS },
            "- { id: …, for: activity, to: …, operation: …, fields: … }",
            "What is written where.",
        ),
        Key::optional(
            "tests",
            Shape::List { of: &TEST_CASE, min: 0, max: MAX_TESTS },
            "- { name: …, customers: …, activity: …, expect: … }",
            "What must hold; `kith test` runs them.",
        ),
    ],
    others: None,
});

static CUSTOMERS: Record = Record {
    doc: "The CRM's side.",
    keys: &[
        Key::required("from", Shape::Name, "crm", "The `[customers.NAME]` section of kith.toml."),
        Key::required("key", Shape::Text, "customer_id", "The column that holds the CRM's key."),
        Key::optional("merged_into", Shape::Text, "master_id", "The column that names the surviving customer of a merge."),
        Key::required(
            "fields",
            Shape::Named { what: "a field", identifiers: true, of: &FIELD },
            "{ email: { from: email, clean: email } }",
            "Only what is declared here exists below.",
        ),
        Key::optional(
            "related",
            Shape::Named { what: "a set of records", identifiers: true, of: &RELATED },
            "{ orders: { from: crm_orders, by: customer_id, last: 5 } }",
            "Transactional records, for enriching.",
        ),
        Key::optional("guard", Shape::Record(&GUARD), "{ retire: 2 %, relink: 1 % }", "A pass that would change more waits for approval."),
    ],
    others: None,
};

static RELATED: Shape = Shape::Record(&Record {
    doc: "A set of records that belong to a customer.",
    keys: &[
        Key::required("from", Shape::Name, "crm_orders", "The `[related.NAME]` section of kith.toml."),
        Key::required("by", Shape::Text, "customer_id", "The column that holds the customer's key."),
        Key::required(
            "last",
            Shape::Whole { min: 1, max: 1_000 },
            "5",
            "How many of a customer's records are kept, the last by file order.",
        ),
    ],
    others: None,
});

static GUARD: Record = Record {
    doc: "How much one read of the customers may change.",
    keys: &[
        Key::optional("retire", Shape::Percent, "2 %", "The share of customers that may disappear."),
        Key::optional("relink", Shape::Percent, "1 %", "The share of links that may be decided anew."),
    ],
    others: None,
};

static IDENTITIES: Record = Record {
    doc: "The social side.",
    keys: &[Key::required(
        "fields",
        Shape::Named { what: "a field", identifiers: true, of: &FIELD },
        "{ email: { from: actor.summary, find: email } }",
        "Only what is declared here is kept and compared.",
    )],
    others: None,
};

static FIELD: Shape = Shape::Record(&Record {
    doc: "A declared field.",
    keys: &[
        Key::required("from", Shape::OneOrList(&Shape::Text), "email", "The column or path that it is made from, or a list of them."),
        Key::optional(
            "clean",
            Shape::OneOf(&[Shape::Word(|| CLEANERS.to_vec()), Shape::Record(&CLEANER)]),
            "email",
            "How it is made comparable; `text` where nothing is said.",
        ),
        Key::optional("find", Shape::Word(|| FINDERS.to_vec()), "email", "What is looked for inside free text, instead of `clean`."),
        Key::optional("optional", Shape::TrueFalse, "true", "The source may lack the column."),
        Key::optional(
            "of",
            Shape::Text,
            "orders",
            "Of a customer only: the name under `related` whose column `from` is. The field is a list of what the customer's records hold there.",
        ),
    ],
    others: None,
});

/// Cleaners that stand alone.
pub(super) const CLEANERS: [&str; 10] =
    ["text", "email", "phone", "place", "organisation", "date", "network_handle", "postal_code", "country", "site"];

/// What can be found inside free text.
pub(super) const FINDERS: [&str; 8] = ["email", "phone", "organisation", "birth_date", "network_handle", "number", "emails", "phones"];

static CLEANER: Record = Record {
    doc: "A cleaner with a setting; exactly one.",
    keys: &[
        Key::optional("person_name", Shape::Word(|| vec!["given", "family", "full", "middle"]), "given", "Part of a person's name."),
        Key::optional("phone", Shape::Record(&REGION), "{ region_from: country }", "A telephone number; the region from another column."),
        Key::optional(
            "e164",
            Shape::Record(&REGION),
            "{ region_from: country }",
            "A telephone number with its calling code, as E.164 writes it.",
        ),
        Key::optional(
            "date",
            Shape::Record(&REGION),
            "{ region_from: country }",
            "A date; whether the day or the month comes first follows the region.",
        ),
    ],
    others: None,
};

static REGION: Record = Record {
    doc: "Where the country stands.",
    keys: &[Key::required("region_from", Shape::Text, "country", "The column or path that holds the country.")],
    others: None,
};

static POLICY: Record = Record {
    doc: "Duties and rights.",
    keys: &[
        Key::required(
            "audience",
            Shape::List { of: &Shape::Word(audiences), min: 1, max: 3 },
            "[public]",
            "Whose activities may be used; a direct message never leaves unless `direct` stands here.",
        ),
        Key::required(
            "basis",
            Shape::List { of: &BASIS, min: 1, max: MAX_ITEMS },
            "- { basis: public_profile, law: \"GDPR 6(1)(f)\", purpose: service, when: { audience: public } }",
            "Lawful bases, in order; the first that holds is the link's.",
        ),
        Key::required(
            "retain",
            Shape::Record(&RETAIN),
            "{ unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }",
            "How long things are kept.",
        ),
        Key::optional(
            "duties",
            Shape::List { of: &Shape::Text, min: 0, max: 32 },
            "[../connectors/networks/x.yaml]",
            "Files of networks, by their paths from the mapping's folder: what each accepts, denies and how long it lets things be kept.",
        ),
    ],
    others: None,
};

fn audiences() -> Vec<&'static str> {
    Audience::ALL.map(Audience::name).to_vec()
}

static BASIS: Shape = Shape::Record(&Record {
    doc: "A lawful basis for matching.",
    keys: &[
        Key::required("basis", Shape::Name, "public_profile", "What the log and the CRM name."),
        Key::required("law", Shape::Text, "\"GDPR 6(1)(f)\"", "The law's ground."),
        Key::required("purpose", Shape::Text, "service", "What the link is for."),
        Key::optional("since", Shape::Text, "2026-03-01", "Since when it holds."),
        Key::optional("record", Shape::Text, "DPIA-2026-03", "The record that justifies it."),
        Key::required(
            "when",
            Shape::Defined("condition", || &CONDITION),
            "{ audience: public }",
            "When it holds: `audience`, `network`, `identity.…` and `customer.…` may be read.",
        ),
    ],
    others: None,
});

static RETAIN: Record = Record {
    doc: "Retention clocks.",
    keys: &[
        Key::required("unlinked", Shape::Days, "7d", "What is known about people who turned out to be strangers."),
        Key::required("profiles", Shape::Days, "30d", "Profiles of linked people."),
        Key::required("activities", Shape::Days, "400d", "Activities of linked people."),
        Key::required("audit", Shape::Days, "7y", "Personal values inside audit entries."),
        Key::optional(
            "networks",
            Shape::Named { what: "a network", identifiers: true, of: &RETAIN_ON },
            "{ x: { unlinked: 2d, activities: 90d } }",
            "Networks whose terms ask for other clocks; what is not said there is as above.",
        ),
        Key::optional(
            "fields",
            Shape::Named { what: "a path", identifiers: false, of: &Shape::Days },
            "{ actor.summary: 7d }",
            "Paths of profiles that go earlier than the rest of them.",
        ),
    ],
    others: None,
};

static RETAIN_ON: Shape = Shape::Record(&Record {
    doc: "Retention clocks of one network.",
    keys: &[
        Key::optional("unlinked", Shape::Days, "2d", "What is known about people who turned out to be strangers."),
        Key::optional("profiles", Shape::Days, "10d", "Profiles of linked people."),
        Key::optional("activities", Shape::Days, "90d", "Activities of linked people."),
        Key::optional(
            "fields",
            Shape::Named { what: "a path", identifiers: false, of: &Shape::Days },
            "{ actor.summary: 2d }",
            "Paths of profiles that go earlier than the rest of them.",
        ),
    ],
    others: None,
});

static MATCH: Record = Record {
    doc: "How an identity finds its customer.",
    keys: &[
        Key::optional(
            "rules",
            Shape::List { of: &RULE, min: 0, max: MAX_ITEMS },
            "- { id: same-email, same: [email], decide: link }",
            "Exact evidence, in order.",
        ),
        Key::optional("model", MODEL, "models/retail.yaml", "The linkage model, relative to this file; or one that Splink saved."),
        Key::required(
            "decide",
            Shape::Record(&DECIDE),
            "{ link_from: 99.5 %, ask_a_person_from: 60 %, ahead_of_next: 200 times }",
            "Thresholds of the posterior over all rivals.",
        ),
        Key::optional(
            "one_person",
            Shape::Record(&ONE_PERSON),
            "{ accounts_of_a_network: 2, agree_on: [birth_date] }",
            "What keeps accounts of several people off one customer: a link that it holds back waits for a person.",
        ),
    ],
    others: None,
};

static ONE_PERSON: Record = Record {
    doc: "What keeps accounts of several people off one customer.",
    keys: &[
        Key::optional(
            "accounts_of_a_network",
            Shape::Whole { min: 1, max: 50 },
            "2",
            "Most accounts of one network that are linked to one customer without a person's word.",
        ),
        Key::optional(
            "agree_on",
            Shape::List { of: &Shape::Name, min: 1, max: 10 },
            "[birth_date]",
            "Fields of identities: accounts that differ in one that both show are not one person's.",
        ),
    ],
    others: None,
};

static RULE: Shape = Shape::Record(&Record {
    doc: "An exact rule: all its fields are there and the same on both sides.",
    keys: &[
        Key::required("id", Shape::Name, "same-email", "What the log and the CRM name."),
        Key::required("same", Shape::List { of: &SAME, min: 1, max: 10 }, "[email]", "The fields."),
        Key::required("decide", Shape::Word(|| vec!["link", "review"]), "link", "What a rule that finds exactly one customer decides."),
        Key::optional(
            "ignore_if_shared_by_more_than",
            Shape::Whole { min: 1, max: 1_000_000 },
            "1",
            "A value that more customers share is no evidence.",
        ),
        Key::optional("precision", Shape::Percent, "99.9 %", "How often a link by this rule alone is right."),
    ],
    others: None,
});

const MODEL: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&Record {
        doc: "A model that Splink saved, over fields of the names of its columns.",
        keys: &[
            Key::required("splink", Shape::Text, "models/splink.json", "The settings JSON, relative to this file."),
            Key::optional(
                "cut_above",
                Shape::Whole { min: 1, max: 1_000_000 },
                "1000",
                "A blocking key that more customers share is not followed; 1,000 where nothing is said.",
            ),
        ],
        others: None,
    }),
]);

static SAME: Shape = Shape::OneOf(&[
    Shape::Name,
    Shape::Record(&Record {
        doc: "Fields of different names.",
        keys: &[
            Key::required("identity", Shape::Name, "handle", "The identity's field."),
            Key::required("customer", Shape::Name, "handles", "The customer's field."),
        ],
        others: None,
    }),
]);

static DECIDE: Record = Record {
    doc: "Thresholds.",
    keys: &[
        Key::required(
            "link_from",
            Shape::Percent,
            "99.5 %",
            "Link from this probability of the best candidate, among all rivals and nobody.",
        ),
        Key::required("ask_a_person_from", Shape::Percent, "60 %", "Ask a person from this sum over all candidates."),
        Key::required(
            "ahead_of_next",
            Shape::Times,
            "200 times",
            "… and link only where the best candidate's odds are this many times the next one's.",
        ),
    ],
    others: None,
};

/// A condition: all its parts must hold.
pub(super) static CONDITION: Shape = Shape::OneOf(&[
    Shape::Record(&Record {
        doc: "Names with tests, all of which must hold.",
        keys: &[
            Key::optional(
                "any",
                Shape::List { of: &CONDITION_REF, min: 1, max: MAX_ITEMS },
                "[{ segment: gold }, { priority: 1 }]",
                "At least one of these conditions holds.",
            ),
            Key::optional("not", CONDITION_REF, "{ segment: gold }", "This condition does not hold."),
            Key::optional("cel", Shape::Text, "\"size(content) > 200\"", "A CEL expression that is true."),
        ],
        others: Some(&TEST_REF),
    }),
    Shape::Text,
]);

const CONDITION_REF: Shape = Shape::Defined("condition", || &CONDITION);
const TEST_REF: Shape = Shape::Defined("test", || &TEST);

/// A test on the value of a name.
pub(super) static TEST: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&Record {
        doc: "Tests on one value, all of which must hold.",
        keys: &[
            Key::optional("has", Shape::Text, "identity.handle", "Contains, or equals, the value of this name."),
            Key::optional(
                "any_word",
                Shape::OneOrList(&Shape::Text),
                "[refund, \"complain*\"]",
                "Holds one of these words; a star stands for any ending.",
            ),
            Key::optional("starts_with", Shape::Text, "\"RT \"", "Starts with this text."),
            Key::optional("ends_with", Shape::Text, "\"?\"", "Ends with this text."),
            Key::optional("contains", Shape::Text, "refund", "Contains this text."),
            Key::optional("one_of", Shape::List { of: &Shape::Text, min: 1, max: MAX_ITEMS }, "[gold, silver]", "Equals one of these."),
            Key::optional("not", TEST_REF, "gold", "Does not pass this test."),
            Key::optional("above", Shape::Number { min: -1e15, max: 1e15 }, "100", "Is a greater number."),
            Key::optional("below", Shape::Number { min: -1e15, max: 1e15 }, "100", "Is a smaller number."),
            Key::optional("present", Shape::TrueFalse, "true", "Is there, or is not."),
        ],
        others: None,
    }),
]);

const VALUES: &[Shape] = &[
    Shape::Text,
    Shape::Record(&Record {
        doc: "A name's value, cut off.",
        keys: &[
            Key::required("from", Shape::Text, "object.content", "The name."),
            Key::optional("truncate", Shape::Whole { min: 1, max: 1_000_000 }, "4000", "At most this many characters."),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "Something found in a text.",
        keys: &[
            Key::required(
                "find",
                Shape::OneOrList(&Shape::Text),
                "\"order {digits}\"",
                "A phrase with {digits}, {word} or {text}, or several: the first that fits.",
            ),
            Key::required("in", Shape::Text, "content", "The name of the text."),
        ],
        others: None,
    }),
    Shape::Record(&Record { doc: "A constant.", keys: &[Key::required("text", Shape::Text, "\"social\"", "The text.")], others: None }),
    Shape::Record(&Record {
        doc: "A CEL expression.",
        keys: &[Key::required("cel", Shape::Text, "\"size(content)\"", "The expression.")],
        others: None,
    }),
];

/// A value expression.
static VALUE: Shape = Shape::OneOf(VALUES);

static ENRICHED: Shape = Shape::OneOf(&[Shape::List { of: &CHOICE, min: 1, max: MAX_ITEMS }, Shape::Defined("value", || &VALUE)]);

static CHOICE: Shape = Shape::OneOf(&[
    Shape::Record(&Record {
        doc: "A choice.",
        keys: &[
            Key::required("is", Shape::Text, "complaint", "The value."),
            Key::required("when", CONDITION_REF, "{ content: { any_word: [refund] } }", "When it is taken; the first that holds wins."),
        ],
        others: None,
    }),
    Shape::Record(&Record {
        doc: "The last choice.",
        keys: &[Key::required("otherwise", Shape::Text, "mention", "The value where no other choice holds.")],
        others: None,
    }),
]);

static DELIVER: Shape = Shape::Record(&Record {
    doc: "Something that is written into a target.",
    keys: &[
        Key::required("id", Shape::Name, "interaction", "What the log and the metrics name."),
        Key::required("for", Shape::Word(|| vec!["link", "activity"]), "activity", "What it is about."),
        Key::optional("when", CONDITION_REF, "{ decision: linked }", "When it applies; always where nothing is said."),
        Key::required("to", Shape::Name, "crm_db", "The `[targets.NAME]` section of kith.toml."),
        Key::required("operation", Shape::Name, "upsert_interaction", "An operation of the target's connector file."),
        Key::required(
            "fields",
            Shape::Named { what: "a field of the target", identifiers: false, of: &Shape::Defined("value", || &VALUE) },
            "{ CustomerID: customer_id }",
            "The target's fields, each with a value.",
        ),
        Key::optional(
            "priority",
            Shape::Word(|| Priority::ALL.map(Priority::name).to_vec()),
            "urgent",
            "`urgent` overtakes what waits for the same target, `low` lets it pass; nothing starves.",
        ),
        Key::optional("backfill", Shape::Days, "30d", "When a link is made later, what was said before is delivered too, this far back."),
        Key::optional(
            "on_delete",
            Shape::OneOf(&[Shape::Word(|| vec!["remove", "keep"]), Shape::Record(&BLANK)]),
            "remove",
            "What a Delete does, instead of what the operation says.",
        ),
        Key::optional(
            "on_conflict",
            Shape::Word(|| OnConflict::ALL.map(OnConflict::name).to_vec()),
            "theirs",
            "What happens to a field that the CRM changed since it was written, instead of what the operation says: `theirs`, `ours`, `newest` or `park`.",
        ),
    ],
    others: None,
});

static BLANK: Record = Record {
    doc: "These fields become empty.",
    keys: &[Key::required("blank", Shape::List { of: &Shape::Text, min: 1, max: MAX_ITEMS }, "[Body]", "The fields.")],
    others: None,
};

static TEST_CASE: Shape = Shape::Record(&Record {
    doc: "A test.",
    keys: &[
        Key::required("name", Shape::Text, "the same e-mail is proof", "What it promises."),
        Key::optional(
            "customers",
            Shape::List { of: &ROW, min: 0, max: MAX_TESTS },
            "[{ customer_id: C1, name: Ada Rossi }]",
            "The customers that the CRM holds, by column.",
        ),
        Key::optional(
            "related",
            Shape::Named { what: "a set of records", identifiers: true, of: &ROWS },
            "{ orders: [{ customer_id: C1, order_number: 4711 }] }",
            "Related records.",
        ),
        Key::required(
            "activity",
            Shape::Record(&ACTIVITY),
            "{ network: x, actor: { name: Ada }, object: { content: hi } }",
            "What was said; what is left out gets a sensible value.",
        ),
        Key::optional(
            "term_frequencies",
            Shape::Named { what: "a term frequency of the model", identifiers: false, of: &FREQUENCIES },
            "{ family_name: { rossi: 0.004 } }",
            "How common values are, instead of the model's own numbers.",
        ),
        Key::required("expect", Shape::Record(&EXPECT), "{ decision: linked, customer: C1 }", "What must come of it."),
    ],
    others: None,
});

static ROW: Shape = Shape::Named { what: "a column", identifiers: false, of: &Shape::Text };
static ROWS: Shape = Shape::List { of: &ROW, min: 0, max: MAX_TESTS };
static FREQUENCIES: Shape = Shape::Named { what: "a value", identifiers: false, of: &Shape::Number { min: 0.0, max: 1.0 } };
static RECIPIENTS: Shape = Shape::OneOrList(&Shape::Text);

static ACTIVITY: Record = Record {
    doc: "An activity, as Activity Streams write it, and `network`.",
    keys: &[
        Key::required("network", Shape::Text, "x", "The network."),
        Key::optional(
            "type",
            Shape::Word(|| vec![Verb::Create.name(), Verb::Update.name(), Verb::Delete.name()]),
            "Create",
            "What was done.",
        ),
        Key::optional("id", Shape::Text, "https://example.org/activities/1", "The id of the activity."),
        Key::optional("published", Shape::Text, "2026-01-15T12:00:00Z", "When."),
        Key::optional("audience", Shape::Word(audiences), "public", "Who may see it, instead of `to` and `cc`."),
        Key::optional("to", RECIPIENTS, "[\"https://www.w3.org/ns/activitystreams#Public\"]", "Who it is for."),
        Key::optional("cc", RECIPIENTS, "[]", "Who else it is for."),
        Key::optional("conversation", Shape::Text, "https://example.org/threads/1", "The thread."),
        Key::optional("actor", Shape::Record(&OPEN_RECORD), "{ preferredUsername: ada, name: Ada Rossi }", "Who did it."),
        Key::optional("object", Shape::Record(&OPEN_RECORD), "{ content: hi }", "What it is about."),
    ],
    others: None,
};

static OPEN_RECORD: Record = Record { doc: "Members as Activity Streams name them.", keys: &[], others: Some(&Shape::Anything) };

static EXPECT: Record = Record {
    doc: "Expectations; what is left out may be anything.",
    keys: &[
        Key::optional("decision", Shape::Word(|| Outcome::ALL.map(Outcome::words).to_vec()), "linked", "The outcome."),
        Key::optional("customer", Shape::Text, "C1", "The best candidate."),
        Key::optional("rule", Shape::Name, "same-email", "What links: a rule's id, or `model`."),
        Key::optional("basis", Shape::Name, "public_profile", "The lawful basis."),
        Key::optional(
            "candidates",
            Shape::List { of: &Shape::Text, min: 0, max: MAX_TESTS },
            "[C2, C3]",
            "Exactly these candidates, in any order.",
        ),
        Key::optional(
            "deliver",
            Shape::Named { what: "an entry of `deliver`", identifiers: false, of: &EXPECTED_DELIVERY },
            "{ interaction: { Topic: complaint }, lead: none }",
            "What is delivered, by entry: fields with values, or `none`.",
        ),
    ],
    others: None,
};

static EXPECTED_DELIVERY: Shape =
    Shape::OneOf(&[Shape::Word(|| vec!["none"]), Shape::Named { what: "a field of the target", identifiers: false, of: &EXPECTED_FIELD }]);

static EXPECTED_FIELD: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&Record {
        doc: "Whether the field has a value.",
        keys: &[Key::required("present", Shape::Word(|| vec!["false"]), "false", "The field is empty.")],
        others: None,
    }),
]);

/// The names of the closed list of networks, aliases included.
pub(super) fn network_words() -> Vec<&'static str> {
    Network::ALL.iter().flat_map(|n| std::iter::once(n.name()).chain(n.aliases().iter().copied())).collect()
}
