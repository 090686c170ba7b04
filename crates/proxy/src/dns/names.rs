//! The mesh's names, asked for on demand over delta ADS (Istio's NDS, one resource for each host name).
//!
//! In: an ADS server and a node. Out: a [`Resolver`] that subscribes to a name when it is first asked
//! for, so that its cost follows what the workload uses. What was learned stays good while the
//! control plane is away.

mod book;

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use futures::future::BoxFuture;
use lateen_xds::client::{AdsAddress, Event, connect};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Meaning, Resolver};
use book::Book;

/// Names that are kept; the one unused longest makes room.
const CAPACITY: usize = 4096;
/// After that a name that the control plane said nothing about is unknown. It covers a restart of the
/// control plane.
const PATIENCE: Duration = Duration::from_secs(2);
const QUEUE: usize = 64;

/// A question and where its answer goes.
struct Wish {
    name: String,
    answer: oneshot::Sender<Meaning>,
}

/// The asking end.
#[derive(Clone)]
pub struct MeshNames {
    wishes: mpsc::Sender<Wish>,
}

/// The end that talks to the control plane.
pub struct NamesTask {
    address: AdsAddress,
    node: Node,
    wishes: mpsc::Receiver<Wish>,
}

/// Both ends; nothing is answered until [`NamesTask::run`] runs.
pub fn mesh_names(address: AdsAddress, node: Node) -> (MeshNames, NamesTask) {
    let (sender, wishes) = mpsc::channel(QUEUE);
    (MeshNames { wishes: sender }, NamesTask { address, node, wishes })
}

impl Resolver for MeshNames {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Meaning> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let asked = async {
                self.wishes.send(Wish { name: name.to_owned(), answer }).await.ok()?;
                answered.await.ok()
            };
            tokio::time::timeout(PATIENCE, asked).await.ok().flatten().unwrap_or(Meaning::Unknown)
        })
    }
}

impl NamesTask {
    /// Serves until every [`MeshNames`] is dropped.
    pub async fn run(mut self) {
        let mut book = Book::new(self.node, CAPACITY);
        let (mut events, link) = connect(self.address, u64::from(std::process::id()));
        let mut tasks = JoinSet::new();
        tasks.spawn(link);
        let mut requests: Option<mpsc::Sender<DeltaDiscoveryRequest>> = None;
        loop {
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(wish) => book.ask(wish.name, wish.answer),
                    None => break,
                },
                event = events.recv() => match event {
                    Some(Event::Connected(sender, _)) => {
                        book.connected();
                        requests = Some(sender);
                    }
                    Some(Event::Answered) => {}
                    Some(Event::Response(response)) => book.respond(*response),
                    Some(Event::Lost(reason)) => {
                        tracing::debug!(%reason, "the name table's stream is being made again");
                        book.disconnected();
                        requests = None;
                    }
                    None => break,
                },
            }
            if let Some(sender) = &requests {
                while let Some(request) = book.next_request() {
                    if sender.send(request).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
}
