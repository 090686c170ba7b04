//! Prometheus' exposition formats. In: families of samples. Out: their text, in the text format 0.0.4 or in
//! OpenMetrics 1.0 without its end mark, so that another program's text may follow.
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics specification.

use std::fmt::{Display, Write};

/// What the reader understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its name ends with `_total`.
    Counter,
    Gauge,
}

/// A text that grows by families.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Opens a family, whose samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (family, word) = match (kind, self.format) {
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Counter, Format::Text) => (name, "counter"),
            // OpenMetrics names a counter's family without the ending of its sample.
            (Kind::Counter, Format::OpenMetrics) => {
                (name.strip_suffix("_total").unwrap_or(name), "counter")
            }
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}")
            .expect("writing to a string does not fail");
    }

    /// One sample of the family that was opened last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").expect("writing to a string does not fail");
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Format, Kind};

    fn written(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family("requests_total", Kind::Counter, "Requests.\nAll.");
        out.sample("requests_total", &[("path", "a\"b\\c\n"), ("code", "200")], 7);
        out.single("up", Kind::Gauge, "Whether it runs.", 1);
        out.into_text()
    }

    #[test]
    fn text_names_families_as_their_samples() {
        let expected = "# HELP requests_total Requests.\\nAll.\n# TYPE requests_total counter\n\
                        requests_total{path=\"a\\\"b\\\\c\\n\",code=\"200\"} 7\n\
                        # HELP up Whether it runs.\n# TYPE up gauge\nup 1\n";
        assert_eq!(written(Format::Text), expected);
    }

    #[test]
    fn openmetrics_names_a_counters_family_without_its_ending() {
        let text = written(Format::OpenMetrics);
        assert!(text.contains("# TYPE requests counter\nrequests_total{"), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
    }
}
