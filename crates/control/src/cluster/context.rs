//! What the parts on a cluster share. In: the command line and the pod's environment, the CA, the leases.
//! Out: one value that is cheap to clone; what changes while the process lives is a `watch::Receiver`.

use std::sync::Arc;

use lateen_kube::Client;
use lateen_model::host::Domain;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::leads::Leads;

/// Where this control plane is, by its pod's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The control plane's own namespace, which is also the mesh's root (`POD_NAMESPACE`).
    pub namespace: String,
    /// This replica (`POD_NAME`).
    pub pod: String,
    /// Empty is the default revision, which `REVISION` and objects call `default`.
    pub revision: String,
    pub service_account: String,
    /// The cluster's DNS domain.
    pub domain: Domain,
    /// Istio's cluster name (`CLUSTER_ID`).
    pub cluster: String,
}

impl Place {
    /// What `istio.io/rev` calls this revision.
    pub fn revision_label(&self) -> &str {
        match self.revision.as_str() {
            "" => "default",
            revision => revision,
        }
    }

    /// A name as the installation gives it: `istiod`, or `istiod-REVISION`.
    pub fn revised(&self, name: &str) -> String {
        match self.revision.as_str() {
            "" => name.to_owned(),
            revision => format!("{name}-{revision}"),
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub place: Arc<Place>,
    /// How to serve TLS now: ALPN `h2` and `http/1.1`, for `istiod[-REV].NAMESPACE.svc` and its other
    /// names. Whoever accepts a connection takes what is there then (`lateen_runtime::tls`).
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    /// The mesh's trusted roots as PEM: what is in `istio-ca-root-cert` and in the webhooks' CA bundles.
    pub roots: watch::Receiver<Arc<str>>,
    pub leads: Leads,
}
