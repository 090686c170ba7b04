//! The record that tests begin with: a connection whose server refused it. Other crates' tests include this file.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lateen_telemetry::{AccessRecord, Flag};

pub fn record() -> AccessRecord {
    AccessRecord {
        id: 7,
        upstream_id: None,
        proxy: Arc::default(),
        start: UNIX_EPOCH + Duration::from_millis(1500),
        duration: Duration::from_millis(12),
        listener: "0.0.0.0_8020".into(),
        direction: 2,
        filter_chain: "".into(),
        origin: None,
        cluster: Some("outbound|8020||echo.default.svc.cluster.local".into()),
        cluster_origin: None,
        workload: Some(r#"{"workload":"echo;default;echo;v1;Kubernetes"}"#.into()),
        far: None,
        downstream_remote: "10.0.0.7:41000".parse().unwrap(),
        downstream_local: "10.96.0.1:8020".parse().unwrap(),
        original_destination: None,
        upstream_remote: Some("10.0.0.2:8020".parse().unwrap()),
        upstream_local: None,
        tried: vec!["10.0.0.2:8020".parse().unwrap(); 2],
        ready: Some(Duration::from_millis(12)),
        server_name: None,
        bytes_received: 5,
        bytes_sent: 7,
        attempts: 3,
        flags: &[Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded],
        close_reason: "connection refused".into(),
        upstream_failure: Some("connection refused".into()),
    }
}
