//! One gRPC stream: feeds its state machine with requests, snapshots and time, and hands out the
//! responses. In: the inbound half and a [`Source`]. Out: a stream of responses, pulled by the
//! transport, so a slow peer holds back its own work and nobody else's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::Stream;
use lateen_api::xds::ResourceType;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::aside::{Aside, Work};
use super::delivery::Delivery;
use super::peer::{Peer, Refusal};
use super::slots::Slot;
use super::{Event, Machine, Phase, Session, Source};

/// A response and what to report of it once it is on its way.
type Outgoing<M> = (ResourceType, <M as Machine>::Response, Delivery);

/// Everything that one stream owns.
pub(super) struct AdsStream<M: Machine> {
    pub inbound: Streaming<M::Request>,
    pub machine: Arc<Mutex<M>>,
    pub source: Arc<dyn Source>,
    /// Where responses are made.
    pub aside: Aside,
    pub peer: Peer,
    /// When the stream is to end, so that the proxy comes again and is spread over the replicas anew.
    pub until: Option<Instant>,
    pub shutdown: watch::Receiver<bool>,
    /// Counts against the limit of open streams until the stream is gone.
    pub _slot: Slot,
}

/// The part that exists from the first request on.
struct Open {
    session: Arc<dyn Session>,
    changes: watch::Receiver<u64>,
}

struct Driver<M: Machine> {
    stream: AdsStream<M>,
    open: Option<Open>,
    outbox: VecDeque<Outgoing<M>>,
    retries: Vec<(Instant, ResourceType)>,
    ended: bool,
}

enum Wake<R> {
    Request(Result<Option<R>, Status>),
    Change(Result<(), watch::error::RecvError>),
    Retry,
    Expired,
    Shutdown,
}

/// The response half of the stream.
pub(super) fn responses<M>(
    stream: AdsStream<M>,
) -> impl Stream<Item = Result<M::Response, Status>> + Send + 'static
where
    M: Machine + Send + 'static,
    M::Request: Send + 'static,
    M::Response: Send + 'static,
{
    let driver =
        Driver { stream, open: None, outbox: VecDeque::new(), retries: Vec::new(), ended: false };
    futures::stream::unfold(driver, |mut driver| async move {
        let item = driver.next().await?;
        driver.ended |= item.is_err();
        Some((item, driver))
    })
}

impl<M> Driver<M>
where
    M: Machine + Send + 'static,
    M::Response: Send + 'static,
{
    /// The next response; `None` ends the stream in order.
    async fn next(&mut self) -> Option<Result<M::Response, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some((kind, response, delivery)) = self.outbox.pop_front() {
                if let Some(open) = &self.open {
                    open.session.sent(kind, &delivery);
                }
                return Some(Ok(response));
            }
            let handled = match self.wake().await {
                Wake::Request(Ok(Some(request))) => self.request(request).await,
                Wake::Request(Ok(None)) | Wake::Expired | Wake::Shutdown | Wake::Change(Err(_)) => {
                    return None;
                }
                Wake::Request(Err(status)) => {
                    tracing::debug!(%status, "ads stream broke off");
                    return None;
                }
                Wake::Change(Ok(())) => {
                    self.push().await;
                    Ok(())
                }
                Wake::Retry => {
                    self.retry().await;
                    Ok(())
                }
            };
            if let Err(status) = handled {
                return Some(Err(status));
            }
        }
    }

    async fn wake(&mut self) -> Wake<M::Request> {
        let changed = async {
            match &mut self.open {
                Some(open) => open.changes.changed().await,
                None => std::future::pending().await,
            }
        };
        let due = self.retries.iter().map(|(at, _)| *at).min();
        let retry = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let until = self.stream.until;
        let expired = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            // An error means that whoever could ask for the shutdown is gone: that is one too.
            let _ = self.stream.shutdown.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            request = self.stream.inbound.message() => Wake::Request(request),
            change = changed => Wake::Change(change),
            () = retry => Wake::Retry,
            () = expired => Wake::Expired,
            () = stopped => Wake::Shutdown,
        }
    }

    async fn request(&mut self, request: M::Request) -> Result<(), Status> {
        if self.open.is_none() {
            self.introduce(&request)?;
        }
        let events = locked(&self.stream.machine)
            .request(request)
            .map_err(|violation| Status::resource_exhausted(violation.to_string()))?;
        for event in events {
            self.event(event).await;
        }
        Ok(())
    }

    fn introduce(&mut self, request: &M::Request) -> Result<(), Status> {
        let node = M::node(request).ok_or_else(|| {
            Status::invalid_argument("the first request of a stream must carry the node")
        })?;
        let source = &self.stream.source;
        let session = source.open(node, M::PROTOCOL, &self.stream.peer).map_err(Refusal::status)?;
        let mut changes = session.changes();
        changes.mark_unchanged();
        self.open = Some(Open { session, changes });
        Ok(())
    }

    async fn event(&mut self, event: Event) {
        let Some(Open { session, .. }) = &self.open else { return };
        match event {
            Event::Changed(kind) => self.answer(kind).await,
            Event::Accepted { kind, delivery } => session.accepted(kind, &delivery),
            Event::Rejected { kind, delivery, blamed, message } => {
                let session = session.clone();
                let heard = move || session.rejected(kind, &delivery, &blamed, &message);
                let again = self.stream.aside.run(Work::Pushed, heard).await;
                self.retries.retain(|(_, have)| *have != kind);
                self.retries.extend(again.map(|after: Duration| (Instant::now() + after, kind)));
            }
            Event::Dropped { kind, names } => session.dropped(kind, &names),
            Event::Stale { kind, nonce } => {
                tracing::debug!(type_url = kind.type_url(), nonce, "answer to an older response");
            }
            Event::UnknownType(type_url) => {
                tracing::debug!(type_url, "subscription to a type that is not served");
            }
        }
    }

    /// What was just asked for; a changed cluster brings its endpoints along.
    async fn answer(&mut self, kind: ResourceType) {
        let made = self.make(Work::Asked, move |machine, session| {
            let view = session.view();
            let mut kinds = vec![kind];
            if kind == ResourceType::Cluster && machine.kinds().contains(&ResourceType::Endpoint) {
                kinds.push(ResourceType::Endpoint);
            }
            let mut made = Vec::new();
            for kind in kinds {
                if let Some((response, delivery)) = machine.answer(kind, &*view, Phase::Whole) {
                    session.made(kind, &delivery, false);
                    made.push((kind, response, delivery));
                }
            }
            made
        });
        made.await;
    }

    async fn push(&mut self) {
        let made = self.make(Work::Pushed, |machine, session| {
            let made = machine.push(&*session.view());
            for (kind, _, delivery) in &made {
                session.made(*kind, delivery, true);
            }
            made
        });
        made.await;
    }

    /// Makes responses in their turn; the view is taken then, so that what has changed meanwhile is in it.
    async fn make(
        &mut self,
        kind: Work,
        work: impl FnOnce(&mut M, &dyn Session) -> Vec<Outgoing<M>> + Send + 'static,
    ) {
        let Some(open) = &self.open else { return };
        let (machine, session) = (self.stream.machine.clone(), open.session.clone());
        let made =
            self.stream.aside.run(kind, move || work(&mut locked(&machine), &*session)).await;
        self.outbox.extend(made);
    }

    async fn retry(&mut self) {
        let now = Instant::now();
        let due: Vec<ResourceType> =
            self.retries.iter().filter(|(at, _)| *at <= now).map(|(_, kind)| *kind).collect();
        self.retries.retain(|(at, _)| *at > now);
        for kind in due {
            locked(&self.stream.machine).retry(kind);
            self.answer(kind).await;
        }
    }
}

/// One piece of work of a stream is under way at a time: nobody waits here.
fn locked<M>(machine: &Mutex<M>) -> MutexGuard<'_, M> {
    machine.lock().expect("a stream whose work panicked has ended")
}
