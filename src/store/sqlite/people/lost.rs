//! Reading beside a service: labels that people gave, and links that ended with their customer.

use super::verdicts;
use crate::model::{CustomerId, Outcome, Said};
use crate::store::sqlite::SqliteReader;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::names::{Numbered, timestamp};
use crate::store::sqlite::work::identity_id;
use crate::store::{Label, LostLink, StoreError};
use std::sync::Arc;

impl SqliteReader {
    /// Whose accounts are, as people said and decisions follow.
    ///
    /// # Errors
    /// What the database says.
    pub fn labels(&self) -> Result<Vec<Label>, StoreError> {
        self.readers.read_here(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT i.account, v.said, v.customer FROM verdict v JOIN identity i ON i.id = v.identity
                     WHERE v.in_force = 1 AND i.account IS NOT NULL ORDER BY v.id",
                )
                .said()?;
            let mut rows = statement.query(()).said()?;
            let mut labels = Vec::new();
            while let Some(row) = rows.next().said()? {
                let customer = match verdicts::said(row.get(1).said()?, row.get(2).said()?)? {
                    Said::Customer(customer) => Some(customer),
                    Said::Nobody => None,
                    Said::Unsure => continue,
                };
                labels.push(Label { account: row.get(0).said()?, customer });
            }
            Ok(labels)
        })
    }

    /// Accounts whose last link ended and whose customer is gone from the CRM, newest first, at most `limit`.
    ///
    /// # Errors
    /// What the database says.
    pub fn lost_links(&self, limit: usize) -> Result<Vec<LostLink>, StoreError> {
        self.readers.read_here(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT i.network, i.account, l.customer, l.ended, d.outcome, d.customer
                     FROM link l JOIN identity i ON i.id = l.identity JOIN decision d ON d.identity = i.id AND d.current = 1
                     WHERE l.ended IS NOT NULL AND i.account IS NOT NULL
                       AND EXISTS (SELECT 1 FROM customer c WHERE c.id = l.customer AND c.retired = 1)
                       AND NOT EXISTS (SELECT 1 FROM link later WHERE later.identity = l.identity AND later.id > l.id)
                     ORDER BY l.ended DESC, l.id LIMIT ?1",
                )
                .said()?;
            let mut rows = statement.query([crate::store::sqlite::page(limit)]).said()?;
            let mut lost = Vec::new();
            while let Some(row) = rows.next().said()? {
                let (network, account): (String, String) = (row.get(0).said()?, row.get(1).said()?);
                lost.push(LostLink {
                    id: identity_id(&network, &account)?,
                    customer: CustomerId(row.get(2).said()?),
                    ended: timestamp(row.get(3).said()?),
                    now: (Outcome::from_number(row.get(4).said()?)?, row.get::<_, Option<Arc<str>>>(5).said()?.map(CustomerId)),
                });
            }
            Ok(lost)
        })
    }
}
