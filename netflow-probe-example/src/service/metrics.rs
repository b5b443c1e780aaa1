//! Numbers as Prometheus reads them (text format 0.0.4).
//!
//! ```text
//! # HELP netflow_exporter_packets_total Packets by what became of them.
//! # TYPE netflow_exporter_packets_total counter
//! netflow_exporter_packets_total{fate="metered"} 155824
//! ```

use core::fmt::Write as _;

use serde_json::{Map, Value};

/// Metrics of a program, by name in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Vec<Family>,
}

#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Number,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Count(u64),
    Measure(f64),
}

impl Metrics {
    /// Adds something that was counted since the start. The name ends with its unit and `_total`.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        self.add(name, help, "counter", labels, Number::Count(value));
    }

    /// Adds something that goes up and down. The name ends with its unit, if it has one.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
    ) {
        self.add(name, help, "gauge", labels, Number::Measure(value));
    }

    /// Adds seconds that were spent since the start.
    pub fn seconds(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, help, "counter", &[], Number::Measure(value));
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&'static str, &str)],
        value: Number,
    ) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let sample = Sample { labels, value };
        // All samples of a name stand together.
        match self.families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => self.families.push(Family { name, help, kind, samples: vec![sample] }),
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for Family { name, help, kind, samples } in &self.families {
            let _ = writeln!(text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for Sample { labels, value } in samples {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let labels =
                    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let _ = match value {
                    Number::Count(count) => writeln!(text, "{name}{labels} {count}"),
                    Number::Measure(measure) => writeln!(text, "{name}{labels} {measure}"),
                };
            }
        }
        text
    }

    /// The same as JSON: an object of names, with a number each or, where there are labels, an array of objects.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let number = |value: &Number| match value {
            Number::Count(count) => Value::from(*count),
            Number::Measure(measure) => Value::from(*measure),
        };
        let families = self.families.iter().map(|Family { name, samples, .. }| {
            let value = match samples.as_slice() {
                [Sample { labels, value }] if labels.is_empty() => number(value),
                samples => Value::Array(
                    samples
                        .iter()
                        .map(|Sample { labels, value }| {
                            let labels = labels
                                .iter()
                                .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
                            Value::Object(labels.chain([("value".to_owned(), number(value))]).collect())
                        })
                        .collect(),
                ),
            };
            ((*name).to_owned(), value)
        });
        Value::Object(families.collect::<Map<String, Value>>())
    }
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_name_stand_together_under_its_help() {
        let mut metrics = Metrics::default();
        metrics.counter("a_total", "First.", &[("to", "x\"\\\n")], u64::MAX);
        metrics.gauge("b", "Second.", &[], 0.5);
        metrics.counter("a_total", "First.", &[("to", "y")], 0);
        assert_eq!(
            metrics.render(),
            "# HELP a_total First.\n# TYPE a_total counter\na_total{to=\"x\\\"\\\\\\n\"} 18446744073709551615\n\
             a_total{to=\"y\"} 0\n# HELP b Second.\n# TYPE b gauge\nb 0.5\n"
        );
        assert_eq!(
            metrics.to_json().to_string(),
            r#"{"a_total":[{"to":"x\"\\\n","value":18446744073709551615},{"to":"y","value":0}],"b":0.5}"#
        );
    }
}
