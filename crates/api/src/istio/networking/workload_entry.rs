//! WorkloadEntry: one workload that is no pod.

use std::collections::BTreeMap;

use crate::proto::messages;

messages! {
    /// Where a workload listens, and what it is.
    pub struct WorkloadEntrySpec {
        pub address: String,
        pub ports: BTreeMap<String, u32>,
        pub labels: BTreeMap<String, String>,
        pub network: String,
        pub locality: String,
        pub weight: Option<u32>,
        pub service_account: String,
    }
}
