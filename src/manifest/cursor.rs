//! Cursors: which part of time (or of a counting number) is read, and what is remembered of it.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

use super::gap::Gap;
use super::json::{Json, Members};
use super::moment::Moment;
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use std::sync::Arc;

/// Slices of one read: ten years by the hour are 87,600. More is a step that was not meant.
pub const MOST_SLICES: usize = 200_000;

/// A date that a manifest gives, between two others.
#[derive(Clone, Debug)]
pub struct DateTemplate {
    /// The date.
    pub at: Template,
    /// How it is written; the cursor's format where it is not said.
    pub format: Option<String>,
    /// Not before.
    pub least: Option<Template>,
    /// Not after.
    pub most: Option<Template>,
}

/// To what slices are widened.
#[derive(Clone, Debug)]
pub enum Clamping {
    /// Whole days.
    Day,
    /// Whole weeks from this day on; 0 is Monday.
    Week(i8),
    /// Whole months.
    Month,
}

/// `DatetimeBasedCursor`
#[derive(Clone, Debug)]
pub struct DateCursorSpec {
    /// The member of a record that says when.
    pub field: Template,
    /// How state and requests write a time.
    pub format: String,
    /// How records write it, tried in order.
    pub inputs: Vec<String>,
    /// Where it begins.
    pub start: DateTemplate,
    /// Where it ends; now, where nothing is said.
    pub end: Option<DateTemplate>,
    /// The length of a slice.
    pub step: Option<Template>,
    /// The smallest difference of two times.
    pub granularity: Option<Gap>,
    /// How far back is read again.
    pub lookback: Option<Template>,
    /// The names of a slice's start and end.
    pub start_field: Template,
    /// See `start_field`.
    pub end_field: Template,
    /// Slices are whole days, weeks, months.
    pub clamping: Option<Clamping>,
    /// An empty slice at the end is left out.
    pub strictly: bool,
}

/// `IncrementingCountCursor`
#[derive(Clone, Debug)]
pub struct CountCursorSpec {
    /// The member of a record that counts.
    pub field: Template,
    /// Where it begins.
    pub start: Option<Template>,
}

/// Why a cursor can't work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CursorError {
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// A date that its format does not fit. The name is a key of the manifest.
    #[error("`{0}` is no date in its format")]
    NoDate(&'static str),
    /// A duration that is none.
    #[error("`{0}` is no ISO 8601 duration")]
    NoDuration(&'static str),
    /// A state that can't be read.
    #[error("the state that was given can't be read: {0}")]
    State(&'static str),
    /// More than [`MOST_SLICES`].
    #[error("the cursor makes more than {MOST_SLICES} slices")]
    TooMany,
}

/// A part of time that was read.
#[derive(Clone, Debug)]
struct Read {
    start: Moment,
    end: Moment,
    recent: Option<Moment>,
}

/// The shortest time that a format can tell apart, in microseconds; `None` where it has none of the usual parts.
pub fn smallest_unit(format: &str) -> Option<i64> {
    const UNITS: &[(&str, i64)] = &[
        ("%epoch_microseconds", 1),
        ("%f", 1),
        ("%s_as_float", 1),
        ("%ms", 1_000),
        ("%_ms", 1_000),
        ("%S", 1_000_000),
        ("%s", 1_000_000),
        ("%M", 60_000_000),
        ("%H", 3_600_000_000),
        ("%I", 3_600_000_000),
        ("%d", 86_400_000_000),
    ];
    UNITS.iter().find(|(name, _)| format.contains(name)).map(|(_, unit)| *unit)
}

/// A time cursor at work.
#[derive(Clone, Debug)]
pub struct DateCursor {
    spec: Arc<DateCursorSpec>,
    field: String,
    boundary: (String, String),
    /// Where the manifest begins.
    start: Moment,
    /// Where the state says to go on.
    from: Moment,
    end: Moment,
    step: Option<Gap>,
    lookback: Option<Gap>,
    read: Vec<Read>,
    /// The state as it was given; what else is in it is kept.
    legacy: Members,
    /// The state knows ranges.
    ranges: bool,
    recent: Option<Moment>,
}

impl DateTemplate {
    fn evaluate(&self, name: &'static str, format: &str, engine: &Engine, scope: &Scope) -> Result<Moment, CursorError> {
        let format = self.format.as_deref().unwrap_or(format);
        let read = |template: &Template| -> Result<Option<Moment>, CursorError> {
            let text = template.text(engine, scope)?;
            if text.is_empty() {
                return Ok(None);
            }
            Moment::parse(&text, format).map(Some).ok_or(CursorError::NoDate(name))
        };
        let mut at = read(&self.at)?.ok_or(CursorError::NoDate(name))?;
        if let Some(least) = self.least.as_ref().map(read).transpose()?.flatten() {
            at = at.max(least);
        }
        if let Some(most) = self.most.as_ref().map(read).transpose()?.flatten() {
            at = at.min(most);
        }
        Ok(at)
    }
}

fn duration(template: Option<&Template>, name: &'static str, engine: &Engine, scope: &Scope) -> Result<Option<Gap>, CursorError> {
    let Some(template) = template else { return Ok(None) };
    let text = template.text(engine, scope)?;
    if text.is_empty() || text == "None" {
        return Ok(None);
    }
    Gap::parse(&text).map(Some).ok_or(CursorError::NoDuration(name))
}

impl Clamping {
    fn clamp(&self, at: Moment, up: bool) -> Moment {
        let days = |days: i64| Gap { months: 0, micros: days * 86_400_000_000 };
        match self {
            Self::Day => {
                let floor = at.floor_day();
                if up && floor != at { floor.plus(days(1)).unwrap_or(floor) } else { floor }
            }
            Self::Month => {
                // A moment on the first of the month is that day's midnight, as in the reference.
                let floor = at.floor_month();
                if up && at.floor_day() != floor { floor.plus(Gap { months: 1, micros: 0 }).unwrap_or(floor) } else { floor }
            }
            Self::Week(day) => {
                let ahead = i64::from((day - at.weekday()).rem_euclid(7));
                let move_by = if up || ahead == 0 { ahead } else { ahead - 7 };
                let floor = at.floor_day();
                floor.plus(days(move_by)).unwrap_or(floor)
            }
        }
    }
}

impl DateCursor {
    /// A cursor after a state. `again` is how much further back is read than the state says.
    ///
    /// # Errors
    /// Where a date, a duration or the state can't be read.
    pub fn new(
        spec: &Arc<DateCursorSpec>,
        state: Option<&Json>,
        again: Option<Gap>,
        engine: &Engine,
        config: &Json,
    ) -> Result<Self, CursorError> {
        let scope = Scope::new(config);
        let start = spec.start.evaluate("start_datetime", &spec.format, engine, &scope)?;
        let now = Moment::from_micros(engine.ambient().now()).ok_or(CursorError::NoDate("the clock"))?;
        let end = match &spec.end {
            None => now,
            Some(end) => end.evaluate("end_datetime", &spec.format, engine, &scope)?,
        };
        let end = match &spec.clamping {
            None => end,
            Some(clamping) => {
                let usual = if matches!(clamping, Clamping::Day) { Gap::seconds(1) } else { Gap::seconds(86_400) };
                let clamped = clamping.clamp(end, false);
                clamped.minus(spec.granularity.unwrap_or(usual)).unwrap_or(clamped)
            }
        };
        let field = spec.field.text(engine, &scope)?;
        let mut cursor = Self {
            boundary: (spec.start_field.text(engine, &scope)?, spec.end_field.text(engine, &scope)?),
            step: duration(spec.step.as_ref(), "step", engine, &scope)?,
            lookback: duration(spec.lookback.as_ref(), "lookback_window", engine, &scope)?,
            spec: spec.clone(),
            start,
            from: start,
            end,
            read: Vec::new(),
            legacy: state.and_then(Json::members).cloned().unwrap_or_default(),
            ranges: false,
            recent: None,
            field,
        };
        cursor.take_state(again)?;
        Ok(cursor)
    }

    fn take_state(&mut self, again: Option<Gap>) -> Result<(), CursorError> {
        if self.legacy.get("state_type").and_then(Json::as_text) == Some("date-range") {
            let slices = self.legacy.get("slices").and_then(Json::items).unwrap_or_default().to_vec();
            for slice in &slices {
                let part = |name| slice.get(name).and_then(|value| self.parse(value));
                let (Some(start), Some(end)) = (part("start"), part("end")) else {
                    return Err(CursorError::State("a slice without dates"));
                };
                self.read.push(Read { start, end, recent: part("most_recent_cursor_value") });
            }
            self.from = self.read.first().map_or(self.start, |first| first.recent.unwrap_or(first.end));
            self.ranges = true;
            return Ok(());
        }
        if let Some(value) = self.legacy.get(self.field.as_str()).filter(|value| value.is_true()).cloned() {
            let mut at = self.parse(&value).ok_or(CursorError::State("its date does not fit the cursor's format"))?;
            if let Some(again) = again {
                at = at.minus(again).unwrap_or(at);
                let text = self.say(at);
                // As the reference writes and reads it once more.
                at = self.parse(&text).unwrap_or(at);
                self.legacy.insert(self.field.as_str().into(), text);
            }
            self.from = at.max(self.start);
        }
        self.read.push(Read { start: self.start, end: self.from, recent: Some(self.from) });
        Ok(())
    }

    /// The member of a record that says when.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// A record's time.
    pub fn parse(&self, value: &Json) -> Option<Moment> {
        let text = match value {
            Json::Text(text) => text.to_string(),
            Json::Int(_) | Json::Float(_) => value.shown(),
            Json::Null | Json::Bool(_) | Json::List(_) | Json::Map(_) => return None,
        };
        self.spec.inputs.iter().find_map(|format| Moment::parse(&text, format))
    }

    /// A time as state and requests write it.
    pub fn say(&self, at: Moment) -> Json {
        Json::Text(at.format(&self.spec.format).into())
    }

    fn increment(&self, at: Moment) -> Moment {
        at.plus(self.spec.granularity.unwrap_or(Gap { months: 0, micros: 1_000 })).unwrap_or(at)
    }

    fn merge(&mut self) {
        self.read.sort_by_key(|read| (read.start, read.end));
        let mut merged: Vec<Read> = Vec::with_capacity(self.read.len());
        for next in std::mem::take(&mut self.read) {
            match merged.last_mut() {
                Some(last) if self.increment(last.end) >= next.start => {
                    last.end = last.end.max(next.end);
                    last.recent = last.recent.max(next.recent);
                }
                Some(_) | None => merged.push(next),
            }
        }
        self.read = merged;
    }

    /// The slices that are to be read, in order.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn slices(&mut self) -> Result<Vec<Arc<Members>>, CursorError> {
        self.merge();
        let mut out = Vec::new();
        let Some(first) = self.read.first() else { return Err(CursorError::State("it has no slices")) };
        if self.start < first.start {
            self.split(self.start, first.start, false, &mut out)?;
        }
        for pair in self.read.windows(2) {
            let [before, after] = pair else { continue };
            let lower = self.spec.granularity.map_or(Some(before.end), |g| before.end.plus(g)).unwrap_or(before.end);
            self.split(lower, after.start, false, &mut out)?;
        }
        let end = self.read.last().map_or(self.start, |last| last.end);
        let lower = self.lookback.and_then(|lookback| end.minus(lookback)).unwrap_or(end);
        self.split(lower, self.end, true, &mut out)?;
        Ok(out)
    }

    fn clamp(&self, at: Moment) -> Moment {
        self.spec.clamping.as_ref().map_or(at, |clamping| clamping.clamp(at, true))
    }

    fn before(&self, at: Moment) -> Moment {
        self.spec.granularity.and_then(|granularity| at.minus(granularity)).unwrap_or(at)
    }

    fn split(&self, lower: Moment, upper: Moment, is_end: bool, out: &mut Vec<Arc<Members>>) -> Result<(), CursorError> {
        let granular = self.spec.granularity.is_some();
        if lower > upper || (lower == upper && !granular) || upper < self.start {
            return Ok(());
        }
        let lower = self.clamp(lower.max(self.start));
        if lower > upper || (lower == upper && (self.spec.strictly || !is_end)) {
            return Ok(());
        }
        let step_end = |from: Moment| match self.step {
            None => self.end.max(upper),
            Some(step) => from.plus(step).unwrap_or(self.end),
        };
        if step_end(lower) >= upper {
            let clamped = if is_end && granular { upper } else { self.clamp(upper) };
            out.push(self.slice(lower, if granular && !is_end { self.before(clamped) } else { clamped }));
            return Ok(());
        }
        let mut current = lower;
        loop {
            let to = step_end(current).min(upper);
            let clamped_to = if to == upper { to } else { self.clamp(to) };
            let reached = to >= upper || clamped_to == upper;
            let from = self.clamp(current);
            if from >= clamped_to {
                return Ok(());
            }
            out.push(self.slice(from, if granular && (!is_end || !reached) { self.before(clamped_to) } else { clamped_to }));
            if out.len() > MOST_SLICES {
                return Err(CursorError::TooMany);
            }
            current = clamped_to;
            if reached {
                return Ok(());
            }
        }
    }

    fn slice(&self, start: Moment, end: Moment) -> Arc<Members> {
        let mut members = Members::new();
        members.insert(self.boundary.0.as_str().into(), self.say(start));
        members.insert(self.boundary.1.as_str().into(), self.say(end));
        Arc::new(members)
    }

    /// A slice in two halves that follow each other; `None` where it is as short as its granularity, or as `least`.
    ///
    /// # Errors
    /// Where it is none of this cursor.
    pub fn halves(&self, slice: &Members, least: Option<Gap>) -> Result<Option<[Arc<Members>; 2]>, CursorError> {
        let part = |name: &str| slice.get(name).and_then(|value| self.parse(value)).ok_or(CursorError::State("a slice without dates"));
        let (start, end) = (part(&self.boundary.0)?, part(&self.boundary.1)?);
        let Some(unit) = self.spec.granularity.filter(|gap| gap.months == 0 && gap.micros > 0) else { return Ok(None) };
        let span = end.micros() - start.micros();
        let units = span.div_euclid(unit.micros) + 1;
        if span <= 0 || least.is_some_and(|least| span <= least.micros) || units <= 1 {
            return Ok(None);
        }
        let first_end = Moment::from_micros(start.micros() + (units / 2 - 1) * unit.micros);
        let second = first_end.and_then(|end| end.plus(unit));
        Ok(match (first_end, second) {
            (Some(first_end), Some(second)) if start <= first_end && first_end < second && second <= end => {
                Some([self.slice(start, first_end), self.slice(second, end)])
            }
            _ => None,
        })
    }

    /// A slice that begins at a moment, and ends as it did.
    pub fn beginning_at(&self, slice: &Members, start: Moment) -> Arc<Members> {
        let mut members = slice.clone();
        members.insert(self.boundary.0.as_str().into(), self.say(start));
        Arc::new(members)
    }

    /// The names of a slice's start and end.
    pub fn boundary(&self) -> (&str, &str) {
        (&self.boundary.0, &self.boundary.1)
    }

    /// Takes note of a record of the slice that is being read.
    pub fn observe(&mut self, value: &Json) {
        self.recent = self.recent.max(self.parse(value));
    }

    /// A slice was read to its end.
    ///
    /// # Errors
    /// Where it is none of this cursor.
    pub fn close(&mut self, slice: &Members) -> Result<(), CursorError> {
        let part = |name: &str| slice.get(name).and_then(|value| self.parse(value)).ok_or(CursorError::State("a slice without dates"));
        let read = Read { start: part(&self.boundary.0)?, end: part(&self.boundary.1)?, recent: self.recent };
        self.recent = None;
        self.read.push(read);
        self.merge();
        Ok(())
    }

    /// Whether a record is new: between where this began and the end.
    pub fn is_new(&self, value: Option<&Json>) -> bool {
        let Some(at) = value.and_then(|value| self.parse(value)) else { return true };
        let lowest = match self.lookback {
            None => self.from,
            Some(lookback) => self.from.minus(lookback).unwrap_or(self.from).max(self.from.min(self.start)),
        };
        lowest <= at && at <= self.end
    }

    /// What is to be given the next time.
    pub fn state(&self) -> Json {
        let mut ordered = self.clone();
        ordered.merge();
        let mut state = self.legacy.clone();
        if self.ranges {
            // The reference goes over to its short form.
            state.shift_remove("slices");
            state.shift_remove("state_type");
        }
        if let Some(first) = ordered.read.first() {
            state.insert(self.field.as_str().into(), self.say(first.recent.unwrap_or(first.start)));
        }
        Json::Map(Arc::new(state))
    }
}

/// A counting cursor at work.
#[derive(Clone, Debug)]
pub struct CountCursor {
    field: String,
    from: Json,
    legacy: Members,
    recent: Option<Json>,
}

impl CountCursor {
    /// A cursor after a state.
    ///
    /// # Errors
    /// Where the start is no number.
    pub fn new(spec: &CountCursorSpec, state: Option<&Json>, engine: &Engine, config: &Json) -> Result<Self, CursorError> {
        let scope = Scope::new(config);
        let field = spec.field.text(engine, &scope)?;
        let start = match &spec.start {
            None => Json::Int(0),
            Some(start) => match start.evaluate(engine, &scope, Fallback::Own, Wanted::Any)? {
                number @ Json::Int(_) => number,
                _ => return Err(CursorError::NoDate("start_value")),
            },
        };
        let legacy = state.and_then(Json::members).cloned().unwrap_or_default();
        let given = legacy.get(field.as_str()).filter(|value| value.number() >= start.number()).cloned();
        Ok(Self { field, from: given.unwrap_or(start), legacy, recent: None })
    }

    /// The member of a record that counts.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The one slice.
    pub fn slice(&self) -> Arc<Members> {
        let mut members = Members::new();
        members.insert("start".into(), self.from.clone());
        members.insert("end".into(), Json::Float(f64::INFINITY));
        Arc::new(members)
    }

    /// Takes note of a record.
    pub fn observe(&mut self, value: &Json) {
        if value.number().is_some() && self.recent.as_ref().is_none_or(|recent| recent.number() < value.number()) {
            self.recent = Some(value.clone());
        }
    }

    /// What is to be given the next time.
    pub fn state(&self) -> Json {
        let mut state = self.legacy.clone();
        let recent = self.recent.as_ref().filter(|recent| recent.number() > self.from.number()).unwrap_or(&self.from);
        state.insert(self.field.as_str().into(), recent.clone());
        Json::Map(Arc::new(state))
    }
}
