//! What a connector's calls cost, for `kith connector check`.

use crate::declare::manifest::{By, Connector};
use crate::manifest::Json;
use crate::manifest::cost::{Cost, Money, Price};
use serde_json::json;

/// What the calls of a stream or of look-ups cost.
pub(super) struct Priced<'a> {
    pub stream: &'a str,
    /// It is looked up, to know what still stands.
    looked_up: bool,
    cost: &'a Cost,
    price: &'a Price,
    /// The most records of a call and what it then costs; `None` where the configuration alone says how many those are.
    dearest: Option<(Option<u64>, Money)>,
}

/// The prices of every stream, and of what is looked up; none, where the manifest names none.
pub(super) fn prices(connector: &Connector) -> Vec<Priced<'_>> {
    let source = &connector.source;
    let Some(cost) = &source.cost else { return Vec::new() };
    // What the configuration leaves as it is.
    let unsaid = Json::object();
    let priced = source.streams.iter().map(|stream| {
        let price = cost.of(&stream.name);
        let records = price.most_records(stream, &source.engine, &unsaid);
        let dearest = records.ok().and_then(|records| Some((records, price.dearest(stream, &source.engine, &unsaid).ok()?)));
        Priced { stream: &stream.name, looked_up: false, cost, price, dearest }
    });
    let looked_up = connector.compliance.iter().filter_map(|asked| {
        let By::LookUp(by) = &asked.by else { return None };
        let (price, records) = (cost.of_look_up(&asked.name), by.at_most() as u64);
        Some(Priced { stream: &asked.name, looked_up: true, cost, price, dearest: Some((Some(records), price.with_records(records))) })
    });
    priced.chain(looked_up).collect()
}

impl Priced<'_> {
    /// For people.
    pub fn said(&self) -> String {
        let (price, currency) = (self.price, &self.cost.currency);
        let mut parts = Vec::new();
        if price.call > Money::NONE {
            parts.push(format!("{} {currency} a call", price.call));
        }
        if price.record > Money::NONE {
            parts.push(format!("{} {currency} a record", price.record));
        }
        parts.extend(price.beside.iter().map(|(at, price)| format!("{price} {currency} each of {}", at.join("."))));
        if parts.is_empty() {
            return "costs nothing".to_owned();
        }
        let dearest = match self.dearest {
            Some((Some(records), most)) => format!("; the dearest call, of {records} records, {most} {currency}"),
            Some((None, most)) => format!("; the dearest call {most} {currency}"),
            None => "; how many records a call brings the configuration says".to_owned(),
        };
        format!("{}{dearest} (prices of {})", parts.join(", "), self.cost.as_of)
    }

    /// For programs; money as text, since it is exact.
    pub fn json(&self) -> serde_json::Value {
        let beside: serde_json::Map<_, _> = self.price.beside.iter().map(|(at, price)| (at.join("."), price.to_string().into())).collect();
        json!({
            (if self.looked_up { "look_up" } else { "stream" }): self.stream, "currency": self.cost.currency.name(), "as_of": &*self.cost.as_of, "documentation": &*self.cost.documentation,
            "per_call": self.price.call.to_string(), "per_record": self.price.record.to_string(), "beside": beside,
            "records_a_call": self.dearest.and_then(|(records, _)| records), "dearest_call": self.dearest.map(|(_, most)| most.to_string()),
        })
    }
}
