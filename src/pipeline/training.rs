//! Training a mapping's model on the profiles and customers that the project's sources give, without changing any state.

use super::customers::CustomersSide;
use super::leaves::{Scribe, WhoAsks};
use super::{Clock, Parts, RunError, Unseen, intake, posts};
use crate::model::{Digest, Personal, Value};
use crate::resolve::{TrainOptions, Trained, train};
use crate::source::Access;
use crate::store::Store;
use crate::store::sqlite::{Options, SqliteStore};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Profiles read together.
const PAGE: usize = 1_000;

/// Most identities that train: 200,000 of some 1 kB are 200 MB. The first in the order of the store.
const MOST_IDENTITIES: usize = 200_000;

/// What training gave, and on what.
#[derive(Clone, Debug)]
pub struct Training {
    /// The numbers.
    pub trained: Trained,
    /// SHA-256 over the cleaned values of the identities, in the order of the store, and the number of customers.
    pub data: Digest,
    /// How many customers the prior counts.
    pub customers: u64,
    /// The values of fields that the model's term frequencies count one by one, each with how common it is among customers: personal data, for
    /// whoever exports the model. By field.
    pub frequencies: Personal<BTreeMap<Arc<str>, crate::declare::mapping::Frequencies>>,
}

/// Reads everything on a private copy of the state and trains. `None` where the mapping has no model or nobody is there. The values of
/// counted fields are told only `with_frequencies`.
///
/// # Errors
/// When the state can't be copied, or sources or customers can't be read.
pub async fn train_mapping(
    parts: Parts,
    who: WhoAsks,
    clock: Arc<dyn Clock>,
    options: TrainOptions,
    with_frequencies: bool,
) -> Result<Option<Training>, RunError> {
    let store = Arc::new(SqliteStore::in_memory_copy(
        &parts.config.service.state,
        parts.keys.master.clone(),
        parts.keys.hash.clone(),
        Options::from_system()?,
    )?);
    let scribe = Arc::new(Scribe::new(store.ring().clone(), who, parts.rulebook.clone()));
    let mut customers = CustomersSide::new();
    // Training writes nothing to a CRM: the guards of a run do not hold it back.
    customers.refresh(&*store, &parts, &scribe, &*clock, &Unseen, true).await?;
    let (_going_on, stop) = watch::channel(false);
    let stops = super::stops::Stops::default();
    let inlet =
        intake::Inlet { parts: &parts, store: &store, scribe: &scribe, clock: &*clock, progress: &Unseen, stops: &stops, stop: &stop };
    intake::drain(inlet, Access::ReadOnly).await?;
    let Some(known) = customers.known() else { return Ok(None) };
    let mut identities: Vec<Vec<Value>> = Vec::new();
    let mut hash = Sha256::new();
    let mut after = None;
    while identities.len() < MOST_IDENTITIES {
        let page = store.profiles(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.row);
        let posts = posts::of_page(&parts.rulebook, &*store, &page).await?;
        for (profile, posts) in page.iter().zip(&posts) {
            let cleaned = posts::cleaned_stored(&parts.rulebook, profile, posts);
            for value in &cleaned {
                hash.update(value.to_json().to_string().as_bytes());
                hash.update([0x1f]);
            }
            identities.push(cleaned);
        }
    }
    hash.update(known.index.len().to_string().as_bytes());
    let data = Digest(hash.finalize().into());
    let customers = u64::try_from(known.index.len()).unwrap_or(u64::MAX);
    let model = parts.rulebook.matching.model.clone();
    let work = move || {
        let trained = train(&known.index, &identities, options)?;
        let of = model.iter().flat_map(|model| &model.term_frequencies).enumerate().filter(|_| with_frequencies);
        let counted =
            of.filter_map(|(number, frequency)| Some((frequency.of.first()?.field.clone(), known.index.value_frequencies(number))));
        let frequencies = Personal::new(counted.filter(|(_, values)| !values.is_empty()).collect());
        Some(Training { trained, data, customers, frequencies })
    };
    tokio::task::spawn_blocking(work).await.map_err(RunError::Task)
}
