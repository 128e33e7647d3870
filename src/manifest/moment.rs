//! Moments as Python's `datetime` reads and writes them: `strptime`, `strftime`, ISO 8601, and Airbyte's own formats (`%s`, `%ms`, …).

use super::gap::Gap;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write as _;

/// A moment with the offset in which it is shown. Compared by instant.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Microseconds since 1970 in UTC; years 1 to 9999.
    micros: i64,
    /// Seconds east of UTC, less than a day.
    offset: i32,
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.micros == other.micros
    }
}
impl Eq for Moment {}
impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.micros.cmp(&other.micros)
    }
}

/// The first and the last microsecond that Python can say.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Moment {
    /// Microseconds since 1970; `None` outside of the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        RANGE.contains(&micros).then_some(Self { micros, offset: 0 })
    }

    /// A clock's time.
    pub fn from_timestamp(at: Timestamp) -> Option<Self> {
        Self::from_micros(at.as_microsecond())
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// The same instant, shown in UTC.
    #[must_use]
    pub const fn in_utc(self) -> Self {
        Self { micros: self.micros, offset: 0 }
    }

    /// A wall clock's time at an offset in seconds.
    fn of_civil(civil: DateTime, offset: i32) -> Option<Self> {
        let at = Offset::UTC.to_timestamp(civil).ok()?.as_microsecond();
        let micros = at.checked_sub(i64::from(offset).checked_mul(1_000_000)?)?;
        RANGE.contains(&micros).then_some(Self { micros, offset })
    }

    fn civil(self) -> DateTime {
        let shifted = self.micros + i64::from(self.offset) * 1_000_000;
        Timestamp::from_microsecond(shifted).map_or(DateTime::ZERO, |at| Offset::UTC.to_datetime(at))
    }

    /// The date where it is shown.
    pub fn date(self) -> Date {
        self.civil().date()
    }

    /// Midnight of a date in UTC.
    pub fn of_date(date: Date) -> Option<Self> {
        Self::of_civil(date.to_datetime(Time::midnight()), 0)
    }

    /// The wall clock's parts: year, month, day, hour, minute, second, microsecond.
    pub fn parts(self) -> [i64; 7] {
        let c = self.civil();
        let micro = i64::from(c.subsec_nanosecond()) / 1_000;
        [c.year().into(), c.month().into(), c.day().into(), c.hour().into(), c.minute().into(), c.second().into(), micro]
    }

    /// Later by a gap; `None` beyond the range.
    pub fn plus(self, gap: Gap) -> Option<Self> {
        let moved = if gap.months == 0 {
            self
        } else {
            // The day is cut to the month's last, as isodate does.
            let civil = self.civil();
            let months = i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1 + gap.months;
            let year = i16::try_from(months.div_euclid(12)).ok()?;
            let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
            let last = Date::new(year, month, 1).ok()?.days_in_month();
            let date = Date::new(year, month, civil.day().min(last)).ok()?;
            Self::of_civil(date.to_datetime(civil.time()), self.offset)?
        };
        let micros = moved.micros.checked_add(gap.micros)?;
        RANGE.contains(&micros).then_some(Self { micros, offset: self.offset })
    }

    /// Earlier by a gap; `None` beyond the range.
    pub fn minus(self, gap: Gap) -> Option<Self> {
        self.plus(Gap { months: gap.months.checked_neg()?, micros: gap.micros.checked_neg()? })
    }

    /// At midnight, where it is shown.
    #[must_use]
    pub fn floor_day(self) -> Self {
        Self::of_civil(self.civil().date().to_datetime(Time::midnight()), self.offset).unwrap_or(self)
    }

    /// At midnight of the first of the month.
    #[must_use]
    pub fn floor_month(self) -> Self {
        Self::of_civil(self.civil().date().first_of_month().to_datetime(Time::midnight()), self.offset).unwrap_or(self)
    }

    /// 0 is Monday.
    pub fn weekday(self) -> i8 {
        self.civil().weekday().to_monday_zero_offset()
    }

    /// By one of Airbyte's formats: `%s`, `%s_as_float`, `%epoch_microseconds`, `%ms`, or `strptime`'s, with `%_ms`. What has no offset is UTC.
    pub fn parse(text: &str, format: &str) -> Option<Self> {
        match format {
            "%s" => Self::from_micros(text.trim().parse::<i64>().ok()?.checked_mul(1_000_000)?),
            "%s_as_float" => of_seconds(text.trim().parse().ok()?),
            "%epoch_microseconds" => Self::from_micros(text.trim().parse().ok()?),
            "%ms" => Self::from_micros(text.trim().parse::<i64>().ok()?.checked_mul(1_000)?),
            _ => Parsing { rest: text, ..Parsing::default() }.run(&format.replace("%_ms", "%f")),
        }
    }

    /// The writing counterpart of [`Moment::parse`].
    pub fn format(self, format: &str) -> String {
        match format {
            "%s" => self.micros.div_euclid(1_000_000).to_string(),
            "%s_as_float" => super::python::float(self.seconds()),
            "%epoch_microseconds" => self.micros.to_string(),
            "%ms" => self.micros.div_euclid(1_000).to_string(),
            _ => self.strftime(format),
        }
    }

    /// Seconds since 1970 with their fraction, as `timestamp()` gives them.
    #[expect(clippy::cast_precision_loss, reason = "Python's timestamp() is a double too")]
    pub fn seconds(self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// As `strftime` of the C library writes it; `%_ms` are three digits.
    pub fn strftime(self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() + 16);
        let c = self.civil();
        let micro = c.subsec_nanosecond() / 1_000;
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix("_ms") {
                push(&mut out, format_args!("{:03}", micro / 1_000));
                rest = after;
                continue;
            }
            let (unpadded, after) = after.strip_prefix('-').map_or((false, after), |after| (true, after));
            let Some(directive) = after.chars().next() else {
                out.push('%');
                rest = after;
                break;
            };
            rest = after.get(directive.len_utf8()..).unwrap_or_default();
            let start = out.len();
            self.directive(directive, c, micro, &mut out);
            if unpadded {
                let kept = out.split_off(start);
                let cut = kept.trim_start_matches(['0', ' ']);
                out.push_str(if cut.is_empty() { "0" } else { cut });
            }
        }
        out.push_str(rest);
        out
    }

    fn directive(self, directive: char, c: DateTime, micro: i32, out: &mut String) {
        let hour12 = (c.hour() + 11) % 12 + 1;
        let name = |names: &[&'static str], at: i8| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default();
        let month = name(&MONTHS, c.month() - 1);
        let day = name(&DAYS, self.weekday());
        match directive {
            // The C library writes early years without zeros.
            'Y' => push(out, format_args!("{}", c.year())),
            'y' => push(out, format_args!("{:02}", c.year().rem_euclid(100))),
            'm' => push(out, format_args!("{:02}", c.month())),
            'd' => push(out, format_args!("{:02}", c.day())),
            'e' => push(out, format_args!("{:2}", c.day())),
            'H' => push(out, format_args!("{:02}", c.hour())),
            'I' => push(out, format_args!("{hour12:02}")),
            'M' => push(out, format_args!("{:02}", c.minute())),
            'S' => push(out, format_args!("{:02}", c.second())),
            'f' => push(out, format_args!("{micro:06}")),
            'z' => out.push_str(&offset_text(self.offset, "")),
            'Z' => {
                out.push_str("UTC");
                if self.offset != 0 {
                    out.push_str(&offset_text(self.offset, ":"));
                }
            }
            'j' => push(out, format_args!("{:03}", c.day_of_year())),
            'B' => out.push_str(month),
            'b' | 'h' => out.push_str(month.get(..3).unwrap_or_default()),
            'A' => out.push_str(day),
            'a' => out.push_str(day.get(..3).unwrap_or_default()),
            'p' => out.push_str(if c.hour() < 12 { "AM" } else { "PM" }),
            'u' => push(out, format_args!("{}", self.weekday() + 1)),
            'w' => push(out, format_args!("{}", (self.weekday() + 1) % 7)),
            's' => push(out, format_args!("{}", self.micros.div_euclid(1_000_000))),
            'F' => push(out, format_args!("{}-{:02}-{:02}", c.year(), c.month(), c.day())),
            'T' => push(out, format_args!("{:02}:{:02}:{:02}", c.hour(), c.minute(), c.second())),
            'R' => push(out, format_args!("{:02}:{:02}", c.hour(), c.minute())),
            'D' => push(out, format_args!("{:02}/{:02}/{:02}", c.month(), c.day(), c.year().rem_euclid(100))),
            'G' => push(out, format_args!("{}", c.date().iso_week_date().year())),
            'V' => push(out, format_args!("{:02}", c.date().iso_week_date().week())),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            other => {
                out.push('%');
                out.push(other);
            }
        }
    }

    /// As `isoformat` writes it, with `T` or a blank in the middle.
    pub fn iso(self, between: char) -> String {
        let [year, month, day, hour, minute, second, micro] = self.parts();
        let fraction = if micro == 0 { String::new() } else { format!(".{micro:06}") };
        format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{}", offset_text(self.offset, ":"))
    }

    /// ISO 8601 as dateutil's `isoparse` reads it; what has no offset is UTC; the answer is shown in UTC.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let (date, rest) = iso_date(text)?;
        let civil_date = date;
        let mut chars = rest.chars();
        if chars.next().is_none() {
            return Self::of_date(civil_date);
        }
        let (clock, offset) = iso_offset(chars.as_str())?;
        let (time, next_day) = iso_time(clock)?;
        let civil = civil_date.to_datetime(time);
        let moment = Self::of_civil(civil, offset)?;
        let day = if next_day { 86_400_000_000 } else { 0 };
        Self::from_micros(moment.micros + day)
    }

    /// The gap since another moment.
    pub const fn since(self, earlier: Self) -> Gap {
        Gap { months: 0, micros: self.micros - earlier.micros }
    }

    /// As a duration after another one; zero where it is before.
    pub fn wait_after(self, earlier: Self) -> SignedDuration {
        SignedDuration::from_micros((self.micros - earlier.micros).max(0))
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes every write.
    _ = out.write_fmt(text);
}

/// Seconds since 1970 with a fraction; rounded half to even, as Python does.
pub fn of_seconds(seconds: f64) -> Option<Moment> {
    let micros = (seconds * 1e6).round_ties_even();
    #[expect(clippy::cast_possible_truncation, reason = "compared before: the range is far inside of i64")]
    let whole = (micros.abs() < 3e17).then_some(micros as i64)?;
    Moment::from_micros(whole)
}

fn offset_text(offset: i32, colon: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.unsigned_abs();
    let rest = seconds % 60;
    let more = if rest == 0 { String::new() } else { format!("{colon}{rest:02}") };
    format!("{sign}{:02}{colon}{:02}{more}", seconds / 3_600, seconds / 60 % 60)
}

/// Digits at the start, as many as `most` and at least `least`.
fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(count)?;
    (count >= least).then(|| number.parse().ok().map(|number| (number, rest))).flatten()
}

fn iso_date(text: &str) -> Option<(Date, &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let year = i16::try_from(year).ok()?;
    let (dashed, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if rest.is_empty() {
        return Some((Date::new(year, 1, 1).ok()?, rest));
    }
    if let Some(rest) = rest.strip_prefix('W') {
        let (week, rest) = digits(rest, 2, 2)?;
        let (day, rest) = match rest.strip_prefix('-').filter(|_| dashed).or(Some(rest).filter(|_| !dashed)).and_then(|r| digits(r, 1, 1)) {
            Some((day, rest)) => (day, rest),
            None => (1, rest),
        };
        let weekday = jiff::civil::Weekday::from_monday_one_offset(i8::try_from(day).ok()?).ok()?;
        let date = jiff::civil::ISOWeekDate::new(year, i8::try_from(week).ok()?, weekday).ok()?.date();
        return Some((date, rest));
    }
    let (month, rest) = digits(rest, 2, 2)?;
    let month = i8::try_from(month).ok()?;
    let after = if dashed { rest.strip_prefix('-') } else { Some(rest) };
    match after.and_then(|after| digits(after, 2, 2)) {
        Some((day, rest)) => Some((Date::new(year, month, i8::try_from(day).ok()?).ok()?, rest)),
        // `YYYY-MM` is a date, `YYYYMM` is none.
        None if dashed => Some((Date::new(year, month, 1).ok()?, rest)),
        None => None,
    }
}

/// The clock's part and the offset in seconds.
fn iso_offset(text: &str) -> Option<(&str, i32)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, offset) = text.split_at_checked(at)?;
    let negative = offset.starts_with('-');
    let (hours, rest) = digits(offset.get(1..)?, 2, 2)?;
    let minutes =
        if rest.is_empty() { 0 } else { digits(rest.strip_prefix(':').unwrap_or(rest), 2, 2).filter(|(_, rest)| rest.is_empty())?.0 };
    let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok().filter(|s| *s < 86_400 && minutes < 60)?;
    Some((clock, if negative { -seconds } else { seconds }))
}

/// The time, and whether it is midnight at the end of the day.
fn iso_time(text: &str) -> Option<(Time, bool)> {
    let (hour, rest) = digits(text, 2, 2)?;
    let colon = rest.starts_with(':');
    let part = |rest: &'_ str| -> Option<(i64, usize)> {
        let after = if colon { rest.strip_prefix(':')? } else { rest };
        digits(after, 2, 2).map(|(n, left)| (n, left.len()))
    };
    let (mut minute, mut second, mut nanos) = (0, 0, 0);
    let mut left = rest;
    if !left.is_empty() {
        let (n, len) = part(left)?;
        minute = n;
        left = left.get(left.len() - len..)?;
    }
    if !left.is_empty() {
        let (n, len) = part(left)?;
        second = n;
        left = left.get(left.len() - len..)?;
    }
    if let Some(fraction) = left.strip_prefix(['.', ',']) {
        nanos = fraction_nanos(fraction, usize::MAX)?;
        left = "";
    }
    if !left.is_empty() {
        return None;
    }
    if hour == 24 {
        return (minute == 0 && second == 0 && nanos == 0).then_some((Time::midnight(), true));
    }
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, nanos).ok()?;
    Some((time, false))
}

/// Digits after the point as nanoseconds, cut to microseconds.
fn fraction_nanos(digits: &str, most: usize) -> Option<i32> {
    if digits.is_empty() || digits.len() > most || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut six: String = digits.chars().take(6).collect();
    while six.len() < 6 {
        six.push('0');
    }
    six.parse::<i32>().ok().map(|micros| micros * 1_000)
}

/// `strptime` at work.
#[derive(Default)]
struct Parsing<'a> {
    rest: &'a str,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    hour12: Option<i64>,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i32,
    offset: i32,
}

impl Parsing<'_> {
    fn run(mut self, format: &str) -> Option<Moment> {
        let mut format = format.chars();
        while let Some(c) = format.next() {
            if c == '%' {
                self.directive(format.next()?)?;
            } else if c.is_whitespace() {
                let trimmed = self.rest.trim_start();
                // At least one blank.
                if trimmed.len() == self.rest.len() {
                    return None;
                }
                self.rest = trimmed;
            } else {
                let next = self.rest.chars().next().filter(|n| n.to_lowercase().eq(c.to_lowercase()))?;
                self.rest = self.rest.get(next.len_utf8()..)?;
            }
        }
        if !self.rest.is_empty() {
            return None;
        }
        let year = i16::try_from(self.year.unwrap_or(1900)).ok()?;
        let date = match self.day_of_year {
            Some(day) if self.month.is_none() => Date::new(year, 1, 1).ok()?.checked_add(jiff::Span::new().try_days(day - 1).ok()?).ok()?,
            Some(_) | None => {
                Date::new(year, i8::try_from(self.month.unwrap_or(1)).ok()?, i8::try_from(self.day.unwrap_or(1)).ok()?).ok()?
            }
        };
        let hour = match (self.hour12, self.afternoon) {
            (Some(hour), afternoon) => hour % 12 + if afternoon == Some(true) { 12 } else { 0 },
            (None, _) => self.hour,
        };
        // Python takes the leap second 60 and 61 as 59.
        let second = i8::try_from(self.second.min(59)).ok()?;
        let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(self.minute).ok()?, second, self.nanos).ok()?;
        Moment::of_civil(date.to_datetime(time), self.offset)
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let (number, rest) = digits(self.rest, least, most)?;
        self.rest = rest;
        Some(number)
    }

    fn name(&mut self, names: &[&str], short: bool) -> Option<i64> {
        let at = names.iter().position(|name| {
            let name = if short { name.get(..3).unwrap_or_default() } else { name };
            self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        })?;
        let length = if short { 3 } else { names.get(at)?.len() };
        self.rest = self.rest.get(length..)?;
        i64::try_from(at).ok()
    }

    fn directive(&mut self, directive: char) -> Option<()> {
        match directive {
            'Y' => self.year = Some(self.number(4, 4)?),
            'y' => {
                let year = self.number(2, 2)?;
                self.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
            }
            'm' => self.month = Some(self.number(1, 2)?),
            'd' => self.day = Some(self.number(1, 2)?),
            'j' => self.day_of_year = Some(self.number(1, 3)?),
            'H' => self.hour = self.number(1, 2)?,
            'I' => self.hour12 = Some(self.number(1, 2).filter(|h| (1..=12).contains(h))?),
            'M' => self.minute = self.number(1, 2)?,
            'S' => self.second = self.number(1, 2).filter(|s| *s <= 61)?,
            'f' => {
                let count = self.rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
                let (fraction, rest) = self.rest.split_at_checked(count)?;
                self.nanos = fraction_nanos(fraction, 6)?;
                self.rest = rest;
            }
            'b' => self.month = Some(self.name(&MONTHS, true)? + 1),
            'B' => self.month = Some(self.name(&MONTHS, false)? + 1),
            'a' => _ = self.name(&DAYS, true)?,
            'A' => _ = self.name(&DAYS, false)?,
            'p' => self.afternoon = Some(self.name(&["AM", "PM"], false)? == 1),
            'z' => self.offset()?,
            'Z' => {
                let name = ["UTC", "GMT"].into_iter().find(|n| self.rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(n)))?;
                self.rest = self.rest.get(name.len()..)?;
            }
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    fn offset(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(['Z', 'z']) {
            self.rest = rest;
            return Some(());
        }
        let negative = self.rest.starts_with('-');
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let hours = self.number(2, 2)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let minutes = self.number(2, 2).filter(|m| *m < 60)?;
        let seconds = if self.rest.starts_with(|c: char| c == ':' || c.is_ascii_digit()) {
            self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
            self.number(2, 2)?
        } else {
            0
        };
        let total = i32::try_from(hours * 3_600 + minutes * 60 + seconds).ok().filter(|s| *s < 86_400)?;
        self.offset = if negative { -total } else { total };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: &str) -> Option<String> {
        Moment::parse(text, format).map(|m| m.iso('T'))
    }

    #[test]
    fn it_reads_as_strptime_does() {
        for (text, format, iso) in [
            ("2024-01-02T03:04:05Z", "%Y-%m-%dT%H:%M:%SZ", "2024-01-02T03:04:05+00:00"),
            ("2024-01-02T03:04:05.5+0200", "%Y-%m-%dT%H:%M:%S.%f%z", "2024-01-02T03:04:05.500000+02:00"),
            ("2024-1-2", "%Y-%m-%d", "2024-01-02T00:00:00+00:00"),
            ("1700000000", "%s", "2023-11-14T22:13:20+00:00"),
            ("1700000000123", "%ms", "2023-11-14T22:13:20.123000+00:00"),
            ("Tue, 02 Jan 2024 03:04:05 GMT", "%a, %d %b %Y %H:%M:%S %Z", "2024-01-02T03:04:05+00:00"),
            ("01/02/24 11:00 PM", "%m/%d/%y %I:%M %p", "2024-01-02T23:00:00+00:00"),
        ] {
            assert_eq!(read(text, format).as_deref(), Some(iso), "{text}");
        }
        for (text, format) in [("2024-13-01", "%Y-%m-%d"), ("2024-01-01x", "%Y-%m-%d"), ("24-01-01", "%Y-%m-%d"), ("", "%s")] {
            assert_eq!(read(text, format), None, "{text}");
        }
    }

    #[test]
    fn it_writes_as_strftime_does() {
        let at = Moment::parse("2024-01-02T03:04:05.006789+0200", "%Y-%m-%dT%H:%M:%S.%f%z").unwrap();
        for (format, text) in [
            ("%Y-%m-%dT%H:%M:%S.%f%z", "2024-01-02T03:04:05.006789+0200"),
            ("%Y-%m-%dT%H:%M:%S.%_msZ", "2024-01-02T03:04:05.006Z"),
            ("%s", "1704157445"),
            ("%ms", "1704157445006"),
            ("%j %a %B %-d %p %I", "002 Tue January 2 AM 03"),
            ("100%", "100%"),
        ] {
            assert_eq!(at.format(format), text);
        }
    }

    #[test]
    fn it_reads_iso_8601() {
        for (text, iso) in [
            ("2024-01-02", "2024-01-02T00:00:00+00:00"),
            ("20240102T030405Z", "2024-01-02T03:04:05+00:00"),
            ("2024-01-02 03:04", "2024-01-02T03:04:00+00:00"),
            ("2024-01-02T03:04:05.123456789+01:00", "2024-01-02T02:04:05.123456+00:00"),
            ("2024-W01-2", "2024-01-02T00:00:00+00:00"),
            ("2024-01", "2024-01-01T00:00:00+00:00"),
            ("2024-01-02T24:00", "2024-01-03T00:00:00+00:00"),
        ] {
            assert_eq!(Moment::parse_iso(text).map(|m| m.iso('T')).as_deref(), Some(iso), "{text}");
        }
        for text in ["2024-1-2", "now", "", "2024-01-02T3", "2024-01-02T03:04:05+1"] {
            assert!(Moment::parse_iso(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_moment_survives_its_text(micros in RANGE) {
            let moment = Moment::from_micros(micros).unwrap();
            if moment.parts()[0] >= 1000 {
                let format = "%Y-%m-%dT%H:%M:%S.%f%z";
                proptest::prop_assert_eq!(Moment::parse(&moment.format(format), format), Some(moment));
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,30}", format in ".{0,20}") {
            _ = Moment::parse(&text, &format);
            _ = Moment::parse_iso(&text);
            _ = Moment::from_micros(0).unwrap().format(&format);
        }
    }
}
