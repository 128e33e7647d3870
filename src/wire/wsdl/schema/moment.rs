//! Dates, times and durations as XML Schema writes them (part 2, 3.2.6 to 3.2.14). Digits are ASCII, years have four or more.

#![expect(clippy::wildcard_enum_match_arm, reason = "the built-in types fall into few groups, and XML Schema 1.0 gets no more of them")]

use super::Builtin;

/// Years of more digits than these are refused: nothing that a CRM dates needs a fifth one, and the arithmetic stays in bounds.
const YEAR_DIGITS: usize = 9;

/// A place in time, in nanoseconds since the year 0, for comparing values of one type. `None` where the text is not of the type.
pub fn parse(builtin: Builtin, text: &str) -> Option<i128> {
    let (body, zone) = zone(text, builtin)?;
    let mut read = Reader(body);
    let (mut days, mut nanoseconds) = (0_i64, 0_i128);
    match builtin {
        Builtin::DateTime => {
            days = read.date()?;
            read.literal('T')?;
            nanoseconds = read.time()?;
        }
        Builtin::Date => days = read.date()?,
        Builtin::Time => nanoseconds = read.time()?,
        Builtin::GYearMonth => {
            let year = read.year()?;
            read.literal('-')?;
            days = days_before(year, read.two(1, 12)?);
        }
        Builtin::GYear => days = days_before(read.year()?, 1),
        Builtin::GMonthDay => {
            read.literal('-')?;
            read.literal('-')?;
            let month = read.two(1, 12)?;
            read.literal('-')?;
            // 29 February is one: the year is not known.
            days = days_before(4, month) + read.two(1, days_in(4, month))?;
        }
        Builtin::GDay => {
            for _ in 0..3 {
                read.literal('-')?;
            }
            days = read.two(1, 31)?;
        }
        Builtin::GMonth => {
            read.literal('-')?;
            read.literal('-')?;
            days = days_before(4, read.two(1, 12)?);
        }
        _ => return None,
    }
    read.0.is_empty().then(|| (i128::from(days) * 86_400 - i128::from(zone) * 60) * 1_000_000_000 + nanoseconds)
}

/// Whether it is a duration: `-P1Y2M3DT4H5M6.7S`, at least one part, and one behind the `T`.
pub fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('-').unwrap_or(text).strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(d, t)| (d, Some(t)));
    let parts = |mut text: &str, letters: &[char]| -> Option<usize> {
        let mut count = 0;
        for letter in letters {
            if let Some((number, after)) = text.split_once(*letter) {
                let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
                let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                if !numeric(whole) || fraction.is_some_and(|f| *letter != 'S' || !numeric(f)) {
                    return None;
                }
                count += 1;
                text = after;
            }
        }
        text.is_empty().then_some(count)
    };
    match (parts(date, &['Y', 'M', 'D']), time.map(|t| parts(t, &['H', 'M', 'S']))) {
        (Some(date), None) => date > 0,
        (Some(_), Some(Some(time))) => time > 0,
        (Some(_) | None, _) => false,
    }
}

/// Takes a time zone off the end; minutes east of UTC, 0 where there is none.
fn zone(text: &str, builtin: Builtin) -> Option<(&str, i32)> {
    if let Some(body) = text.strip_suffix('Z') {
        return Some((body, 0));
    }
    let Some((body, tail)) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) else { return Some((text, 0)) };
    let mut read = Reader(tail);
    // The day of a `gYearMonth` looks like the beginning of no zone: only a colon makes one.
    let sign = match tail.chars().next() {
        Some('+') => 1,
        Some('-') if tail.get(3..4) == Some(":") => -1,
        _ => return Some((text, 0)),
    };
    if builtin == Builtin::Time && body.is_empty() {
        return None;
    }
    read.0 = tail.get(1..)?;
    let hours = read.two(0, 14)?;
    read.literal(':')?;
    let minutes = read.two(0, if hours == 14 { 0 } else { 59 })?;
    Some((body, sign * i32::try_from(hours * 60 + minutes).ok()?))
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn literal(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn two(&mut self, low: i64, high: i64) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(2)?;
        let value = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        self.0 = rest;
        (low..=high).contains(&value).then_some(value)
    }

    fn year(&mut self) -> Option<i64> {
        let negative = self.0.starts_with('-');
        let body = self.0.strip_prefix('-').unwrap_or(self.0);
        let length = body.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = body.split_at_checked(length)?;
        // More than four digits have no leading zero, and there is no year 0 (part 2, 3.2.7.1).
        if !(4..=YEAR_DIGITS).contains(&length) || length > 4 && digits.starts_with('0') {
            return None;
        }
        self.0 = rest;
        let year: i64 = digits.parse().ok()?;
        (year != 0).then_some(if negative { -year } else { year })
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.year()?;
        self.literal('-')?;
        let month = self.two(1, 12)?;
        self.literal('-')?;
        Some(days_before(year, month) + self.two(1, days_in(year, month))? - 1)
    }

    fn time(&mut self) -> Option<i128> {
        let hours = self.two(0, 24)?;
        self.literal(':')?;
        let minutes = self.two(0, 59)?;
        self.literal(':')?;
        let seconds = self.two(0, 59)?;
        let mut nanoseconds = 0_i128;
        if let Some(rest) = self.0.strip_prefix('.') {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = rest.split_at_checked(length)?;
            if digits.is_empty() {
                return None;
            }
            let kept = digits.get(..length.min(9))?;
            nanoseconds = format!("{kept:0<9}").parse().ok()?;
            self.0 = rest;
        }
        // 24:00:00 is the end of the day and nothing behind it.
        if hours == 24 && (minutes != 0 || seconds != 0 || nanoseconds != 0) {
            return None;
        }
        Some(i128::from(hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + nanoseconds)
    }
}

const fn is_leap(year: i64) -> bool {
    // The year before 1 is -1 (there is no 0), which is leap as 0 would be.
    let year = if year < 0 { year + 1 } else { year };
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the beginning of the year 1 to that of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let before = if year < 0 { year } else { year - 1 };
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    before * 365 + leap_days + (1..month).map(|m| days_in(year, m)).sum::<i64>()
}
