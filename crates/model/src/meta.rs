//! Who an object is and how old it is: the order of precedence that Istio uses everywhere.

use std::cmp::Ordering;

use lateen_api::issue::ObjectRef;

/// An object's identity. Orders by creation time, then name, then namespace: the oldest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub object: ObjectRef,
    pub namespace: String,
    pub name: String,
    /// Seconds since the epoch; 0 when unknown.
    pub created: i64,
}

impl Meta {
    /// The path that Istio puts into `filter_metadata.istio.config`.
    pub fn config_path(&self) -> String {
        let version = match self.object.group.as_str() {
            "networking.istio.io" => "v1alpha3",
            _ => "v1",
        };
        let group = if self.object.group.is_empty() { "core" } else { &self.object.group };
        let kind = kebab(&self.object.kind);
        format!("/apis/{group}/{version}/namespaces/{}/{kind}/{}", self.namespace, self.name)
    }
}

/// `VirtualService` -> `virtual-service`, as Istio writes kinds in that path.
fn kebab(kind: &str) -> String {
    let mut out = String::with_capacity(kind.len() + 4);
    for (i, c) in kind.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl Ord for Meta {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = (self.created, &self.name, &self.namespace);
        key.cmp(&(other.created, &other.name, &other.namespace))
            .then_with(|| self.object.cmp(&other.object))
    }
}

impl PartialOrd for Meta {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
