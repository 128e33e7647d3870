//! Points in time as `DuckDB` reads them: `strptime` formats and ISO 8601, in seconds since 1970 without a zone.

/// Microseconds a second.
const MICROS: i64 = 1_000_000;

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; `None` where there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=last).contains(&day) || !(-9_999..=9_999).contains(&year) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last of its year.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a day since 1970-01-01.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[derive(Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    afternoon: Option<bool>,
    offset: i64,
}

impl Parts {
    /// Microseconds since 1970.
    fn micros(&self) -> Option<i64> {
        let hour = match self.afternoon {
            None => self.hour,
            Some(afternoon) if (1..=12).contains(&self.hour) => self.hour % 12 + if afternoon { 12 } else { 0 },
            Some(_) => return None,
        };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let year = self.year.unwrap_or(1900);
        let day = match self.of_year {
            Some(n) if (1..=366).contains(&n) => days(year, 1, 1)? + n - 1,
            Some(_) => return None,
            None => days(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        Some((day * 86_400 + hour * 3_600 + self.minute * 60 + self.second - self.offset) * MICROS + self.micros)
    }
}

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// At most `most` digits from the front, at least one.
fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(count)?;
    Some((number.parse().ok()?, rest))
}

/// A word of a list, whole or by its first three letters, whatever the case.
fn word<'a>(text: &'a str, words: &[&str], whole: bool) -> Option<(i64, &'a str)> {
    words.iter().zip(1..).find_map(|(word, number)| {
        let wanted = if whole { word } else { word.get(..3)? };
        let (start, rest) = text.split_at_checked(wanted.len())?;
        start.eq_ignore_ascii_case(wanted).then_some((number, rest))
    })
}

/// Reads a text by a `strptime` format; microseconds since 1970. `None` where it does not fit or names no point in time. Fields may be
/// shorter than their width, space around the text is passed over.
pub(super) fn strptime(text: &str, format: &str) -> Option<i64> {
    let mut rest = text.trim_ascii();
    let mut parts = Parts::default();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            rest = if letter.is_ascii_whitespace() { rest.trim_ascii_start() } else { rest.strip_prefix(letter)? };
            continue;
        }
        let mut code = letters.next()?;
        if code == '-' {
            code = letters.next()?;
        }
        let (slot, most) = match code {
            'Y' => {
                let (negative, digits_of) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
                let (year, after) = digits(digits_of, 4)?;
                parts.year = Some(if negative { -year } else { year });
                rest = after;
                continue;
            }
            'y' => {
                let (year, after) = digits(rest, 2)?;
                parts.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
                rest = after;
                continue;
            }
            'b' | 'B' | 'a' | 'A' => {
                let names: &[&str] = if code.eq_ignore_ascii_case(&'b') { &MONTHS } else { &WEEKDAYS };
                let (number, after) = word(rest, names, code.is_ascii_uppercase())?;
                if code.eq_ignore_ascii_case(&'b') {
                    parts.month = Some(number);
                }
                rest = after;
                continue;
            }
            'p' => {
                let (half, after) = rest.split_at_checked(2)?;
                parts.afternoon = Some(if half.eq_ignore_ascii_case("pm") {
                    true
                } else if half.eq_ignore_ascii_case("am") {
                    false
                } else {
                    return None;
                });
                rest = after;
                continue;
            }
            'f' | 'g' | 'n' => {
                let count = rest.bytes().take(9).take_while(u8::is_ascii_digit).count();
                let (fraction, after) = rest.split_at_checked(count)?;
                parts.micros = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
                rest = after;
                continue;
            }
            'z' => {
                (parts.offset, rest) = offset(rest)?;
                continue;
            }
            '%' => {
                rest = rest.strip_prefix('%')?;
                continue;
            }
            'm' => (parts.month.insert(0), 2),
            'd' => (parts.day.insert(0), 2),
            'j' => (parts.of_year.insert(0), 3),
            'H' | 'I' => (&mut parts.hour, 2),
            'M' => (&mut parts.minute, 2),
            'S' => (&mut parts.second, 2),
            _ => return None,
        };
        (*slot, rest) = digits(rest, most)?;
    }
    rest.is_empty().then(|| parts.micros()).flatten()
}

/// Whether [`strptime`] knows every specifier of a format.
pub(super) fn knows(format: &str) -> bool {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' {
            let code = letters.next();
            let code = if code == Some('-') { letters.next() } else { code };
            if !code.is_some_and(|code| "YymdjHIMSfgnpbBaAz%".contains(code)) {
                return false;
            }
        }
    }
    true
}

/// `Z`, `+hh`, `+hhmm` or `+hh:mm`, in seconds.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, rest) = if let Some(rest) = text.strip_prefix('+') { (1, rest) } else { (-1, text.strip_prefix('-')?) };
    let (hours, rest) = digits(rest, 2)?;
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = digits(after, 2).unwrap_or((0, rest));
    Some((sign * (hours * 3_600 + minutes * 60), rest))
}

/// A date or timestamp as ISO 8601 and `DuckDB`'s casts have it.
pub(super) fn iso(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    let text = text.strip_suffix('Z').unwrap_or(text);
    [
        "%Y-%m-%d",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S%z",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y/%m/%d",
    ]
    .into_iter()
    .find_map(|format| strptime(text, format))
}

/// Seconds since 1970. Microseconds are exact in an `f64` for 285 years on either side of 1970; beyond, one in 2⁵³.
pub(super) fn seconds(micros: i64) -> f64 {
    let whole = micros.div_euclid(MICROS);
    let part = u32::try_from(micros.rem_euclid(MICROS)).unwrap_or(0);
    // Years have four digits, so that seconds stay below 2³⁹.
    let high = i32::try_from(whole >> 20).unwrap_or(0);
    let low = u32::try_from(whole & 0xf_ffff).unwrap_or(0);
    f64::from(high) * 1_048_576.0 + f64::from(low) + f64::from(part) / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_duckdb_reads_them() {
        let at = |text: &str, format: &str| strptime(text, format).map(seconds);
        for (text, format, expected) in [
            ("1970-01-02", "%Y-%m-%d", Some(86_400.0)),
            ("1971-6-4", "%Y-%m-%d", Some(44_841_600.0)),
            (" 1971-06-04 ", "%Y-%m-%d", Some(44_841_600.0)),
            ("1971-06-31", "%Y-%m-%d", None),
            ("19710-06-30", "%Y-%m-%d", None),
            ("1971-06-30x", "%Y-%m-%d", None),
            ("1971-06-30T10:11:12Z", "%Y-%m-%dT%H:%M:%SZ", Some(47_124_672.0)),
            ("24/06/1971", "%d/%m/%Y", Some(46_569_600.0)),
            ("Jan 5 2020", "%b %d %Y", Some(1_578_182_400.0)),
            ("2020-01-01 12:30:15.250", "%Y-%m-%d %H:%M:%S.%f", Some(1_577_881_815.25)),
            ("1971-06-24", "%y-%m-%d", None),
        ] {
            assert_eq!(at(text, format), expected, "{text} by {format}");
        }
        assert_eq!(iso("1969-12-31 23:59:59.5").map(seconds), Some(-0.5));
        assert!(knows("%Y-%m-%d %H:%M:%S.%f") && !knows("%U"));
    }

    #[test]
    fn days_and_dates_are_each_other_s_inverse() {
        for day in (-800_000..800_000).step_by(997) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }
}
