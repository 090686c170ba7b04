//! The ADS server. In: a [`Source`] of sessions, each giving pinned views of the resources for one
//! proxy. Out: delta and state-of-the-world streams; what a proxy accepted or refused goes back to
//! its [`Session`].
//!
//! **Invariant:** the state machines ([`delta`], [`sotw`]) have no clock and no I/O; [`serve`] owns both.

mod aside;
pub mod delivery;
pub mod delta;
pub mod order;
mod passing;
pub mod peer;
mod reports;
pub mod serve;
mod slots;
pub mod sotw;
mod stream;
#[cfg(test)]
mod testing;
mod told;
mod weight;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::io::prometheus::client::MetricFamily;
use lateen_api::xds::ResourceType;
use tokio::sync::watch;

use delivery::Delivery;
use peer::{Peer, Refusal};

use crate::passed::Passed;

/// One resource of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub name: String,
    pub body: Any,
}

/// Which resources of a type are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Want<'a> {
    /// Everything that the proxy should know of without asking.
    All,
    /// Exactly these, as far as they exist.
    Names(&'a BTreeSet<String>),
}

/// The resources for one proxy at one moment; two calls on the same view agree with each other.
pub trait View: Send + Sync {
    /// Grows with each change of the configuration.
    fn version(&self) -> u64;

    fn resources(&self, kind: ResourceType, want: Want<'_>) -> Vec<Resource>;
}

/// One proxy's stream, as the owner of the resources sees it. Dropped when the stream ends. What may take long, a view's
/// resources and [`Session::rejected`], is called beside the threads that serve.
pub trait Session: Send + Sync + 'static {
    fn view(&self) -> Arc<dyn View>;

    /// Changes when a newer view can be had.
    fn changes(&self) -> watch::Receiver<u64>;

    /// A response waits for the transport: because of a change, if it is `pushed`, or else because the proxy asked.
    fn made(&self, _kind: ResourceType, _delivery: &Delivery, _pushed: bool) {}

    fn sent(&self, kind: ResourceType, delivery: &Delivery);

    fn accepted(&self, kind: ResourceType, delivery: &Delivery);

    /// `blamed` are the resources of the delivery that the proxy refused. The answer says when they
    /// are to be sent again although they have not changed; `None` is never.
    fn rejected(
        &self,
        kind: ResourceType,
        delivery: &Delivery,
        blamed: &[String],
        message: &str,
    ) -> Option<Duration>;

    /// The proxy does not ask for these any more, of which it may have refused some.
    fn dropped(&self, _kind: ResourceType, _names: &[String]) {}
}

/// The variant of the protocol that a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Delta,
    StateOfTheWorld,
}

/// Opens a session for each proxy that introduces itself.
pub trait Source: Send + Sync + 'static {
    /// Called with the node of a stream's first request, and with who sent it; a refusal ends the stream.
    fn open(
        &self,
        node: &Node,
        protocol: Protocol,
        peer: &Peer,
    ) -> Result<Arc<dyn Session>, Refusal>;

    /// Called with the node of a stream of telemetry, and with who opened it; a refusal ends the stream.
    fn collect(&self, _node: &Node, _peer: &Peer) -> Result<Arc<dyn Collection>, Refusal> {
        Err(Refusal::Unserved("telemetry is not collected here".to_owned()))
    }

    /// Called when a message of telemetry is refused that would take too much memory.
    fn overweight(&self) {}

    /// Called when somebody who says that it is this replica of the control plane opens a stream of what its proxies
    /// tell, with who that is; a refusal ends the stream.
    fn replica(&self, _name: &str, _peer: &Peer) -> Result<Box<dyn Replica>, Refusal> {
        Err(Refusal::Unserved("this control plane has no replicas".to_owned()))
    }
}

/// Takes what another replica passes on. What is open there is over when this is dropped.
pub trait Replica: Send {
    fn take(&mut self, passed: Passed);
}

/// Where telemetry is collected.
pub trait Collection: Send + Sync + 'static {
    /// For a new stream of a proxy's metrics, which is over when what is returned is dropped; `None` if nobody wants
    /// them.
    fn stream(&self, node: &Node) -> Option<Arc<dyn Collector>>;

    /// Takes connections that have ended, as one proxy sends them over Envoy's AccessLogService.
    fn connections(&self, node: &Node, entries: Vec<TcpAccessLogEntry>);
}

/// Takes the metrics that one proxy sends over Envoy's MetricsService.
pub trait Collector: Send + Sync + 'static {
    /// Counters and histograms are what has come since the last time.
    fn metrics(&self, families: Vec<MetricFamily>);

    /// The connections of this stream that are open, in the form in which a stream begins with them.
    fn standing(&self) -> Vec<MetricFamily>;
}

/// What one peer may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams of configuration open at once, over all connections.
    pub streams: usize,
    /// The same of telemetry, which takes none of those.
    pub telemetry: usize,
    /// Of either, those of one pod.
    pub of_pod: usize,
    /// Names that one stream may subscribe to, over all types.
    pub names: usize,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// Responses of all streams that are made at once, of those that were asked for and of those that were not; what else the process does has the other processors.
    pub made_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 4096,
            telemetry: 8192,
            of_pod: 16,
            names: 200_000,
            request_bytes: 16 << 20,
            made_at_once: available_parallelism()
                .map_or(1, |all| all.get().saturating_sub(1).max(1)),
        }
    }
}

/// Why a stream is ended by its state machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("more than {limit} names are subscribed to on one stream; narrow the subscription")]
    TooManyNames { limit: usize },
}

/// What a request meant.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The subscription to this type changed; an answer may be due.
    Changed(ResourceType),
    Accepted {
        kind: ResourceType,
        delivery: Delivery,
    },
    Rejected {
        kind: ResourceType,
        delivery: Delivery,
        blamed: Vec<String>,
        message: String,
    },
    /// These are not asked for any more; at least those that were refused.
    Dropped {
        kind: ResourceType,
        names: Vec<String>,
    },
    /// The nonce is not one that is waited for; the acknowledgement in it says nothing.
    Stale {
        kind: ResourceType,
        nonce: String,
    },
    /// A type that Lateen does not serve; it is never answered.
    UnknownType(String),
}

/// Which part of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New and changed resources; nothing is taken away.
    Updates,
    /// What is left: everything that has gone.
    Removals,
    /// Both at once.
    Whole,
}

/// A stream's state without its I/O; implemented for both variants of the protocol.
pub trait Machine {
    type Request;
    type Response;
    const PROTOCOL: Protocol;

    fn node(request: &Self::Request) -> Option<&Node>;

    fn request(&mut self, request: Self::Request) -> Result<Vec<Event>, Violation>;

    /// The next response of this type against the view, or `None` when the peer lacks nothing.
    fn answer(
        &mut self,
        kind: ResourceType,
        view: &dyn View,
        phase: Phase,
    ) -> Option<(Self::Response, Delivery)>;

    /// Forgets that the refused resources of this type were ever sent.
    fn retry(&mut self, kind: ResourceType);

    /// The types subscribed to, in no order.
    fn kinds(&self) -> Vec<ResourceType>;

    /// All responses that bring the peer up to the view, in the order in which nothing refers to
    /// what is not there: additions along the chain of references, removals of clusters at the end.
    fn push(&mut self, view: &dyn View) -> Vec<(ResourceType, Self::Response, Delivery)> {
        let mut out = Vec::new();
        for (kind, phase) in order::plan(self.kinds()) {
            if let Some((response, delivery)) = self.answer(kind, view, phase) {
                out.push((kind, response, delivery));
            }
        }
        out
    }
}
