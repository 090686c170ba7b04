//! Every field that an IstioOperator can have, today's and those of Istio's past, with what it does
//! here. In: nothing. Out: a tree to walk beside a file.
//!
//! Sources: Istio's reference of IstioOperator and of the installation's values, release 1.4 to 1.32.

mod gateways;
mod global;
mod gone;
mod mesh;
mod operator;
mod values;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::form::Form;
use crate::path::{self, Step};

/// Reasons that several tables give.
const ONE_IMAGE: &str =
    "one image holds every part, it is HUB/lateen:TAG; a whole image name is kept";
const MIXER: &str =
    "there is no Mixer any more, AuthorizationPolicy and the Telemetry kind take its place";
const HTTP: &str = "it is for HTTP, which passes through the proxy as TCP";
const REMOTE: &str = "a control plane outside of the cluster is not offered";
const SNIFFING: &str = "a port's protocol is its name's or its appProtocol's";
const FAMILIES: &[&str] = &["", "SingleStack", "PreferDualStack", "RequireDualStack"];
const ROUTES: &str = "write a Gateway object with its hosts and certificates";

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    Bool,
    Int,
    /// The number of a port, or 0.
    Port,
    Number,
    Text,
    /// A text of a form.
    Word(Form),
    /// Texts of a form.
    Words(Form),
    /// A label's value, which YAML may take for a number.
    Scalar,
    /// An image tag, for which the same holds.
    Tag,
    IntOrText,
    OneOf(&'static [&'static str]),
    Texts,
    /// Labels by their keys.
    Labels,
    /// Texts by keys that are like labels'.
    Annotations,
    /// Texts by name.
    Named,
    /// Environment: scalars by name.
    Environment,
    /// One of Kubernetes' or Istio's own types, by the name of its definition.
    Schema(&'static str),
    Schemas(&'static str),
    /// A HorizontalPodAutoscaler's spec, of today or of `autoscaling/v2beta1`.
    Autoscaler,
    Object,
    List,
    Any,
    /// What the type of the object says that it is a part of.
    Inherited,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    Used,
    /// The same setting has this path today, and is read as that.
    Moved(&'static str),
    /// It is read, and another value takes its place; the reason.
    Mapped(&'static str),
    /// It does nothing; what is there in its place.
    Gone(&'static str),
    /// It cannot be had when it is on; the reason.
    Refused(&'static str),
}

/// A field: its path below `spec` (`*` is any key, `[]` an item), its type, its meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry(pub &'static str, pub Type, pub Meaning);

/// The fields by the segments of their paths.
#[derive(Debug, Default)]
pub struct Node {
    pub children: BTreeMap<String, Node>,
    pub entry: Option<Entry>,
}

impl Node {
    /// The node of a key; `*` stands for all that are not named.
    pub fn child(&self, key: &str) -> Option<&Node> {
        self.children.get(key).or_else(|| self.children.get("*"))
    }

    fn insert(&mut self, path: &str, entry: Entry) {
        let mut node = self;
        for segment in path.split('.') {
            node = node.children.entry(segment.to_owned()).or_default();
        }
        node.entry = Some(entry);
    }
}

/// All fields.
pub static FIELDS: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    for (path, entry) in all() {
        root.insert(&path, entry);
    }
    root
});

/// All paths with their entries; those of a component's Kubernetes settings are written out.
pub fn all() -> impl Iterator<Item = (String, Entry)> {
    let once =
        [operator::FIELDS, global::FIELDS, values::FIELDS, gone::FIELDS, mesh::FIELDS].concat();
    let once = once.into_iter().map(|entry| (entry.0.to_owned(), entry));
    let below = |prefixes: &'static [&'static str], fields: &'static [Entry]| {
        prefixes.iter().flat_map(move |prefix| {
            fields.iter().map(move |entry| (format!("{prefix}.{}", entry.0), *entry))
        })
    };
    once.chain(below(operator::K8S_OF, operator::K8S))
        .chain(below(operator::OVERLAYS_OF, operator::OVERLAYS))
        .chain(below(operator::GATEWAYS_OF, operator::GATEWAY))
        .chain(below(gateways::GATEWAYS_OF, gateways::GATEWAY))
}

/// Where the value at `steps` belongs today, if it or what it is a part of has moved: the old path of
/// what has moved, the new one, and how many steps lead to it.
pub fn moved(steps: &[Step]) -> Option<(String, &'static str, usize)> {
    let mut node = &*FIELDS;
    for (at, step) in steps.iter().enumerate() {
        let Step::Key(key) = step else { return None };
        node = node.child(key)?;
        if let Some(Entry(_, _, Meaning::Moved(to))) = node.entry {
            return Some((path::show(&steps[..=at]), to, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Entry, FIELDS, Meaning, all};

    #[test]
    fn no_path_is_listed_twice_and_every_new_place_is_known() {
        let mut seen = BTreeSet::new();
        for (path, entry) in all() {
            assert!(seen.insert(path.clone()), "{path} is listed twice");
            if let Meaning::Moved(to) = entry.2 {
                let known = to.split('.').try_fold(&*FIELDS, |node, key| match node.entry {
                    Some(_) => Some(node),
                    None => node.child(key),
                });
                assert!(known.is_some(), "{path} moved to {to}");
            }
        }
    }

    /// Fields of MeshConfig that something here reads.
    const READ: [&str; 21] = [
        "accessLogEncoding",
        "accessLogFile",
        "accessLogFormat",
        "connectTimeout",
        "defaultConfig",
        "defaultDestinationRuleExportTo",
        "defaultProviders",
        "defaultServiceExportTo",
        "defaultTrafficPolicy",
        "defaultVirtualServiceExportTo",
        "discoverySelectors",
        "enableEnvoyAccessLogService",
        "enablePrometheusMerge",
        "extensionProviders",
        "inboundTrafficPolicy",
        "outboundTrafficPolicy",
        "proxyInboundListenPort",
        "proxyListenPort",
        "rootNamespace",
        "tcpKeepalive",
        "trustDomain",
    ];

    #[test]
    fn every_field_of_mesh_config_is_read_or_told_to_have_no_effect() {
        let definition = &lateen_api::schema::definitions()["io.istio.mesh.MeshConfig"];
        let declared = definition["properties"].as_object().unwrap();
        let told = FIELDS.child("meshConfig").unwrap();
        for field in declared.keys() {
            let entry = told.children.get(field).and_then(|node| node.entry);
            let told = matches!(entry, Some(Entry(_, _, Meaning::Gone(_))));
            assert_ne!(told, READ.contains(&field.as_str()), "{field}");
        }
        assert!(READ.iter().all(|field| declared.contains_key(*field)));
    }

    #[test]
    fn a_reason_is_a_sentence_for_people() {
        for (path, entry) in all() {
            let (Meaning::Mapped(reason) | Meaning::Gone(reason) | Meaning::Refused(reason)) =
                entry.2
            else {
                continue;
            };
            let lower = reason.chars().next().is_some_and(|c| !c.is_uppercase());
            assert!(lower && !reason.ends_with('.') && reason.len() > 15, "{path}: {reason}");
        }
    }
}
