//! Lists with a place for each byte.

use std::ops::{Index, IndexMut};

/// Entries by byte: a look at one is never out of range, and costs no question whether it is.
#[derive(Clone, Debug)]
pub(super) struct ByByte<T>([T; 256]);

impl<T> ByByte<T> {
    pub(super) const fn new(entries: [T; 256]) -> Self {
        Self(entries)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// Those of the first bytes.
    pub(super) fn first(&self, count: usize) -> &[T] {
        self.0.get(..count).unwrap_or(&self.0)
    }
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
impl<T> Index<u8> for ByByte<T> {
    type Output = T;

    #[inline]
    fn index(&self, byte: u8) -> &T {
        &self.0[usize::from(byte)]
    }
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
impl<T> IndexMut<u8> for ByByte<T> {
    #[inline]
    fn index_mut(&mut self, byte: u8) -> &mut T {
        &mut self.0[usize::from(byte)]
    }
}
