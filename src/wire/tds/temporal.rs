//! Moments, days and times of day as SQL Server counts them. Columns without a zone hold UTC.

use crate::model::Timestamp;
use jiff::civil::{Date as Day, DateTime as Civil, Time as TimeOfDay};
use jiff::tz::TimeZone;
use tiberius::time::{Date, DateTime, DateTime2, SmallDateTime, Time};

/// Where `date` counts from.
const FIRST_DAY: Day = jiff::civil::date(1, 1, 1);
/// Days from 0001-01-01 (the count of `date`) to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;
/// Days from 1900-01-01 (the count of `datetime`) to 1970-01-01.
const DAYS_FROM_1900: i64 = 25_567;
const NANOS_A_DAY: i128 = 86_400 * 1_000_000_000;
/// Ticks of `datetime`: 300 a second.
const TICKS_A_DAY: i64 = 86_400 * 300;

/// Rounded to a number of digits of a second, as SQL Server rounds: half up. `None` outside of the years 1 to 9999.
pub(super) fn rounded(moment: Timestamp, scale: u8) -> Option<Timestamp> {
    let unit = 10_i128.pow(9_u32.saturating_sub(scale.min(7).into()));
    let nanos = (moment.as_nanosecond() + unit / 2).div_euclid(unit) * unit;
    Timestamp::from_nanosecond(nanos).ok().filter(|moment| in_range(*moment))
}

fn in_range(moment: Timestamp) -> bool {
    (1..=9999).contains(&moment.to_zoned(TimeZone::UTC).year())
}

fn parts(moment: Timestamp) -> (i64, i128) {
    let nanos = moment.as_nanosecond();
    (i64::try_from(nanos.div_euclid(NANOS_A_DAY)).unwrap_or_default(), nanos.rem_euclid(NANOS_A_DAY))
}

/// For a `datetime2` of this scale; the moment is rounded already.
pub(super) fn datetime2(moment: Timestamp, scale: u8) -> Option<DateTime2> {
    let (days, nanos) = parts(moment);
    let unit = 10_i128.pow(9_u32.saturating_sub(scale.into()));
    Some(DateTime2::new(Date::new(u32::try_from(days + DAYS_TO_1970).ok()?), Time::new(u64::try_from(nanos / unit).ok()?, scale)))
}

/// For a `datetime`: what stands in the column, and the moment that is read from it. From 1753 on.
pub(super) fn datetime(moment: Timestamp) -> Option<(DateTime, Timestamp)> {
    let (mut days, nanos) = parts(moment);
    let mut ticks = i64::try_from((nanos * 300 + 500_000_000) / 1_000_000_000).ok()?;
    if ticks >= TICKS_A_DAY {
        ticks = 0;
        days += 1;
    }
    let year = moment.to_zoned(TimeZone::UTC).year();
    if !(1753..=9999).contains(&year) {
        return None;
    }
    let value = DateTime::new(i32::try_from(days + DAYS_FROM_1900).ok()?, u32::try_from(ticks).ok()?);
    Some((value, of_datetime(value)?))
}

/// What a `datetime` means: its ticks are shown in milliseconds ending in 0, 3 and 7.
pub(super) fn of_datetime(value: DateTime) -> Option<Timestamp> {
    let millis = (i128::from(value.seconds_fragments()) * 10 + 1) / 3;
    let days = i128::from(value.days()) - i128::from(DAYS_FROM_1900);
    Timestamp::from_nanosecond(days * NANOS_A_DAY + millis * 1_000_000).ok()
}

/// To the minute, half up; 1900-01-01 to 2079-06-06.
pub(super) fn to_minute(moment: Timestamp) -> Option<Timestamp> {
    let minute = 60_000_000_000_i128;
    let rounded = Timestamp::from_nanosecond((moment.as_nanosecond() + minute / 2).div_euclid(minute) * minute).ok()?;
    let day = rounded.to_zoned(TimeZone::UTC).date();
    (day >= jiff::civil::date(1900, 1, 1) && day <= jiff::civil::date(2079, 6, 6)).then_some(rounded)
}

pub(super) fn of_smalldatetime(value: SmallDateTime) -> Option<Timestamp> {
    let days = i128::from(value.days()) - i128::from(DAYS_FROM_1900);
    Timestamp::from_nanosecond(days * NANOS_A_DAY + i128::from(value.seconds_fragments()) * 60_000_000_000).ok()
}

fn nanos_of(time: Time) -> i128 {
    i128::from(time.increments()) * 10_i128.pow(9_u32.saturating_sub(time.scale().into()))
}

pub(super) fn of_datetime2(value: DateTime2) -> Option<Timestamp> {
    let days = i128::from(value.date().days()) - i128::from(DAYS_TO_1970);
    Timestamp::from_nanosecond(days * NANOS_A_DAY + nanos_of(value.time())).ok()
}

/// For a `date`.
pub(super) fn date(day: Day) -> Option<Date> {
    let days = day.since((jiff::Unit::Day, FIRST_DAY)).ok()?.get_days();
    u32::try_from(days).ok().map(Date::new)
}

pub(super) fn of_date(value: Date) -> Option<Day> {
    FIRST_DAY.checked_add(jiff::Span::new().try_days(i64::from(value.days())).ok()?).ok()
}

/// The text of a moment that no [`Timestamp`] holds: the last day of year 9999, which tables use for "never".
pub(super) fn civil_text(value: DateTime2) -> Option<String> {
    Some(of_date(value.date())?.to_datetime(of_time(value.time())?).to_string())
}

/// What a `time` means.
pub(super) fn of_time(value: Time) -> Option<TimeOfDay> {
    let nanos = i64::try_from(nanos_of(value)).ok()?;
    TimeOfDay::midnight().checked_add(jiff::SignedDuration::from_nanos(nanos)).ok()
}

/// `2026-01-31T23:59:59.1234567`: the ISO form that no language setting changes.
pub(super) fn iso(moment: Timestamp, scale: u8) -> String {
    let civil: Civil = moment.to_zoned(TimeZone::UTC).datetime();
    let whole = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    if scale == 0 {
        return whole;
    }
    let digits = format!("{:09}", civil.subsec_nanosecond());
    format!("{whole}.{}", digits.get(..usize::from(scale.min(7))).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_at_the_edges_are_exact_or_refused() {
        for (text, scale) in [("0001-01-01T00:00:00Z", 7), ("9999-12-30T20:59:59.9999999Z", 7), ("1969-12-31T23:59:59.5Z", 1)] {
            let moment = rounded(at(text), scale).unwrap();
            assert_eq!(of_datetime2(datetime2(moment, scale).unwrap()), Some(at(text)), "{text}");
        }
        assert_eq!(rounded(at("2026-01-31T23:59:59.9999999Z"), 3), Some(at("2026-02-01T00:00:00Z")));
        // What no moment can be is text.
        let last = DateTime2::new(date(jiff::civil::date(9999, 12, 31)).unwrap(), Time::new(863_999_999_999, 7));
        assert_eq!((of_datetime2(last), civil_text(last).as_deref()), (None, Some("9999-12-31T23:59:59.9999999")));
        assert_eq!(datetime(at("1752-12-31T23:59:59Z")), None);
        assert_eq!(datetime(at("1753-01-01T00:00:00Z")).unwrap().1, at("1753-01-01T00:00:00Z"));
        // The examples of SQL Server's own documentation of `datetime`.
        for (given, read) in [
            ("23:59:59.999", "00:00:00"),
            ("23:59:59.998", "23:59:59.997"),
            ("23:59:59.992", "23:59:59.993"),
            ("23:59:59.991", "23:59:59.99"),
        ] {
            let day = if read.starts_with("00") { "1998-01-02" } else { "1998-01-01" };
            assert_eq!(datetime(at(&format!("1998-01-01T{given}Z"))).unwrap().1, at(&format!("{day}T{read}Z")), "{given}");
        }
        assert_eq!(to_minute(at("2079-06-06T23:59:00Z")), Some(at("2079-06-06T23:59:00Z")));
        assert_eq!(to_minute(at("2079-06-07T00:00:00Z")), None);
        assert_eq!(to_minute(at("1899-12-31T23:59:00Z")), None);
        assert_eq!(iso(at("2026-01-31T23:59:59.1234567Z"), 3), "2026-01-31T23:59:59.123");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in -62_000_000_000_i64..253_000_000_000, nanos in 0..1_000_000_000_i32, scale in 0..=7_u8) {
            let moment = Timestamp::new(seconds, nanos).unwrap();
            if let Some(rounded) = rounded(moment, scale) {
                prop_assert_eq!(of_datetime2(datetime2(rounded, scale).unwrap()), Some(rounded));
                prop_assert!((rounded.as_nanosecond() - moment.as_nanosecond()).abs() * 2 <= 10_i128.pow(9 - u32::from(scale)));
            }
            if let Some((value, read)) = datetime(moment) {
                // What was read is written as the same tick again: nothing drifts.
                prop_assert_eq!(datetime(read), Some((value, read)));
            }
            let day = moment.to_zoned(TimeZone::UTC).date();
            if (1..=9999).contains(&day.year()) {
                prop_assert_eq!(of_date(date(day).unwrap()), Some(day));
            }
            let last = jiff::civil::date(9999, 12, 31);
            prop_assert_eq!(of_date(date(last).unwrap()), Some(last));
        }
    }
}
