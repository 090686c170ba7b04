//! Connections that have ended, as the control plane is told of them: the newest that failed and some that did not,
//! as many as people can read; their number is told by the metrics. In: the newest records, at every interval. Out: entries of Envoy's access log
//! service, with Istio's labels as their tags.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    Identifier, LogEntries, TcpAccessLogEntries,
};
use lateen_telemetry::entry::full_entry;

use crate::records::{Ended, Place};
use crate::worker::Shared;

/// Of each worker, at each interval.
const FAILED: usize = 24;
const WELL: usize = 8;
const LOG_NAME: &str = "lateen";

#[derive(Debug, Default)]
pub struct Told {
    place: Place,
    /// Those whose peer the control plane was still asked about.
    waiting: Vec<Ended>,
}

impl Told {
    /// What is to be told now; for the last time, those too whose peer is not known yet.
    pub fn news(
        &mut self,
        shared: &Shared,
        node: &Node,
        last_time: bool,
    ) -> Option<StreamAccessLogsMessage> {
        let late = std::mem::take(&mut self.waiting);
        let mut entries: Vec<_> =
            late.into_iter().filter_map(|ended| tagged(shared, &ended, true)).collect();
        for ended in shared.records.since(&mut self.place, FAILED, WELL) {
            match tagged(shared, &ended, last_time) {
                Some(entry) => entries.push(entry),
                None => self.waiting.push(ended),
            }
        }
        if entries.is_empty() {
            return None;
        }
        let node = Node { metadata: None, ..node.clone() };
        Some(StreamAccessLogsMessage {
            identifier: Some(Identifier { node: Some(node), log_name: LOG_NAME.to_owned() }),
            log_entries: Some(LogEntries::TcpLogs(TcpAccessLogEntries { log_entry: entries })),
        })
    }
}

/// The entry with its labels, once its peer is known or that is the last word. What is not counted in Istio's
/// metrics has none.
fn tagged(shared: &Shared, ended: &Ended, last_word: bool) -> Option<TcpAccessLogEntry> {
    let mut entry = full_entry(&ended.record);
    if let (Some(key), Some(common)) = (&ended.key, &mut entry.common_properties) {
        let labels = shared.traffic.labels(key, last_word)?;
        let tags = labels.iter().map(|label| (label.name.to_string(), label.value.to_string()));
        common.custom_tags.extend(tags);
    }
    Some(entry)
}
