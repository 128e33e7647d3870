//! Candidate pairs: rule by rule, each pair by the first rule that yields it.

use super::condition::{Node, Pair, evaluate};
use super::frame::{Distinct, Frame};
use super::linker::{Compiled, Shared};
use super::sql::Side;
use super::value::Val;
use super::{BlockingRule, LinkType};
use crate::model::stable_hash::{ByHash, mix};
use std::sync::Arc;

/// Most keys that one record has for a rule that takes arrays apart; more are cut.
const MOST_KEYS: usize = 1_024;

/// Candidates that are looked at together before they are read.
const AHEAD: usize = 64;

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
    /// Left rows with a key, in the order of ranks.
    entries: Vec<(u32, u32)>,
    /// How many candidates come before each entry.
    before: Vec<u64>,
}

/// The order of records in which the left one is the lesser.
#[derive(Debug)]
pub(super) struct Ranks {
    /// By row; empty where any left record meets any right one.
    pub(super) of: Vec<u32>,
    left: Vec<u32>,
    right: Vec<u32>,
}

fn at(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl Ranks {
    pub(super) fn new(frame: &Frame, link_type: LinkType) -> Self {
        let count = u32::try_from(frame.rows).unwrap_or(u32::MAX);
        let first = u32::try_from(frame.of_first).unwrap_or(u32::MAX);
        if link_type == LinkType::LinkOnly {
            return Self { of: Vec::new(), left: (0..first).collect(), right: (first..count).collect() };
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
        Self { of, left: rows.clone(), right: rows }
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

/// Joins the numbers of two parts to one number, each pair its own.
struct Joined {
    numbers: ByHash<(u64, u32)>,
    count: u32,
}

impl Joined {
    fn new() -> Self {
        Self { numbers: ByHash::default(), count: 0 }
    }

    fn number(&mut self, a: u32, b: u32) -> u32 {
        let both = u64::from(a) << 32 | u64::from(b);
        let mut key = mix(both);
        loop {
            match self.numbers.get(&key) {
                Some((known, number)) if *known == both => return *number,
                Some(_) => key = key.wrapping_add(1),
                None => {
                    self.count += 1;
                    self.numbers.insert(key, (both, self.count));
                    return self.count;
                }
            }
        }
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
                let mut joined = Joined::new();
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

fn single_keys(rule: &BlockingRule, frame: &Frame) -> [Keys; 2] {
    let mut keys: Option<[Arc<Vec<u32>>; 2]> = None;
    for equality in &rule.equalities {
        let [left, right] = part(&equality.left, &equality.right, frame);
        keys = Some(match keys {
            None => [left, right],
            Some([l, r]) => {
                let mut joined = Joined::new();
                let mut join = |a: &[u32], b: &[u32]| -> Vec<u32> {
                    a.iter().zip(b).map(|(a, b)| if *a == 0 || *b == 0 { 0 } else { joined.number(*a, *b) }).collect()
                };
                let of_left = Arc::new(join(&l, &left));
                let of_right = if Arc::ptr_eq(&l, &r) && Arc::ptr_eq(&left, &right) { of_left.clone() } else { Arc::new(join(&r, &right)) };
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

impl<'f> Rule<'f> {
    pub(super) fn new(rule: &BlockingRule, frame: &'f Frame, ranks: &Ranks) -> Self {
        let [left, right] = if rule.exploded.is_empty() { single_keys(rule, frame) } else { many_keys(rule, frame) };
        let rest = rule.rest.iter().map(|node| Compiled::new(std::slice::from_ref(node), frame)).collect();
        let most = ranks.right.iter().flat_map(|row| right.of(at(*row))).copied().max().unwrap_or(0);
        let mut group_starts = vec![0_usize; at(most) + 2];
        for row in &ranks.right {
            for key in right.of(at(*row)) {
                if let Some(count) = group_starts.get_mut(at(*key) + 1) {
                    *count += 1;
                }
            }
        }
        let mut sum = 0;
        for start in &mut group_starts {
            sum += *start;
            *start = sum;
        }
        let mut places = group_starts.clone();
        let mut grouped = vec![0_u32; sum];
        for row in &ranks.right {
            for key in right.of(at(*row)) {
                if let Some(place) = places.get_mut(at(*key)) {
                    if let Some(slot) = grouped.get_mut(*place) {
                        *slot = *row;
                    }
                    *place += 1;
                }
            }
        }
        let mut made = Self { left, right, rest, grouped, group_starts, entries: Vec::new(), before: vec![0] };
        let mut total = 0_u64;
        for row in &ranks.left {
            for key in made.left.of(at(*row)).to_vec() {
                let count = made.candidates(*row, key, ranks).len();
                if count > 0 {
                    total += u64::try_from(count).unwrap_or(0);
                    made.entries.push((*row, key));
                    made.before.push(total);
                }
            }
        }
        made
    }

    /// Who stands under a left record's key on the right.
    fn candidates(&self, row: u32, key: u32, ranks: &Ranks) -> &[u32] {
        let bounds = self.group_starts.get(at(key)).copied().zip(self.group_starts.get(at(key) + 1).copied());
        let group = bounds.and_then(|(from, to)| self.grouped.get(from..to)).unwrap_or_default();
        if ranks.of.is_empty() {
            return group;
        }
        let rank = ranks.rank(row);
        let from = group.partition_point(|other| ranks.rank(*other) <= rank);
        group.get(from..).unwrap_or_default()
    }

    /// How many candidates the rule has, those of earlier rules included.
    pub(super) fn total(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// The largest block.
    pub(super) fn largest(&self) -> usize {
        self.group_starts.windows(2).map(|w| if let [a, b] = w { b - a } else { 0 }).max().unwrap_or(0)
    }

    /// Gives the candidates with these numbers, those of `earlier` rules left out. `right_keys` tells a right record's keys by rule.
    pub(super) fn each<'k>(
        &self,
        numbers: std::ops::Range<u64>,
        ranks: &Ranks,
        earlier: &[Self],
        right_keys: &dyn Fn(u32) -> &'k [u32],
        shared: &mut Vec<Shared>,
        give: &mut dyn FnMut(u32, u32),
    ) {
        let std::ops::Range { start: from, end: to } = numbers;
        let mut of_left = Vec::with_capacity(earlier.len());
        let mut entry = self.before.partition_point(|before| *before <= from).saturating_sub(1);
        let mut number = from;
        while number < to {
            let (Some((row, key)), Some(before)) = (self.entries.get(entry).copied(), self.before.get(entry).copied()) else { return };
            let candidates = self.candidates(row, key, ranks);
            of_left.clear();
            of_left.extend(earlier.iter().map(|rule| rule.left_key(row)));
            let skip = usize::try_from(number - before).unwrap_or(usize::MAX);
            let take = usize::try_from(to - number).unwrap_or(usize::MAX);
            for (place, other) in candidates.iter().skip(skip).take(take).enumerate() {
                number += 1;
                if place % AHEAD == 0 {
                    // Looks at what the next ones will read, which do not wait for each other.
                    let next = candidates.iter().skip(skip + place).take(AHEAD);
                    std::hint::black_box(next.fold(0, |seen, row| seen ^ right_keys(*row).first().copied().unwrap_or(0)));
                }
                let first_key = matches!(self.left, Keys::One(_)) || self.common(row, *other) == Some(key);
                let of_right = right_keys(*other);
                let mut before = earlier.iter().zip(of_left.iter().zip(of_right));
                if first_key
                    && self.rest_holds(row, *other, shared)
                    && !before.any(|(rule, (ours, theirs))| rule.holds(row, *other, *ours, *theirs, shared))
                {
                    give(row, *other);
                }
            }
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

    /// A left record's key, where it has one at most.
    fn left_key(&self, row: u32) -> u32 {
        if let Keys::One(keys) = &self.left { keys.get(at(row)).copied().unwrap_or(0) } else { 0 }
    }

    /// The right records' keys, where each has one at most.
    pub(super) fn right_keys(&self) -> &[u32] {
        if let Keys::One(keys) = &self.right { keys } else { &[] }
    }
}
