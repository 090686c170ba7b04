//! `filter_metadata.istio`: the objects a resource comes from, in Istio's form.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use lateen_model::meta::Meta;
use lateen_model::service::Service;

use crate::wire::text;

/// What is said about a resource's origin.
#[derive(Debug, Default)]
pub struct Origin {
    fields: HashMap<String, Value>,
}

impl Origin {
    /// The object that configures it (`config`).
    #[must_use]
    pub fn config(mut self, meta: &Meta) -> Self {
        self.fields.insert("config".to_owned(), text(&meta.config_path()));
        self
    }

    /// The services it serves (`services`).
    #[must_use]
    pub fn services<'s>(mut self, services: impl IntoIterator<Item = &'s Service>) -> Self {
        let item = |service: &Service| {
            let fields = [
                ("host", &*service.hostname),
                ("name", &*service.name),
                ("namespace", service.namespace()),
            ];
            structure(fields.map(|(key, item)| (key.to_owned(), text(item))).into())
        };
        let values: Vec<Value> = services.into_iter().map(item).collect();
        if !values.is_empty() {
            let list = Value { kind: Some(value::Kind::ListValue(ListValue { values })) };
            self.fields.insert("services".to_owned(), list);
        }
        self
    }

    /// The subset of a cluster.
    #[must_use]
    pub fn subset(self, name: &str) -> Self {
        if name.is_empty() { self } else { self.text("subset", name) }
    }

    /// Hosts that a route names and that do not exist; connections that pick them are closed.
    #[must_use]
    pub fn unresolved(self, hosts: &[String]) -> Self {
        if hosts.is_empty() { self } else { self.text("unresolved", &hosts.join(",")) }
    }

    /// Any other field.
    #[must_use]
    pub fn text(mut self, key: &str, item: &str) -> Self {
        self.fields.insert(key.to_owned(), text(item));
        self
    }

    /// The metadata; none when nothing was said.
    pub fn build(self) -> Option<Metadata> {
        if self.fields.is_empty() {
            return None;
        }
        let istio = Struct { fields: self.fields };
        let filter_metadata = HashMap::from([("istio".to_owned(), istio)]);
        Some(Metadata { filter_metadata, ..Default::default() })
    }
}

fn structure(fields: HashMap<String, Value>) -> Value {
    Value { kind: Some(value::Kind::StructValue(Struct { fields })) }
}
