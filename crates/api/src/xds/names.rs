//! Istio's name table, for the DNS of its proxies.

use std::collections::HashMap;

/// Host names and their addresses, as Istio's agents and Lateen's proxies resolve them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NameTable {
    #[prost(map = "string, message", tag = "1")]
    pub table: HashMap<String, NameInfo>,
}

/// What a host name leads to.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NameInfo {
    #[prost(string, repeated, tag = "1")]
    pub ips: Vec<String>,
    /// `Kubernetes` or `External`; only the first gives the short names.
    #[prost(string, tag = "2")]
    pub registry: String,
    #[prost(string, tag = "3")]
    pub shortname: String,
    #[prost(string, tag = "4")]
    pub namespace: String,
    /// Deprecated by Istio; the agent derives them.
    #[prost(string, repeated, tag = "5")]
    pub alt_hosts: Vec<String>,
    /// Lateen's own: the name that an `ExternalName` Service stands for. Only resources that are asked
    /// for by name carry it, so that Istio's agent, which does not know the field, never sees one.
    #[prost(string, tag = "1000")]
    pub alias: String,
}
