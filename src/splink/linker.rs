//! A model made ready for a frame: classes of equal inputs, computed columns, scores of candidate pairs.

use super::Settings;
use super::block::{Ranks, Rule};
use super::by_byte::ByByte;
use super::compiled::{Compiled, Shared};
use super::condition::Node;
use super::frame::Frame;
use super::ladder::{Notes, Places, TOGETHER};
use super::memory::Memory;
use super::sql::Side;
use super::terms::{Frequencies, GivenFrequencies};
use std::ops::Range;
use std::sync::Arc;

/// Candidates of one task: enough to pay for handing it out, few enough that a block of 100,000 is shared among threads.
const TASK: u64 = 1 << 17;

/// A Bayes factor is kept between 1e−300 and 1e300, as Splink 4 keeps it: in bits.
const MOST_BITS: f64 = 996.578_428_466_209;

/// The term-frequency part of a level.
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Which table of frequencies.
    table: usize,
    weight: f64,
    u_bits: f64,
    least_bits: f64,
    /// Whether the comparison's classes are the numbers that the table counts.
    by_class: bool,
}

/// What a level adds.
#[derive(Clone, Copy, Debug)]
struct Weight {
    bits: f64,
    term: Option<Term>,
}

/// A comparison made ready.
#[derive(Debug)]
struct Ready<'f> {
    compiled: Compiled<'f>,
    /// Gamma by the position of the condition.
    gammas: Vec<i8>,
    /// The same for each byte, which needs no look at how many there are; 0 where no condition has the position.
    gamma_of: Box<ByByte<i8>>,
    /// By gamma; the null level adds nothing.
    weights: Vec<Weight>,
    /// What each gamma adds without its term, by its byte.
    bits_of: Box<ByByte<f64>>,
    /// Which gammas have terms, by their bytes, where any has.
    has_term: Option<Box<ByByte<bool>>>,
}

impl<'f> Ready<'f> {
    fn new(compiled: Compiled<'f>, gammas: Vec<i8>, weights: Vec<Weight>) -> Self {
        let mut gamma_of = Box::new(ByByte::new([0; 256]));
        let (mut bits_of, mut has_term) = (Box::new(ByByte::new([0.0; 256])), Box::new(ByByte::new([false; 256])));
        for (slot, gamma) in gamma_of.iter_mut().zip(&gammas) {
            *slot = *gamma;
        }
        for ((slot, has), weight) in bits_of.iter_mut().zip(has_term.iter_mut()).zip(&weights) {
            (*slot, *has) = (weight.bits, weight.term.is_some());
        }
        let has_term = has_term.iter().any(|has| *has).then_some(has_term);
        Self { compiled, gammas, gamma_of, weights, bits_of, has_term }
    }

    /// The gamma of the first condition that holds.
    fn gamma(&self, first: Option<usize>) -> i8 {
        first.and_then(|first| self.gammas.get(first)).copied().unwrap_or(0)
    }

    fn term(&self, gamma: i8) -> Option<&Term> {
        usize::try_from(gamma).ok().and_then(|gamma| self.weights.get(gamma)).and_then(|weight| weight.term.as_ref())
    }

    /// The gamma of two classes, from memory where this worker has compared them lately.
    fn remembered(&self, left: u32, right: u32, memory: &mut Memory, shared: &mut Vec<Shared>) -> i8 {
        // No condition holds: beyond any comparison's conditions that are remembered.
        const NONE: u8 = 254;
        if let Some(known) = memory.known(left, right) {
            return self.gamma(Some(usize::from(known)).filter(|first| *first < usize::from(NONE)));
        }
        let first = self.compiled.evaluated(left, right, shared);
        if let Some(kept) = first.map_or(Some(NONE), |first| u8::try_from(first).ok().filter(|first| *first < NONE)) {
            memory.keep(left, right, kept);
        }
        self.gamma(first)
    }
}

/// A model made ready for a frame.
#[derive(Debug)]
pub struct Linker<'f> {
    settings: &'f Settings,
    frame: &'f Frame,
    ranks: Ranks,
    rules: Vec<Rule<'f>>,
    comparisons: Vec<Ready<'f>>,
    frequencies: Vec<Frequencies>,
    prior_bits: f64,
    /// Of each record, side by side what comparing it on the left and on the right reads first: its key of each rule, its class of each
    /// comparison, none twice. A record that is compared stands anywhere in memory, and so costs one wait and not one for each number. Only records of
    /// the side stand in it.
    packed: [Arc<Vec<u32>>; 2],
    /// Numbers of a record in it.
    width: usize,
    /// Which of them is the class of each comparison.
    class_at: Vec<usize>,
}

/// Numbers of 32 bits in a line of cache.
const LINE: usize = 16;

/// Candidates of one rule that are scored together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Task {
    /// The blocking rule.
    pub rule: usize,
    from: u64,
    to: u64,
}

/// Scored pairs, in columns.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Scores {
    /// The left record, by row.
    pub left: Vec<u32>,
    /// The right record, by row.
    pub right: Vec<u32>,
    /// For each comparison the gamma of each pair, −1 for null.
    pub gammas: Vec<Vec<i8>>,
    /// log2 of the odds.
    pub weights: Vec<f64>,
    /// The probability.
    pub probabilities: Vec<f64>,
}

impl Scores {
    fn clear(&mut self, comparisons: usize, most: usize) {
        self.left.clear();
        self.right.clear();
        self.weights.clear();
        self.probabilities.clear();
        self.gammas.resize_with(comparisons, Vec::new);
        for numbers in [&mut self.left, &mut self.right] {
            numbers.reserve(most);
        }
        for gammas in &mut self.gammas {
            gammas.clear();
            gammas.reserve(most);
        }
        self.weights.reserve(most);
        self.probabilities.reserve(most);
    }
}

/// A worker's memory of what it has compared, and its notes of the pairs at hand.
#[derive(Debug)]
pub struct Worker {
    /// For blocking.
    shared: Vec<Shared>,
    comparing: Comparing,
}

#[derive(Debug)]
struct Comparing {
    /// By comparison.
    memories: Vec<Memory>,
    shared: Vec<Shared>,
    notes: Box<Notes>,
    /// Where the numbers of the pairs at hand begin, on the left and on the right.
    starts: Box<[ByByte<usize>; 2]>,
    /// Those of them that meet at a level with a term.
    with_terms: Places,
}

fn at(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl<'f> Linker<'f> {
    /// Makes a model ready: keys, classes, computed columns and term frequencies, counted among all records.
    pub fn new(settings: &'f Settings, frame: &'f Frame) -> Self {
        Self::with_frequencies(settings, frame, &[])
    }

    /// As [`Linker::new`], but the columns that `given` names have these term frequencies and are not counted, as Splink's
    /// `register_term_frequency_lookup` has it: a value that is not among them has none.
    pub fn with_frequencies(settings: &'f Settings, frame: &'f Frame, given: &[GivenFrequencies]) -> Self {
        let ranks = Ranks::new(frame, settings.link_type);
        let everybody;
        let blocking = if settings.blocking.is_empty() {
            everybody = [super::BlockingRule { sql: "1=1".into(), equalities: Vec::new(), rest: Vec::new(), exploded: Vec::new() }];
            &everybody
        } else {
            &*settings.blocking
        };
        let rules: Vec<Rule<'f>> = blocking.iter().map(|rule| Rule::new(rule, frame, &ranks)).collect();
        let mut frequencies: Vec<Frequencies> = Vec::new();
        let mut comparisons: Vec<Ready<'f>> = Vec::new();
        for comparison in &settings.comparisons {
            let nodes: Vec<Node> = comparison.order.iter().map(|(node, _)| node.clone()).collect();
            let level = |level: &Option<usize>| level.and_then(|level| comparison.levels.get(level)).map_or(-1, |level| level.gamma);
            let mut weights = vec![Weight { bits: 0.0, term: None }; comparison.levels.len()];
            for level in &comparison.levels {
                let term = level.term.as_ref().map(|term| {
                    let table =
                        frequencies.iter().position(|f| f.column == term.number).unwrap_or_else(|| {
                            let given = given.iter().find(|given| given.column.eq_ignore_ascii_case(&term.column));
                            frequencies.push(given.map_or_else(
                                || Frequencies::new(term.number, frame),
                                |given| Frequencies::given(term.number, frame, given),
                            ));
                            frequencies.len() - 1
                        });
                    Term { table, weight: term.weight, u_bits: libm::log2(term.u), least_bits: libm::log2(term.least), by_class: false }
                });
                if let Some(slot) = usize::try_from(level.gamma).ok().and_then(|gamma| weights.get_mut(gamma)) {
                    *slot = Weight { bits: libm::log2(level.m / level.u), term };
                }
            }
            let gammas = comparison.order.iter().map(|(_, of)| level(of)).collect();
            let compiled = Compiled::new(&nodes, frame);
            for term in weights.iter_mut().filter_map(|weight| weight.term.as_mut()) {
                term.by_class = frequencies.get(term.table).is_some_and(|table| compiled.single == [Some(table.column); 2]);
            }
            comparisons.push(Ready::new(compiled, gammas, weights));
        }
        let prior_bits = libm::log2(settings.prior / (1.0 - settings.prior));
        let mut columns: Vec<[&Arc<Vec<u32>>; 2]> =
            rules.iter().map(|rule| [Side::Left, Side::Right].map(|side| rule.keys(side))).collect();
        let mut class_at = Vec::new();
        for ready in &comparisons {
            let of = [Side::Left, Side::Right].map(|side| &ready.compiled.classes(side).of);
            let known = columns.iter().position(|column| column.iter().zip(of).all(|(a, b)| Arc::ptr_eq(a, b)));
            class_at.push(known.unwrap_or(columns.len()));
            if known.is_none() {
                columns.push(of);
            }
        }
        // No record stands in two lines of cache where one will do.
        let width = if columns.len() > LINE { columns.len().next_multiple_of(LINE) } else { columns.len().next_power_of_two() };
        let pack = |columns: &[&Arc<Vec<u32>>], rows: &Range<usize>| {
            let mut packed = vec![0; width * rows.len()];
            for (row, record) in rows.clone().zip(packed.chunks_exact_mut(width)) {
                for (slot, column) in record.iter_mut().zip(columns) {
                    *slot = column.get(row).copied().unwrap_or(0);
                }
            }
            Arc::new(packed)
        };
        let (of_left, of_right): (Vec<_>, Vec<_>) = columns.iter().map(|[left, right]| (*left, *right)).unzip();
        let [lefts, rights] = &ranks.sides;
        let left = pack(&of_left, lefts);
        let twins = lefts == rights && of_left.iter().zip(&of_right).all(|(left, right)| Arc::ptr_eq(left, right));
        let right = if twins { left.clone() } else { pack(&of_right, rights) };
        Self { settings, frame, ranks, rules, comparisons, frequencies, prior_bits, packed: [left, right], width, class_at }
    }

    /// Where a record's numbers as it stands on a side begin, and those of all records.
    #[inline]
    fn packed(&self, side: Side) -> (usize, &[u32]) {
        let ([left, right], [lefts, rights]) = (&self.packed, &self.ranks.sides);
        if side == Side::Left { (lefts.start, left) } else { (rights.start, right) }
    }

    /// A record's keys, as it stands on a side.
    #[inline]
    fn keys(&self, side: Side, row: u32) -> &[u32] {
        let start = self.start(side, row);
        self.packed(side).1.get(start..start.wrapping_add(self.rules.len())).unwrap_or_default()
    }

    /// Where the numbers of a record begin, as it stands on a side; beyond them all where it stands there not.
    #[inline]
    fn start(&self, side: Side, row: u32) -> usize {
        at(row).wrapping_sub(self.packed(side).0).wrapping_mul(self.width)
    }

    /// The same of many.
    fn starts(&self, side: Side, rows: &[u32], into: &mut ByByte<usize>) {
        for (slot, row) in into.iter_mut().zip(rows) {
            *slot = self.start(side, *row);
        }
    }

    /// The classes by one comparison of the records whose numbers begin there.
    fn classes(&self, side: Side, comparison: usize, starts: &[usize], into: &mut ByByte<u32>) {
        let packed = self.packed(side).1.get(self.class_at.get(comparison).copied().unwrap_or(0)..).unwrap_or_default();
        for (slot, start) in into.iter_mut().zip(starts) {
            *slot = packed.get(*start).copied().unwrap_or(0);
        }
    }

    /// The model.
    pub fn settings(&self) -> &'f Settings {
        self.settings
    }

    /// The records.
    pub fn frame(&self) -> &'f Frame {
        self.frame
    }

    /// For each rule, how many candidates it has (those of earlier rules included) and how many records its largest block has.
    pub fn blocks(&self) -> Vec<(u64, usize)> {
        self.rules.iter().map(|rule| (rule.total(), rule.largest())).collect()
    }

    /// All work, in the order of the result.
    pub fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let mut from = 0;
            while from < rule.total() {
                let to = (from + TASK).min(rule.total());
                tasks.push(Task { rule: number, from, to });
                from = to;
            }
        }
        tasks
    }

    /// A worker without memories.
    pub fn worker(&self) -> Worker {
        let memory = |ready: &Ready<'_>| ready.compiled.ladder.as_ref().map_or_else(Memory::new, |ladder| ladder.memory(self.frame.len()));
        Worker {
            shared: Vec::new(),
            comparing: Comparing {
                memories: self.comparisons.iter().map(memory).collect(),
                shared: Vec::new(),
                notes: Box::new(Notes::EMPTY),
                starts: Box::new([ByByte::new([0; TOGETHER]), ByByte::new([0; TOGETHER])]),
                with_terms: Places::NONE,
            },
        }
    }

    /// Scores the pairs of a task into `scores`, which is emptied first. The same on any thread and after any other task.
    pub fn score(&self, task: Task, worker: &mut Worker, scores: &mut Scores) {
        let Worker { shared, comparing } = worker;
        let most = usize::try_from(task.to.saturating_sub(task.from)).unwrap_or(0);
        scores.clear(self.comparisons.len(), most);
        let Some((rule, earlier)) = self.rules.get(..=task.rule).and_then(|rules| rules.split_last()) else { return };
        rule.each(
            task.from..task.to,
            &self.ranks,
            earlier,
            |side, row| self.keys(side, row),
            shared,
            |left, right| {
                scores.left.push(left);
                scores.right.push(right);
                // What was read of these records to find them is still near.
                if scores.left.len() >= scores.weights.len() + TOGETHER {
                    self.compare(comparing, scores);
                }
            },
        );
        self.compare(comparing, scores);
        scores.probabilities.extend(scores.weights.iter_mut().map(|weight| {
            if *weight == f64::INFINITY || self.prior_bits == f64::INFINITY {
                *weight = if self.prior_bits == f64::INFINITY { f64::INFINITY } else { MOST_BITS };
                return 1.0;
            }
            // A level that can't be a match beside one that can't be anything else gives NaN in logarithms, and in Splink 1e-300.
            *weight = if weight.is_nan() { -MOST_BITS } else { weight.clamp(-MOST_BITS, MOST_BITS) };
            let odds = libm::exp2(*weight);
            odds / (1.0 + odds)
        }));
    }

    /// Compares the pairs that have no weight yet.
    fn compare(&self, comparing: &mut Comparing, scores: &mut Scores) {
        let Comparing { memories, shared, notes, starts, with_terms } = comparing;
        let done = scores.weights.len();
        scores.weights.resize(scores.left.len(), self.prior_bits);
        let (Some(lefts), Some(rights), Some(weights)) =
            (scores.left.get(done..), scores.right.get(done..), scores.weights.get_mut(done..))
        else {
            return;
        };
        let [at_left, at_right] = &mut **starts;
        self.starts(Side::Left, lefts, at_left);
        self.starts(Side::Right, rights, at_right);
        let (at_left, at_right) = (at_left.first(lefts.len()), at_right.first(rights.len()));
        let comparisons = self.comparisons.iter().zip(memories).zip(&mut scores.gammas);
        for (number, ((ready, memory), gammas)) in comparisons.enumerate() {
            let [of_left, of_right] = &mut notes.classes;
            self.classes(Side::Left, number, at_left, of_left);
            self.classes(Side::Right, number, at_right, of_right);
            if let Some(ladder) = &ready.compiled.ladder {
                let firsts = ladder.firsts(notes, lefts.len(), memory);
                let gamma_of = &*ready.gamma_of;
                gammas.extend(firsts.iter().map(|first| gamma_of[*first]));
            } else {
                let classes = of_left.iter().zip(of_right.iter()).take(lefts.len());
                gammas.extend(classes.map(|(l, r)| ready.remembered(*l, *r, memory, shared)));
            }
            let of_these = gammas.get(done..).unwrap_or_default();
            let bits_of = &*ready.bits_of;
            for (weight, gamma) in weights.iter_mut().zip(of_these) {
                *weight += bits_of[gamma.cast_unsigned()];
            }
            let Some(has_term) = ready.has_term.as_deref() else { continue };
            with_terms
                .note_first(of_these.len(), |place| of_these.get(usize::from(place)).is_some_and(|gamma| has_term[gamma.cast_unsigned()]));
            let [of_left, of_right] = &notes.classes;
            for place in with_terms.iter() {
                let here = usize::from(place);
                let (Some(term), Some(weight)) = (of_these.get(here).and_then(|gamma| ready.term(*gamma)), weights.get_mut(here)) else {
                    continue;
                };
                *weight += if term.by_class {
                    self.bits_of_numbers(term, of_left[place], of_right[place])
                } else {
                    let row = |rows: &[u32]| rows.get(here).copied().unwrap_or(0);
                    self.term_bits(term, row(lefts), row(rights))
                };
            }
        }
    }

    fn term_bits(&self, term: &Term, left: u32, right: u32) -> f64 {
        let Some(table) = self.frequencies.get(term.table) else { return 0.0 };
        self.bits_of_numbers(term, self.id(table.column, left), self.id(table.column, right))
    }

    /// Of the numbers of the two texts.
    fn bits_of_numbers(&self, term: &Term, left: u32, right: u32) -> f64 {
        let Some(table) = self.frequencies.get(term.table) else { return 0.0 };
        let bits = |number: u32| table.bits.get(at(number)).copied().unwrap_or(f64::NAN);
        // The more common of the two; where one is missing the other. `max` passes over a NaN.
        let common = if left == right { bits(left) } else { bits(left).max(bits(right)) };
        if common.is_nan() { 0.0 } else { term.weight * (term.u_bits - common.max(term.least_bits)) }
    }

    fn id(&self, column: usize, row: u32) -> u32 {
        self.frame.columns.get(column).and_then(|column| column.ids.get(at(row))).copied().unwrap_or(0)
    }

    /// log2 of the Bayes factor of a comparison's gamma.
    pub fn bits(&self, comparison: usize, gamma: i8) -> f64 {
        let ready = self.comparisons.get(comparison);
        ready.zip(usize::try_from(gamma).ok()).and_then(|(ready, gamma)| ready.weights.get(gamma)).map_or(0.0, |weight| weight.bits)
    }

    /// log2 of the term-frequency adjustment of a comparison at a gamma for a pair.
    pub fn adjustment(&self, comparison: usize, gamma: i8, left: u32, right: u32) -> f64 {
        let term = self.comparisons.get(comparison).and_then(|ready| ready.term(gamma));
        term.map_or(0.0, |term| self.term_bits(term, left, right))
    }

    /// The term frequencies of records' values in a column that some level counts; `None` for null.
    pub fn frequencies(&self, column: &str, rows: &[u32]) -> Vec<Option<f64>> {
        let number = self.settings.columns.names.iter().position(|name| name.eq_ignore_ascii_case(column));
        let table = number.and_then(|number| self.frequencies.iter().find(|f| f.column == number));
        let Some(table) = table else { return vec![None; rows.len()] };
        let of = |row: &u32| match self.id(table.column, *row) {
            0 => None,
            id => table.of.get(at(id)).copied().filter(|frequency| !frequency.is_nan()),
        };
        rows.iter().map(of).collect()
    }
}
