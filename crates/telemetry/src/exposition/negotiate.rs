//! Which format a scrape asks for (RFC 9110, 12.5.1, as far as Prometheus uses it). In: an `Accept` header. Out: a
//! format.

use super::Format;

pub fn best(accept: &str) -> Format {
    let mut best = (Format::Text, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let value = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim_matches('"'))
        };
        let Some(format) = format(&media, value) else { continue };
        let weight = value("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if weight > best.1 {
            best = (format, weight);
        }
    }
    best.0
}

fn format<'a>(media: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<Format> {
    match media {
        "text/plain" | "text/*" | "*/*" => Some(Format::Text),
        "application/openmetrics-text" => Some(Format::OpenMetrics),
        "application/vnd.google.protobuf"
            if value("proto") == Some("io.prometheus.client.MetricFamily")
                && value("encoding") == Some("delimited") =>
        {
            Some(Format::Protobuf)
        }
        _ => None,
    }
}
