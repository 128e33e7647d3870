//! Lower-case hexadecimal, the one form in which entries write hashes and ids.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of a digit; 255 where it is none. Upper-case digits are none, so that a value has one spelling.
const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => u8::MAX,
    }
}

/// Adds the lower-case hexadecimal digits of bytes.
pub(super) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Lower-case hexadecimal digits of bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    push(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

/// Reads exactly `N` bytes; upper-case digits are refused.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    let mut seen = 0;
    for (slot, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let (high, low) = (value(*high), value(*low));
        seen |= high | low;
        *slot = (high & 15) << 4 | (low & 15);
    }
    (seen < 16).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_other_spellings_are_refused() {
        assert_eq!(decode::<3>(&encode(&[0, 171, 255])), Some([0, 171, 255]));
        for wrong in ["00abf", "00ABFF", "00abfg", "00abff00", "+0abff"] {
            assert_eq!(decode::<3>(wrong), None, "{wrong}");
        }
    }
}
