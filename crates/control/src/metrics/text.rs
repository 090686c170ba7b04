//! Families of the control plane's metrics. In: their samples. Out: a page in the format that its reader wants.

use lateen_telemetry::exposition::{Exposition, Format, Kind};

use super::histogram::Histogram;

/// Names and values.
pub type Labels = Vec<(&'static str, String)>;

/// The page so far.
pub struct Text(Exposition);

impl Text {
    pub fn new(format: Format) -> Self {
        Self(Exposition::new(format))
    }

    pub fn head(&mut self, name: &str, kind: Kind, help: &str) {
        self.0.family(name, kind, help);
    }

    /// A sample.
    pub fn line(&mut self, name: &str, labels: &[(&'static str, String)], value: f64) {
        self.0.sample(name, &pairs(labels), value);
    }

    /// A family of one sample.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, labels: &Labels, value: f64) {
        self.head(name, kind, help);
        self.line(name, labels, value);
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.0.single(name, Kind::Gauge, help, value);
    }

    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.single(name, Kind::Counter, help, value);
    }

    /// A family of counters.
    pub fn counters(&mut self, name: &str, help: &str, all: impl Iterator<Item = (Labels, u64)>) {
        self.head(name, Kind::Counter, help);
        all.for_each(|(labels, count)| self.0.sample(name, &pairs(&labels), count));
    }

    /// A family of histograms of seconds.
    pub fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (Labels, &'h Histogram)>,
    ) {
        self.head(name, Kind::Histogram, help);
        for (labels, times) in all {
            self.0.distribution(name, &pairs(&labels), &times.distribution());
        }
    }

    #[cfg(test)]
    pub fn into_exposition(self) -> Exposition {
        self.0
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// One label.
pub fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn pairs<'l>(labels: &'l [(&'static str, String)]) -> Vec<(&'l str, &'l str)> {
    labels.iter().map(|(name, value)| (*name, &**value)).collect()
}
