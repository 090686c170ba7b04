//! Who is at one end of a connection, in Istio's words.

use std::sync::{Arc, LazyLock};

/// What nothing is known of.
pub const UNKNOWN: &str = "unknown";

/// One end. What is not known is [`UNKNOWN`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub cluster: Arc<str>,
    pub namespace: Arc<str>,
    /// The name of the Deployment or of whatever else owns the pod.
    pub workload: Arc<str>,
    pub app: Arc<str>,
    pub version: Arc<str>,
    pub canonical_service: Arc<str>,
    pub canonical_revision: Arc<str>,
    /// The SPIFFE identity that was proved.
    pub principal: Arc<str>,
}

/// The word itself, shared.
pub fn unknown() -> Arc<str> {
    static WORD: LazyLock<Arc<str>> = LazyLock::new(|| UNKNOWN.into());
    WORD.clone()
}

impl Default for Peer {
    fn default() -> Self {
        let word = unknown;
        Self {
            cluster: word(),
            namespace: word(),
            workload: word(),
            app: word(),
            version: word(),
            canonical_service: word(),
            canonical_revision: word(),
            principal: word(),
        }
    }
}

impl Peer {
    /// Istio's compact form in an endpoint's metadata: `workload;namespace;canonical service;canonical
    /// revision;cluster`. Parts that are empty or missing are unknown.
    pub fn from_compact(text: &str) -> Self {
        let mut parts = text.split(';').map(|part| match part {
            "" => unknown(),
            part => part.into(),
        });
        let mut next = || parts.next().unwrap_or_else(unknown);
        let (workload, namespace) = (next(), next());
        let (canonical_service, canonical_revision, cluster) = (next(), next(), next());
        Self {
            cluster,
            namespace,
            workload,
            app: canonical_service.clone(),
            version: canonical_revision.clone(),
            canonical_service,
            canonical_revision,
            principal: unknown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Peer;

    #[test]
    fn the_compact_form_gives_the_canonical_names_to_app_and_version() {
        let peer = Peer::from_compact("echo-v1;shop;echo;v1;Kubernetes");
        assert_eq!(
            (&*peer.workload, &*peer.namespace, &*peer.cluster),
            ("echo-v1", "shop", "Kubernetes")
        );
        assert_eq!((&*peer.app, &*peer.version, &*peer.principal), ("echo", "v1", "unknown"));
    }

    #[test]
    fn what_is_missing_is_unknown() {
        assert_eq!(Peer::from_compact(""), Peer::default());
        assert_eq!(&*Peer::from_compact("a;;b").namespace, "unknown");
    }
}
