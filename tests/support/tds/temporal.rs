//! Dates and times of T-SQL: read from the texts that SQL Server reads, written in one form, counted as the wire counts them.

use super::types::Type;

/// 1900-01-01 in days since 0001-01-01.
pub const DAYS_1900: i32 = 693_595;
/// 100 ns in a day.
const DAY: i64 = 864_000_000_000;
/// 9999-12-31.
const LAST: i32 = 3_652_058;

/// A local date and time with its offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Since 0001-01-01.
    pub days: i32,
    /// 100 ns since midnight.
    pub ticks: i64,
    /// Minutes; `None` where the text has none.
    pub offset: Option<i16>,
}

pub fn days_of(year: i32, month: u32, day: u32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || day == 0 || day > last {
        return None;
    }
    let before = year - 1;
    let cumulated = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1] + i32::from(leap && month > 2);
    Some(before * 365 + before / 4 - before / 100 + before / 400 + cumulated + day as i32 - 1)
}

pub fn date_of(days: i32) -> (i32, u32, u32) {
    let mut year = (days / 366 + 1).min(9999);
    while year < 9999 && days_of(year + 1, 1, 1).is_some_and(|first| first <= days) {
        year += 1;
    }
    let mut month = 12;
    while month > 1 && days_of(year, month, 1).is_some_and(|first| first > days) {
        month -= 1;
    }
    let first = days_of(year, month, 1).unwrap_or_default();
    (year, month, (days - first) as u32 + 1)
}

/// `2026-09-01`, `20260901`, `… 10:00[:00[.1234567]]` after a blank or `T`, with `Z` or `±hh:mm`; a time alone.
pub fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Moment { days: DAYS_1900, ticks: 0, offset: None });
    }
    let bytes = text.as_bytes();
    let number = |s: &str| if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) { None } else { s.parse::<u32>().ok() };
    let (days, rest) = if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' {
        (days_of(number(&text[..4])? as i32, number(&text[5..7])?, number(&text[8..10])?)?, &text[10..])
    } else if bytes.len() >= 8 && bytes[..8].iter().all(u8::is_ascii_digit) {
        (days_of(number(&text[..4])? as i32, number(&text[4..6])?, number(&text[6..8])?)?, &text[8..])
    } else if bytes.len() >= 4 && text.contains(':') {
        (DAYS_1900, text)
    } else {
        return None;
    };
    let rest = rest.strip_prefix('T').unwrap_or(rest).trim_start();
    if rest.is_empty() {
        return Some(Moment { days, ticks: 0, offset: None });
    }
    let (clock, offset) = if let Some(clock) = rest.strip_suffix('Z') {
        (clock, Some(0))
    } else if let Some(at) = rest.rfind(['+', '-']) {
        let (hours, minutes) = rest[at + 1..].split_once(':')?;
        let minutes = number(hours)? * 60 + number(minutes)?;
        if minutes > 14 * 60 {
            return None;
        }
        (&rest[..at], Some(if rest[at..].starts_with('-') { -(minutes as i16) } else { minutes as i16 }))
    } else {
        (rest, None)
    };
    let mut parts = clock.trim().splitn(3, ':');
    let hours = number(parts.next()?)?;
    let minutes = number(parts.next()?)?;
    let (seconds, fraction) = match parts.next() {
        None => (0, ""),
        Some(s) => {
            let (whole, fraction) = s.split_once('.').unwrap_or((s, ""));
            (number(whole)?, fraction)
        }
    };
    if hours > 23 || minutes > 59 || seconds > 59 || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<7}")[..7].parse().ok()?;
    Some(Moment { days, ticks: i64::from(hours * 3600 + minutes * 60 + seconds) * 10_000_000 + fraction, offset })
}

impl Moment {
    fn normal(mut self) -> Option<Self> {
        let more = self.ticks.div_euclid(DAY);
        self.ticks = self.ticks.rem_euclid(DAY);
        self.days = self.days.checked_add(i32::try_from(more).ok()?)?;
        (0..=LAST).contains(&self.days).then_some(self)
    }

    /// The same instant, its offset zero.
    pub fn utc(self) -> Option<Self> {
        Self { ticks: self.ticks - i64::from(self.offset.unwrap_or(0)) * 600_000_000, offset: Some(0), ..self }.normal()
    }

    /// The instant `utc` seen with an offset.
    pub fn at(self, offset: i16) -> Option<Self> {
        Self { ticks: self.ticks + i64::from(offset) * 600_000_000, offset: Some(offset), ..self }.normal()
    }

    /// Rounded to what the type holds; `None` where the type can't hold it.
    pub fn fit(self, to: Type) -> Option<Self> {
        let unit = |scale: u8| 10_i64.pow(7 - u32::from(scale));
        let rounded = |unit: i64| Self { ticks: (self.ticks + unit / 2) / unit * unit, ..self };
        match to {
            Type::Date => Some(Self { ticks: 0, offset: None, ..self }),
            Type::Time(s) => Some(Self { days: DAYS_1900, offset: None, ticks: rounded(unit(s)).ticks.min(DAY - unit(s)) }),
            Type::DateTime2(s) => Self { offset: None, ..rounded(unit(s)) }.normal(),
            Type::DateTimeOffset(s) => Self { offset: Some(self.offset.unwrap_or(0)), ..rounded(unit(s)) }.normal(),
            Type::DateTime => {
                let units = (self.ticks * 3 + 50_000) / 100_000;
                // 1/300 s is written as .000, .003 and .007.
                let millis = [0, 3, 7][(units % 3) as usize] + units / 3 * 10;
                Self { ticks: millis * 10_000, offset: None, ..self }.normal().filter(|m| m.days >= 639_905)
            }
            Type::SmallDateTime => {
                let moment = Self { offset: None, ..rounded(600_000_000) }.normal()?;
                (DAYS_1900..=DAYS_1900 + 65_535).contains(&moment.days).then_some(moment)
            }
            _ => None,
        }
    }

    /// The one form in which the peer keeps it.
    pub fn write(self, as_type: Type) -> String {
        let (year, month, day) = date_of(self.days);
        let date = format!("{year:04}-{month:02}-{day:02}");
        let seconds = self.ticks / 10_000_000;
        let clock = |scale: u8| {
            let base = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            if scale == 0 {
                return base;
            }
            let fraction = format!("{:07}", self.ticks % 10_000_000);
            format!("{base}.{}", &fraction[..scale as usize])
        };
        match as_type {
            Type::Date => date,
            Type::Time(s) => clock(s),
            Type::SmallDateTime => format!("{date} {}", clock(0)),
            Type::DateTime => format!("{date} {}", clock(3)),
            Type::DateTimeOffset(s) => {
                let offset = self.offset.unwrap_or(0);
                let sign = if offset < 0 { '-' } else { '+' };
                format!("{date} {} {sign}{:02}:{:02}", clock(s), offset.abs() / 60, offset.abs() % 60)
            }
            Type::DateTime2(s) => format!("{date} {}", clock(s)),
            _ => format!("{date} {}", clock(7)),
        }
    }
}

/// Now, UTC.
pub fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let ticks = since.as_nanos() as i128 / 100;
    Moment { days: 719_162 + (ticks / i128::from(DAY)) as i32, ticks: (ticks % i128::from(DAY)) as i64, offset: Some(0) }
}
