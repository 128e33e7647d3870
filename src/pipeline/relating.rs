//! Fields of customers that are made from their related records: brought into each customer as it is read.

use super::{Fault, RunError};
use crate::customers::{ReadCustomer, Related};
use crate::model::CustomerId;
use crate::normalize::{CustomerFields, RelatedColumn};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const NO_COLUMN: &str = "KITH-U101";

/// The related columns that a mapping's fields read, and where they stand.
pub(super) struct Relating<'a> {
    fields: &'a CustomerFields,
    /// Aligned with [`CustomerFields::related`].
    columns: Vec<(&'a Related, usize)>,
}

impl<'a> Relating<'a> {
    /// Finds the columns.
    ///
    /// # Errors
    /// [`RunError::Fault`] where a table lacks one. A table without a row and without a header lacks nothing: nobody has any records.
    pub(super) fn new(fields: &'a CustomerFields, sets: &'a [(Arc<str>, Related)]) -> Result<Self, RunError> {
        let mut columns = Vec::with_capacity(fields.related.len());
        for wanted in &fields.related {
            let set = sets.iter().find(|(name, _)| *name == wanted.set).map(|(_, related)| related);
            let found = set.and_then(|related| {
                let nobody = related.columns().is_empty().then_some(0);
                Some((related, related.column(&wanted.column).or(nobody)?))
            });
            columns.push(found.ok_or_else(|| lacking(&wanted.set, &wanted.column))?);
        }
        Ok(Self { fields, columns })
    }

    /// Whether they say of everybody what these sets said: then a customer whose own row is as it was is as it was.
    pub(super) fn is_as(&self, before: &[(Arc<str>, Related)]) -> bool {
        let said = |wanted: &RelatedColumn| before.iter().find(|(name, _)| *name == wanted.set).map(|(_, related)| related);
        self.fields.related.iter().zip(&self.columns).all(|(wanted, (now, column))| {
            said(wanted).is_some_and(|then| then.column(&wanted.column).is_some_and(|its| now.says_the_same(*column, then, its)))
        })
    }

    /// Brings them into a customer. What is read of it includes them, and so does its digest.
    pub(super) fn bring_into(&self, row: &mut ReadCustomer) {
        if self.columns.is_empty() {
            return;
        }
        let id = row.customer.id.clone();
        let mut columns = self.columns.iter();
        self.fields
            .relate(&mut row.customer, |_in_order| columns.next().map_or_else(Vec::new, |(related, column)| related.values(&id, *column)));
        row.digest = self.with(&id, row.digest);
    }

    /// The digest of a customer's own row to that of the row with what is related to it, and back.
    pub(super) fn with(&self, id: &CustomerId, mut digest: [u8; 16]) -> [u8; 16] {
        if self.columns.is_empty() {
            return digest;
        }
        let mut hash = Sha256::new();
        for (related, column) in &self.columns {
            for value in related.values(id, *column) {
                let text = value.to_json().to_string();
                hash.update(text.len().to_be_bytes());
                hash.update(text.as_bytes());
            }
            // No text is as long.
            hash.update(usize::MAX.to_be_bytes());
        }
        for (byte, related) in digest.iter_mut().zip(hash.finalize()) {
            *byte ^= related;
        }
        digest
    }
}

fn lacking(set: &str, column: &str) -> RunError {
    RunError::Fault(Fault {
        code: NO_COLUMN,
        place: format!("customers.related.{set}"),
        message: format!("a field of the mapping reads the column `{column}` of `{set}`, and its table has none"),
        remedy: "correct the field's `from`, or the table".into(),
    })
}
