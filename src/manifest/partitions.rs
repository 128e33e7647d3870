//! A time cursor for each partition, and one over all: what is remembered of streams that are read by partition.

use super::cursor::{CursorError, DateCursor, DateCursorSpec};
use super::gap::Gap;
use super::json::{Json, Members};
use super::slice::partition_key;
use super::template::Engine;
use indexmap::IndexMap;
use std::sync::Arc;

/// From here on one cursor over all partitions is remembered alone, as the reference does it.
const SWITCH_TO_GLOBAL: usize = 10_000;
/// Cursors that are held; the oldest goes.
const MOST_CURSORS: usize = 25_000;

/// A state in the form that was written before there were partitions, as `LegacyToPerPartitionStateMigration` brings it up: an object of
/// partitions, each with the cursor alone. `None` where it is none.
pub fn of_legacy(state: &Json, partition: &str, cursor: &str) -> Option<Json> {
    let members = state.members().filter(|members| !members.is_empty() && !members.contains_key("states"))?;
    let one = |(value, at): (&Arc<str>, &Json)| {
        at.members().filter(|at| at.len() == 1 && at.contains_key(cursor))?;
        let own: Members = [(partition.into(), Json::Text(value.clone()))].into_iter().collect();
        Some(Json::Map(Arc::new([("partition".into(), Json::Map(Arc::new(own))), ("cursor".into(), at.clone())].into_iter().collect())))
    };
    let states = members.iter().map(one).collect::<Option<Vec<_>>>()?;
    Some(Json::Map(Arc::new([("states".into(), Json::List(Arc::new(states)))].into_iter().collect())))
}

/// The cursors of a stream that is read by partition.
#[derive(Clone, Debug)]
pub struct PartitionCursors {
    spec: Arc<DateCursorSpec>,
    cursors: IndexMap<String, (Arc<Members>, DateCursor)>,
    /// Only one cursor over all is remembered.
    global_only: bool,
    /// As the state gave it.
    global: Option<Json>,
    /// With what was seen since.
    newest: Option<Json>,
    lookback_seconds: i64,
    parent_state: Option<Json>,
    synced: bool,
    count: usize,
    field: String,
}

impl PartitionCursors {
    /// The cursors after a state.
    ///
    /// # Errors
    /// Where a date, a duration or the state can't be read.
    pub fn new(
        spec: &Arc<DateCursorSpec>,
        global_only: bool,
        state: Option<&Json>,
        engine: &Engine,
        config: &Json,
    ) -> Result<Self, CursorError> {
        let model = DateCursor::new(spec, None, None, engine, config)?;
        let mut cursors = Self {
            spec: spec.clone(),
            cursors: IndexMap::new(),
            global_only,
            global: None,
            newest: None,
            lookback_seconds: 0,
            parent_state: None,
            synced: false,
            count: 0,
            field: model.field().to_owned(),
        };
        let Some(state) = state.filter(|state| state.is_true()) else { return Ok(cursors) };
        if state.get("states").is_none() && state.get("state").is_none() {
            cursors.take_global(state, &model);
        } else {
            cursors.global_only = state.get("use_global_cursor").is_some_and(Json::is_true);
            if let Some(Json::Int(seconds)) = state.get("lookback_window") {
                cursors.lookback_seconds = i64::try_from(*seconds).unwrap_or(0).clamp(0, 31_622_400);
            }
            for one in state.get("states").and_then(Json::items).unwrap_or_default() {
                let (Some(Json::Map(partition)), Some(cursor)) = (one.get("partition"), one.get("cursor")) else {
                    return Err(CursorError::State("a partition without a cursor"));
                };
                cursors.count += 1;
                let cursor = DateCursor::new(spec, Some(cursor), None, engine, config)?;
                cursors.cursors.insert(partition_key(partition), (partition.clone(), cursor));
            }
            if let Some(global) = state.get("state") {
                cursors.take_global(global, &model);
            }
        }
        cursors.parent_state = state.get("parent_state").filter(|parent| parent.is_true()).cloned();
        Ok(cursors)
    }

    fn take_global(&mut self, state: &Json, model: &DateCursor) {
        if let Some(at) = state.get(&self.field).and_then(|value| model.parse(value)) {
            let mut members = Members::new();
            members.insert(self.field.as_str().into(), model.say(at));
            self.global = Some(Json::Map(Arc::new(members)));
            self.newest = self.global.clone();
        }
    }

    /// The slices of a partition; `None` where it was there before in this read.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn slices(&mut self, partition: &Arc<Members>, engine: &Engine, config: &Json) -> Result<Vec<Arc<Members>>, CursorError> {
        if !self.global_only && self.count > SWITCH_TO_GLOBAL {
            self.global_only = true;
        }
        let key = partition_key(partition);
        if let Some((_, cursor)) = self.cursors.get_mut(&key) {
            return cursor.slices();
        }
        let again = self.global.as_ref().map(|_| Gap::seconds(self.lookback_seconds));
        let mut cursor = DateCursor::new(&self.spec, self.global.as_ref(), again, engine, config)?;
        let slices = cursor.slices()?;
        self.count += 1;
        if self.cursors.len() >= MOST_CURSORS {
            self.cursors.shift_remove_index(0);
        }
        self.cursors.insert(key, (partition.clone(), cursor));
        Ok(slices)
    }

    /// The member of a record that says when.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The cursor of a partition.
    pub fn of(&self, partition: &Members) -> Option<&DateCursor> {
        self.cursors.get(&partition_key(partition)).map(|(_, cursor)| cursor)
    }

    /// Takes note of records of a partition, by their times.
    pub fn observe(&mut self, partition: &Members, values: impl Iterator<Item = Json>) {
        let Some((_, cursor)) = self.cursors.get_mut(&partition_key(partition)) else { return };
        let mut raised: Vec<Json> = Vec::new();
        for value in values {
            let Some(at) = cursor.parse(&value) else { continue };
            let said = cursor.say(at);
            if !self.global_only {
                cursor.observe(&value);
            }
            // Compared as text, as in `raise`.
            if raised.last().is_none_or(|last| last.as_text() < said.as_text()) {
                raised.push(said);
            }
        }
        for said in raised {
            self.synced = true;
            self.raise(&said);
        }
    }

    /// The reference compares what is written, as text.
    fn raise(&mut self, said: &Json) {
        let current = self.newest.as_ref().and_then(|newest| newest.get(&self.field)).and_then(Json::as_text);
        if current.is_none_or(|current| said.as_text().is_some_and(|said| current < said)) {
            let mut members = Members::new();
            members.insert(self.field.as_str().into(), said.clone());
            self.newest = Some(Json::Map(Arc::new(members)));
        }
    }

    /// A slice of a partition was read to its end; `last`: the partition's last.
    ///
    /// # Errors
    /// Where it is none of its cursor.
    pub fn close(&mut self, partition: &Members, slice: &Members, last: bool) -> Result<(), CursorError> {
        if self.global_only {
            return Ok(());
        }
        let Some((_, cursor)) = self.cursors.get_mut(&partition_key(partition)) else { return Ok(()) };
        cursor.close(slice)?;
        if last && let Some(said) = cursor.state().get(&self.field).cloned() {
            self.raise(&said);
        }
        Ok(())
    }

    /// Everything was read. `seconds`: how long it took; `parent`: the state of parents that this depends on.
    pub fn finish(&mut self, seconds: i64, parent: Option<Json>) {
        if self.synced {
            self.global = self.newest.clone();
            self.lookback_seconds = seconds;
        }
        self.parent_state = parent;
    }

    /// What is to be given the next time.
    pub fn state(&self) -> Json {
        let mut state = Members::new();
        state.insert("use_global_cursor".into(), Json::Bool(self.global_only));
        if !self.global_only {
            let states = self
                .cursors
                .values()
                .map(|(partition, cursor)| {
                    let mut one = Members::new();
                    one.insert("partition".into(), Json::Map(partition.clone()));
                    one.insert("cursor".into(), cursor.state());
                    Json::Map(Arc::new(one))
                })
                .collect();
            state.insert("states".into(), Json::List(Arc::new(states)));
        }
        if let Some(global) = &self.global {
            state.insert("state".into(), global.clone());
        }
        state.insert("lookback_window".into(), Json::Int(self.lookback_seconds.into()));
        if let Some(parent) = &self.parent_state {
            state.insert("parent_state".into(), parent.clone());
        }
        Json::Map(Arc::new(state))
    }
}
