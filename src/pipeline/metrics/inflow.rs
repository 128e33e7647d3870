//! What metrics say of live streams and webhooks. A label is a source's and a stream's name, never the value of a list that a connection is about.

use super::{Exporter, seconds};
use crate::model::Timestamp;
use crate::pipeline::exposition::Exposition;
use crate::pipeline::supervise::StreamStanding;
use crate::pipeline::webhooks::{Book, WebhookStanding};
use crate::wire::scrape::{Page, Shown};
use std::collections::BTreeMap;

fn at(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// For how long a connection owes a sign of life, in seconds; none where somebody paused it.
fn overdue(standing: &StreamStanding, since: Timestamp, now: Timestamp) -> f64 {
    let heard = at(standing.last_heard.as_ref()).map_or(since, |heard| heard.max(since));
    let silent = now.duration_since(heard).as_secs_f64();
    let borne = std::time::Duration::from_secs(standing.heartbeat_seconds).as_secs_f64();
    if standing.paused { 0.0 } else { (silent - borne).max(0.0) }
}

impl Exporter {
    /// Connections of live streams, and for how many seconds each owes a sign of life.
    pub(in crate::pipeline) fn overdue(&self, now: Timestamp) -> Vec<(String, f64)> {
        let all = self.board.all_streams(&self.meter);
        all.iter().map(|standing| (standing.stream.clone(), overdue(standing, self.board.since(), now))).collect()
    }

    /// Webhooks, and for how many seconds something waits that should have been taken in.
    pub(in crate::pipeline) fn undrained(&self, now: Timestamp) -> Vec<(String, f64)> {
        let all = self.board.webhooks().standings(self.board.since(), now);
        all.into_iter().map(|standing| (standing.webhook, standing.undrained_seconds)).collect()
    }
}

/// Live streams, all connections of one together.
pub(super) fn streams(page: &mut Exposition, all: &[StreamStanding], since: Timestamp, now: Timestamp) {
    type Of = fn(&[&StreamStanding]) -> u64;
    let mut by_stream: BTreeMap<&str, Vec<&StreamStanding>> = BTreeMap::new();
    for standing in all {
        by_stream.entry(&standing.of).or_default().push(standing);
    }
    let gauges: [(&str, &str, Of); 2] = [
        ("kith_stream_connections", "Connections that a live stream is to have.", |of| of.len() as u64),
        ("kith_stream_connected", "Those that stand.", |of| of.iter().filter(|one| one.connected_since.is_some()).count() as u64),
    ];
    for (name, help, of) in gauges {
        let mut family = page.gauge(name, help);
        for (stream, standings) in &by_stream {
            family.count(&[("stream", stream)], of(standings));
        }
    }
    let counters: [(&str, &str, Of); 5] = [
        ("kith_stream_opened_total", "Connections that were opened since the service started.", |of| {
            of.iter().map(|one| one.connections).sum()
        }),
        ("kith_stream_events_total", "Events that were taken since the service started.", |of| of.iter().map(|one| one.events).sum()),
        ("kith_stream_gaps_total", "Gaps since the stream was first opened.", |of| of.iter().map(|one| one.gaps).sum()),
        ("kith_stream_gaps_left_total", "Those of them that nothing fills.", |of| of.iter().map(|one| one.gaps_left).sum()),
        ("kith_stream_backfilled_total", "Activity versions that gaps were filled with since the service started.", |of| {
            of.iter().map(|one| one.backfilled).sum()
        }),
    ];
    for (name, help, of) in counters {
        let mut family = page.counter(name, help);
        for (stream, standings) in &by_stream {
            family.count(&[("stream", stream)], of(standings));
        }
    }
    let mut last =
        page.gauge("kith_stream_last_event_timestamp_seconds", "When the last event came that was taken, in seconds since 1970.");
    for (stream, standings) in &by_stream {
        if let Some(newest) = standings.iter().filter_map(|one| at(one.last_event.as_ref())).max() {
            last.value(&[("stream", stream)], seconds(newest));
        }
    }
    let mut late = page.gauge(
        "kith_stream_overdue_seconds",
        "For how long the most silent connection owes a sign of life, beyond the silence that the connector bears; 0 while the source is paused.",
    );
    for (stream, standings) in &by_stream {
        late.value(&[("stream", stream)], standings.iter().map(|one| overdue(one, since, now)).fold(0.0, f64::max));
    }
}

/// Webhooks.
pub(super) fn webhooks(page: &mut Exposition, all: &[WebhookStanding]) {
    let mut received = page.counter("kith_webhook_received_total", "Deliveries that were answered 200 here since the process started.");
    for standing in all.iter().filter(|standing| !standing.outside) {
        received.count(&[("source", &standing.webhook)], standing.received);
    }
    let mut refused = page.counter("kith_webhook_refused_total", "Deliveries that were refused here since the process started.");
    for standing in all {
        for (reason, count) in &standing.refused {
            refused.count(&[("source", &standing.webhook), ("reason", reason)], *count);
        }
    }
    let mut drained = page.counter("kith_webhook_drained_total", "Deliveries that were taken in since the process started.");
    for standing in all {
        drained.count(&[("source", &standing.webhook)], standing.drained);
    }
    let mut bytes = page.gauge("kith_webhook_spool_bytes", "Bytes of deliveries that wait in the spool here.");
    for standing in all {
        if let Some(waits) = standing.spool_bytes {
            bytes.count(&[("source", &standing.webhook)], waits);
        }
    }
    let mut waits = page.gauge(
        "kith_webhook_undrained_seconds",
        "How long the oldest delivery waits to be taken in; where a listener outside has them, also for how long it has not been reached.",
    );
    for standing in all {
        waits.value(&[("source", &standing.webhook)], standing.undrained_seconds);
    }
    let mut leases = page.gauge(
        "kith_webhook_subscription_until_timestamp_seconds",
        "Until when the first subscription at a hub to end holds, in seconds since 1970; 0: one is not confirmed.",
    );
    for standing in all.iter().filter(|standing| !standing.subscriptions.is_empty()) {
        let until = standing.subscriptions.iter().map(|one| at(one.until.as_ref()).map_or(0.0, seconds)).fold(f64::INFINITY, f64::min);
        leases.value(&[("source", &standing.webhook)], until);
    }
}

/// What a listener that runs alone says.
pub fn alone(book: &Book, since: Timestamp, now: Timestamp, asked: Page) -> Shown {
    let text = match asked {
        Page::Health => "ok\n".to_owned(),
        Page::Ready => "ready\n".to_owned(),
        Page::Metrics => {
            let mut page = Exposition::default();
            page.gauge("kith_build_info", "The program.").count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
            page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.").value(&[], seconds(since));
            webhooks(&mut page, &book.standings(since, now));
            page.finish()
        }
    };
    Shown { well: true, text }
}
