//! What of a text bounds its distance to another: its length, its first bytes, and how often each kind of byte stands in it. Most pairs of a
//! block are far apart, and this tells it without looking at them.

/// Guards: the highest of the four bits of each kind.
const GUARDS: u128 = 0x8888_8888_8888_8888_8888_8888_8888_8888;

/// Most bytes of one kind that are counted: three bits.
const MOST_OF_KIND: u8 = 7;

/// The sign of a text, or of none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sign {
    /// Four bits for each of 32 kinds of bytes, three of them a count.
    kinds: u128,
    /// The first four bytes, 0 behind the end.
    start: u32,
    /// In bytes; `None` where there is no text.
    length: Option<u32>,
    /// Whether a kind stands in it more often than is counted, so that nothing is known but the length.
    crowded: bool,
}

impl Sign {
    /// Of a text; texts of 4 GiB there are none.
    pub(super) fn new(text: Option<&[u8]>) -> Self {
        let mut sign = Self { kinds: 0, start: 0, length: None, crowded: false };
        let Some(text) = text else { return sign };
        sign.length = u32::try_from(text.len()).ok();
        for (at, byte) in text.iter().enumerate() {
            let shift = u32::from(byte & 31) * 4;
            if at < 4 {
                sign.start |= u32::from(*byte) << (8 * u32::try_from(at).unwrap_or(0));
            }
            if (sign.kinds >> shift) & 7 == u128::from(MOST_OF_KIND) {
                sign.crowded = true;
            } else {
                sign.kinds += 1 << shift;
            }
        }
        sign
    }

    /// Bounds of the distance to another text; `None` where one of them is no text.
    pub(super) fn bounds(&self, other: &Self) -> Option<Bounds> {
        let (a, b) = (self.length?, other.length?);
        let shorter = a.min(b);
        let common = if self.crowded || other.crowded { shorter } else { common(self.kinds, other.kinds).min(shorter) };
        let start = ((self.start ^ other.start).trailing_zeros() / 8).min(4).min(shorter);
        Some(Bounds { lengths: [f64::from(a), f64::from(b)], common: f64::from(common), start: f64::from(start) })
    }
}

/// How many bytes two texts have in common at most, whatever the order.
fn common(x: u128, y: u128) -> u32 {
    // Where x ≥ y, the guard stays.
    let at_least = ((x | GUARDS) - y) & GUARDS;
    let mask = (at_least - (at_least >> 3)) | at_least;
    let least = (y & mask) | (x & !mask);
    let pairs = (least & (u128::MAX / 17)) + ((least >> 4) & (u128::MAX / 17));
    // Sixteen bytes of at most 14 each: 224 fits into a byte.
    let sum = pairs.wrapping_mul(u128::MAX / 255) >> 120;
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// What two signs tell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Bounds {
    lengths: [f64; 2],
    common: f64,
    start: f64,
}

impl Bounds {
    /// No edits fewer than these lead from one to the other: each edit changes one byte of what is not common, an exchange none.
    pub(super) fn edits(&self) -> f64 {
        let [a, b] = self.lengths;
        a.max(b) - self.common
    }

    /// Jaro similarity at most.
    pub(super) fn jaro(&self) -> f64 {
        let [a, b] = self.lengths;
        if self.common > 0.0 { (self.common / a + self.common / b + 1.0) / 3.0 } else { 0.0 }
    }

    /// Jaro–Winkler similarity at most.
    pub(super) fn jaro_winkler(&self) -> f64 {
        let jaro = self.jaro();
        if jaro < 0.7 { jaro } else { jaro + 0.1 * self.start * (1.0 - jaro) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_distance_is_beyond_its_bounds(a in "[abcdéx1]{0,30}|[a-z]{0,12}", b in "[abcdéx1]{0,30}|[a-z]{0,12}", c in 0..4_usize) {
            // Half of the pairs are near each other.
            let b = if c < 2 { a.chars().rev().skip(c).chain(b.chars().take(1)).collect() } else { b };
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let bounds = Sign::new(Some(a)).bounds(&Sign::new(Some(b))).unwrap();
            let fewest = bounds.edits();
            prop_assert!(bytes::number(bytes::levenshtein(a, b)) >= fewest && bytes::number(bytes::damerau_levenshtein(a, b)) >= fewest);
            prop_assert!(bytes::jaro(a, b) <= bounds.jaro() + 1e-12);
            prop_assert!(bytes::jaro_winkler(a, b) <= bounds.jaro_winkler() + 1e-12);
            prop_assert_eq!(Sign::new(Some(a)).bounds(&Sign::new(None)), None);
        }
    }

    #[test]
    fn bytes_in_common_are_counted() {
        let common = |a: &str, b: &str| Sign::new(Some(a.as_bytes())).bounds(&Sign::new(Some(b.as_bytes()))).unwrap().common;
        for (a, b, expected) in
            [("abc", "cab", 3.0), ("aaa", "aab", 2.0), ("", "a", 0.0), ("aaaaaaaaaa", "aaaaaaaaaa", 10.0), ("xyz", "abc", 0.0)]
        {
            assert!((common(a, b) - expected).abs() < 1e-12, "{a} {b}");
        }
        assert!((Sign::new(Some(b"martha")).bounds(&Sign::new(Some(b"marhta"))).unwrap().start - 3.0).abs() < 1e-12);
    }
}
