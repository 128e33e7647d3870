//! Plain look-ups: a network is asked for some posts or accounts by their ids, and shows those that it still has. What it does not show is gone where it says so,
//! or, where it never says so, where its list is there and they are not in it.

use super::ask::ask;
use super::error::ComplianceError;
use crate::declare::manifest::{Compliance, Listed, LookUp};
use crate::manifest::cost::Money;
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
        self.reader.look_up_bill(&self.asked.name, by.at_most as u64).map_or(Money::NONE, |bill| bill.most)
    }

    /// Asks about some ids, at most as many as the network takes at once, none of which needs escaping.
    ///
    /// # Errors
    /// Where the network does not tell.
    pub async fn ask(&self, by: &LookUp, ids: &[&str]) -> Result<LookedUp, ComplianceError> {
        let below = format!("?{}={}", by.parameter, ids.join(","));
        let bill = self.reader.look_up_bill(&self.asked.name, ids.len() as u64);
        let (_, answer, reserved) = ask(&self.reader, &self.asked, ("GET", &below), None, bill.as_ref()).await?;
        let found = said(&self.asked, by, ids, &answer)?;
        if let Some(bill) = &bill {
            let page: crate::manifest::Json = answer.into();
            self.reader.settle(reserved, bill.price.of_answer(found.there, Some(&page))).await?;
        }
        Ok(found)
    }
}

/// The items of a list with their ids; `None` where the answer has no such list.
fn items<'a>(answer: &'a Json, listed: &'a Listed) -> Option<impl Iterator<Item = (&'a str, &'a Json)>> {
    let list = listed.at.iter().try_fold(answer, |at, key| at.get(key))?.as_array()?;
    Some(list.iter().filter_map(|item| Some((item.get(&listed.key)?.as_str()?, item))))
}

/// What an answer says about the ids that were asked about.
fn said(asked: &Compliance, by: &LookUp, ids: &[&str], answer: &Json) -> Result<LookedUp, ComplianceError> {
    let there = items(answer, &by.there).map(|items| items.map(|(id, _)| id).collect::<BTreeSet<_>>());
    let gone = by.gone.as_ref().and_then(|gone| items(answer, gone));
    let gone = gone.map(|items| items.filter(|(_, item)| asked.says_gone(item)).map(|(id, _)| id).collect::<BTreeSet<_>>());
    // A list of nothing is left out by some; without any list nothing was said.
    if there.is_none() && gone.is_none() {
        return Err(ComplianceError::NotUnderstood("it lists nothing"));
    }
    let there = there.unwrap_or_default();
    let mut found = LookedUp { there: there.len(), ..LookedUp::default() };
    for id in ids.iter().filter(|id| !there.contains(**id)) {
        let is_gone = if by.gone.is_some() { gone.as_ref().is_some_and(|gone| gone.contains(id)) } else { true };
        if is_gone {
            found.gone.push((*id).to_owned());
        } else {
            found.unsaid += 1;
        }
    }
    Ok(found)
}
