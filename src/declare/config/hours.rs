//! Service hours: when a target may be written to, on the clock of the place where it stands.

use crate::model::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

/// Spans of one setting: a week has seven days, and few days have more than three shifts.
const MAX_SPANS: usize = 21;

/// From a weekday's local time to another local time; past midnight where the end is not after the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shift {
    day: Weekday,
    from: Time,
    /// Minutes after `from` on the local clock, 1 to 1,440.
    minutes: i32,
}

/// When a target may be written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceHours {
    /// As written.
    text: String,
    zone: TimeZone,
    shifts: Vec<Shift>,
}

/// What is wrong with service hours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HoursError {
    /// Not of the form `Mon-Fri 07:00-19:00`.
    #[error("`{0}` is no span of hours")]
    Span(String),
    /// Too many spans.
    #[error("there are more than {MAX_SPANS} spans")]
    TooMany,
    /// Not in the IANA time zone database that Kith carries.
    #[error("`{0}` is no time zone of the IANA database")]
    Zone(String),
}

impl ServiceHours {
    /// Reads `Mon-Fri 07:00-19:00, Sat 08:00-12:00` in an IANA time zone. A span whose end is not after its start goes past midnight;
    /// `00:00-24:00` is the whole day.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str, zone: &str) -> Result<Self, HoursError> {
        let found = TimeZone::get(zone).map_err(|_source| HoursError::Zone(zone.to_owned()))?;
        let mut shifts = Vec::new();
        for (index, span) in text.split(',').map(str::trim).enumerate() {
            if index >= MAX_SPANS {
                return Err(HoursError::TooMany);
            }
            let wrong = || HoursError::Span(span.to_owned());
            let (days, hours) = span.split_once(char::is_whitespace).ok_or_else(wrong)?;
            let (from, to) = hours.trim().split_once('-').ok_or_else(wrong)?;
            let (from, to) = (minute_of_day(from).ok_or_else(wrong)?, minute_of_day(to).ok_or_else(wrong)?);
            let minutes = if to > from { to - from } else { to + DAY - from };
            let start = time(from).ok_or_else(wrong)?;
            shifts.extend(weekdays(days).ok_or_else(wrong)?.into_iter().map(|day| Shift { day, from: start, minutes }));
        }
        Ok(Self { text: format!("{text} {zone}"), zone: found, shifts })
    }

    /// As written, with the zone.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `None` while it is closed; else when the shifts end that hold now, one after the other.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut until = None;
        // Shifts that follow each other without a gap; a week that is open throughout has no end, and is asked again after it.
        for _ in 0..MAX_SPANS * 7 {
            let at = until.unwrap_or(now);
            let today = at.to_zoned(self.zone.clone()).date();
            let ends = (-1_i64..=0).filter_map(|offset| today.checked_add(offset.days()).ok()).flat_map(|date| {
                self.shifts.iter().filter(move |shift| shift.day == date.weekday()).filter_map(move |shift| {
                    let local = date.to_datetime(shift.from);
                    let start = local.to_zoned(self.zone.clone()).ok()?.timestamp();
                    let end = local.checked_add(shift.minutes.minutes()).ok()?.to_zoned(self.zone.clone()).ok()?.timestamp();
                    (start <= at && at < end).then_some(end)
                })
            });
            let Some(end) = ends.max() else { break };
            until = Some(end);
        }
        until
    }

    /// `None` while it is open; else when it opens next.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        let mut next: Option<Timestamp> = None;
        // A shift of yesterday may reach into today; within eight days every weekday comes again.
        for offset in -1_i64..=8 {
            let Ok(date) = today.checked_add(offset.days()) else { continue };
            for shift in self.shifts.iter().filter(|shift| shift.day == date.weekday()) {
                let local = date.to_datetime(shift.from);
                let bounds = local
                    .to_zoned(self.zone.clone())
                    .and_then(|start| Ok((start, local.checked_add(shift.minutes.minutes())?.to_zoned(self.zone.clone())?)));
                let Ok((start, end)) = bounds.map(|(start, end)| (start.timestamp(), end.timestamp())) else { continue };
                if start <= now && now < end {
                    return None;
                }
                if start > now && next.is_none_or(|next| start < next) {
                    next = Some(start);
                }
            }
        }
        // Without any shift nothing would ever open; `parse` makes at least one.
        next
    }
}

/// Minutes of a day.
const DAY: i32 = 24 * 60;

fn minute_of_day(text: &str) -> Option<i32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two_digits = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

fn time(minute: i32) -> Option<Time> {
    Time::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()
}

/// `Mon`, `Mon-Fri`, `daily`.
fn weekdays(text: &str) -> Option<Vec<Weekday>> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let text = text.to_ascii_lowercase();
    let place = |name: &str| NAMES.iter().position(|n| *n == name);
    let (first, count) = match text.split_once('-') {
        Some((from, to)) => (place(from)?, (place(to)? + 7 - place(from)?) % 7 + 1),
        None if text == "daily" => (0, 7),
        None => (place(&text)?, 1),
    };
    (first..first + count).map(|at| Weekday::from_monday_zero_offset(i8::try_from(at % 7).ok()?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn berlin(text: &str) -> ServiceHours {
        ServiceHours::parse(text, "Europe/Berlin").unwrap()
    }

    #[test]
    fn office_hours_are_those_of_the_place_in_summer_and_winter() {
        let hours = berlin("Mon-Fri 07:00-19:00, Sat 08:00-12:00");
        // A Friday in summer (UTC+2), and one in winter (UTC+1).
        assert_eq!(hours.closed_until(at("2026-07-03T04:59:59Z")), Some(at("2026-07-03T05:00:00Z")));
        assert_eq!(hours.closed_until(at("2026-07-03T05:00:00Z")), None);
        assert_eq!(hours.closed_until(at("2026-07-03T17:00:00Z")), Some(at("2026-07-04T06:00:00Z")));
        assert_eq!(hours.closed_until(at("2026-01-02T06:00:00Z")), None);
        assert_eq!(hours.closed_until(at("2026-01-03T11:00:00Z")), Some(at("2026-01-05T06:00:00Z")), "over the week-end");
    }

    #[test]
    fn a_night_shift_goes_past_midnight_and_over_the_change_of_the_clock() {
        let hours = berlin("Sat 22:00-06:00");
        // On 29 March 2026 the clock jumps from 2 to 3: the night has seven hours.
        assert_eq!(hours.closed_until(at("2026-03-28T21:00:00Z")), None);
        assert_eq!(hours.closed_until(at("2026-03-29T03:59:59Z")), None);
        assert_eq!(hours.closed_until(at("2026-03-29T04:00:00Z")), Some(at("2026-04-04T20:00:00Z")));
    }

    #[test]
    fn days_wrap_around_the_week_and_the_whole_day_is_open() {
        let hours = berlin("Sun-Tue 00:00-24:00");
        assert_eq!(hours.closed_until(at("2026-11-22T12:00:00Z")), None, "a Sunday");
        assert_eq!(hours.closed_until(at("2026-11-25T12:00:00Z")), Some(at("2026-11-28T23:00:00Z")), "a Wednesday");
        assert_eq!(
            ServiceHours::parse("daily 09:00-17:00", "Asia/Kolkata").unwrap().closed_until(at("2026-11-22T03:29:00Z")),
            Some(at("2026-11-22T03:30:00Z"))
        );
    }

    #[test]
    fn quiet_hours_end_on_the_clock_of_the_place_over_shifts_that_follow_each_other() {
        let quiet = berlin("daily 19:00-07:00, Sat-Sun 07:00-19:00");
        assert_eq!(quiet.open_until(at("2026-11-25T12:00:00Z")), None, "a Wednesday's noon");
        assert_eq!(quiet.open_until(at("2026-11-25T18:00:00Z")), Some(at("2026-11-26T06:00:00Z")));
        assert_eq!(quiet.open_until(at("2026-11-27T20:00:00Z")), Some(at("2026-11-30T06:00:00Z")), "over the week-end");
        assert!(berlin("daily 00:00-24:00").open_until(at("2026-11-25T12:00:00Z")).is_some());
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        for wrong in [
            "",
            "Mon",
            "Mon 7-19",
            "Mon 07:00",
            "Moo 07:00-19:00",
            "Mon 25:00-26:00",
            "Mon 07:60-08:00",
            "Mon 24:00-06:00",
            "Mon-Fri 07:00-19:00,",
        ] {
            assert!(matches!(ServiceHours::parse(wrong, "Europe/Berlin"), Err(HoursError::Span(_))), "{wrong}");
        }
        assert!(matches!(ServiceHours::parse("Mon 07:00-19:00", "Europe/Atlantis"), Err(HoursError::Zone(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", zone in "\\PC{0,20}") {
            drop(ServiceHours::parse(&text, &zone));
        }

        #[test]
        fn it_opens_when_it_says_and_not_before(seconds in 1_700_000_000_i64..1_900_000_000, from in 0..24_u32, to in 0..24_u32) {
            let hours = berlin(&format!("Mon-Thu {from:02}:30-{to:02}:00"));
            let now = Timestamp::from_second(seconds).unwrap();
            if let Some(opens) = hours.closed_until(now) {
                prop_assert!(opens > now);
                prop_assert_eq!(hours.closed_until(opens), None);
                prop_assert_eq!(hours.open_until(now), None);
                prop_assert!(hours.open_until(opens).is_some_and(|closes| hours.closed_until(closes).is_some()));
                let before = opens.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
                prop_assert_eq!(hours.closed_until(before), Some(opens));
            }
        }
    }
}
