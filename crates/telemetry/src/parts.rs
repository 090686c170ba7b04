//! Reports that are too large for one message. In: families. Out: the same in messages of bounded size, all of which but
//! the last say that more follows.

use envoy_types::pb::io::prometheus::client::{Gauge, Metric as Sample, MetricFamily, MetricType};
use prost::Message;
use prost::encoding::encoded_len_varint;

use crate::standard::MORE;

/// Bytes of one message: a report of a thousand series is one.
pub const PART: usize = 1 << 20;

/// Cuts a report into parts of so many bytes, in its order; a sample that is larger is in a part of its own.
pub fn parts(families: Vec<MetricFamily>, most: usize) -> Vec<Vec<MetricFamily>> {
    if families.iter().map(weight).sum::<usize>() <= most {
        return vec![families];
    }
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for mut family in families {
        let samples = std::mem::take(&mut family.metric);
        let head = weight(&family);
        let mut open: Option<MetricFamily> = None;
        for sample in samples {
            let own = weight(&sample);
            if bytes > 0 && bytes + head + own > most {
                part.extend(open.take());
                part.push(more());
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            let family = open.get_or_insert_with(|| {
                bytes += head;
                family.clone()
            });
            family.metric.push(sample);
            bytes += own;
        }
        part.extend(open);
    }
    parts.push(part);
    parts
}

/// Of a field of another message.
fn weight(message: &impl Message) -> usize {
    let own = message.encoded_len();
    1 + encoded_len_varint(own as u64) + own
}

/// What a part says that is not the last one.
pub fn more() -> MetricFamily {
    let gauge = Some(Gauge { value: Some(1.0) });
    MetricFamily {
        name: Some(MORE.to_owned()),
        r#type: Some(MetricType::Gauge.into()),
        metric: vec![Sample { gauge, ..Sample::default() }],
        ..MetricFamily::default()
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::io::prometheus::client::LabelPair;
    use prost::Message;

    use super::{MetricFamily, Sample, more, parts};

    fn family(name: &str, samples: impl Iterator<Item = usize>) -> MetricFamily {
        let label = |length| LabelPair { name: None, value: Some("x".repeat(length)) };
        let metric =
            samples.map(|length| Sample { label: vec![label(length)], ..Sample::default() });
        MetricFamily {
            name: Some(name.into()),
            metric: metric.collect(),
            ..MetricFamily::default()
        }
    }

    fn bytes(part: &[MetricFamily]) -> usize {
        part.iter().filter(|family| **family != more()).map(|family| family.encoded_len() + 4).sum()
    }

    #[test]
    fn nothing_is_lost_or_moved_and_every_part_fits() {
        let report = || vec![family("a", 0..50), family("none", 0..0), family("b", 30..90)];
        let samples = |all: &[MetricFamily]| -> Vec<(String, Sample)> {
            let of = |one: &MetricFamily| {
                let name = one.name().to_owned();
                one.metric
                    .iter()
                    .map(move |sample| (name.clone(), sample.clone()))
                    .collect::<Vec<_>>()
            };
            all.iter().filter(|one| **one != more()).flat_map(of).collect()
        };
        for most in [120, 300, 1000, 4000] {
            let parts = parts(report(), most);
            assert!(parts.len() > 1 && parts.iter().all(|part| bytes(part) <= most + 8), "{most}");
            assert_eq!(samples(&parts.concat()), samples(&report()), "{most}");
            let says_more: Vec<bool> =
                parts.iter().map(|part| part.last() == Some(&more())).collect();
            let (last, others) = says_more.split_last().unwrap();
            assert!(!last && others.iter().all(|more| *more), "{most}");
        }
    }

    #[test]
    fn what_fits_is_one_part_and_what_cannot_fit_has_its_own() {
        let small = vec![family("a", 0..3)];
        assert_eq!(parts(small.clone(), 1000), vec![small]);
        assert_eq!(parts(Vec::new(), 1000), vec![Vec::new()]);
        let cut = parts(vec![family("a", [1, 5000, 2].into_iter())], 100);
        let lengths: Vec<usize> = cut.iter().map(|part| part[0].metric.len()).collect();
        assert_eq!(lengths, [1, 1, 1]);
    }
}
