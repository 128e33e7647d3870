//! Interned strings: each distinct text once, in one buffer, named by where it stands.

use crate::model::stable_hash::hash;
use hashbrown::HashTable;

/// Where a text stands, in steps of [`STEP`] bytes from 1; 0 is "none".
pub(super) type Text = u32;

/// Texts begin at multiples of this, so that 32 bits name 2³⁴ bytes: ten million customers with 150 bytes of distinct texts each need 2³¹.
const STEP: usize = 4;

/// Bits of a text's length in one letter before it; a further bit says that another letter follows. The letters are ASCII, so that the buffer
/// stays text.
const LENGTH_BITS: u32 = 6;
const MORE: u8 = 1 << LENGTH_BITS;

/// The buffer: of each text its length, then itself. One look at memory finds both. Texts are never taken out: a retired customer's values
/// stay until the index is built again at the next start.
#[derive(Default)]
pub(super) struct Strings {
    buffer: String,
    /// Places by the hash of what stands there, which is not kept: 5 bytes a slot.
    table: HashTable<Text>,
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Strings({} texts)", self.table.len())
    }
}

const SEED: u64 = 0x0073_7472_696e_6773;

/// The text that stands at a number.
fn at(buffer: &str, text: Text) -> &str {
    let Some(mut start) = usize::try_from(text).ok().and_then(|n| n.checked_sub(1)).map(|n| n * STEP) else { return "" };
    let (mut length, mut shift) = (0_usize, 0);
    while let Some(letter) = buffer.as_bytes().get(start).copied() {
        length |= usize::from(letter & (MORE - 1)) << shift;
        start += 1;
        shift += LENGTH_BITS;
        if letter & MORE == 0 {
            break;
        }
    }
    buffer.get(start..start + length).unwrap_or("")
}

impl Strings {
    /// The text of a number; empty for 0.
    pub(super) fn get(&self, text: Text) -> &str {
        at(&self.buffer, text)
    }

    /// A look at the memory where a text stands.
    pub(super) fn look(&self, text: Text) -> u8 {
        let place = usize::try_from(text).unwrap_or(0).saturating_sub(1) * STEP;
        self.buffer.as_bytes().get(place).copied().unwrap_or(0)
    }

    /// The number of a text that is there.
    pub(super) fn find(&self, text: &str) -> Option<Text> {
        self.table.find(hash(SEED, text.as_bytes()), |number| self.get(*number) == text).copied()
    }

    /// The number of a text, added where it is not there; 0, "none", where 2³⁴ bytes are full.
    pub(super) fn intern(&mut self, text: &str) -> Text {
        let hashed = hash(SEED, text.as_bytes());
        if let Some(number) = self.table.find(hashed, |number| at(&self.buffer, *number) == text) {
            return *number;
        }
        while !self.buffer.len().is_multiple_of(STEP) {
            self.buffer.push('\0');
        }
        let Ok(number) = Text::try_from(self.buffer.len() / STEP + 1) else { return 0 };
        let mut length = text.len();
        loop {
            // Six bits are below 64.
            let low = u8::try_from(length % usize::from(MORE)).unwrap_or(0);
            length >>= LENGTH_BITS;
            self.buffer.push(char::from(if length > 0 { low | MORE } else { low }));
            if length == 0 {
                break;
            }
        }
        self.buffer.push_str(text);
        let buffer = &self.buffer;
        self.table.insert_unique(hashed, number, |number| hash(SEED, at(buffer, *number).as_bytes()));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_of_any_length_comes_back() {
        let mut strings = Strings::default();
        let texts: Vec<String> = [0, 1, 63, 64, 65, 4_095, 4_096, 70_000, 300_000].iter().map(|n| "é".repeat(*n)).collect();
        let numbers: Vec<Text> = texts.iter().map(|text| strings.intern(text)).collect();
        for (text, number) in texts.iter().zip(numbers) {
            assert_eq!(strings.get(number), text);
        }
    }

    proptest! {
        #[test]
        fn each_text_has_one_number_and_comes_back(texts in proptest::collection::vec(".{0,6}", 0..40)) {
            let mut strings = Strings::default();
            let numbers: Vec<Text> = texts.iter().map(|t| strings.intern(t)).collect();
            for (text, number) in texts.iter().zip(&numbers) {
                prop_assert_eq!(strings.get(*number), text.as_str());
                prop_assert_eq!(strings.find(text), Some(*number));
                prop_assert_eq!(strings.intern(text), *number);
            }
            prop_assert_eq!(strings.get(0), "");
        }
    }
}
