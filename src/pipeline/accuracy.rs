//! Precision and recall against labelled data, for a sample project that has some.

use crate::store::Label;
use crate::wire::input::Watched;
use serde::Serialize;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// How right the links are.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Accuracy {
    /// Links of identities that the truth knows.
    pub links: u64,
    /// Of these, to the right customer.
    pub correct: u64,
    /// Identities whose truth is a customer, linked or not, seen or not.
    pub customers_in_truth: u64,
    /// correct ÷ links.
    pub precision: f64,
    /// correct ÷ identities whose truth is a customer.
    pub recall: f64,
}

/// The labels: the last part of an identity's id, and its customer (empty: none).
#[derive(Debug, Default)]
pub struct Truth {
    labels: HashMap<String, String>,
    /// Labels are of whole ids, not of their last part.
    whole: bool,
}

impl Truth {
    /// Reads a CSV file with the columns `profile_id` and `customer_id`, plain or `.gz`.
    ///
    /// # Errors
    /// When it can't be read or lacks a column.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut csv = csv::Reader::from_reader(Watched::open(path).map_err(io::Error::other)?);
        let headers = csv.headers().map_err(io::Error::other)?.clone();
        let column = |name: &str| headers.iter().position(|h| h == name).ok_or_else(|| io::Error::other(format!("no column `{name}`")));
        let (profile, customer) = (column("profile_id")?, column("customer_id")?);
        let mut labels = HashMap::new();
        for row in csv.records() {
            let row = row.map_err(io::Error::other)?;
            labels.insert(row.get(profile).unwrap_or_default().to_owned(), row.get(customer).unwrap_or_default().to_owned());
        }
        Ok(Self { labels, whole: false })
    }

    /// What people said whose accounts are.
    pub fn reviewed(labels: Vec<Label>) -> Self {
        let label = |label: Label| (label.account.to_string(), label.customer.map_or_else(String::new, |c| c.as_str().to_owned()));
        Self { labels: labels.into_iter().map(label).collect(), whole: true }
    }

    /// The label of an identity: its customer, empty where the person is none; `None` where there is no label.
    pub fn of(&self, identity: &str) -> Option<&str> {
        let key = if self.whole { identity } else { identity.rsplit('/').next().unwrap_or(identity) };
        self.labels.get(key).map(String::as_str)
    }

    /// How many labels there are.
    pub fn labels(&self) -> u64 {
        self.labels.len() as u64
    }

    /// How many labels name a customer.
    pub fn customers(&self) -> u64 {
        self.labels.values().filter(|c| !c.is_empty()).count() as u64
    }

    /// Compares links (identity id, customer id) with the labels.
    pub fn judge<'a>(&self, links: impl Iterator<Item = (&'a str, &'a str)>) -> Accuracy {
        let mut accuracy = Accuracy { customers_in_truth: self.customers(), ..Accuracy::default() };
        for (identity, customer) in links {
            let Some(label) = self.of(identity) else { continue };
            accuracy.links += 1;
            accuracy.correct += u64::from(label == customer);
        }
        accuracy.precision = ratio(accuracy.correct, accuracy.links);
        accuracy.recall = ratio(accuracy.correct, accuracy.customers_in_truth);
        accuracy
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of people are far below 2^53")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_counts_links_and_recall_counts_people() {
        let labels = [("S1", "C1"), ("S2", "C2"), ("S3", ""), ("S4", "C4")].map(|(a, b)| (a.into(), b.into())).into();
        let truth = Truth { labels, whole: false };
        let links = [("https://x.example/users/S1", "C1"), ("S2", "C9"), ("S3", "C3"), ("S99", "C1")];
        let judged = truth.judge(links.into_iter());
        assert_eq!((judged.links, judged.correct, judged.customers_in_truth), (3, 1, 3));
        assert!((judged.precision - 1.0 / 3.0).abs() < 1e-12 && (judged.recall - 1.0 / 3.0).abs() < 1e-12);
    }
}
