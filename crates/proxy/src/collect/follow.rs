//! One collector. In: records. Out: batches, sent in order and again until they are taken, for as long as a
//! batch may wait.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_client::AccessLogServiceClient;
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::AccessRecord;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::dial::Dialer;
use super::{als, otlp};

/// Entries of one message.
const BATCH: usize = 512;
/// How long a batch is tried to be sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the next attempt: at first, and at most.
const DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the first batch of a stream is nobody's yet.
const HEARD: Duration = Duration::from_millis(300);
/// Without an entry for so long, the connection ends.
const IDLE: Duration = Duration::from_secs(300);

pub enum Item {
    Entry(Box<AccessRecord>),
    Flush(mpsc::Sender<()>),
}

/// What sends to one collector.
pub struct Follower {
    collector: Arc<Collector>,
    dialer: Dialer,
    node: Node,
    patience: Duration,
    link: Option<Link>,
    /// The last attempt failed, and that was said.
    failing: bool,
}

enum Link {
    /// A stream of Envoy's access log service; the first message says who it is.
    Als {
        messages: mpsc::Sender<StreamAccessLogsMessage>,
        named: bool,
        /// Ends with the link.
        call: JoinSet<()>,
    },
    Otlp(Channel),
}

impl Follower {
    pub fn new(collector: Arc<Collector>, dialer: Dialer, node: Node) -> Self {
        Self { collector, dialer, node, patience: PATIENCE, link: None, failing: false }
    }

    /// Runs until there is nothing to do for long, or nobody who could ask.
    pub async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        loop {
            let first = match timeout(IDLE, items.recv()).await {
                Ok(Some(item)) => item,
                Ok(None) => return,
                // What has come in this moment is still sent.
                Err(_) => {
                    items.close();
                    continue;
                }
            };
            let (batch, waiting) = self.gather(first, &mut items).await;
            if !batch.is_empty() {
                self.deliver(&batch).await;
            }
            drop(waiting);
        }
    }

    async fn gather(
        &self,
        first: Item,
        items: &mut mpsc::Receiver<Item>,
    ) -> (Vec<AccessRecord>, Vec<mpsc::Sender<()>>) {
        let (mut batch, mut waiting) = (Vec::new(), Vec::new());
        let until = Instant::now() + self.collector.flush;
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Entry(record) => batch.push(*record),
                Item::Flush(guard) => waiting.push(guard),
            }
            if batch.len() >= BATCH || !waiting.is_empty() {
                break;
            }
            next = timeout_at(until, items.recv()).await.unwrap_or_default();
        }
        (batch, waiting)
    }

    async fn deliver(&mut self, batch: &[AccessRecord]) {
        let shared = self.dialer.shared.clone();
        let count = shared.collectors.counts.of(&self.collector);
        let until = Instant::now() + self.patience;
        let mut delay = DELAY.0;
        loop {
            // It may answer, and read nothing.
            let sent = timeout_at(until, self.send(batch)).await;
            let Err(reason) = sent.unwrap_or_else(|_| Err("it takes nothing".to_owned())) else {
                self.failing = false;
                return count.write_entries(batch.len());
            };
            self.link = None;
            if !std::mem::replace(&mut self.failing, true) {
                let Collector { cluster, log_name, .. } = &*self.collector;
                tracing::warn!(
                    %cluster, log_name, reason,
                    "access log entries wait: check the provider's service and its endpoints"
                );
            }
            if Instant::now() + delay >= until {
                return count.drop_entries(batch.len());
            }
            sleep(delay).await;
            delay = (delay * 2).min(DELAY.1);
        }
    }

    async fn send(&mut self, batch: &[AccessRecord]) -> Result<(), String> {
        let link = match &mut self.link {
            Some(link) => link,
            None => {
                let opened = self.open().await?;
                self.link.insert(opened)
            }
        };
        match link {
            Link::Als { messages, named, call } => {
                let node = (!*named).then_some(&self.node);
                let message = als::message(&self.collector, node, batch);
                let ended = || "it ended the stream".to_owned();
                messages.send(message).await.map_err(|_| ended())?;
                // Taken by the connection, which is all that a stream without answers tells.
                messages.reserve().await.map_err(|_| ended())?;
                // Whoever does not speak gRPC, or knows no such service, says so at once.
                let is_new = !std::mem::replace(named, true);
                match is_new && timeout(HEARD, call.join_next()).await.is_ok() {
                    true => Err(ended()),
                    false => Ok(()),
                }
            }
            Link::Otlp(channel) => otlp::export(channel.clone(), &self.collector, batch).await,
        }
    }

    async fn open(&self) -> Result<Link, String> {
        let channel = self.dialer.channel(&self.collector).await?;
        if matches!(self.collector.protocol, Protocol::Otlp(_)) {
            return Ok(Link::Otlp(channel));
        }
        let (messages, receiver) = mpsc::channel(1);
        let log_name = self.collector.log_name.clone();
        let mut call = JoinSet::new();
        call.spawn(async move {
            let mut client = AccessLogServiceClient::new(channel);
            if let Err(status) = client.stream_access_logs(ReceiverStream::new(receiver)).await {
                let reason = status.message();
                tracing::debug!(log_name, reason, "a stream of access log entries ended");
            }
        });
        Ok(Link::Als { messages, named: false, call })
    }
}
