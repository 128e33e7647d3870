//! What calls cost: exact money, prices by stream, the dearest that a call can become, and the months that budgets are of.

use super::json::Json;
use super::path;
use super::source::Stream;
use super::template::{Engine, EvaluationError, Fallback, Scope, Template, Wanted};
use crate::model::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::sync::Arc;

/// Digits before the point: 10^12 units are 10^18 millionths, which 64 bits hold eighteen times.
const MOST_DIGITS: usize = 12;
/// Digits after the point.
const PLACES: usize = 6;
const UNIT: u64 = 1_000_000;
/// Records that one call can bring: more is another unit. An answer of 64 MiB holds fewer.
const MOST_RECORDS: i128 = 10_000_000;

/// Money of some currency, in whole millionths of its unit. Sums stop at the most that there is and never wrap: what is too much for 64 bits is
/// beyond every budget.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Of so many millionths.
    pub const fn of_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// `0.005`, `50`, `50.00`: at most twelve digits before the point and six after it; no sign, no exponent, no separators.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole, MOST_DIGITS) || !digits(part, PLACES) {
            return None;
        }
        let millionths = format!("{part:0<PLACES$}").parse::<u64>().ok()?;
        Some(Self(whole.parse::<u64>().ok()?.checked_mul(UNIT)?.checked_add(millionths)?))
    }

    /// With more.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// Without less; nothing, where less is more.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }

    /// So many times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// For a gauge, whose numbers are binary fractions: near enough to draw, never to reckon with.
    #[allow(clippy::cast_precision_loss, reason = "a gauge shows fifteen digits")]
    pub fn shown_as_number(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Money {
    /// Two places at least, and as many as there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:06}", self.0 % UNIT);
        let kept = part.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / UNIT, part.get(..kept).unwrap_or(&part))
    }
}

/// A currency's three letters (ISO 4217).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Currency(Arc<str>);

impl Currency {
    /// Three capital letters.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| Self(text.into()))
    }

    /// Its letters.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be spent in a month.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// So much.
    pub most: Money,
    /// Of this currency.
    pub currency: Currency,
}

impl Budget {
    /// `50.00 USD`
    pub fn parse(text: &str) -> Option<Self> {
        let (most, currency) = text.trim().split_once(' ')?;
        Some(Self { most: Money::parse(most)?, currency: Currency::parse(currency.trim_start())? })
    }
}

/// What a call of a stream costs.
#[derive(Clone, Debug, Default)]
pub struct Price {
    /// Each call that is answered, whatever the answer.
    pub call: Money,
    /// Each record of an answer, before any is filtered.
    pub record: Money,
    /// Each item of a list that stands beside the records: where it is, from the top of the answer. At most one for each record.
    pub beside: Vec<(Vec<String>, Money)>,
    /// Records that a call brings at most; the paginator's page size, where nothing is said.
    pub most_records: Option<Template>,
}

/// Why the dearest call is not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceError {
    /// A template.
    #[error(transparent)]
    Template(#[from] EvaluationError),
    /// No number of records.
    #[error(
        "the most records that a call brings are no whole number from 0 to {MOST_RECORDS}: `records_a_call` of `metadata.kith.cost`, or the page size"
    )]
    Records,
}

impl Price {
    /// A record with what can stand beside it.
    pub fn of_record(&self) -> Money {
        self.beside.iter().fold(self.record, |sum, (_, price)| sum.plus(*price))
    }

    /// Records that a call of this stream brings at most; `None` where records cost nothing and it does not matter.
    ///
    /// # Errors
    /// Where nothing gives a number.
    pub fn most_records(&self, stream: &Stream, engine: &Engine, config: &Json) -> Result<Option<u64>, PriceError> {
        if self.of_record() == Money::NONE {
            return Ok(None);
        }
        let scope = Scope::new(config);
        let found = match (&self.most_records, &stream.paginator) {
            (Some(template), _) => match template.evaluate(engine, &scope, Fallback::Own, Wanted::Any)? {
                Json::Int(count) => Some(count),
                Json::Text(text) => text.trim().parse().ok(),
                Json::Null | Json::Bool(_) | Json::Float(_) | Json::List(_) | Json::Map(_) => None,
            },
            (None, Some(pages)) => pages.size(engine, &scope).map_err(|_none| PriceError::Records)?,
            (None, None) => None,
        };
        let found = found.filter(|count| (0..=MOST_RECORDS).contains(count)).and_then(|count| u64::try_from(count).ok());
        found.map(Some).ok_or(PriceError::Records)
    }

    /// The most that a call can cost which brings so many records.
    pub fn with_records(&self, records: u64) -> Money {
        self.call.plus(self.of_record().times(records))
    }

    /// The most that a call of this stream can cost.
    ///
    /// # Errors
    /// Where nothing says how many records it can bring.
    pub fn dearest(&self, stream: &Stream, engine: &Engine, config: &Json) -> Result<Money, PriceError> {
        let records = self.most_records(stream, engine, config)?.unwrap_or_default();
        Ok(self.with_records(records))
    }

    /// What a call cost that was answered with so many records; `page` has what stands beside them, and without it one is reckoned for each.
    pub fn of_answer(&self, records: usize, page: Option<&Json>) -> Money {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let beside = self.beside.iter().map(|(at, price)| {
            let found = match page {
                Some(page) => path::get(page, at).and_then(Json::items).map_or(0, <[Json]>::len),
                None => records,
            };
            price.times(count(found))
        });
        beside.fold(self.call.plus(self.record.times(count(records))), Money::plus)
    }
}

/// `metadata.kith.cost`: prices as the network publishes them.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The currency of all of them.
    pub currency: Currency,
    /// The day on which somebody last compared them with what the network says.
    pub as_of: Arc<str>,
    /// Where it says so.
    pub documentation: Arc<str>,
    /// In which time zone its month begins.
    pub zone: TimeZone,
    /// Of streams that are not named.
    pub usual: Price,
    /// Of streams that are.
    pub streams: Vec<(String, Price)>,
    /// Of look-ups of what still stands that are named, by their names in `metadata.kith.compliance`.
    pub look_ups: Vec<(String, Price)>,
}

impl Cost {
    /// What a stream's calls cost.
    pub fn of(&self, stream: &str) -> &Price {
        self.streams.iter().find(|(name, _)| name == stream).map_or(&self.usual, |(_, price)| price)
    }

    /// What a look-up costs, by its name.
    pub fn of_look_up(&self, name: &str) -> &Price {
        self.look_ups.iter().find(|(known, _)| known == name).map_or(&self.usual, |(_, price)| price)
    }
}

/// A month in some time zone, and when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Month {
    /// Months since the year 0: one more each.
    pub number: i32,
    /// When the next one begins.
    pub ends: Timestamp,
}

impl Month {
    /// The one that a time lies in.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let here = at.to_zoned(zone.clone()).date();
        let number = i32::from(here.year()) * 12 + i32::from(here.month()) - 1;
        let first = Self::first(number + 1).and_then(|date| date.to_zoned(zone.clone()).ok());
        // The year 10,000 has no budget.
        Self { number, ends: first.map_or(Timestamp::MAX, |first| first.timestamp()) }
    }

    fn first(number: i32) -> Option<Date> {
        let year = i16::try_from(number.div_euclid(12)).ok()?;
        Date::new(year, i8::try_from(number.rem_euclid(12) + 1).ok()?, 1).ok()
    }

    /// `2026-11`
    pub fn name(number: i32) -> String {
        format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_is_read_as_it_is_written_and_nothing_else_is_money() {
        for (text, millionths) in
            [("0.005", 5_000), ("50", 50_000_000), ("50.00", 50_000_000), ("0", 0), ("999999999999.999999", 999_999_999_999_999_999)]
        {
            assert_eq!(Money::parse(text), Some(Money(millionths)), "{text}");
        }
        for text in ["", ".5", "5.", "-1", "+1", "1e3", "1,5", "0.0000001", "1000000000000", " 1", "1 ", "٣", "nan", "1_0"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
        assert_eq!([Money(5_000), Money(50_000_000), Money(1_500_001)].map(|money| money.to_string()), ["0.005", "50.00", "1.500001"]);
        assert_eq!(
            Budget::parse("50.00 USD").map(|budget| (budget.most, budget.currency.name().to_owned())),
            Some((Money(50_000_000), "USD".to_owned()))
        );
        for text in ["50.00", "USD 50", "50 usd", "50 EURO", "50USD", "-5 USD"] {
            assert_eq!(Budget::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_month_ends_where_its_zone_says() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let utc = Month::of(at("2026-12-31T23:30:00Z"), &TimeZone::UTC);
        assert_eq!((Month::name(utc.number), utc.ends), ("2026-12".to_owned(), at("2027-01-01T00:00:00Z")));
        // Summer time ends within that month.
        let there = TimeZone::get("America/Los_Angeles").unwrap();
        let month = Month::of(at("2026-11-01T06:59:59Z"), &there);
        assert_eq!((Month::name(month.number), month.ends), ("2026-10".to_owned(), at("2026-11-01T07:00:00Z")));
        assert_eq!(Month::of(month.ends, &there).ends, at("2026-12-01T08:00:00Z"));
        assert_eq!(Month::of(Timestamp::MAX, &TimeZone::UTC).ends, Timestamp::MAX);
    }

    #[test]
    fn an_answer_costs_what_it_brought() {
        let price = Price {
            call: Money(1),
            record: Money(10),
            beside: vec![(vec!["includes".into(), "users".into()], Money(100))],
            most_records: None,
        };
        let page = Json::parse(br#"{"includes":{"users":[1,2,3]}}"#).unwrap();
        assert_eq!(price.of_answer(5, Some(&page)), Money(351));
        assert_eq!(price.of_answer(5, Some(&Json::object())), Money(51));
        assert_eq!(price.of_answer(5, None), Money(551), "what could not be looked at is reckoned in full");
        assert_eq!(price.of_answer(0, Some(&Json::object())), Money(1));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millionths in 0..1_000_000_000_000_000_000_u64) {
            prop_assert_eq!(Money::parse(&Money(millionths).to_string()), Some(Money(millionths)));
        }

        #[test]
        fn sums_never_wrap_and_never_lose(a in any::<u64>(), b in any::<u64>(), count in any::<u64>()) {
            prop_assert!(Money(a).plus(Money(b)) >= Money(a));
            prop_assert_eq!(u128::from(Money(a).plus(Money(b)).0), (u128::from(a) + u128::from(b)).min(u64::MAX.into()));
            prop_assert_eq!(u128::from(Money(a).times(count).0), (u128::from(a) * u128::from(count)).min(u64::MAX.into()));
            prop_assert_eq!(Money(a).minus(Money(b)), Money(a.saturating_sub(b)));
        }

        #[test]
        fn any_text_is_money_or_none(text in "\\PC{0,20}") {
            if let Some(money) = Money::parse(&text) {
                prop_assert_eq!(Money::parse(&money.to_string()), Some(money));
            }
            drop(Budget::parse(&text));
        }
    }
}
