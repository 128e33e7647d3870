//! The text format of Prometheus (exposition format 0.0.4): families of samples, escaped, numbers as they are.

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// A metric that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// A metric that only goes up; its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, "counter")
    }

    /// Durations by bucket.
    pub fn histogram(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, "histogram")
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) -> Family<'_> {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.0.push_str(part);
        }
        Family { text: &mut self.0, name: name.to_owned() }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The samples of one metric.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Family<'_> {
    /// A sample with a whole number.
    pub fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        self.sample("", labels, &value.to_string());
    }

    /// A sample with a fraction.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, &value.to_string());
    }

    /// A line of a histogram: `_bucket`, `_sum` or `_count`.
    pub fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.sample(suffix, labels, value);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (at, (name, label)) in labels.iter().enumerate() {
            for part in [if at == 0 { "{" } else { "," }, name, "=\"", &escaped(label), "\""] {
                self.text.push_str(part);
            }
        }
        for part in [if labels.is_empty() { " " } else { "} " }, value, "\n"] {
            self.text.push_str(part);
        }
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_plain() {
        let mut page = Exposition::default();
        let mut family = page.gauge("kith_x", "About x.");
        family.count(&[("a", "b\"c\\d\ne")], 7);
        family.value(&[], 0.25);
        assert_eq!(page.finish(), "# HELP kith_x About x.\n# TYPE kith_x gauge\nkith_x{a=\"b\\\"c\\\\d\\ne\"} 7\nkith_x 0.25\n");
    }
}
