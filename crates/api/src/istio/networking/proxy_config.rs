//! ProxyConfig (the kind): proxy settings of a namespace or a workload.

use std::collections::BTreeMap;

use crate::istio::common::WorkloadSelector;
use crate::proto::messages;

messages! {
    /// Which workloads it is for, and their proxies' settings.
    pub struct ProxyConfigSpec {
        pub selector: Option<WorkloadSelector>,
        pub concurrency: Option<i32>,
        pub environment_variables: BTreeMap<String, String>,
        pub image: Option<ProxyImage>,
    }

    /// Which build of the proxy is used.
    pub struct ProxyImage {
        pub image_type: String,
    }
}
