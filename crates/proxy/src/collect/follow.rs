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
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::StreamExt;
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

/// A message, and a word to whoever sent it once the connection takes it.
type Message = (StreamAccessLogsMessage, oneshot::Sender<()>);

enum Link {
    /// A stream of Envoy's access log service; the first message says who it is.
    Als {
        messages: mpsc::Sender<Message>,
        named: bool,
        /// Ends with the link; says why the collector ended it, if that was not in order.
        call: JoinSet<Result<(), String>>,
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
            let reason = match sent.unwrap_or_else(|_| Err("it takes nothing".to_owned())) {
                Ok(refused) => {
                    self.failing = false;
                    let refused = refused.min(batch.len());
                    count.drop_entries(refused);
                    return count.write_entries(batch.len() - refused);
                }
                Err(reason) => reason,
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

    /// How many of the entries it did not want.
    async fn send(&mut self, batch: &[AccessRecord]) -> Result<usize, String> {
        self.close();
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
                let (taken, is_taken) = oneshot::channel();
                messages.send((message, taken)).await.map_err(|_| ended())?;
                // All that a stream without answers tells. What the connection did not take was not sent.
                is_taken.await.map_err(|_| ended())?;
                if std::mem::replace(named, true) {
                    return Ok(0);
                }
                // Whoever does not speak gRPC, or knows no such service, says so at once. Whoever ends a stream in
                // order has what came before.
                match timeout(HEARD, call.join_next()).await {
                    Ok(Some(over)) => over.unwrap_or_else(|_| Err(ended())).map(|()| 0),
                    Ok(None) | Err(_) => Ok(0),
                }
            }
            Link::Otlp(channel) => otlp::export(channel.clone(), &self.collector, batch).await,
        }
    }

    /// Leaves a stream that the collector has ended since.
    fn close(&mut self) {
        let Some(Link::Als { messages, call, .. }) = &mut self.link else { return };
        let over = call.try_join_next();
        if over.is_none() && !call.is_empty() && !messages.is_closed() {
            return;
        }
        if let Some(Ok(Err(reason))) = over {
            let Collector { cluster, log_name, .. } = &*self.collector;
            tracing::warn!(
                %cluster, log_name, reason,
                "a stream of access log entries was broken off: the last of them may be lost"
            );
        }
        self.link = None;
    }

    async fn open(&self) -> Result<Link, String> {
        let channel = self.dialer.channel(&self.collector).await?;
        if matches!(self.collector.protocol, Protocol::Otlp(_)) {
            return Ok(Link::Otlp(channel));
        }
        let (messages, receiver) = mpsc::channel::<Message>(1);
        let sent = ReceiverStream::new(receiver).map(|(message, taken)| {
            // Nobody waits for it any more.
            let _ = taken.send(());
            message
        });
        let mut call = JoinSet::new();
        call.spawn(async move {
            let answer = AccessLogServiceClient::new(channel).stream_access_logs(sent).await;
            answer.map(drop).map_err(|status| status.message().to_owned())
        });
        Ok(Link::Als { messages, named: false, call })
    }
}
