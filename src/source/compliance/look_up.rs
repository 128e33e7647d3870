//! Plain look-ups: a network is asked for some posts or accounts by their ids, and shows those that it still has. What it does not show is gone where it says so,
//! or, where it never says so, where its list is there and they are not in it.

use super::ask::{Question, ask};
use super::error::ComplianceError;
use crate::declare::manifest::{Compliance, Listed, LookUp, Named, Shows, Surroundings};
use crate::manifest::Json as Value;
use crate::manifest::cost::Money;
use crate::manifest::request::Options;
use crate::source::manifest::Reader;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a network says about some ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LookedUp {
    /// Those that are gone, in the order in which they were asked about.
    pub gone: Vec<String>,
    /// Those about which it says nothing: nothing follows.
    pub unsaid: u64,
    /// Those that it shows.
    there: usize,
    /// What it shows of them, as lines of Activity Streams.
    pub lines: Vec<Vec<u8>>,
}

/// Looks up at one network.
#[derive(Debug)]
pub struct LookUps {
    reader: Reader,
    asked: Arc<Compliance>,
}

impl LookUps {
    /// With a reader's configuration, logins, hosts and purse. Nothing is connected.
    pub const fn new(reader: Reader, asked: Arc<Compliance>) -> Self {
        Self { reader, asked }
    }

    /// The reader whose configuration and logins it uses.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The most that one look-up can cost; nothing, where the connector names no prices.
    pub fn dearest(&self, by: &LookUp) -> Money {
        self.reader.look_up_bill(&self.asked.name, by.at_most() as u64).map_or(Money::NONE, |bill| bill.most)
    }

    /// Asks about some ids, at most as many as the network takes at once.
    ///
    /// # Errors
    /// Where the network does not tell.
    pub async fn ask(&self, by: &LookUp, ids: &[&str]) -> Result<LookedUp, ComplianceError> {
        let bill = self.reader.look_up_bill(&self.asked.name, ids.len() as u64);
        let mut options = Options::default();
        let telling = |status: u16, answer: &Json| by.says_gone(status, answer);
        let question = match (&by.named, ids) {
            (Named::Together { parameter, repeated, .. }, _) => {
                if *repeated {
                    options.repeated(parameter, ids);
                } else {
                    options.parameter(parameter, &ids.join(","));
                }
                Question { options, ..Question::default() }
            }
            (Named::Alone { .. }, [id]) => Question { id: Some(id), telling: Some(&telling), ..Question::default() },
            (Named::Alone { .. }, _) => return Err(ComplianceError::NotUnderstood("more is asked about than it can be about")),
        };
        let told = ask(&self.reader, &self.asked, question, bill.as_ref()).await?;
        let Some(told) = told else {
            // Of many the manifest can't say that they are to be left alone.
            let alone = matches!(by.named, Named::Alone { .. });
            return if alone {
                Ok(LookedUp { unsaid: 1, ..LookedUp::default() })
            } else {
                Err(ComplianceError::NotUnderstood("it was left out"))
            };
        };
        let mut found = match &by.named {
            Named::Together { there, gone, .. } => said(&self.asked, (there, gone.as_ref()), ids, &told.answer)?,
            Named::Alone { .. } if by.says_gone(told.status, &told.answer) => {
                LookedUp { gone: ids.iter().map(|id| (*id).to_owned()).collect(), ..LookedUp::default() }
            }
            Named::Alone { .. } => LookedUp { there: 1, ..LookedUp::default() },
        };
        if let Some(shows) = by.shows.as_ref().filter(|_| found.there > 0) {
            let at = match &by.named {
                Named::Together { there, .. } => &there.at,
                Named::Alone { .. } => &shows.at,
            };
            let (lines, unread) = self.shown(shows, at, &told.answer);
            (found.lines, found.unsaid) = (lines, found.unsaid + unread);
        }
        if let Some(bill) = &bill {
            let page: Value = told.answer.into();
            self.reader.settle(told.reserved, bill.price.of_answer(found.there, Some(&page))).await?;
        }
        Ok(found)
    }

    /// What an answer shows, as the question's projection makes lines of it; and how many records it could not be made of.
    fn shown(&self, shows: &Shows, at: &[String], answer: &Json) -> (Vec<Vec<u8>>, u64) {
        let records = match at.iter().try_fold(answer, |at, key| at.get(key)) {
            Some(Json::Array(records)) => records.as_slice(),
            Some(record) => std::slice::from_ref(record),
            None => &[],
        };
        let (mut lines, mut unread) = (Vec::new(), 0);
        for record in records {
            match self.reader.reshaped(&shows.transformations, record) {
                Some(record) => lines.extend(shows.projection.line(record, &Surroundings::default())),
                None => unread += 1,
            }
        }
        (lines, unread)
    }
}

/// The items of a list with their ids; `None` where the answer has no such list.
fn items<'a>(answer: &'a Json, listed: &'a Listed) -> Option<impl Iterator<Item = (&'a str, &'a Json)>> {
    let list = listed.at.iter().try_fold(answer, |at, key| at.get(key))?.as_array()?;
    Some(list.iter().filter_map(|item| Some((item.get(&listed.key)?.as_str()?, item))))
}

/// What an answer says about the ids that were asked about.
fn said(asked: &Compliance, (shown, told): (&Listed, Option<&Listed>), ids: &[&str], answer: &Json) -> Result<LookedUp, ComplianceError> {
    let there = items(answer, shown).map(|items| items.map(|(id, _)| id).collect::<BTreeSet<_>>());
    let gone = told.and_then(|gone| items(answer, gone));
    let gone = gone.map(|items| items.filter(|(_, item)| asked.says_gone(item)).map(|(id, _)| id).collect::<BTreeSet<_>>());
    // A list of nothing is left out by some; without any list nothing was said.
    if there.is_none() && gone.is_none() {
        return Err(ComplianceError::NotUnderstood("it lists nothing"));
    }
    let there = there.unwrap_or_default();
    let mut found = LookedUp { there: there.len(), ..LookedUp::default() };
    for id in ids.iter().filter(|id| !there.contains(**id)) {
        let is_gone = if told.is_some() { gone.as_ref().is_some_and(|gone| gone.contains(id)) } else { true };
        if is_gone {
            found.gone.push((*id).to_owned());
        } else {
            found.unsaid += 1;
        }
    }
    Ok(found)
}
