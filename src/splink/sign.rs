//! What of a text bounds its distance to another: its length, its first bytes, and how often each kind of byte stands in it. Most pairs of a
//! block are far apart, and this tells it without looking at them.

use super::bytes;

/// Kinds of bytes that are told apart: by their low five bits, so that no two letters of one case and no two digits are of one kind.
const KINDS: u32 = 32;

/// The bits that tell a byte's kind.
const KIND: u8 = 31;

/// Where no text is: longer than any.
const NO_TEXT: u16 = u16::MAX;

/// The sign of a text, or of none. A quarter of a line of cache: comparing reads one at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(align(16))]
pub(super) struct Sign {
    /// Which kinds stand in it once at least, and above those which stand in it twice at least.
    kinds: u64,
    /// The first four bytes, the first lowest, 0 behind the end.
    first: u32,
    /// In bytes; [`NO_TEXT`] where there is none.
    length: u16,
    /// How many bytes are the third of their kind, or a later one.
    more: u8,
    /// Whether it is longer than is counted, so that nothing is known but the length.
    crowded: bool,
}

impl Sign {
    /// Of a text; a cell has 2¹⁵ bytes at most.
    pub(super) fn new(text: Option<&[u8]>) -> Self {
        let Some(text) = text else { return Self { kinds: 0, first: 0, length: NO_TEXT, more: 0, crowded: false } };
        // No more than 255 are counted in a byte.
        let (counted, crowded) = text.get(..usize::from(u8::MAX)).map_or((text, false), |counted| (counted, counted.len() < text.len()));
        // Without branches: which letters stand twice is hard to foretell.
        let (mut once, mut twice, mut more) = (0_u32, 0_u32, 0_u8);
        for byte in counted {
            let kind = byte & KIND;
            more = more.wrapping_add(u8::from(twice >> kind & 1 == 1));
            twice |= once & 1 << kind;
            once |= 1 << kind;
        }
        Self {
            kinds: u64::from(twice) << KINDS | u64::from(once),
            first: bytes::first_four(text),
            // What an expression made longer than that is compared as it is.
            length: u16::try_from(text.len()).unwrap_or(NO_TEXT - 1).min(NO_TEXT - 1),
            more,
            crowded,
        }
    }

    /// A look at the memory where it stands.
    #[inline]
    pub(super) fn look(&self) -> u16 {
        self.length
    }

    /// In bytes; beyond what texts have where there is none.
    #[inline]
    pub(super) fn length(&self) -> u16 {
        self.length
    }

    /// Whether there is a text.
    #[inline]
    pub(super) fn is_text(&self) -> bool {
        self.length != NO_TEXT
    }

    /// Whether both are texts, and the same as far as signs tell.
    #[inline]
    pub(super) fn same(&self, other: &Self) -> bool {
        self == other && self.is_text()
    }

    /// How many of the first four bytes two texts have in common.
    #[inline]
    pub(super) fn start(&self, other: &Self) -> u32 {
        ((self.first ^ other.first).trailing_zeros() / 8).min(u32::from(self.length.min(other.length)))
    }

    /// Whether their lengths alone ask for more edits than these.
    #[inline]
    pub(super) fn longer_by_more(&self, other: &Self, edits: u32) -> bool {
        u32::from(self.length.abs_diff(other.length)) > edits
    }

    /// How many bytes two texts that are not crowded have in common at most, whatever the order: of each kind none, one or two, and what is more
    /// of either.
    #[inline]
    pub(super) fn common(&self, other: &Self) -> u32 {
        (self.kinds & other.kinds).count_ones() + u32::from(self.more.min(other.more))
    }

    /// Bounds of the distance to another text; [`Bounds::NONE`] where one of them is no text.
    #[inline]
    pub(super) fn bounds(&self, other: &Self) -> Bounds {
        if self.length == NO_TEXT || other.length == NO_TEXT {
            return Bounds::NONE;
        }
        let shorter = u32::from(self.length.min(other.length));
        let common = if self.crowded || other.crowded { shorter } else { self.common(other) };
        Bounds::new(self.length, other.length, common, self.start(other))
    }
}

/// What two signs tell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Bounds {
    longer: u32,
    common: u32,
    start: usize,
    /// `common · (a + b)`, exact: 2¹⁶ · 2¹⁷ is below 2⁵³.
    sum: f64,
    /// `a · b`
    product: f64,
}

/// A limit of a similarity, ready for bounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Ruler {
    /// By the length of the common start: where `common · (a + b)` is below this share of `a · b`, the limit is not reached.
    shares: [f64; 5],
}

impl Ruler {
    /// Of a Jaro similarity that is to be reached.
    pub(super) fn jaro(limit: f64) -> Self {
        Self { shares: [share(limit); 5] }
    }

    /// Of a Jaro–Winkler similarity that is to be reached.
    pub(super) fn jaro_winkler(limit: f64) -> Self {
        let wanted = |start: f64| {
            // j + s·(1 − j) ≥ limit, with s = 0.1 · start, which counts from j = 0.7 on.
            let raised = ((limit - 0.1 * start) / (1.0 - 0.1 * start)).max(0.7);
            share(raised.min(limit))
        };
        Self { shares: [0.0, 1.0, 2.0, 3.0, 4.0].map(wanted) }
    }
}

impl Ruler {
    /// Reached by nothing.
    pub(super) const NOTHING: Self = Self { shares: [f64::INFINITY; 5] };

    /// Of whichever limit is reached first.
    pub(super) fn or(mut self, other: &Self) -> Self {
        for (share, theirs) in self.shares.iter_mut().zip(other.shares) {
            *share = share.min(theirs);
        }
        self
    }

    /// By so long a common start: the share of `a · b` that `common · (a + b)` must reach.
    #[inline]
    pub(super) fn share(&self, start: usize) -> f64 {
        self.shares.get(start).copied().unwrap_or(0.0)
    }
}

/// (c/a + c/b + 1)/3 ≥ j, where `j` is a little less than wanted: similarities round.
fn share(similarity: f64) -> f64 {
    3.0 * (similarity - 1e-9) - 1.0
}

impl Bounds {
    #[inline]
    pub(super) fn new(a: u16, b: u16, common: u32, start: u32) -> Self {
        let (a, b) = (u32::from(a), u32::from(b));
        let (sum, product) = (f64::from(common) * f64::from(a + b), f64::from(a) * f64::from(b));
        Self { longer: a.max(b), common, start: usize::try_from(start).unwrap_or(0), sum, product }
    }

    /// How many of the first four bytes are common.
    #[inline]
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Of what is no text: nothing is near it. What they do not rule out is looked at.
    pub(super) const NONE: Self = Self { longer: u32::MAX, common: 0, start: 0, sum: 0.0, product: f64::MAX };

    /// No edits fewer than these lead from one to the other: each edit changes one byte of what is not common, an exchange none.
    #[inline]
    pub(super) fn edits(&self) -> u32 {
        self.longer.wrapping_sub(self.common)
    }

    /// Whether fewer edits than these may do; none are fewer than 0.
    #[inline]
    pub(super) fn below(&self, edits: u32) -> bool {
        self.longer < self.common.saturating_add(edits)
    }

    /// Whether a similarity can't be reached.
    #[inline]
    pub(super) fn misses(&self, ruler: &Ruler) -> bool {
        let share = ruler.share(self.start);
        // Nothing in common: a similarity of 0, whatever the formula says.
        self.sum < share * self.product || (self.common == 0 && share > -1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_distance_is_beyond_its_bounds(a in "[abcdéx1]{0,30}|[a-z]{0,12}", b in "[abcdéx1]{0,30}|[a-z]{0,12}", c in 0..4_usize, limit in 0.0..=1.0) {
            // Half of the pairs are near each other.
            let b = if c < 2 { a.chars().rev().skip(c).chain(b.chars().take(1)).collect() } else { b };
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let (one, other) = (Sign::new(Some(a)), Sign::new(Some(b)));
            prop_assert!(a != b || one.same(&other));
            prop_assert!(!one.longer_by_more(&other, u32::try_from(bytes::levenshtein(a, b)).unwrap()));
            let bounds = one.bounds(&other);
            let fewest = usize::try_from(bounds.edits()).unwrap();
            prop_assert!(bytes::levenshtein(a, b) >= fewest && bytes::damerau_levenshtein(a, b) >= fewest);
            // What a bound says can't be reached is not reached; the similarity itself, and those a hair around it, are.
            for limit in [limit, bytes::jaro(a, b), bytes::jaro_winkler(a, b)] {
                prop_assert!(bytes::jaro(a, b) < limit || !bounds.misses(&Ruler::jaro(limit)));
                prop_assert!(bytes::jaro_winkler(a, b) < limit || !bounds.misses(&Ruler::jaro_winkler(limit)));
            }
            prop_assert_eq!(Sign::new(Some(a)).bounds(&Sign::new(None)), Bounds::NONE);
        }
    }

    #[test]
    fn bytes_in_common_are_counted() {
        let common = |a: &str, b: &str| Sign::new(Some(a.as_bytes())).bounds(&Sign::new(Some(b.as_bytes()))).common;
        for (a, b, expected) in
            [("abc", "cab", 3), ("aaa", "aab", 2), ("", "a", 0), ("aaaaaaaaaa", "aaaaaaaaaa", 10), ("xyz", "abc", 0), ("é", "É", 2)]
        {
            assert_eq!(common(a, b), expected, "{a} {b}");
        }
        let every: Vec<u8> = (0..=255).filter(|byte| byte % 3 > 0).collect();
        assert_eq!(Sign::new(Some(&every)).bounds(&Sign::new(Some(&every))).common, 170);
        assert_eq!(Sign::new(Some(b"martha")).bounds(&Sign::new(Some(b"marhta"))).start, 3);
        // Longer than a length can tell: bounds hold nevertheless.
        let long = vec![b'a'; 70_000];
        let bounds = Sign::new(Some(&long)).bounds(&Sign::new(Some(&long)));
        assert_eq!(bounds.edits(), 0);
        assert!(!bounds.misses(&Ruler::jaro(1.0)));
    }
}
