//! Prometheus' exposition formats. In: families of samples. Out: the text format 0.0.4, OpenMetrics 1.0
//! without its end mark, so that another program's text may follow, or delimited protobuf messages.
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>, the OpenMetrics specification
//! and Prometheus' `io.prometheus.client` messages.

mod negotiate;
mod protobuf;
mod text;

use std::fmt::{self, Display};

use crate::histogram::Distribution;

pub use protobuf::families as protobuf_families;

/// What the reader understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its name should end with `_total`: to OpenMetrics it is of an unknown type otherwise.
    Counter,
    Gauge,
    Histogram,
}

/// A sample's value. Counts stay whole in texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Count(u64),
    Real(f64),
}

/// A page that grows by families.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    page: Page,
}

#[derive(Debug)]
enum Page {
    Text(text::Text),
    Protobuf(protobuf::Messages),
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    /// The richest format that an `Accept` header asks for.
    pub fn negotiate(accept: Option<&str>) -> Self {
        negotiate::best(accept.unwrap_or_default())
    }
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        let page = match format {
            Format::Text => Page::Text(text::Text::new(false)),
            Format::OpenMetrics => Page::Text(text::Text::new(true)),
            Format::Protobuf => Page::Protobuf(protobuf::Messages::default()),
        };
        Self { format, page }
    }

    /// Opens a family, whose samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        match &mut self.page {
            Page::Text(text) => text.family(name, kind, help),
            Page::Protobuf(messages) => messages.open(name, kind, help),
        }
    }

    /// One sample of the family that was opened last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<Number>) {
        let value = value.into();
        match &mut self.page {
            Page::Text(text) => text.sample(name, labels, value),
            Page::Protobuf(messages) => messages.sample(labels, value),
        }
    }

    /// One sample of a family of histograms, which was opened last.
    pub fn distribution(&mut self, name: &str, labels: &[(&str, &str)], value: &Distribution) {
        match &mut self.page {
            Page::Text(text) => text.distribution(name, labels, value),
            Page::Protobuf(messages) => messages.distribution(labels, value),
        }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Number>) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes that [`Exposition::take`] would give.
    pub fn len(&self) -> usize {
        match &self.page {
            Page::Text(text) => text.len(),
            Page::Protobuf(messages) => messages.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is written so far and complete, without what was taken before; of messages, whole families.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.page {
            Page::Text(text) => text.take().into_bytes(),
            Page::Protobuf(messages) => messages.take(),
        }
    }

    /// The page as it is, which in OpenMetrics still lacks its end mark.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.page {
            Page::Text(text) => text.into_text().into_bytes(),
            Page::Protobuf(messages) => messages.into_bytes(),
        }
    }

    /// The whole page.
    pub fn finish(mut self) -> Vec<u8> {
        if let (Page::Text(text), Format::OpenMetrics) = (&mut self.page, self.format) {
            text.end();
        }
        self.into_bytes()
    }
}

impl Number {
    fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            // Prometheus writes infinities so.
            Self::Real(real) if real.is_infinite() => {
                f.write_str(if *real > 0.0 { "+Inf" } else { "-Inf" })
            }
            // The sum of nothing is a negative zero.
            Self::Real(real) => write!(f, "{}", real + 0.0),
        }
    }
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Number {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u8> for Number {
    fn from(count: u8) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Number {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<f64> for Number {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

#[cfg(test)]
mod tests;
