//! Istio's answer to who owns an address, as its ztunnel asks. Only what telemetry needs is read and written; a
//! reader skips fields that it does not know.

/// What an address belongs to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Address {
    #[prost(oneof = "address::Type", tags = "1")]
    pub r#type: Option<address::Type>,
}

pub mod address {
    //! The kinds of owners; a service is not among them here.

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Type {
        #[prost(message, tag = "1")]
        Workload(super::Workload),
    }
}

/// A Pod or a WorkloadEntry.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Workload {
    /// Unique in the mesh.
    #[prost(string, tag = "20")]
    pub uid: String,
    /// The pod's name.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Each of 4 or 16 bytes.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub addresses: Vec<Vec<u8>>,
    #[prost(string, tag = "4")]
    pub network: String,
    /// Empty: the mesh's.
    #[prost(string, tag = "6")]
    pub trust_domain: String,
    /// Empty: `default`.
    #[prost(string, tag = "7")]
    pub service_account: String,
    #[prost(string, tag = "10")]
    pub canonical_name: String,
    #[prost(string, tag = "11")]
    pub canonical_revision: String,
    #[prost(enumeration = "WorkloadType", tag = "12")]
    pub workload_type: i32,
    /// The name of what owns the pod.
    #[prost(string, tag = "13")]
    pub workload_name: String,
    #[prost(string, tag = "18")]
    pub cluster_id: String,
}

/// What owns a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum WorkloadType {
    Deployment = 0,
    CronJob = 1,
    Pod = 2,
    Job = 3,
}
