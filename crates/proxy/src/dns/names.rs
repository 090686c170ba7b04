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
use crate::engine::reserve;
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
    pub async fn run(self) {
        let book = Book::new(self.node, CAPACITY);
        let (events, link) = connect(self.address, u64::from(std::process::id()));
        let mut tasks = JoinSet::new();
        tasks.spawn(link);
        Serving { book, wishes: self.wishes, events, requests: None }.run().await;
    }
}

/// What goes on between askers and the control plane.
struct Serving {
    book: Book,
    wishes: mpsc::Receiver<Wish>,
    events: mpsc::Receiver<Event>,
    /// Of the connection that is open.
    requests: Option<mpsc::Sender<DeltaDiscoveryRequest>>,
}

impl Serving {
    async fn run(mut self) {
        loop {
            let requests = self.requests.clone().filter(|_| self.book.has_request());
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(wish) => self.book.ask(wish.name, wish.answer),
                    None => return,
                },
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                // Whoever waits for room goes on taking what comes: the other side may wait for that.
                permit = reserve(requests) => match (permit, self.book.next_request()) {
                    (Some(permit), Some(request)) => drop(permit.send(request)),
                    _ => self.requests = None,
                },
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(sender, _) => {
                self.book.connected();
                self.requests = Some(sender);
            }
            Event::Answered => {}
            Event::Response(response) => self.book.respond(*response),
            Event::Lost(reason) => {
                tracing::debug!(%reason, "the name table's stream is being made again");
                self.book.disconnected();
                self.requests = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn responses_are_taken_while_requests_find_no_room() {
        let mut book = Book::new(Node::default(), CAPACITY);
        book.connected();
        let (requests, mut sent) = mpsc::channel(1);
        let (wish, wishes) = mpsc::channel(QUEUE);
        let (event, events) = mpsc::channel(1);
        let serving = Serving { book, wishes, events, requests: Some(requests) };
        let serving = tokio::spawn(serving.run());
        let names = MeshNames { wishes: wish };
        for name in ["a.shop", "b.shop", "c.shop"] {
            // Nobody answers: it is asked for nevertheless.
            names.lookup(name).await;
        }
        for _ in 0..4 {
            let taken = tokio::time::timeout(PATIENCE, event.send(Event::Answered)).await;
            taken.expect("events are taken").unwrap();
        }
        assert!(sent.recv().await.is_some() && sent.recv().await.is_some());
        drop(names);
        serving.await.unwrap();
    }
}
