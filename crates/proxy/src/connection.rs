//! One connection from accept to its record. In: an accepted stream and its listener. Out: bytes
//! relayed, counters, and an access record that is handed over when the connection is dropped,
//! however it ended.

mod counted;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use lateen_routing::{FilterChain, FirstBytes, Output, Terminal};
use lateen_telemetry::AccessRecord;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::config::{ClusterEntry, HostLive, Listener};
use crate::connect::{Client, connect};
use crate::decide::{Addresses, Decision, Demand, Plan, Question, Refusal, Upstream};
use crate::error::{DataError, Kind};
use crate::inspect::inspect;
use crate::records::Ended;
use crate::relay::{Limits, Relay};
use crate::socket;
use crate::worker::Context;

/// How long a connection waits for the control plane's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while there is no connection to the control plane.
const AWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Endpoints that were dialled in vain and are told.
const TRIED: usize = 15;

/// Serves one connection to its end.
pub async fn serve(
    context: Arc<Context>,
    bound: Arc<Listener>,
    stream: TcpStream,
    addresses: Addresses,
) {
    let mut connection = Connection::new(context, bound, addresses);
    // Boxed: the room that it takes is given back before the bytes flow, which may be for days.
    let established = tokio::select! {
        biased;
        established = Box::pin(connection.establish(&stream)) => established,
        () = reset(&stream) => Err(gone()),
    };
    let (upstream, limits) = match established {
        Ok(established) => established,
        Err(error) => {
            connection.failed(error);
            socket::reset_on_close(&stream);
            return;
        }
    };
    let meter = connection.metered();
    connection.relay = Some(Relay::new(stream, upstream, meter));
    let relay = connection.relay.as_mut().expect("set above");
    if let Err(error) = relay.run(limits).await {
        // A response that was passed on to its end must not be cut by a reset.
        if !relay.response_is_done() {
            socket::reset_on_close(&relay.downstream);
        }
        socket::reset_on_close(&relay.upstream);
        connection.failed(error);
    } else {
        connection.ended = true;
    }
}

/// Resolves when the client reset its connection: then nobody waits for an upstream any more. A client
/// that only has nothing more to say still does.
async fn reset(stream: &TcpStream) {
    if stream.ready(Interest::ERROR).await.is_err() {
        // The runtime is ending, which ends this connection too.
        std::future::pending::<()>().await;
    }
}

fn gone() -> DataError {
    DataError::new(Kind::DownstreamReset, "connection reset by the client before it was connected")
}

/// What the record needs, gathered on the way.
struct Connection {
    context: Arc<Context>,
    id: u64,
    start: Instant,
    addresses: Addresses,
    listener: Arc<Listener>,
    /// `listener` is the one that it goes through; before, the one that accepted it.
    decided: bool,
    chain: Option<Arc<FilterChain>>,
    cluster: Option<Arc<ClusterEntry>>,
    /// A cluster that was named and is not known.
    missing_cluster: Option<Arc<str>>,
    host: Option<Arc<HostLive>>,
    workload: Option<Arc<str>>,
    upstream: Option<SocketAddr>,
    /// Those that were dialled before, if there are any.
    tried: Option<Box<Tried>>,
    /// The milliseconds that it took.
    ready: Option<u32>,
    attempts: u32,
    error: Option<Box<DataError>>,
    ended: bool,
    relay: Option<Relay>,
    /// What the first bytes are, if they were looked at.
    seen: Option<Box<FirstBytes>>,
}

/// Endpoints, apart: few connections have them, and each takes room for as long as it goes on.
#[derive(Default)]
struct Tried(Vec<SocketAddr>);

/// How it goes on once nothing more has to be asked for.
enum Next {
    Go(Plan),
    Inspect(Arc<Listener>),
}

impl Connection {
    fn new(context: Arc<Context>, listener: Arc<Listener>, addresses: Addresses) -> Self {
        context.active.fetch_add(1, Ordering::Relaxed);
        Self {
            id: context.number(),
            context,
            start: Instant::now(),
            addresses,
            listener,
            decided: false,
            chain: None,
            cluster: None,
            missing_cluster: None,
            host: None,
            workload: None,
            upstream: None,
            tried: None,
            ready: None,
            attempts: 0,
            error: None,
            ended: false,
            relay: None,
            seen: None,
        }
    }

    /// Decides where to go and connects there.
    async fn establish(&mut self, stream: &TcpStream) -> Result<(TcpStream, Limits), DataError> {
        let plan = match self.plan(stream).await {
            Ok(plan) => plan,
            Err(refusal) => return Err(self.refused(*refusal)),
        };
        let limits = self.planned(&plan);
        let begun = Instant::now();
        let opened = self.open(&plan).await;
        self.ready = u32::try_from(begun.elapsed().as_millis()).ok();
        Ok((opened?, limits))
    }

    /// Decides, and asks the control plane for what is not known, until the deadline. Where the first
    /// bytes decide, they are waited for.
    async fn plan(&mut self, stream: &TcpStream) -> Result<Plan, Box<Refusal>> {
        loop {
            let next = match self.decide(false) {
                Decision::Go(plan) => Next::Go(plan),
                Decision::Refuse(refusal) => return Err(refusal),
                Decision::Ask(_) => Box::pin(self.ask()).await?,
                Decision::Inspect(listener) => Next::Inspect(listener),
            };
            match next {
                Next::Go(plan) => return Ok(plan),
                Next::Inspect(listener) => Box::pin(self.inspect(stream, listener)).await?,
            }
        }
    }

    async fn inspect(
        &mut self,
        stream: &TcpStream,
        listener: Arc<Listener>,
    ) -> Result<(), Box<Refusal>> {
        let rule = listener.compiled.inspection.expect("invariant: such listeners are inspected");
        match inspect(stream, rule).await {
            Ok(seen) => {
                self.seen = Some(Box::new(seen));
                Ok(())
            }
            Err(error) => Err(Box::new(Refusal { listener, chain: None, cluster: None, error })),
        }
    }

    fn decide(&self, is_final: bool) -> Decision {
        let config = self.context.shared.config.load();
        if let Some(last_use) =
            self.addresses.original.and_then(|original| config.answered.get(&original))
        {
            let now = self.context.shared.started.elapsed().as_secs();
            last_use.0.store(now, Ordering::Relaxed);
        }
        let question = Question {
            config: &config,
            bound: &self.listener,
            addresses: &self.addresses,
            seen: self.seen.as_deref(),
            random: self.context.random(),
            is_final,
        };
        question.decide()
    }

    async fn ask(&self) -> Result<Next, Box<Refusal>> {
        let shared = &self.context.shared;
        let mut published = shared.published.subscribe();
        let away = !shared.linked.load(Ordering::Relaxed);
        let patience = if away { AWAY_TIMEOUT } else { ANSWER_TIMEOUT };
        let deadline = tokio::time::Instant::now() + patience;
        let mut asked: Option<Demand> = None;
        loop {
            // Decided after subscribing, so that no answer slips through in between.
            let demand = match self.decide(false) {
                Decision::Go(plan) => return Ok(Next::Go(plan)),
                Decision::Refuse(refusal) => return Err(refusal),
                Decision::Inspect(listener) => return Ok(Next::Inspect(listener)),
                Decision::Ask(demand) => demand,
            };
            let answer = async {
                if asked.as_ref() != Some(&demand) {
                    // A full queue means that the engine is busy; waiting for it is right.
                    let _ = shared.demands.send(demand.clone()).await;
                    asked = Some(demand);
                }
                published.changed().await
            };
            if !matches!(tokio::time::timeout_at(deadline, answer).await, Ok(Ok(()))) {
                break;
            }
        }
        tracing::warn!(demand = ?asked, waited = ?patience, "the control plane did not answer in time");
        match self.decide(true) {
            Decision::Go(plan) => Ok(Next::Go(plan)),
            Decision::Refuse(refusal) => Err(refusal),
            Decision::Inspect(listener) => Ok(Next::Inspect(listener)),
            Decision::Ask(_) => unreachable!("a final answer asks nothing"),
        }
    }

    /// The listener that a connection counts for.
    fn decided(&mut self, listener: Arc<Listener>) {
        listener.counters.open();
        self.listener = listener;
        self.decided = true;
    }

    fn refused(&mut self, refusal: Refusal) -> DataError {
        self.decided(refusal.listener);
        self.chain = refusal.chain;
        self.missing_cluster = refusal.cluster;
        refusal.error
    }

    fn planned(&mut self, plan: &Plan) -> Limits {
        self.decided(plan.listener.clone());
        self.chain = Some(plan.chain.clone());
        self.cluster = Some(plan.cluster.clone());
        plan.cluster.live.counters.open();
        plan.cluster.live.active.fetch_add(1, Ordering::Relaxed);
        let proxy = plan.tcp_proxy();
        Limits { idle: proxy.idle_timeout, total: proxy.max_duration }
    }

    /// Connects, to another endpoint after a failure while attempts are left.
    async fn open(&mut self, plan: &Plan) -> Result<TcpStream, DataError> {
        loop {
            let chosen = plan.cluster.choose(&self.addresses, self.context.random())?;
            let address = chosen.address;
            self.chosen(chosen);
            self.attempts += 1;
            let shared = &self.context.shared;
            let cluster = &plan.cluster.compiled;
            match connect(cluster, address, self.client(), shared.sockets).await {
                Ok(stream) => return Ok(stream),
                Err(error)
                    if error.retryable && self.attempts < plan.tcp_proxy().max_connect_attempts => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// By whose address the upstream knows it.
    fn client(&self) -> Option<Client> {
        let how = self.listener.compiled.original_src?;
        Some(Client { address: self.addresses.remote.ip(), how })
    }

    fn chosen(&mut self, chosen: Upstream) {
        if let Some(live) = &chosen.live {
            live.active.fetch_add(1, Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut self.host, chosen.live);
        release(before.as_ref());
        if let Some(before) = self.upstream.replace(chosen.address) {
            let Tried(all) = &mut **self.tried.get_or_insert_default();
            if all.len() < TRIED {
                all.push(before);
            }
        }
        self.workload = chosen.workload;
    }

    fn failed(&mut self, error: DataError) {
        let kind = error.kind;
        if !matches!(kind, Kind::DownstreamReset | Kind::UpstreamReset | Kind::IdleTimeout) {
            tracing::info!(
                listener = %self.listener.compiled.name,
                destination = %self.addresses.destination(),
                flags = ?kind.flags(),
                reason = %error,
                "connection refused"
            );
        }
        self.error = Some(Box::new(error));
    }

    fn record(&self) -> AccessRecord {
        let duration = self.start.elapsed();
        let now = SystemTime::now();
        let (received, sent) = self.relay.as_ref().map_or((0, 0), Relay::moved);
        let error = self.error.as_deref();
        let reason = match error {
            Some(error) => Arc::from(&*error.cause),
            None => self.context.shared.reasons.of(self.ended),
        };
        let cluster = self.cluster.as_ref().map(|cluster| &cluster.compiled);
        let chain = self.chain.as_ref();
        let origin = chain.map_or(&self.listener.compiled.origin, |chain| &chain.origin);
        AccessRecord {
            id: self.id,
            upstream_id: self.relay.as_ref().map(|_| self.id + 1),
            proxy: self.context.shared.facts.clone(),
            start: now.checked_sub(duration).unwrap_or(now),
            duration,
            listener: self.listener.compiled.name.clone(),
            direction: self.listener.compiled.direction,
            filter_chain: chain.map_or_else(Arc::default, |chain| chain.name.clone()),
            origin: origin.clone(),
            cluster: cluster.map(|c| c.name.clone()).or_else(|| self.missing_cluster.clone()),
            cluster_origin: cluster.and_then(|cluster| cluster.origin.clone()),
            workload: self.workload.clone(),
            far: None,
            downstream_remote: self.addresses.remote,
            // Interception is undone here too, as Envoy's original_dst listener filter does.
            downstream_local: self.addresses.destination(),
            original_destination: self.addresses.original,
            upstream_remote: self.upstream,
            upstream_local: self.relay.as_ref().and_then(|relay| relay.upstream.local_addr().ok()),
            tried: self.tried.as_ref().map(|tried| tried.0.clone()).unwrap_or_default(),
            ready: self.ready.map(|ready| Duration::from_millis(ready.into())),
            server_name: self.server_name(),
            bytes_received: received,
            bytes_sent: sent,
            attempts: self.attempts,
            flags: error.map_or(&[], |error| error.kind.flags()),
            close_reason: reason,
            upstream_failure: error
                .filter(|error| error.is_connect_failure())
                .map(|error| Arc::from(&*error.cause)),
        }
    }

    fn server_name(&self) -> Option<Arc<str>> {
        match self.seen.as_deref()? {
            FirstBytes::Tls(hello) => hello.server_name.as_deref().map(Arc::from),
            FirstBytes::Plain => None,
        }
    }

    fn log(&self, record: &AccessRecord) {
        let listener = self.listener.compiled.access_log.iter();
        let proxy = self.chain.as_ref().and_then(|chain| match &chain.terminal {
            Terminal::TcpProxy(proxy) => Some(proxy.access_log.iter()),
            Terminal::Close => None,
        });
        for log in listener.chain(proxy.into_iter().flatten()) {
            if !log.wants(record) {
                continue;
            }
            let shared = &self.context.shared;
            match &log.output {
                Output::Line(sink, format) => {
                    let mut line = String::with_capacity(256);
                    format.write(record, &mut line);
                    shared.log.line(sink, &line);
                }
                Output::Entry(collector) => shared.collectors.entry(collector, record),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut record = self.record();
        let failed = self.error.is_some();
        let (received, sent) = (record.bytes_received, record.bytes_sent);
        if !self.decided {
            self.listener.counters.open();
        }
        self.listener.counters.close(received, sent, failed);
        if let Some(cluster) = &self.cluster {
            cluster.live.counters.close(received, sent, failed);
            cluster.live.active.fetch_sub(1, Ordering::Relaxed);
        }
        release(self.host.as_ref());
        let key = self.counted(record.flags);
        record.far = key.as_ref().and_then(|key| self.context.shared.traffic.far(key));
        self.log(&record);
        self.context.shared.records.push(self.context.index, Ended { record, key });
        self.context.active.fetch_sub(1, Ordering::Relaxed);
    }
}

fn release(host: Option<&Arc<HostLive>>) {
    if let Some(host) = host {
        host.active.fetch_sub(1, Ordering::Relaxed);
    }
}
