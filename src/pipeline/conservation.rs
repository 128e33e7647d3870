//! The conservation sum in the audit log: once a day and at each stop, every day whose sum changed since it was last told.

use super::RunError;
use super::leaves::Scribe;
use crate::model::Timestamp;
use crate::store::{Conservation, Store};
use std::collections::BTreeMap;

/// The setting with the day on which the sums were last told.
const DAY: &str = "conservation_day";
/// The setting with what was last told of each source and day: some 60 bytes each, so ten years of five sources are 1 MB.
const TOLD: &str = "conservation_told";

/// Sums that changed, and what is to be remembered when they are told.
fn changed(told: Option<&str>, sums: &[Conservation]) -> (Vec<Conservation>, String) {
    // What can't be read is told again.
    let before: BTreeMap<String, String> = told.and_then(|told| serde_json::from_str(told).ok()).unwrap_or_default();
    let mut after = BTreeMap::new();
    let mut news = Vec::new();
    for sum in sums {
        let name = format!("{} {}", sum.day, sum.source);
        let says = format!("{} {} {} {} {} {}", sum.received, sum.delivered, sum.parked, sum.dropped, sum.erased, sum.in_flight);
        if before.get(&name) != Some(&says) {
            news.push(sum.clone());
        }
        after.insert(name, says);
    }
    (news, serde_json::to_string(&after).unwrap_or_default())
}

/// The day in UTC, `2026-11-21`.
pub(super) fn day(now: Timestamp) -> String {
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// The first time on a day (UTC): tells every sum that changed since it was last told.
///
/// # Errors
/// When the store fails.
pub(super) async fn daily<S: Store>(store: &S, scribe: &Scribe, now: Timestamp) -> Result<(), RunError> {
    let today = day(now);
    if store.setting(DAY).await?.as_deref() != Some(today.as_str()) {
        let (mut settings, leaves) = told(store, scribe, now).await?;
        settings.push((DAY.into(), today));
        store.set(settings, leaves).await?;
    }
    Ok(())
}

/// What is to be set and told now.
///
/// # Errors
/// When the store fails or an entry can't be written.
pub(super) async fn told<S: Store>(store: &S, scribe: &Scribe, now: Timestamp) -> Result<(Vec<(String, String)>, Vec<Vec<u8>>), RunError> {
    let totals = store.totals().await?;
    let (news, remember) = changed(store.setting(TOLD).await?.as_deref(), &totals.conservation);
    let leaves = news.iter().map(|sum| scribe.conservation(sum, now)).collect::<Result<_, _>>()?;
    Ok((vec![(TOLD.into(), remember)], leaves))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(day: &str, received: u64, in_flight: u64) -> Conservation {
        Conservation {
            source: "social".into(),
            day: day.into(),
            received,
            delivered: received - in_flight,
            in_flight,
            ..Conservation::default()
        }
    }

    #[test]
    fn a_day_is_told_again_only_when_its_sum_changed() {
        let first = [sum("2026-11-20", 10, 2), sum("2026-11-21", 5, 0)];
        let (news, remember) = changed(None, &first);
        assert_eq!(news, first);
        assert!(changed(Some(&remember), &first).0.is_empty());
        let later = [sum("2026-11-20", 10, 0), sum("2026-11-21", 5, 0), sum("2026-11-22", 1, 1)];
        let (news, _) = changed(Some(&remember), &later);
        assert_eq!(news.iter().map(|s| s.day.as_str()).collect::<Vec<_>>(), ["2026-11-20", "2026-11-22"]);
        assert_eq!(changed(Some("nonsense"), &first).0.len(), 2);
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(day("2026-11-21T00:30:00+01:00".parse().unwrap()), "2026-11-20");
    }
}
