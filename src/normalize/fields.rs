//! The fields that a mapping declares, on both sides, and how each value is made.

use crate::model::{Customer, Personal, Value};
use std::sync::Arc;

/// The path of what an account says in its posts, newest first. It is no part of a profile: the posts themselves are looked at when somebody is decided
/// about, as far as they are still kept.
pub const SAID: &str = "object.content";

/// Which part of a person's name a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NamePart {
    /// Given names without titles: `ada`.
    Given,
    /// Family name: `rossi`.
    Family,
    /// Given and family name, in that order.
    Full,
    /// The initials of middle names, where the name shows any: `m` of `Ada M. Rossi`.
    Middle,
}

/// Brings a value to the one form in which both sides are compared.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Cleaner {
    /// As it is, trimmed.
    Text,
    /// Part of a person's name: titles, emoji, suffixes and pronouns removed, folded, lower case.
    PersonName(NamePart),
    /// An e-mail address: trimmed, lower case; not an address → missing.
    Email,
    /// A telephone number; the region (a country name or code) is read from another raw column of the same record.
    Phone {
        /// The column or path that holds the country.
        region_from: Option<Arc<str>>,
    },
    /// A place: the city part, exonyms and regions resolved, folded, lower case.
    Place,
    /// A company: legal forms removed, folded, lower case.
    Organisation,
    /// A calendar date, ISO 8601; the day/month order of a written date follows the region.
    Date {
        /// The column or path that holds the country.
        region_from: Option<Arc<str>>,
    },
    /// `network:handle` (or the pair network, handle): the canonical network and the folded handle without `@`, as `x:ada_rossi`.
    /// A list, separated by blanks, commas or semicolons, gives a list.
    NetworkHandle,
    /// A postal code: upper case without blanks.
    PostalCode,
    /// A country as two-letter code, from its name, its code or a place in it.
    Country,
    /// The name under which somebody stands on the web, from an address, an e-mail address or a company's name. Several raw values give a list.
    Site,
    /// A telephone number with its country's calling code, E.164; without a country, or where the number does not say one, missing.
    E164 {
        /// The column or path that holds the country.
        region_from: Option<Arc<str>>,
    },
}

/// Finds a value inside free text, then cleans it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Finder {
    /// The first e-mail address, `name [at] host [dot] com` included.
    Email,
    /// The first telephone number.
    Phone,
    /// Every e-mail address: a list.
    Emails,
    /// Every telephone number: a list.
    Phones,
    /// The organisation after `@`, `at`, `presso`, ….
    Organisation,
    /// The date after `born`, `birthday`, `nata`, ….
    BirthDate,
    /// Accounts on networks, `ig: @ada`: a list.
    NetworkHandle,
    /// Numbers of 5 to 12 digits, as orders and tickets have: a list.
    Number,
}

/// How a field's value is made from its raw values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Extract {
    /// The raw value, cleaned.
    Clean(Cleaner),
    /// Found in the raw text.
    Find(Finder),
}

/// One declared field.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Field {
    /// Its name below.
    pub name: Arc<str>,
    /// Indexes into the raw columns (customers) or paths (identities) that it is made from; at least one.
    pub from: Vec<usize>,
    /// How the value is made. `region_from` names an entry of the same columns.
    pub extract: Extract,
    /// Whether the source may lack the column altogether.
    pub optional: bool,
}

/// The customers' side of a mapping.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CustomerFields {
    /// The column that holds the CRM's key.
    pub key: Arc<str>,
    /// The column that names the surviving customer of a merge.
    pub merged_into: Option<Arc<str>>,
    /// Every raw column that a field or a `region_from` reads, each once; `Customer::raw` is aligned with it.
    pub columns: Vec<Arc<str>>,
    /// Those of them that are no columns of the customers' own table.
    pub related: Vec<RelatedColumn>,
    /// The declared fields, in file order.
    pub fields: Vec<Field>,
}

/// A column of related records, read as if it were the customer's own: the numbers of its orders.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RelatedColumn {
    /// Its index into [`CustomerFields::columns`].
    pub at: usize,
    /// The set of related records.
    pub set: Arc<str>,
    /// The column in their table.
    pub column: Arc<str>,
}

impl CustomerFields {
    /// Whether a column is none of the customers' own table.
    pub fn is_related(&self, at: usize) -> bool {
        self.related.iter().any(|related| related.at == at)
    }

    /// Brings the values of related records into a customer as read. `values` gives those of a set's column, in the records' order: the newest
    /// are the last. It is asked for each of [`Self::related`], in order.
    pub fn relate(&self, customer: &mut Customer, mut values: impl FnMut(&RelatedColumn) -> Vec<Value>) {
        if self.related.is_empty() {
            return;
        }
        let mut raw = std::mem::take(&mut customer.raw).into_revealed();
        for related in &self.related {
            let mut found = values(related);
            // What is cut off beyond the most members of a list are the oldest.
            found.reverse();
            if let Some(place) = raw.get_mut(related.at) {
                *place = if found.is_empty() { Value::Missing } else { Value::List(found.into()) };
            }
        }
        customer.raw = Personal::new(raw);
    }
}

/// The social side of a mapping. Paths are relative to the activity: `actor.name`, `network`, `actor.location.name`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdentityFields {
    /// Every raw path that a field reads, each once; `network` is always available and never stored.
    pub paths: Vec<Arc<str>>,
    /// The declared fields, in file order.
    pub fields: Vec<Field>,
}

impl IdentityFields {
    /// Whether a field is made from what accounts say in their posts.
    pub fn is_said(&self, field: &Field) -> bool {
        field.from.iter().filter_map(|at| self.paths.get(*at)).any(|path| &**path == SAID)
    }

    /// Whether any field is.
    pub fn reads_posts(&self) -> bool {
        self.fields.iter().any(|field| self.is_said(field))
    }

    /// Whether what somebody says gives any of these fields a value.
    pub fn finds_in(&self, text: &str) -> bool {
        self.fields.iter().any(|field| self.is_said(field) && super::clean::finds(field, text))
    }
}
