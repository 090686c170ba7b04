//! The control plane on a cluster, as istiod serves there. In: an API, a place in it, and listening
//! sockets. Out: xDS and webhooks over TLS, the CA's root in every namespace, and health for probes.

pub mod context;
pub mod webhook;
