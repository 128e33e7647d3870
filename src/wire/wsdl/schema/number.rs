//! Decimals of any length, compared without rounding; floats as XML Schema writes them.

use std::cmp::Ordering;

/// A decimal number. Only as long as the text it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decimal {
    negative: bool,
    /// Without leading zeros.
    whole: Box<str>,
    /// Without trailing zeros.
    fraction: Box<str>,
}

impl Decimal {
    /// `[+-]?digits[.digits]` with at least one digit (XML Schema part 2, 3.2.3).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !numeric(whole) || !numeric(fraction) || whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        Some(Self { negative: negative && !(whole.is_empty() && fraction.is_empty()), whole: whole.into(), fraction: fraction.into() })
    }

    /// Digits before and behind the point, without zeros that say nothing: what `totalDigits` and `fractionDigits` count.
    pub fn digits(&self) -> (usize, usize) {
        // `totalDigits` counts the digits of i where the value is i × 10^-n: `0.001` has one, `0.011` two.
        let total =
            if self.whole.is_empty() { self.fraction.trim_start_matches('0').len() } else { self.whole.len() + self.fraction.len() };
        (total, self.fraction.len())
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |d: &Self| (d.whole.len(), d.whole.clone(), d.fraction.clone());
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            // Fractions compare as text, since a longer one with the same beginning is larger.
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A float or double: a decimal with an exponent, `INF`, `-INF` or `NaN` (XML Schema part 2, 3.2.4).
pub fn float(text: &str) -> Option<f64> {
    match text {
        "INF" => return Some(f64::INFINITY),
        "-INF" => return Some(f64::NEG_INFINITY),
        "NaN" => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    Decimal::parse(mantissa)?;
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    text.parse().ok()
}
