//! What a proxy may tell. In: the telemetry of a proxy that has shown whose it is. Out: the part of it that it has seen
//! itself: nobody draws traffic between others. The side that reports is always the proxy's own workload, a
//! gateway's and that of passthrough too.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::io::prometheus::client::{LabelPair, MetricFamily};
use lateen_xds::server::{Collection, Collector};

use crate::debug::Proxies;

/// Lets through what a namespace's proxies may tell.
pub struct Witness<C: ?Sized> {
    pub namespace: String,
    pub inner: Arc<C>,
    /// Counts the rest.
    pub proxies: Arc<Proxies>,
}

impl Collection for Witness<dyn Collection> {
    fn stream(&self, node: &Node) -> Option<Arc<dyn Collector>> {
        let inner = self.inner.stream(node)?;
        let (namespace, proxies) = (self.namespace.clone(), self.proxies.clone());
        Some(Arc::new(Witness { namespace, inner, proxies }))
    }

    fn connections(&self, node: &Node, mut entries: Vec<TcpAccessLogEntry>) {
        let before = entries.len();
        entries.retain(|entry| {
            let tags = entry.common_properties.as_ref().map(|common| &common.custom_tags);
            self.saw(|name| tags?.get(name).map(String::as_str))
        });
        self.proxies.refused(&self.namespace, before - entries.len());
        self.inner.connections(node, entries);
    }
}

impl Collector for Witness<dyn Collector> {
    fn metrics(&self, mut families: Vec<MetricFamily>) {
        let mut refused = 0;
        for family in &mut families {
            let before = family.metric.len();
            family.metric.retain(|sample| {
                let label = |name: &str| sample.label.iter().find(|label| label.name() == name);
                self.saw(|name| label(name).map(LabelPair::value))
            });
            refused += before - family.metric.len();
        }
        self.proxies.refused(&self.namespace, refused);
        self.inner.metrics(families);
    }

    fn standing(&self) -> Vec<MetricFamily> {
        self.inner.standing()
    }
}

impl<C: ?Sized> Witness<C> {
    /// Whether the side that reports is of the namespace. What names no side is not about traffic.
    fn saw<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        let own = match label("reporter") {
            Some("source") => "source_workload_namespace",
            Some("destination") => "destination_workload_namespace",
            _ => return true,
        };
        label(own) == Some(&self.namespace)
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use envoy_types::pb::envoy::data::accesslog::v3::AccessLogCommon;
    use envoy_types::pb::io::prometheus::client::Metric;

    use super::{
        Arc, Collection, Collector, LabelPair, MetricFamily, Node, Proxies, TcpAccessLogEntry,
        Witness,
    };

    /// Notes how many samples and connections arrive.
    #[derive(Default)]
    pub struct Arrived(pub Arc<Mutex<(usize, usize)>>);

    impl Collection for Arrived {
        fn stream(&self, _: &Node) -> Option<Arc<dyn Collector>> {
            Some(Arc::new(Self(self.0.clone())))
        }

        fn connections(&self, _: &Node, entries: Vec<TcpAccessLogEntry>) {
            self.0.lock().unwrap().1 += entries.len();
        }
    }

    impl Collector for Arrived {
        fn metrics(&self, families: Vec<MetricFamily>) {
            let samples = families.iter().map(|family| family.metric.len());
            self.0.lock().unwrap().0 += samples.sum::<usize>();
        }

        fn standing(&self) -> Vec<MetricFamily> {
            Vec::new()
        }
    }

    /// One sample.
    pub fn family(labels: &[(&str, &str)]) -> MetricFamily {
        let pair = |(name, value): &(&str, &str)| LabelPair {
            name: Some((*name).into()),
            value: Some((*value).into()),
        };
        let sample = Metric { label: labels.iter().map(pair).collect(), ..Metric::default() };
        MetricFamily { metric: vec![sample], ..MetricFamily::default() }
    }

    fn told(labels: &[(&str, &str)]) -> ((usize, usize), u64) {
        let arrived = Arrived::default();
        let (counts, proxies) = (arrived.0.clone(), Arc::<Proxies>::default());
        let inner: Arc<dyn Collection> = Arc::new(arrived);
        let witness = Witness { namespace: "shop".into(), inner, proxies: proxies.clone() };
        witness.stream(&Node::default()).unwrap().metrics(vec![family(labels)]);
        let tags = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let common =
            AccessLogCommon { custom_tags: tags.collect::<HashMap<_, _>>(), ..Default::default() };
        let entry = TcpAccessLogEntry { common_properties: Some(common), ..Default::default() };
        witness.connections(&Node::default(), vec![entry]);
        let arrived = *counts.lock().unwrap();
        (arrived, proxies.counts().foreign)
    }

    #[test]
    fn what_a_proxy_has_seen_itself_arrives() {
        let other = ("destination_workload_namespace", "db");
        let client = [("reporter", "source"), ("source_workload_namespace", "shop"), other];
        assert_eq!(told(&client), ((1, 1), 0));
        let other = ("source_workload_namespace", "web");
        let server =
            [("reporter", "destination"), other, ("destination_workload_namespace", "shop")];
        assert_eq!(told(&server), ((1, 1), 0));
        // Passthrough: where it goes is not known, but whose it is.
        let other = ("destination_workload_namespace", "unknown");
        let passed = [("reporter", "source"), ("source_workload_namespace", "shop"), other];
        assert_eq!(told(&passed), ((1, 1), 0));
        assert_eq!(told(&[("node", "a")]), ((1, 1), 0));
    }

    #[test]
    fn what_others_would_have_seen_is_refused_and_counted() {
        let own = ("destination_workload_namespace", "shop");
        let client = [("reporter", "source"), ("source_workload_namespace", "db"), own];
        assert_eq!(told(&client), ((0, 0), 2));
        let own = ("source_workload_namespace", "shop");
        let server = [("reporter", "destination"), own, ("destination_workload_namespace", "db")];
        assert_eq!(told(&server), ((0, 0), 2));
        assert_eq!(told(&[("reporter", "source")]), ((0, 0), 2));
    }
}
