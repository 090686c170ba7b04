//! The shapes of Kiali's graph, as it writes them: what is not so, or not known, is left out.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kiali<'g> {
    pub timestamp: u64,
    pub duration: u64,
    pub graph_type: &'static str,
    pub elements: Elements<'g>,
}

#[derive(Debug, Serialize)]
pub struct Elements<'g> {
    pub nodes: Vec<Data<NodeData<'g>>>,
    pub edges: Vec<Data<EdgeData<'g>>>,
}

#[derive(Debug, Serialize)]
pub struct Data<T> {
    pub data: T,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeData<'g> {
    pub id: Cow<'g, str>,
    /// The box that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub node_type: &'static str,
    pub cluster: &'g str,
    pub namespace: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'g str>,
    /// What those asked for who came here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dest_services: Vec<ServiceName<'g>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_service_entry: Option<ServiceEntry<'g>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_gateway: Option<Gateway<'g>>,
    #[serde(rename = "hasVS", skip_serializing_if = "Option::is_none")]
    pub has_virtual_service: Option<Hosts<'g>>,
    /// `hasCB`, `isRoot` and others of that kind, as far as they are true.
    #[serde(flatten)]
    pub marks: Pairs<&'static str, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<NodeTraffic>,
    /// What it boxes, if it is a box.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_box: Option<&'static str>,
    /// Always written, and null: health is computed by whoever reads.
    pub health_data: (),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServiceName<'g> {
    pub cluster: &'g str,
    pub namespace: &'g str,
    pub name: &'g str,
}

#[derive(Debug, Serialize)]
pub struct ServiceEntry<'g> {
    pub hosts: [Option<&'g str>; 1],
    pub location: &'static str,
    pub namespace: &'g str,
}

/// Which kind of gateway it is, and what it serves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gateway<'g> {
    IngressInfo(Hosts<'g>),
    EgressInfo(Hosts<'g>),
}

#[derive(Debug, Serialize)]
pub struct Hosts<'g> {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hostnames: &'g BTreeSet<String>,
}

#[derive(Debug, Serialize)]
pub struct NodeTraffic {
    pub protocol: &'static str,
    pub rates: Rates,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeData<'g> {
    pub id: &'g str,
    pub source: &'g str,
    pub target: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_principal: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_principal: Option<&'g str>,
    pub traffic: EdgeTraffic<'g>,
    #[serde(rename = "isMTLS", skip_serializing_if = "Option::is_none")]
    pub mutual_tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct EdgeTraffic<'g> {
    pub protocol: &'static str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub rates: Rates,
    /// By code; `-` is none.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub responses: Pairs<&'g str, Response<'g>>,
}

/// In percent of all.
#[derive(Debug, Serialize)]
pub struct Response<'g> {
    pub flags: Pairs<&'g str, Number>,
    pub hosts: Pairs<&'g str, Number>,
}

/// A map that is only written. A graph has tens of thousands of them, nearly all with one pair.
#[derive(Debug)]
pub struct Pairs<K, V>(pub Vec<(K, V)>);

impl<K, V> Pairs<K, V> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

pub type Rates = Pairs<&'static str, Number>;

/// A number as a text.
pub type Number = Cow<'static, str>;

impl<K: Serialize, V: Serialize> Serialize for Pairs<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<K, V> FromIterator<(K, V)> for Pairs<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
