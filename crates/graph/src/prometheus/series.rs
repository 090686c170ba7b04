//! A series as Prometheus answers with it, of which only what the graph is made of is kept: there are tens of thousands
//! of them at once. In: JSON. Out: the labels that are read, all of them as one number, and samples.

use std::fmt;

use lateen_telemetry::labels::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::counters::hash;

/// Labels that are read besides Istio's.
const OTHERS: [&str; 6] = ["__name__", "job", "instance", "le", "component", "exported_component"];

/// The samples of one series.
#[derive(Debug, Deserialize)]
pub struct Series {
    pub metric: Labels,
    /// A native histogram has none.
    #[serde(default)]
    pub values: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "(f64, String)")]
pub struct Sample {
    /// Seconds since 1970.
    pub time: f64,
    /// Not a number, if it is none.
    pub value: f64,
}

/// The labels of a series.
#[derive(Debug, Default)]
pub struct Labels {
    /// What tells it from others, whichever labels those differ in.
    pub id: u64,
    read: Vec<(&'static str, Box<str>)>,
}

impl Labels {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.read.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value)
    }

    /// In any order.
    pub fn put(&mut self, name: &str, value: &str) {
        self.id = self.id.wrapping_add(hash(&(name, value)));
        let known = OTHERS.iter().chain(&STANDARD).find(|known| **known == name);
        self.read.extend(known.map(|known| (*known, value.into())));
    }
}

impl From<(f64, String)> for Sample {
    fn from((time, value): (f64, String)) -> Self {
        Self { time, value: value.parse().unwrap_or(f64::NAN) }
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Labels, M::Error> {
                let mut labels = Labels::default();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    labels.put(&name, &value);
                }
                labels.read.shrink_to_fit();
                Ok(labels)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Series;

    #[test]
    fn what_is_not_read_is_not_kept_and_tells_series_apart_nevertheless() {
        let read = |pod: &str| -> Series {
            let metric =
                json!({"__name__": "istio_build", "job": "p", "reporter": "source", "pod": pod});
            let values = json!([[100, "1"], [105.0, "many"], [110, "+Inf"]]);
            serde_json::from_value(json!({"metric": metric, "values": values})).unwrap()
        };
        let (one, other) = (read("a"), read("b"));
        assert_eq!((one.metric.get("reporter"), one.metric.get("pod")), (Some("source"), None));
        assert_eq!(one.metric.get("le"), None);
        assert_ne!(one.metric.id, other.metric.id);
        assert_eq!(one.metric.id, read("a").metric.id);
        let values: Vec<f64> = one.values.iter().map(|sample| sample.value).collect();
        assert!(values[0] == 1.0 && values[1].is_nan() && values[2].is_infinite(), "{values:?}");
        let bare: Series = serde_json::from_value(json!({"metric": {}})).unwrap();
        assert!(bare.values.is_empty() && bare.metric.id == 0);
    }
}
