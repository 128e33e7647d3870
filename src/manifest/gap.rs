//! Spans of time as ISO 8601 writes them: `P1D`, `PT1H30M`, `P1M`.

/// A span of time. Years and months are kept apart: how long they are depends on where they begin.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gap {
    /// Years count as twelve.
    pub months: i64,
    /// Weeks, days and everything shorter.
    pub micros: i64,
}

/// No text of a duration is longer.
const LONGEST: usize = 64;

impl Gap {
    /// Seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self { months: 0, micros: seconds.saturating_mul(1_000_000) }
    }

    /// Reads `P[nY][nM][nW][nD][T[nH][nM][nS]]`, with a sign and decimals; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, text) = text.strip_prefix('-').map_or_else(|| (false, text.strip_prefix('+').unwrap_or(text)), |rest| (true, rest));
        let mut rest = text.strip_prefix('P')?;
        let (mut gap, mut clock, mut any) = (Self::default(), false, false);
        // Each unit at most once, and in this order.
        let mut units: &[(bool, char)] = &[(false, 'Y'), (false, 'M'), (false, 'W'), (false, 'D'), (true, 'H'), (true, 'M'), (true, 'S')];
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T').filter(|after| !clock && !after.is_empty()) {
                (clock, rest) = (true, after);
                continue;
            }
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))?;
            let (number, after) = rest.split_at_checked(end)?;
            let unit = after.chars().next()?;
            let at = units.iter().position(|known| *known == (clock, unit))?;
            units = units.get(at + 1..)?;
            gap.add(&number.replace(',', "."), clock, unit)?;
            rest = after.get(1..)?;
            any = true;
        }
        let signed = if negative { Self { months: -gap.months, micros: -gap.micros } } else { gap };
        any.then_some(signed)
    }

    fn add(&mut self, number: &str, clock: bool, unit: char) -> Option<()> {
        const SECOND: i64 = 1_000_000;
        let micros = match (clock, unit) {
            (false, 'Y') => {
                self.months = self.months.checked_add(number.parse::<i64>().ok()?.checked_mul(12)?)?;
                return Some(());
            }
            (false, 'M') => {
                self.months = self.months.checked_add(number.parse().ok()?)?;
                return Some(());
            }
            (false, 'W') => 604_800 * SECOND,
            (false, _) => 86_400 * SECOND,
            (true, 'H') => 3_600 * SECOND,
            (true, 'M') => 60 * SECOND,
            (true, _) => SECOND,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut total = whole.checked_mul(micros)?;
        // As many digits as still make a difference.
        let mut place = micros;
        for digit in fraction.chars().take(12) {
            place /= 10;
            total = total.checked_add(i64::from(digit.to_digit(10)?).checked_mul(place)?)?;
        }
        self.micros = self.micros.checked_add(total)?;
        Some(())
    }

    /// As Python's `timedelta` shows itself: `1 day, 2:03:04`.
    pub fn shown(self) -> String {
        let days = self.micros.div_euclid(86_400_000_000);
        let rest = self.micros.rem_euclid(86_400_000_000);
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let before = match days {
            0 => String::new(),
            1 | -1 => format!("{days} day, "),
            _ => format!("{days} days, "),
        };
        let after = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        format!("{before}{}:{:02}:{:02}{after}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let day = 86_400_000_000;
        for (text, months, micros) in [
            ("P1D", 0, day),
            ("PT1S", 0, 1_000_000),
            ("PT0.000001S", 0, 1),
            ("P2W", 0, 14 * day),
            ("P1Y2M", 14, 0),
            ("PT1H30M", 0, 5_400_000_000),
            ("-P1D", 0, -day),
            ("P0.5D", 0, day / 2),
        ] {
            assert_eq!(Gap::parse(text), Some(Gap { months, micros }), "{text}");
        }
        for text in ["", "P", "1D", "P1", "PT", "P1DT", "P1D1D", "PT1D", "P1X"] {
            assert_eq!(Gap::parse(text), None, "{text}");
        }
    }
}
