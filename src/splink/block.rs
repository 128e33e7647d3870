//! Candidate pairs: rule by rule, each pair by the first rule that yields it.

use super::compiled::{Compiled, Shared};
use super::condition::{Node, Pair, evaluate};
use super::frame::{Distinct, Frame};
use super::sql::Side;
use super::value::Val;
use super::{BlockingRule, LinkType};
use crate::model::stable_hash::mix;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// Most keys that one record has for a rule that takes arrays apart; more are cut.
const MOST_KEYS: usize = 1_024;

/// Candidates that are looked at together before they are read.
const AHEAD: usize = 64;

/// Records of a block that stay in the first caches while they are met: 1,024 times half a line are 32 KiB.
const NEAR: usize = 1_024;

/// A record's keys for a rule: records with a key in common meet.
#[derive(Clone, Debug)]
enum Keys {
    /// One, 0 for none.
    One(Arc<Vec<u32>>),
    /// Some, sorted: where each record's begin, and all of them.
    Many { starts: Vec<usize>, keys: Vec<u32> },
}

impl Keys {
    fn of(&self, row: usize) -> &[u32] {
        match self {
            Self::One(keys) => keys.get(row..=row).filter(|keys| *keys != [0]).unwrap_or_default(),
            Self::Many { starts, keys } => {
                let bounds = starts.get(row).copied().zip(starts.get(row + 1).copied());
                bounds.and_then(|(from, to)| keys.get(from..to)).unwrap_or_default()
            }
        }
    }
}

/// A rule made ready for a frame.
#[derive(Debug)]
pub(super) struct Rule<'f> {
    left: Keys,
    right: Keys,
    rest: Vec<Compiled<'f>>,
    /// Rows of the right side by key, each list in the order of ranks.
    grouped: Vec<u32>,
    group_starts: Vec<usize>,
    /// Left rows with a key that somebody on the right has, key by key, so that a block's right records are still near when the next left one
    /// meets them; those of a key in the order of ranks.
    entries: Vec<(u32, u32)>,
    /// How many candidates come before each entry.
    before: Vec<u64>,
    /// The keys of records that have several.
    none: Arc<Vec<u32>>,
}

/// The order of records in which the left one is the lesser.
#[derive(Debug)]
pub(super) struct Ranks {
    /// By row; empty where any left record meets any right one.
    pub(super) of: Vec<u32>,
    left: Vec<u32>,
    right: Vec<u32>,
    /// Which rows stand on either side.
    pub(super) sides: [Range<usize>; 2],
}

fn at(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl Ranks {
    pub(super) fn new(frame: &Frame, link_type: LinkType) -> Self {
        let count = u32::try_from(frame.rows).unwrap_or(u32::MAX);
        let first = u32::try_from(frame.of_first).unwrap_or(u32::MAX);
        if link_type == LinkType::LinkOnly {
            return Self {
                of: Vec::new(),
                left: (0..first).collect(),
                right: (first..count).collect(),
                sides: [0..at(first), at(first)..frame.rows],
            };
        }
        let mut rows: Vec<u32> = (0..count).collect();
        if link_type == LinkType::LinkAndDedupe {
            // Splink compares the table's and the record's name as one text.
            let joined = |row: &u32| format!("{}-__-{}", frame.table(*row), frame.id(*row));
            rows.sort_by_cached_key(joined);
        } else if frame.ids_are_numbers() {
            let number = |row: &u32| frame.id(*row).parse::<f64>().unwrap_or(f64::MAX);
            let numbers: Vec<f64> = rows.iter().map(number).collect();
            rows.sort_by(|a, b| numbers.get(at(*a)).zip(numbers.get(at(*b))).map_or(std::cmp::Ordering::Equal, |(a, b)| a.total_cmp(b)));
        } else {
            rows.sort_by(|a, b| frame.id(*a).cmp(frame.id(*b)));
        }
        let mut of = vec![0; rows.len()];
        let mut rank = 0;
        let mut last: Option<u32> = None;
        for row in &rows {
            // Records with one id are not less than each other.
            let same = last.is_some_and(|last| frame.id(last) == frame.id(*row) && frame.table(last) == frame.table(*row));
            rank += u32::from(!same);
            if let Some(slot) = of.get_mut(at(*row)) {
                *slot = rank;
            }
            last = Some(*row);
        }
        Self { of, left: rows.clone(), right: rows, sides: [0..frame.rows, 0..frame.rows] }
    }

    fn rank(&self, row: u32) -> u32 {
        self.of.get(at(row)).copied().unwrap_or(0)
    }
}

/// One record of the frame, with single members in the place of arrays that are taken apart.
struct OneRow<'f, 'a> {
    frame: &'f Frame,
    row: usize,
    members: &'a [(usize, Val<'f>)],
}

impl<'f> Pair<'f> for OneRow<'f, '_> {
    fn column(&self, _: Side, number: usize) -> Val<'f> {
        if let Some((_, member)) = self.members.iter().find(|(column, _)| *column == number) {
            return member.clone();
        }
        self.frame.columns.get(number).and_then(|column| column.cell(self.row)).map_or(Val::Null, Val::text)
    }

    fn shared(&mut self, _: usize) -> Option<f64> {
        None
    }
}

/// The value of an expression of one side for a record.
pub(super) fn of_row<'n>(node: &'n Node, frame: &'n Frame, row: usize) -> Val<'n> {
    evaluate(node, &mut OneRow { frame, row, members: &[] }, &[])
}

/// Mixes the number that it is given.
#[derive(Clone, Copy, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(value);
    }
}

/// Joins the numbers of two parts to one number, each pair its own.
#[derive(Default)]
struct Joined {
    numbers: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
}

impl Joined {
    fn with_room(count: usize) -> Self {
        Self { numbers: HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default()) }
    }

    fn both(a: u32, b: u32) -> u64 {
        u64::from(a) << 32 | u64::from(b)
    }

    fn number(&mut self, a: u32, b: u32) -> u32 {
        // Rows are fewer than 2³¹.
        let next = u32::try_from(self.numbers.len() + 1).unwrap_or(u32::MAX);
        *self.numbers.entry(Self::both(a, b)).or_insert(next)
    }

    /// 0 where nobody has asked for the number.
    fn known(&self, a: u32, b: u32) -> u32 {
        self.numbers.get(&Self::both(a, b)).copied().unwrap_or(0)
    }
}

/// Records by what they have in some columns: a class for each record, and how many classes there may be.
pub(super) fn classes(columns: &[usize], frame: &Frame) -> (Arc<Vec<u32>>, usize) {
    let ids = |column: usize| frame.columns.get(column).map(|column| &column.ids);
    let of = match columns {
        [] => Arc::new(vec![0; frame.rows]),
        [one] => ids(*one).cloned().unwrap_or_default(),
        [first, rest @ ..] => {
            let mut of = ids(*first).map(|ids| ids.to_vec()).unwrap_or_default();
            for column in rest {
                let mut joined = Joined::default();
                of = of.iter().zip(ids(*column).map(|ids| ids.iter()).into_iter().flatten()).map(|(a, b)| joined.number(*a, *b)).collect();
            }
            Arc::new(of)
        }
    };
    let most = of.iter().copied().max().unwrap_or(0);
    (of, at(most) + 1)
}

/// The numbers of an equality's values on both sides: equal exactly where the values are, 0 for null.
fn part(left: &Node, right: &Node, frame: &Frame) -> [Arc<Vec<u32>>; 2] {
    if let (Node::Column(_, a), Node::Column(_, b)) = (left, right)
        && a == b
    {
        let ids = frame.columns.get(*a).map(|column| column.ids.clone()).unwrap_or_default();
        return [ids.clone(), ids];
    }
    let numeric = |at: usize| frame.columns.get(at).is_some_and(|column| column.numeric);
    let typed = Node::compare(&[std::cmp::Ordering::Equal], left.clone(), right.clone()).typed(&numeric);
    let (left, right) = typed.as_equality().unwrap_or((left, right));
    let mut distinct = Distinct::default();
    let mut bytes = Vec::new();
    let mut numbers = |node: &Node, side: Side| {
        let columns = node.columns(side);
        let (of, count) = classes(&columns, frame);
        // What was reckoned for a class stands for all of it.
        let mut known: Vec<Option<u32>> = vec![None; count];
        let mut out = Vec::with_capacity(frame.rows);
        for (row, class) in of.iter().enumerate() {
            let Some(known) = known.get_mut(at(*class)) else { continue };
            let number = known.unwrap_or_else(|| {
                let value = of_row(node, frame, row);
                if value.is_null() {
                    return 0;
                }
                bytes.clear();
                value.key(&mut bytes);
                distinct.number(&bytes)
            });
            *known = Some(number);
            out.push(number);
        }
        out
    };
    let of_left = Arc::new(numbers(left, Side::Left));
    let of_right = if left.mirrored() == *right { of_left.clone() } else { Arc::new(numbers(right, Side::Right)) };
    [of_left, of_right]
}

fn single_keys(rule: &BlockingRule, frame: &Frame, ranks: &Ranks) -> [Keys; 2] {
    let [lefts, rights] = &ranks.sides;
    let mut keys: Option<[Arc<Vec<u32>>; 2]> = None;
    for equality in &rule.equalities {
        let [left, right] = part(&equality.left, &equality.right, frame);
        keys = Some(match keys {
            None => [left, right],
            Some([l, r]) => {
                let mut joined = Joined::with_room(rights.len());
                let mut of_right = vec![0; frame.rows];
                let parts = |rows: &Range<usize>, a: &[u32], b: &[u32]| -> Vec<(u32, u32)> {
                    let both = a.get(rows.clone()).into_iter().flatten().zip(b.get(rows.clone()).into_iter().flatten());
                    both.map(|(a, b)| if *a == 0 || *b == 0 { (0, 0) } else { (*a, *b) }).collect()
                };
                for (slot, (a, b)) in of_right.iter_mut().skip(rights.start).zip(parts(rights, &r, &right)) {
                    *slot = if a == 0 { 0 } else { joined.number(a, b) };
                }
                let of_right = Arc::new(of_right);
                let of_left = if lefts == rights && Arc::ptr_eq(&l, &r) && Arc::ptr_eq(&left, &right) {
                    of_right.clone()
                } else {
                    // Who is alone with a key meets nobody by it.
                    let mut of_left = vec![0; frame.rows];
                    for (slot, (a, b)) in of_left.iter_mut().skip(lefts.start).zip(parts(lefts, &l, &left)) {
                        *slot = joined.known(a, b);
                    }
                    Arc::new(of_left)
                };
                [of_left, of_right]
            }
        });
    }
    let [left, right] = keys.unwrap_or_else(|| {
        // A rule without an equality: everybody meets everybody.
        let all = Arc::new(vec![1; frame.rows]);
        [all.clone(), all]
    });
    [Keys::One(left), Keys::One(right)]
}

fn many_keys(rule: &BlockingRule, frame: &Frame) -> [Keys; 2] {
    let mut distinct = Distinct::default();
    let mut keys = |side: Side| {
        let (mut starts, mut all) = (vec![0], Vec::new());
        for row in 0..frame.rows {
            let mut members: Vec<Vec<(usize, Val<'_>)>> = vec![Vec::new()];
            for column in &rule.exploded {
                let list = frame.columns.get(*column).and_then(|c| c.cell(row)).map(Val::text).and_then(|text| text.list());
                let list = list.unwrap_or_default();
                members = members
                    .iter()
                    .flat_map(|chosen| list.iter().map(move |member| [chosen.as_slice(), &[(*column, member.clone())]].concat()))
                    .take(MOST_KEYS)
                    .collect();
            }
            let mut of_row: Vec<u32> = Vec::new();
            for members in &members {
                let mut bytes = Vec::new();
                let present = rule.equalities.iter().all(|equality| {
                    let node = if side == Side::Left { &equality.left } else { &equality.right };
                    let value = evaluate(node, &mut OneRow { frame, row, members }, &[]);
                    value.key(&mut bytes);
                    !value.is_null()
                });
                if present {
                    of_row.push(distinct.number(&bytes));
                }
            }
            of_row.sort_unstable();
            of_row.dedup();
            all.extend(of_row);
            starts.push(all.len());
        }
        Keys::Many { starts, keys: all }
    };
    [keys(Side::Left), keys(Side::Right)]
}

/// Who stands under a left record's key on the right.
fn candidates<'g>(group_starts: &[usize], grouped: &'g [u32], ranks: &Ranks, row: u32, key: u32) -> &'g [u32] {
    let bounds = group_starts.get(at(key)).copied().zip(group_starts.get(at(key) + 1).copied());
    let group = bounds.and_then(|(from, to)| grouped.get(from..to)).unwrap_or_default();
    if ranks.of.is_empty() {
        return group;
    }
    let rank = ranks.rank(row);
    let from = group.partition_point(|other| ranks.rank(*other) <= rank);
    group.get(from..).unwrap_or_default()
}

/// Rows with their keys, key by key; those of one key as they were.
fn by_key(entries: &[(u32, u32)], keys: usize) -> Vec<(u32, u32)> {
    let mut places = vec![0_usize; keys + 1];
    for (_, key) in entries {
        if let Some(count) = places.get_mut(at(*key) + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for place in &mut places {
        sum += *place;
        *place = sum;
    }
    let mut sorted = vec![(0, 0); entries.len()];
    for entry in entries {
        if let Some(place) = places.get_mut(at(entry.1)) {
            if let Some(slot) = sorted.get_mut(*place) {
                *slot = *entry;
            }
            *place += 1;
        }
    }
    sorted
}

impl<'f> Rule<'f> {
    pub(super) fn new(rule: &BlockingRule, frame: &'f Frame, ranks: &Ranks) -> Self {
        let [left, right] = if rule.exploded.is_empty() { single_keys(rule, frame, ranks) } else { many_keys(rule, frame) };
        let rest = rule.rest.iter().map(|node| Compiled::new(std::slice::from_ref(node), frame)).collect();
        let most = ranks.right.iter().flat_map(|row| right.of(at(*row))).copied().max().unwrap_or(0);
        // Counted two places on and filled one place on, so that each key's place ends where its group begins.
        let mut group_starts = vec![0_usize; at(most) + 3];
        for row in &ranks.right {
            for key in right.of(at(*row)) {
                if let Some(count) = group_starts.get_mut(at(*key) + 2) {
                    *count += 1;
                }
            }
        }
        let mut sum = 0;
        for start in &mut group_starts {
            sum += *start;
            *start = sum;
        }
        let mut grouped = vec![0_u32; sum];
        for row in &ranks.right {
            for key in right.of(at(*row)) {
                if let Some(place) = group_starts.get_mut(at(*key) + 1) {
                    if let Some(slot) = grouped.get_mut(*place) {
                        *slot = *row;
                    }
                    *place += 1;
                }
            }
        }
        let mut entries = Vec::new();
        for row in &ranks.left {
            let keys = left.of(at(*row)).iter().filter(|key| !candidates(&group_starts, &grouped, ranks, *row, **key).is_empty());
            entries.extend(keys.map(|key| (*row, *key)));
        }
        let entries = by_key(&entries, group_starts.len());
        let mut before = Vec::with_capacity(entries.len() + 1);
        before.push(0);
        let mut total = 0_u64;
        for (row, key) in &entries {
            total += u64::try_from(candidates(&group_starts, &grouped, ranks, *row, *key).len()).unwrap_or(0);
            before.push(total);
        }
        Self { left, right, rest, grouped, group_starts, entries, before, none: Arc::default() }
    }

    /// How many candidates the rule has, those of earlier rules included.
    pub(super) fn total(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// The largest block.
    pub(super) fn largest(&self) -> usize {
        self.group_starts.windows(2).map(|w| if let [a, b] = w { b - a } else { 0 }).max().unwrap_or(0)
    }

    /// Gives the candidates with these numbers, those of `earlier` rules left out. `keys` tells a record's keys by rule.
    pub(super) fn each<'k>(
        &self,
        numbers: Range<u64>,
        ranks: &Ranks,
        earlier: &[Self],
        keys: impl Fn(Side, u32) -> &'k [u32],
        shared: &mut Vec<Shared>,
        mut give: impl FnMut(u32, u32),
    ) {
        let Range { start: from, end: to } = numbers;
        let mut entry = self.before.partition_point(|before| *before <= from).saturating_sub(1);
        let (mut number, mut last_key, mut looked) = (from, 0, entry);
        let single = matches!(self.left, Keys::One(_));
        // Looks at what the next ones will read, which do not wait for each other.
        let look = |side: Side, row: u32| keys(side, row).first().copied().unwrap_or(0);
        while number < to {
            let (Some((row, key)), Some(before)) = (self.entries.get(entry).copied(), self.before.get(entry).copied()) else { return };
            if entry >= looked {
                let next = self.entries.iter().skip(entry).take(AHEAD);
                std::hint::black_box(next.fold(0, |seen, (row, _)| seen ^ look(Side::Left, *row)));
                looked = entry + AHEAD;
            }
            let candidates = candidates(&self.group_starts, &self.grouped, ranks, row, key);
            let of_left = keys(Side::Left, row);
            let skip = usize::try_from(number - before).unwrap_or(usize::MAX);
            let take = usize::try_from(to - number).unwrap_or(usize::MAX);
            for (place, other) in candidates.iter().skip(skip).take(take).enumerate() {
                number += 1;
                if place % AHEAD == 0 && (key != last_key || candidates.len() > NEAR) {
                    let next = candidates.iter().skip(skip + place).take(AHEAD);
                    std::hint::black_box(next.fold(0, |seen, row| seen ^ look(Side::Right, *row)));
                }
                let of_right = keys(Side::Right, *other);
                let mut before = earlier.iter().zip(of_left.iter().zip(of_right));
                if (single || self.common(row, *other) == Some(key))
                    && self.rest_holds(row, *other, shared)
                    && !before.any(|(rule, (ours, theirs))| rule.holds(row, *other, *ours, *theirs, shared))
                {
                    give(row, *other);
                }
            }
            last_key = key;
            entry += 1;
        }
    }

    /// The first key that both have.
    fn common(&self, left: u32, right: u32) -> Option<u32> {
        let theirs = self.right.of(at(right));
        self.left.of(at(left)).iter().copied().find(|key| theirs.binary_search(key).is_ok())
    }

    fn rest_holds(&self, left: u32, right: u32, shared: &mut Vec<Shared>) -> bool {
        self.rest.iter().all(|compiled| compiled.first(left, right, shared) == Some(0))
    }

    /// Whether it yields a pair whose keys, where each has one, are these.
    fn holds(&self, left: u32, right: u32, ours: u32, theirs: u32, shared: &mut Vec<Shared>) -> bool {
        let common = match (&self.left, &self.right) {
            (Keys::One(_), Keys::One(_)) => ours != 0 && ours == theirs,
            _ => self.common(left, right).is_some(),
        };
        common && self.rest_holds(left, right, shared)
    }

    /// The records' keys on a side, where each has one at most.
    pub(super) fn keys(&self, side: Side) -> &Arc<Vec<u32>> {
        match if side == Side::Left { &self.left } else { &self.right } {
            Keys::One(keys) => keys,
            Keys::Many { .. } => &self.none,
        }
    }
}
