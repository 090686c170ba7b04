//! What a connection is counted by in Istio's metrics. In: what was gathered on its way. Out: its key, and its
//! beginning and end counted.

use std::sync::Arc;

use lateen_routing::{Changes, FilterChain, Terminal};
use lateen_telemetry::Flag;
use lateen_telemetry::labels::Reporter;

use super::Connection;
use crate::relay::Relay;
use crate::traffic::{Asked, End, Key, Meter, Place, Shown, Text};
use crate::worker::Context;

impl Connection {
    /// By what the connection is counted in Istio's metrics, if its chain says so. One that no chain took is counted
    /// as its listener's others are.
    fn key(&self, flags: &'static [Flag]) -> Option<Key> {
        let takes = |chain: &&Arc<FilterChain>| matches!(chain.terminal, Terminal::TcpProxy(_));
        let (reporter, changes) = match self.chain.as_ref().filter(takes) {
            Some(chain) => {
                let stats = chain.stats.as_ref()?;
                (stats.reporter, Some(&stats.changes))
            }
            None => (self.listener.compiled.reporter()?, None),
        };
        let remote = End::Address(self.addresses.remote.ip());
        let (source, destination) = match reporter {
            Reporter::Source => (End::Own, self.reached()),
            Reporter::Destination => (remote, End::Own),
        };
        let untaken = changes.is_none();
        let shown = changes.and_then(Option::as_ref).map(|changes| self.shown(changes));
        let asked = self.asked(untaken && reporter == Reporter::Source);
        Some(Key { reporter, source, destination, asked, flags, untaken, shown })
    }

    fn asked(&self, leads_nowhere: bool) -> Asked {
        let text = |text: &Arc<str>| Text(text.clone());
        match (&self.cluster, &self.missing_cluster) {
            (Some(cluster), _) => Asked::Cluster {
                name: text(&cluster.compiled.name),
                origin: cluster.compiled.origin.as_ref().map(text),
            },
            (None, Some(name)) => Asked::Missing {
                name: text(name),
                chain: self.chain.as_ref().and_then(|chain| chain.origin.as_ref()).map(text),
            },
            (None, None) if leads_nowhere => Asked::Hole,
            (None, None) => Asked::Nothing,
        }
    }

    /// Changed metrics, with what their labels ask for of this connection.
    fn shown(&self, changes: &Arc<Changes>) -> Shown {
        let place = Place {
            source: Some(self.addresses.remote),
            destination: Some(self.addresses.destination()),
            upstream: self.upstream,
            server_name: self.server_name(),
        };
        Shown { changes: changes.clone(), place: Box::new(place.limited_to(changes.needs)) }
    }

    /// The far end of a client's connection.
    fn reached(&self) -> End {
        match (&self.workload, self.upstream) {
            (Some(about), _) => End::Endpoint(Text(about.clone())),
            (None, Some(upstream)) => End::Address(upstream.ip()),
            (None, None) => End::Unknown,
        }
    }

    /// Begins to count a connection that has reached its upstream.
    pub(super) fn metered(&self) -> Option<Meter> {
        let interval = self.chain.as_ref()?.stats.as_ref()?.interval;
        let Context { shared, index, .. } = &*self.context;
        Some(shared.traffic.open(*index, self.key(&[])?, interval))
    }

    /// Counts its end; the answer is by what.
    pub(super) fn counted(&self, flags: &'static [Flag]) -> Option<Key> {
        let Context { shared, index, .. } = &*self.context;
        match self.relay.as_ref().map(Relay::meter) {
            Some(meter) => {
                let meter = meter?;
                let key = meter.key().with_flags(flags);
                shared.traffic.closed(*index, meter, &key);
                Some(key)
            }
            None => {
                let key = self.key(flags)?;
                shared.traffic.refused(*index, &key);
                Some(key)
            }
        }
    }
}
