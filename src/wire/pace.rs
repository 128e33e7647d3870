//! What a server says about its limits, in the dialects that are seen: `Retry-After`, the `RateLimit` drafts, `X-RateLimit-…`. Pure: absolute
//! times are taken relative to the server's own `Date`, so that a wrong clock on either side does not matter.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// A year: longer than any window, and what is beyond is a number of another unit.
const LONGEST: Duration = Duration::from_hours(24 * 366);
/// A number from here on counts seconds since 1970 (this one is in 1985); as a duration it would be 16 years.
const EPOCH_SECONDS: f64 = 5e8;
/// A number from here on counts milliseconds since 1970; as seconds it would be the year 5138.
const EPOCH_MILLISECONDS: f64 = 1e11;
/// Header values are shown up to here.
const LONGEST_SHOWN: usize = 60;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A wait that a server asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// From the moment of the answer; never zero, at most a year.
    pub wait: Duration,
    /// What it said: `x-ratelimit-remaining: 0`.
    pub said: Arc<str>,
}

/// The server's own time, as its `Date` header says it. `Date` is cut to the second, so that a wait counted from it is never too short.
pub fn server_time(headers: &[(String, String)]) -> Option<Timestamp> {
    first(headers, "date").and_then(|text| http_date(text, None))
}

/// `Retry-After` in seconds or as a date, and its cousins in milliseconds. `now` stands in where the server sent no `Date`.
pub fn retry_after(headers: &[(String, String)], now: Timestamp) -> Option<Asked> {
    let now = server_time(headers).unwrap_or(now);
    let read = |(name, value): &(String, String)| {
        let wait = match lower(name).as_str() {
            "retry-after" => moment_or_duration(value, now),
            "retry-after-ms" | "x-ms-retry-after-ms" => number(value).and_then(|ms| seconds(ms / 1_000.0)),
            _ => None,
        }?;
        Some(Asked { wait, said: shown(name, value) })
    };
    headers.iter().filter_map(read).max_by_key(|asked| asked.wait)
}

/// Where the server says that nothing is left of a window: how long until there is again. The longest counts.
pub fn exhausted(headers: &[(String, String)], now: Timestamp) -> Option<Asked> {
    let now = server_time(headers).unwrap_or(now);
    let mut found: Vec<Asked> = Vec::new();
    for (name, value) in headers {
        let name = lower(name);
        if name == "ratelimit" || name == "x-ratelimit" {
            found.extend(combined(value).into_iter().filter_map(|(remaining, reset)| {
                let wait = moment_or_duration(reset.filter(|_| remaining.is_some_and(is_none_left))?, now)?;
                Some(Asked { wait, said: shown(&name, value) })
            }));
        } else if let Some((before, after)) = remaining_header(&name)
            && is_none_left(value)
        {
            let reset = [format!("{before}reset-after{after}"), format!("{before}reset{after}"), format!("{before}reset")];
            let said = reset.iter().find_map(|header| first(headers, header)).and_then(|value| moment_or_duration(value, now));
            found.extend(said.or_else(|| window(after)).map(|wait| Asked { wait, said: shown(&name, value) }));
        }
    }
    found.into_iter().max_by_key(|asked| asked.wait)
}

/// How long to wait after an answer that says "too much": what it asks for outright, else the windows without rest, else any reset that it tells.
pub fn throttled(headers: &[(String, String)], now: Timestamp) -> Option<Asked> {
    retry_after(headers, now).or_else(|| exhausted(headers, now)).or_else(|| {
        let now = server_time(headers).unwrap_or(now);
        let any_reset = |(name, value): &(String, String)| {
            let name = lower(name);
            let reset = ["ratelimit-reset", "rate-limit-reset"].iter().any(|part| name.contains(part));
            let wait = if reset { moment_or_duration(value, now) } else { None };
            wait.map(|wait| Asked { wait, said: shown(&name, value) })
        };
        // A window with rest left is not what was exceeded.
        let left = headers.iter().any(|(name, value)| remaining_header(&lower(name)).is_some() && !is_none_left(value));
        if left { None } else { headers.iter().filter_map(any_reset).max_by_key(|asked| asked.wait) }
    })
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What the header said, without control characters, and short.
fn shown(name: &str, value: &str) -> Arc<str> {
    let value: String = value.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(LONGEST_SHOWN).collect();
    format!("{}: {value}", lower(name)).into()
}

/// `x-ratelimit-remaining-requests` → (`x-ratelimit-`, `-requests`).
fn remaining_header(name: &str) -> Option<(&str, &str)> {
    let (before, after) = name.split_once("remaining")?;
    (before.ends_with("ratelimit-") || before.ends_with("rate-limit-")).then_some((before, after))
}

fn is_none_left(value: &str) -> bool {
    number(value.split(',').next().unwrap_or_default()).is_some_and(|n| n <= 0.0)
}

/// A window that the name alone tells: `X-RateLimit-Remaining-Minute: 0`.
fn window(suffix: &str) -> Option<Duration> {
    match suffix {
        "-second" => Some(Duration::from_secs(1)),
        "-minute" => Some(Duration::from_mins(1)),
        "-hour" => Some(Duration::from_hours(1)),
        _ => None,
    }
}

/// Remaining and reset of each policy: `limit=100, remaining=0, reset=30`, or `"default";r=0;t=30, "day";r=5;t=3600`.
fn combined(value: &str) -> Vec<(Option<&str>, Option<&str>)> {
    fn part<'v>(policy: &'v str, between: char, names: [&str; 2]) -> Option<&'v str> {
        policy.split(between).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            names.iter().any(|n| name.trim().eq_ignore_ascii_case(n)).then(|| value.trim())
        })
    }
    let structured = value.contains(';');
    let policies: Vec<&str> = if structured { value.split(',').take(20).collect() } else { vec![value] };
    let between = if structured { ';' } else { ',' };
    policies.into_iter().map(|policy| (part(policy, between, ["remaining", "r"]), part(policy, between, ["reset", "t"]))).collect()
}

/// Seconds, `6m0s`, seconds or milliseconds since 1970, an HTTP date or an ISO time; relative to `now`. `None` for zero, the past and what is none.
fn moment_or_duration(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim().trim_matches('"');
    if let Some(number) = number(text) {
        return if number >= EPOCH_MILLISECONDS {
            until(at_milliseconds(number)?, now)
        } else if number >= EPOCH_SECONDS {
            until(at_milliseconds(number * 1_000.0)?, now)
        } else {
            seconds(number)
        };
    }
    units(text).or_else(|| until(http_date(text, Some(now)).or_else(|| iso(text))?, now))
}

/// A plain decimal number, as headers write it.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.len() <= 25 && text.bytes().any(|b| b.is_ascii_digit());
    let digits = text.strip_prefix('-').unwrap_or(text);
    let right = plain && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if right { text.parse().ok().filter(|n: &f64| n.is_finite()) } else { None }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok().and_then(bounded)
}

fn bounded(wait: Duration) -> Option<Duration> {
    (!wait.is_zero()).then(|| wait.min(LONGEST))
}

#[expect(clippy::cast_possible_truncation, reason = "below 2^53, and jiff refuses what is out of its range")]
fn at_milliseconds(number: f64) -> Option<Timestamp> {
    (number < 9e15).then(|| Timestamp::from_millisecond(number.ceil() as i64).ok()).flatten()
}

fn until(then: Timestamp, now: Timestamp) -> Option<Duration> {
    let wait = then.duration_since(now);
    if wait <= SignedDuration::ZERO { None } else { Duration::try_from(wait).ok().and_then(bounded) }
}

/// `6m0s`, `1h2m3.5s`, `120ms`, `1d`.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() || rest.len() > 40 {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (value, behind) = rest.split_at_checked(end)?;
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(unit_end)?;
        let factor = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number(value)? * factor;
        rest = next;
    }
    seconds(total)
}

/// The three forms of RFC 9110 §5.6.7. A year of two digits that looks more than 50 years ahead is in the past.
fn http_date(text: &str, now: Option<Timestamp>) -> Option<Timestamp> {
    let parts: Vec<&str> = text.split([' ', ',', '-']).filter(|part| !part.is_empty()).take(8).collect();
    let (day, month, year, time) = match parts.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT · Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, time, zone] if matches!(*zone, "GMT" | "UTC") => (day, month, year, time),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = i8::try_from(MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1).ok()?;
    let mut full: i16 = year.parse().ok()?;
    if year.len() == 2 {
        full += 2_000;
        let this_year = now.map_or(2_026, |now| now.to_zoned(TimeZone::UTC).year());
        if full > this_year.saturating_add(50) {
            full -= 100;
        }
    }
    let clock: Vec<i8> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock.as_slice() else { return None };
    // 60 is a leap second.
    let time = Time::new(*hour, *minute, (*second).min(59), 0).ok()?;
    let date = Date::new(full, month, day.parse().ok()?).ok()?;
    DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// An ISO time; without an offset it is UTC.
fn iso(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let time: DateTime = text.trim_end_matches(" UTC").parse().ok()?;
        time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATE: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// A clock that is two years off: only the server's matters.
    fn wrong_clock() -> Timestamp {
        "2024-01-01T00:00:00Z".parse().unwrap()
    }

    fn waited(asked: Option<Asked>) -> Option<f64> {
        asked.map(|asked| asked.wait.as_secs_f64())
    }

    #[test]
    fn retry_after_is_read_in_every_form_that_is_seen() {
        for (value, wait) in [
            ("120", Some(120.0)),
            (" 1.5 ", Some(1.5)),
            ("Sat, 21 Nov 2026 12:00:30 GMT", Some(30.0)),
            ("Saturday, 21-Nov-26 12:01:00 GMT", Some(60.0)),
            ("Sat Nov 21 12:00:09 2026", Some(9.0)),
            ("2026-11-21T12:00:10Z", Some(10.0)),
            ("2026-11-21T13:00:10+01:00", Some(10.0)),
            ("2026-11-21 12:00:10 UTC", Some(10.0)),
            ("1795262410", Some(10.0)),
            ("1795262410000", Some(10.0)),
            ("6m0s", Some(360.0)),
            ("0", None),
            ("-5", None),
            ("Sat, 21 Nov 2026 11:00:00 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("soon", None),
            ("", None),
            ("99999999", Some(LONGEST.as_secs_f64())),
            ("NaN", None),
            ("1e9", None),
        ] {
            let read = retry_after(&headers(&[("Date", DATE), ("Retry-After", value)]), wrong_clock());
            assert_eq!(waited(read), wait, "{value}");
        }
        assert_eq!(waited(retry_after(&headers(&[("retry-after-ms", "250")]), wrong_clock())), Some(0.25));
    }

    #[test]
    fn without_a_date_of_the_server_our_clock_stands_in() {
        let read = retry_after(&headers(&[("Retry-After", "Mon, 01 Jan 2024 00:00:07 GMT")]), wrong_clock());
        assert_eq!(waited(read), Some(7.0));
    }

    #[test]
    fn a_window_without_rest_asks_to_wait_until_its_reset() {
        for (pairs, wait) in [
            (vec![("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")], Some(30.0)),
            (vec![("RateLimit-Remaining", "1"), ("RateLimit-Reset", "30")], None),
            (vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1795262405")], Some(5.0)),
            (vec![("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1795262405000")], Some(5.0)),
            (vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "2026-11-21T12:15:00.000000Z")], Some(900.0)),
            (vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "0.64")], Some(0.64)),
            (vec![("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")], Some(360.0)),
            (vec![("X-HubSpot-RateLimit-Remaining", "0"), ("X-HubSpot-RateLimit-Reset", "3")], Some(3.0)),
            (vec![("X-RateLimit-Remaining-Minute", "0")], Some(60.0)),
            (vec![("RateLimit", "limit=100, remaining=0, reset=30")], Some(30.0)),
            (vec![("RateLimit", "limit=100, remaining=3, reset=30")], None),
            (vec![("RateLimit", r#""default";r=0;t=30"#)], Some(30.0)),
            (vec![("RateLimit", r#""burst";r=0;t=2, "day";r=0;t=4000, "hour";r=9;t=9000"#)], Some(4_000.0)),
            (vec![("RateLimit-Remaining", "0")], None),
            (vec![("RateLimit", ";;==,,r=;t=")], None),
        ] {
            let mut pairs = pairs;
            pairs.push(("Date", DATE));
            assert_eq!(waited(exhausted(&headers(&pairs), wrong_clock())), wait, "{pairs:?}");
        }
    }

    #[test]
    fn a_429_without_retry_after_waits_for_its_reset() {
        let read = |pairs: &[(&str, &str)]| waited(throttled(&headers(pairs), wrong_clock()));
        assert_eq!(read(&[("date", DATE), ("x-ratelimit-reset", "2026-11-21T12:05:00Z")]), Some(300.0));
        assert_eq!(read(&[("retry-after", "2"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "50")]), Some(2.0));
        assert_eq!(read(&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "50")]), None);
    }

    #[test]
    fn what_is_shown_is_short_and_plain() {
        let asked = retry_after(&headers(&[("Retry-After", &format!("{}5\u{7}", " ".repeat(90)))]), wrong_clock());
        assert!(asked.is_none_or(|asked| asked.said.len() < 100));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_wait_for_ever(
            name in prop::sample::select(vec!["retry-after", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-reset", "date", "retry-after-ms"]),
            value in "[ -~]{0,40}|[0-9]{1,22}|[0-9.]{1,12}[smhd]{1,2}|.{0,10}",
            date in "[ -~]{0,30}",
        ) {
            let pairs = headers(&[(name, &value), ("x-ratelimit-remaining", "0"), ("ratelimit-remaining", "0"), ("date", &date)]);
            for asked in [retry_after(&pairs, wrong_clock()), exhausted(&pairs, wrong_clock()), throttled(&pairs, wrong_clock())].into_iter().flatten() {
                prop_assert!(!asked.wait.is_zero() && asked.wait <= LONGEST);
            }
        }

        #[test]
        fn an_epoch_reset_is_the_same_wait_in_seconds_and_milliseconds(ahead in 1_u32..100_000) {
            let at = 1_795_262_400_u64 + u64::from(ahead);
            for text in [at.to_string(), (at * 1_000).to_string()] {
                let pairs = headers(&[("date", DATE), ("retry-after", &text)]);
                prop_assert_eq!(waited(retry_after(&pairs, wrong_clock())), Some(f64::from(ahead)));
            }
        }
    }
}
