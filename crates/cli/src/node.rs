//! Who a proxy is when it talks to the control plane: Istio's node id and metadata, as a protobuf for
//! Lateen's own proxy and as JSON for an Envoy bootstrap. In: [`NodeArgs`]. Out: one node, two forms.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{Extension, Node};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as ProtoValue};
use serde_json::{Map, Value, json};

use crate::home::instance;

/// The DNS domain of a machine without a cluster, and of a cluster that says nothing else.
pub const DOMAIN: &str = "cluster.local";
/// The cluster id that Istio's control plane gives a single cluster.
pub const CLUSTER_ID: &str = "Kubernetes";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    Gateway,
    Sidecar,
}

#[derive(Clone, Debug)]
pub struct NodeArgs {
    pub role: Role,
    pub name: String,
    pub namespace: String,
    pub address: IpAddr,
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
    /// Where a gateway's servers without `bind` listen.
    pub bind: Option<IpAddr>,
    /// The cluster's DNS domain.
    pub domain: String,
}

impl NodeArgs {
    /// The ingress gateway of a home: Istio's names and labels.
    pub fn ingress_gateway(bind: IpAddr) -> Self {
        let labels = [("app", "istio-ingressgateway"), ("istio", "ingressgateway")];
        Self {
            role: Role::Gateway,
            name: "istio-ingressgateway".into(),
            namespace: "istio-system".into(),
            address: bind,
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            service_account: "istio-ingressgateway-service-account".into(),
            bind: Some(bind),
            domain: DOMAIN.to_owned(),
        }
    }

    /// `sidecar~IP~NAME.NS~NS.svc.DOMAIN`, as Istio's proxies name themselves.
    pub fn id(&self) -> String {
        let kind = match self.role {
            Role::Gateway => "router",
            Role::Sidecar => "sidecar",
        };
        let Self { address, name, namespace, domain, .. } = self;
        format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.{domain}")
    }

    /// The name of its files in the home.
    pub fn instance(&self) -> String {
        instance(&self.namespace, &self.name)
    }

    /// The workload's canonical service, which Envoy reports as its cluster.
    pub fn cluster(&self) -> String {
        let canonical = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]
            .iter()
            .find_map(|label| self.labels.get(*label))
            .unwrap_or(&self.name);
        format!("{canonical}.{}", self.namespace)
    }

    pub fn metadata(&self) -> Value {
        let mut metadata = json!({
            "CLUSTER_ID": CLUSTER_ID,
            "INSTANCE_IPS": self.address.to_string(),
            "LABELS": self.labels,
            "MESH_ID": "cluster.local",
            "NAME": self.name,
            "NAMESPACE": self.namespace,
            "SERVICE_ACCOUNT": self.service_account,
            "WORKLOAD_NAME": self.name,
        });
        if self.role == Role::Sidecar {
            // Names are resolved by mesh DNS, so ServiceEntries without addresses get virtual ones.
            metadata["DNS_CAPTURE"] = json!("true");
        }
        if let Some(bind) = self.bind {
            metadata["LATEEN_BIND"] = json!(bind.to_string());
        }
        metadata
    }

    pub fn to_proto(&self) -> Node {
        let metadata = self.metadata().as_object().map(struct_of);
        Node {
            id: self.id(),
            cluster: self.cluster(),
            metadata,
            user_agent_name: "lateen".into(),
            extensions: vec![Extension {
                name: "istio.stats".into(),
                category: "envoy.filters.network".into(),
                ..Extension::default()
            }],
            ..Node::default()
        }
    }

    pub fn to_json(&self) -> Value {
        json!({ "id": self.id(), "cluster": self.cluster(), "metadata": self.metadata() })
    }
}

/// Metadata as protobuf.
pub fn struct_of(fields: &Map<String, Value>) -> Struct {
    Struct {
        fields: fields.iter().map(|(key, value)| (key.clone(), struct_value(value))).collect(),
    }
}

fn struct_value(value: &Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(struct_value).collect() })
        }
        Value::Object(fields) => Kind::StructValue(struct_of(fields)),
    };
    ProtoValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_named_as_istio_names_it() {
        let node = NodeArgs::ingress_gateway([127, 0, 0, 1].into());
        assert_eq!(
            node.id(),
            "router~127.0.0.1~istio-ingressgateway.istio-system~istio-system.svc.cluster.local"
        );
        assert_eq!(node.metadata()["LABELS"]["istio"], "ingressgateway");
        assert_eq!(node.metadata()["LATEEN_BIND"], "127.0.0.1");
    }

    #[test]
    fn the_protobuf_and_the_json_say_the_same() {
        let node = NodeArgs::ingress_gateway([127, 0, 0, 1].into());
        let proto = node.to_proto();
        assert_eq!(proto.id, node.to_json()["id"]);
        let labels = proto.metadata.unwrap().fields.remove("LABELS").unwrap();
        assert_eq!(labels, struct_value(&node.metadata()["LABELS"]));
    }
}
