//! The text formats. In: families and samples. Out: their lines.

use std::fmt::Write;

use super::{Kind, Number};
use crate::histogram::Distribution;

#[derive(Debug)]
pub struct Text {
    open_metrics: bool,
    text: String,
}

impl Text {
    pub fn new(open_metrics: bool) -> Self {
        Self { open_metrics, text: String::new() }
    }

    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (family, word) = match kind {
            Kind::Gauge => (name, "gauge"),
            Kind::Histogram => (name, "histogram"),
            Kind::Counter if !self.open_metrics => (name, "counter"),
            // OpenMetrics names a counter's family without the ending of its sample, and knows none without it.
            Kind::Counter => match name.strip_suffix("_total") {
                Some(family) => (family, "counter"),
                None => (name, "unknown"),
            },
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}")
            .expect("writing to a string does not fail");
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Number) {
        self.line(name, "", labels, None, value);
    }

    pub fn distribution(&mut self, name: &str, labels: &[(&str, &str)], value: &Distribution) {
        for (bound, below) in &value.buckets {
            let bound = Number::Real(*bound).to_string();
            self.line(name, "_bucket", labels, Some(("le", &bound)), (*below).into());
        }
        self.line(name, "_bucket", labels, Some(("le", "+Inf")), value.count.into());
        self.line(name, "_sum", labels, None, value.sum.into());
        self.line(name, "_count", labels, None, value.count.into());
    }

    pub fn end(&mut self) {
        self.text.push_str("# EOF\n");
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn take(&mut self) -> String {
        let room = self.text.capacity();
        std::mem::replace(&mut self.text, String::with_capacity(room))
    }

    pub fn into_text(self) -> String {
        self.text
    }

    fn line(
        &mut self,
        name: &str,
        ending: &str,
        labels: &[(&str, &str)],
        last: Option<(&str, &str)>,
        value: Number,
    ) {
        self.text.push_str(name);
        self.text.push_str(ending);
        let mut before = '{';
        for (label, value) in labels.iter().copied().chain(last) {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").expect("writing to a string does not fail");
    }
}

fn escape(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}
