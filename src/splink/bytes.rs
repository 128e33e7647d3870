//! String distances on UTF-8 bytes, as `DuckDB` up to 2.0.0 has them: `levenshtein('e', 'é')` is 2.

/// Bytes of a pattern that fit into the words of the fast ways.
const WORD: usize = 64;

/// Exact for every length that a cell can have (2¹⁵ bytes).
pub(super) fn number(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

/// Without the common start and end, which change no edit distance.
pub fn differing<'a, T: PartialEq>(a: &'a [T], b: &'a [T]) -> (&'a [T], &'a [T]) {
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    (a.get(..a.len() - end).unwrap_or_default(), b.get(..b.len() - end).unwrap_or_default())
}

/// Insertions, deletions and substitutions, each 1.
pub fn levenshtein<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let (a, b) = differing(a, b);
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return long.len();
    }
    let mut small = [0_usize; WORD + 1];
    let mut large = Vec::new();
    let row: &mut [usize] = if let Some(row) = small.get_mut(..=short.len()) {
        row
    } else {
        large.resize(short.len() + 1, 0);
        &mut large
    };
    for (at, slot) in row.iter_mut().enumerate() {
        *slot = at;
    }
    for (i, x) in long.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (slot, y) in row.iter_mut().skip(1).zip(short) {
            let up = *slot;
            left = (diagonal + usize::from(x != y)).min(up + 1).min(left + 1);
            diagonal = up;
            *slot = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Levenshtein with exchanges of neighbours, whatever was edited between (Lowrance and Wagner 1975): `('ca', 'abc')` is 2.
pub fn damerau_levenshtein(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = differing(a, b);
    if a.is_empty() || b.is_empty() {
        return a.len().max(b.len());
    }
    let width = b.len() + 2;
    let far = a.len() + b.len();
    let mut table = vec![0_usize; (a.len() + 2) * width];
    let at = |i: usize, j: usize| i * width + j;
    let set = |table: &mut Vec<usize>, i: usize, j: usize, value: usize| {
        if let Some(slot) = table.get_mut(at(i, j)) {
            *slot = value;
        }
    };
    let get = |table: &[usize], i: usize, j: usize| table.get(at(i, j)).copied().unwrap_or(far);
    set(&mut table, 0, 0, far);
    for i in 0..=a.len() {
        set(&mut table, i + 1, 0, far);
        set(&mut table, i + 1, 1, i);
    }
    for j in 0..=b.len() {
        set(&mut table, 0, j + 1, far);
        set(&mut table, 1, j + 1, j);
    }
    let mut last_row = [0_usize; 256];
    for (i, x) in (1..).zip(a) {
        let mut last_column = 0;
        for (j, y) in (1..).zip(b) {
            let (row, column) = (last_row.get(usize::from(*y)).copied().unwrap_or(0), last_column);
            let equal = x == y;
            let exchanged = get(&table, row, column) + (i - row - 1) + 1 + (j - column - 1);
            let best =
                (get(&table, i, j) + usize::from(!equal)).min(get(&table, i + 1, j) + 1).min(get(&table, i, j + 1) + 1).min(exchanged);
            set(&mut table, i + 1, j + 1, best);
            if equal {
                last_column = j;
            }
        }
        if let Some(slot) = last_row.get_mut(usize::from(*x)) {
            *slot = i;
        }
    }
    get(&table, a.len() + 1, b.len() + 1)
}

/// Jaro similarity; 0 where either is empty.
pub fn jaro(a: &[u8], b: &[u8]) -> f64 {
    jaro_reaching(a, b, f64::NEG_INFINITY)
}

/// As [`jaro`], or 0 where it is seen early that `matches · (a + b)` is below this share of `a · b`.
pub(super) fn jaro_reaching(a: &[u8], b: &[u8], share: f64) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    if a == b {
        return 1.0;
    }
    if let (Some(a), Some(b)) = (Short::new(a), Short::new(b)) {
        a.jaro(b, share)
    } else if a.len() <= WORD && b.len() <= WORD {
        jaro_words(a, b, share)
    } else {
        jaro_lists(a, b)
    }
}

/// Bytes that stand side by side in the number of a [`Short`].
pub(super) const LANES: usize = 16;

/// The first bytes of a text, 0 behind its end.
fn first<const COUNT: usize>(text: &[u8]) -> [u8; COUNT] {
    let mut first = [0; COUNT];
    for (slot, byte) in first.iter_mut().zip(text) {
        *slot = *byte;
    }
    first
}

/// The first four bytes of a text as one number, the first lowest, 0 behind the end.
pub(super) fn first_four(text: &[u8]) -> u32 {
    u32::from_le_bytes(first(text))
}

/// The first sixteen bytes of a text as one number, the first lowest, 0 behind the end.
pub(super) fn lanes(text: &[u8]) -> u128 {
    u128::from_le_bytes(first(text))
}

/// A text of at most sixteen bytes as one number, so that all its bytes are looked at together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Short {
    /// The first byte lowest, 0 behind the end.
    lanes: u128,
    length: u8,
}

impl Short {
    /// `None` for a longer text.
    fn new(text: &[u8]) -> Option<Self> {
        let length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= LANES)?;
        Some(Self { lanes: lanes(text), length })
    }

    /// A text of so many bytes, which are at most sixteen, by its lanes.
    pub(super) fn of_lanes(lanes: u128, length: u8) -> Self {
        Self { lanes, length }
    }

    /// Its bytes.
    pub(super) fn bytes(self, into: &mut [u8; LANES]) -> &[u8] {
        *into = self.lanes.to_le_bytes();
        into.get(..self.len()).unwrap_or_default()
    }

    fn len(self) -> usize {
        usize::from(self.length)
    }

    /// Whether one edit at most leads to another: a byte more, less or other, or, where these count, two neighbours exchanged.
    pub(super) fn within_one(self, other: Self, exchanges: bool) -> bool {
        let (long, short) = if self.length >= other.length { (self, other) } else { (other, self) };
        let more = long.length - short.length;
        let differs = long.lanes ^ short.lanes;
        if differs == 0 {
            // Equal, or longer by bytes that are 0.
            return more <= 1;
        }
        // From the first lane that differs on.
        let from = differs.trailing_zeros() & !7;
        let (a, b) = (long.lanes >> from, short.lanes >> from);
        match more {
            0 if a >> 8 == b >> 8 => true,
            0 => exchanges && a >> 8 >> 8 == b >> 8 >> 8 && a & 255 == b >> 8 & 255 && a >> 8 & 255 == b & 255,
            1 => a >> 8 == b,
            _ => false,
        }
    }

    /// As [`jaro_reaching`].
    pub(super) fn jaro(self, other: Self, share: f64) -> f64 {
        if self.length == 0 || other.length == 0 {
            return 0.0;
        }
        if self == other {
            return 1.0;
        }
        let halves = |short: Self| u64::try_from(short.lanes).ok().filter(|_| short.length <= 8);
        // Half the width is half the work.
        match (halves(self), halves(other)) {
            (Some(a), Some(b)) => jaro_halves(a, self.len(), b, other.len(), share),
            _ => jaro_lanes(self.lanes, self.len(), other.lanes, other.len(), share),
        }
    }
}

/// A byte in every lane.
fn in_halves(byte: u64) -> u64 {
    (u64::MAX / 255).wrapping_mul(byte)
}

/// A byte in every lane: one multiplication, where the product of 128 bits has three.
#[expect(clippy::cast_possible_truncation, reason = "a byte")]
fn in_lanes(byte: u128) -> u128 {
    let half = u128::from(in_halves(byte as u64));
    half << 64 | half
}

/// Both are made of it: the same steps on numbers of 64 and of 128 bits.
macro_rules! jaro_by_lanes {
    ($name:ident, $word:ty, $bytes:literal, $spread:ident) => {
        fn $name(of_a: $word, a: usize, of_b: $word, b: usize, share: f64) -> f64 {
            const HIGH: $word = <$word>::MAX / 255 << 7;
            // Lanes before one, as their highest bits.
            let before = |lane: usize| if lane >= $bytes { HIGH } else { HIGH & ((1 << (8 * lane)) - 1) };
            let window = (a.max(b) / 2).saturating_sub(1);
            // Lanes of `b` that are free, places of `a` that are taken, and lanes that the byte at hand may match, as highest bits.
            let (mut free, mut taken, mut near) = (before(b), <$word>::MIN, before(window + 1));
            let (mut rest, mut place): ($word, $word) = (of_a, 128);
            for i in 0..a {
                let differs = of_b ^ $spread(rest & 255);
                // The highest bit of a lane is set where it is 0: equal (Hacker's Delight, 6-1, in its exact form).
                let equal = !((differs & !HIGH).wrapping_add(!HIGH) | differs) & HIGH;
                let found = equal & free & near;
                let first = found & found.wrapping_neg();
                free ^= first;
                taken |= if first == 0 { 0 } else { place };
                rest >>= 8;
                place <<= 8;
                near = near << 8 | if i < window { 128 } else { 0 };
            }
            let (mut left, mut right) = (taken, before(b) & !free);
            let matches = usize::try_from(left.count_ones()).unwrap_or(0);
            if number(matches * (a + b)) < share * number(a * b) {
                return 0.0;
            }
            let mut out_of_order = 0_usize;
            while left != 0 {
                let byte = |word: $word, bits: $word| (word >> (bits.trailing_zeros() & !7)) & 255;
                out_of_order += usize::from(byte(of_a, left) != byte(of_b, right));
                left &= left.wrapping_sub(1);
                right &= right.wrapping_sub(1);
            }
            of_parts(a, b, matches, out_of_order / 2)
        }
    };
}

jaro_by_lanes!(jaro_halves, u64, 8, in_halves);
jaro_by_lanes!(jaro_lanes, u128, 16, in_lanes);

fn of_parts(a: usize, b: usize, matches: usize, exchanged: usize) -> f64 {
    if matches == 0 {
        return 0.0;
    }
    let (m, t) = (number(matches), number(exchanged));
    (m / number(a) + m / number(b) + (m - t) / m) / 3.0
}

fn window(a: &[u8], b: &[u8]) -> usize {
    (a.len().max(b.len()) / 2).saturating_sub(1)
}

/// Of texts that are no longer than a word has bits: of each byte the places in `b` as bits, of which each place of `a` takes the first that is free.
fn jaro_words(a: &[u8], b: &[u8], share: f64) -> f64 {
    let window = window(a, b);
    let mut places = [0_u64; 256];
    for (j, byte) in b.iter().enumerate() {
        if let Some(of_byte) = places.get_mut(usize::from(*byte)) {
            *of_byte |= 1 << j;
        }
    }
    let (mut taken_a, mut taken_b) = (0_u64, 0_u64);
    for (i, byte) in a.iter().enumerate() {
        let (from, to) = (i.saturating_sub(window), (i + window).min(WORD - 1));
        let near = (u64::MAX << from) & (u64::MAX >> (WORD - 1 - to));
        let found = places.get(usize::from(*byte)).copied().unwrap_or(0) & near & !taken_b;
        taken_b |= found & found.wrapping_neg();
        taken_a |= u64::from(found != 0) << i;
    }
    let matches = usize::try_from(taken_a.count_ones()).unwrap_or(0);
    if number(matches * (a.len() + b.len())) < share * number(a.len() * b.len()) {
        return 0.0;
    }
    let (mut left, mut right, mut out_of_order) = (taken_a, taken_b, 0_usize);
    while left != 0 {
        let (i, j) = (usize::try_from(left.trailing_zeros()).unwrap_or(0), usize::try_from(right.trailing_zeros()).unwrap_or(0));
        out_of_order += usize::from(a.get(i) != b.get(j));
        left &= left - 1;
        right &= right.wrapping_sub(1);
    }
    of_parts(a.len(), b.len(), matches, out_of_order / 2)
}

fn jaro_lists(a: &[u8], b: &[u8]) -> f64 {
    let window = window(a, b);
    let (mut of_a, mut free) = (Vec::new(), vec![true; b.len()]);
    for (i, x) in a.iter().enumerate() {
        let from = i.saturating_sub(window);
        let found = b.iter().zip(free.iter_mut()).take(i + window + 1).skip(from).find(|(y, free)| **free && *y == x);
        if let Some((_, free)) = found {
            *free = false;
            of_a.push(*x);
        }
    }
    let of_b = b.iter().zip(&free).filter(|(_, free)| !**free).map(|(y, _)| *y);
    let out_of_order = of_a.iter().zip(of_b).filter(|(x, y)| **x != *y).count();
    of_parts(a.len(), b.len(), of_a.len(), out_of_order / 2)
}

/// Jaro similarity, raised by a common start of up to four bytes where it is at least 0.7 (Winkler 1990).
pub fn jaro_winkler(a: &[u8], b: &[u8]) -> f64 {
    raised(jaro(a, b), a.iter().zip(b).take(4).take_while(|(x, y)| x == y).count())
}

/// A Jaro similarity, raised by a common start of so many bytes, at most four.
#[inline]
pub(super) fn raised(jaro: f64, start: usize) -> f64 {
    if jaro < 0.7 { jaro } else { jaro + number(start) * 0.1 * (1.0 - jaro) }
}

/// Shared distinct bytes ÷ all distinct bytes; `None` where either is empty.
pub fn jaccard(a: &[u8], b: &[u8]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let set = |text: &[u8]| {
        text.iter().fold([0_u128; 2], |[low, high], byte| {
            let bit = 1_u128 << (byte & 127);
            if *byte < 128 { [low | bit, high] } else { [low, high | bit] }
        })
    };
    let ([a, b], [c, d]) = (set(a), set(b));
    let both = (a & c).count_ones() + (b & d).count_ones();
    let any = (a | c).count_ones() + (b | d).count_ones();
    Some(f64::from(both) / f64::from(any))
}

/// Places where two texts of one length differ; `None` where their lengths differ.
pub fn hamming(a: &[u8], b: &[u8]) -> Option<usize> {
    (a.len() == b.len()).then(|| a.iter().zip(b).filter(|(x, y)| x != y).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_count_and_published_examples_come_out() {
        assert_eq!(levenshtein("e".as_bytes(), "é".as_bytes()), 2);
        assert_eq!(levenshtein(b"kitten", b"sitting"), 3);
        assert_eq!(damerau_levenshtein(b"ca", b"abc"), 2);
        assert_eq!(damerau_levenshtein(b"1971-06-24", b"1971-06-42"), 1);
        for (a, b, expected) in [("martha", "marhta", 0.961_111_111), ("dwayne", "duane", 0.84), ("", "", 0.0), ("é", "è", 0.666_666_667)]
        {
            assert!((jaro_winkler(a.as_bytes(), b.as_bytes()) - expected).abs() < 1e-8, "{a} {b}");
        }
        assert!((jaro_winkler(b"abcdefghij", b"abcdefghik") - 0.96).abs() < 1e-12);
        assert_eq!(jaccard(b"abc", b"cd"), Some(0.25));
        assert_eq!(hamming(b"ab", b"ac"), Some(1));
        assert_eq!(hamming(b"a", b"ac"), None);
    }

    proptest! {
        #[test]
        fn ways_of_jaro_agree(a in proptest::collection::vec(97_u8..101, 1..64), b in proptest::collection::vec(97_u8..101, 1..64)) {
            prop_assert_eq!(jaro_words(&a, &b, f64::NEG_INFINITY).to_bits(), jaro_lists(&a, &b).to_bits());
        }

        #[test]
        fn short_texts_are_as_like_as_long_ones(a in proptest::collection::vec(prop_oneof![97_u8..100, any::<u8>()], 1..17), b in proptest::collection::vec(prop_oneof![97_u8..100, any::<u8>()], 1..17), cut in 1..17_usize) {
            for (a, b) in [(&a[..], &b[..]), (&a[..a.len().min(cut)], &b[..b.len().min(cut)])] {
                let (short, other) = (Short::new(a).unwrap(), Short::new(b).unwrap());
                prop_assert!(a == b || short.jaro(other, f64::NEG_INFINITY).to_bits() == jaro_lists(a, b).to_bits());
                prop_assert_eq!(short.within_one(other, false), levenshtein(a, b) <= 1);
                prop_assert_eq!(short.within_one(other, true), damerau_levenshtein(a, b) <= 1);
                if a.len() <= 8 && b.len() <= 8 {
                    let wide = jaro_lanes(short.lanes, a.len(), other.lanes, b.len(), f64::NEG_INFINITY);
                    prop_assert_eq!(jaro_lists(a, b).to_bits(), wide.to_bits());
                }
            }
            prop_assert_eq!(Short::new(&[0; 17]), None);
        }

        #[test]
        fn one_edit_of_short_texts_is_told_at_once(a in proptest::collection::vec(0_u8..3, 0..17), at in 0..17_usize, by in 0_u8..3, how in 0..4) {
            let mut b = a.clone();
            match how {
                0 if b.len() < 16 => b.insert(at.min(a.len()), by),
                1 if at < b.len() => drop(b.remove(at)),
                2 if at < b.len() => b[at] = by,
                3 if at + 1 < b.len() => b.swap(at, at + 1),
                _ => {}
            }
            let (short, other) = (Short::new(&a).unwrap(), Short::new(&b).unwrap());
            prop_assert_eq!(short.within_one(other, false), levenshtein(&a, &b) <= 1);
            prop_assert_eq!(other.within_one(short, true), damerau_levenshtein(&a, &b) <= 1);
        }

        #[test]
        fn distances_are_symmetric_and_an_exchange_is_never_dearer(a in ".{0,90}", b in ".{0,90}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(levenshtein(a, b), levenshtein(b, a));
            prop_assert_eq!(damerau_levenshtein(a, b), damerau_levenshtein(b, a));
            prop_assert!(damerau_levenshtein(a, b) <= levenshtein(a, b));
            prop_assert!(levenshtein(a, b) <= a.len().max(b.len()));
            prop_assert_eq!(levenshtein(a, b) == 0, a == b);
            let similarity = jaro_winkler(a, b);
            prop_assert!((0.0..=1.0).contains(&similarity));
        }
    }
}
