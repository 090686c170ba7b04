//! Prometheus' text format 0.0.4. In: families and their samples. Out: a page.

use std::fmt::Write;

use super::histogram::Histogram;

/// The text so far.
#[derive(Default)]
pub struct Text(pub String);

impl Text {
    pub fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample; the labels as [`label`] writes them, joined by commas.
    pub fn line(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A family of one sample.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, labels, value);
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.one(name, "gauge", help, "", value);
    }

    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.one(name, "counter", help, "", value as f64);
    }

    /// A family of counters.
    pub fn counters(&mut self, name: &str, help: &str, all: impl Iterator<Item = (String, u64)>) {
        self.head(name, "counter", help);
        all.for_each(|(labels, count)| self.line(name, &labels, count as f64));
    }

    /// A family of histograms of seconds.
    pub fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (String, &'h Histogram)>,
    ) {
        self.head(name, "histogram", help);
        for (labels, times) in all {
            let and = if labels.is_empty() { "" } else { "," };
            let bucket = format!("{name}_bucket");
            for (limit, below) in times.cumulative() {
                self.line(&bucket, &format!("{labels}{and}le=\"{limit}\""), below as f64);
            }
            self.line(&bucket, &format!("{labels}{and}le=\"+Inf\""), times.count as f64);
            self.line(&format!("{name}_sum"), &labels, times.sum);
            self.line(&format!("{name}_count"), &labels, times.count as f64);
        }
    }
}

/// One label. What the values are made of here needs no escapes.
pub fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}
