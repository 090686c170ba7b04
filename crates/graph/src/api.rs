//! The graph API, version 1, as pages. In: paths and queries. Out: JSON; what is wrong with a query is a
//! problem that names the parameter and what it takes.

mod failures;
mod parameters;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lateen_api::issue::ObjectRef;
use lateen_control::Inventory;
use lateen_control::known::Known;
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Pages, Reader, at_once, only};
use serde_json::json;

use crate::collect::Traffic;
use crate::connection::Connection;
use crate::failure::failure;
use crate::graph::{BLACK_HOLE, Query, graph, left_out};
use crate::key::Key;
use crate::kiali::{TcpRate, kiali};
use crate::mesh::{HEALTH_OVER, Healths, mark};
use crate::recent::Row;
use crate::series::{has_traffic, selects, series};
use crate::store::{STEP, STEP_MS, Store};
use crate::text::text;
use crate::view::{GraphType, Status, StoreStatus};
use failures::both_views;
pub use parameters::duration;
use parameters::{Parameters, milliseconds};

/// Steps in which proxies come back to a control plane that has begun.
const COMING: u32 = 2;
/// Rows of failures and of logs.
const ROWS: usize = 500;

/// What is said of the server.
#[derive(Clone, Debug)]
pub struct About {
    pub version: &'static str,
    /// Istio's name of the cluster.
    pub cluster: String,
}

/// The pages under `/api/v1/`.
pub fn pages(traffic: Arc<Traffic>, about: About, inventory: Inventory) -> Arc<dyn Pages> {
    at_once(move |ask| {
        let (query, reader) = (&*ask.query, &ask.reader);
        let path = ask.path.strip_prefix("/api/v1/")?;
        if let ("graph" | "series", Some(why)) = (path, traffic.missing()) {
            return Some(Page::problem(502, why));
        }
        let page = match path {
            "status" => Parameters::read(query, parameters::STATUS)
                .map(|_| Page::json(&status(&traffic, &about, &inventory, reader)))
                .map_err(Refusal::from),
            "graph" => graph_page(&traffic, &inventory, query, reader),
            "series" => series_page(&traffic, &inventory, query, reader),
            "failures" => failures_page(&traffic, &inventory, query, reader),
            "logs" => logs_page(&traffic, &inventory, query, reader),
            "config" => config_page(&traffic, &inventory, query, reader),
            list => Ok(list_page(&traffic, &inventory, list, query)?),
        };
        Some(match page {
            _ if !ask.is_reading() => only("GET"),
            Ok(page) => page,
            Err(Refusal { status, message }) => Page::problem(status, message),
        })
    })
}

/// Why there is no answer.
struct Refusal {
    status: u16,
    message: String,
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self { status: 400, message }
    }
}

impl Refusal {
    fn unknown(id: &str) -> Self {
        let message = format!(
            "there is no {id:?} in the mesh, and nothing was of it in the last hour: take an id from /api/v1/graph"
        );
        Self { status: 404, message }
    }
}

fn status(traffic: &Traffic, about: &About, inventory: &Inventory, reader: &Reader) -> Status {
    let store = traffic.now();
    let (fill, (oldest, now)) = (store.fill(), store.range());
    let mut notices = notices(traffic, &store, inventory, reader);
    notices.extend(reader.confined_to().map(|namespaces| left_out(namespaces)));
    Status {
        version: about.version,
        cluster: about.cluster.clone(),
        source: traffic.source(),
        now: milliseconds(now + 1),
        oldest: milliseconds(oldest),
        step: STEP_MS,
        user: reader.user().map(str::to_owned),
        proxies: traffic.proxies(),
        store: StoreStatus {
            bytes: fill.bytes,
            limit: fill.limit,
            edges: fill.edges,
            edges_dropped: fill.dropped,
        },
        notices,
    }
}

/// Seconds for which nobody need be told how old a scrape is.
const FRESH: u64 = 15;

/// What is not shown.
fn notices(
    traffic: &Traffic,
    store: &Store,
    inventory: &Inventory,
    reader: &Reader,
) -> Vec<String> {
    let (fill, (oldest, now)) = (store.fill(), store.range());
    let mut notices = traffic.notices();
    notices.extend(inventory.notices(reader.confined_to()));
    if store.awaited() > 0 {
        notices.push(format!(
            "Prometheus has scraped {} of {} proxies only once: rates are known from the second scrape of all on",
            store.awaited(),
            traffic.proxies()
        ));
    }
    notices.extend(store.missed().notice(traffic.proxies(), reader.confined_to().is_none()));
    if store.age() > FRESH {
        notices.push(format!("Prometheus' newest scrape is of {} s ago", store.age()));
    }
    if fill.lately > 0 {
        notices.push(format!("{} counts of edges found no room and are not shown", fill.lately));
    }
    if fill.is_short {
        let minutes = u64::from(now - oldest) * STEP / 60;
        notices.push(format!(
            "only the last {minutes} minutes are kept: there is no room for an hour of so many edges"
        ));
    }
    notices
}

/// Why nothing is known since this step, where that is no sign that nothing has talked, or not all that is carried.
fn youth(store: &Store, since: u32, at: u32, is_empty: bool) -> Option<String> {
    let (begun, now) = (store.begun(), store.range().1);
    let age = u64::from(at.saturating_sub(begun) + 1) * STEP;
    let when = if at + 1 < now { "before that" } else { "ago" };
    let what = match is_empty {
        true => format!(
            ", and little is known of before: proxies tell it within {STEP} s what they carry"
        ),
        false => {
            ": what those proxies carry that have not come back to it yet is missing".to_owned()
        }
    };
    (begun + COMING > since)
        .then(|| format!("the control plane began less than {age} s {when}{what}"))
}

/// Of what is asked for so many proxies have not told everything.
fn lacking(proxies: usize) -> Option<String> {
    let whose = if proxies == 1 { "1 proxy" } else { &format!("{proxies} proxies") };
    (proxies > 0).then(|| {
        format!(
            "reports of {whose} did not arrive for a part of this time: what was counted there then is not known, and \
             rates are without it"
        )
    })
}

/// Which of the namespaces that are asked for are none, `mesh` being those that are known; whether there is one, nobody
/// is told who may not look into it. Where no control plane is asked none is known.
fn missing(
    asked: &BTreeSet<String>,
    mesh: &BTreeSet<String>,
    store: &Store,
    reader: &Reader,
) -> Option<String> {
    let is_there = |name: &String| match reader.confined_to() {
        Some(namespaces) => namespaces.contains(name),
        None => mesh.contains(name) || store.keys().any(|key| key.touches(name)),
    };
    let names: Vec<&str> =
        asked.iter().filter(|name| !is_there(name)).map(String::as_str).collect();
    let is_told = !mesh.is_empty() && !names.is_empty();
    is_told.then(|| format!("there is no namespace {} that you may see", names.join(" or ")))
}

/// One of the control plane's lists, with the health that the traffic tells of.
fn list_page(traffic: &Traffic, inventory: &Inventory, list: &str, query: &str) -> Option<Page> {
    let r#type = if list == "applications" { GraphType::App } else { GraphType::Workload };
    let healths = OnceCell::new();
    inventory
        .list(list, query, &|id| healths.get_or_init(|| lately(traffic, inventory, r#type)).get(id))
}

/// Of a selection also what its traffic tells of: on a way that leads nowhere there is no service that is acted on.
fn config_page(
    traffic: &Traffic,
    inventory: &Inventory,
    query: &str,
    reader: &Reader,
) -> Result<Page, Refusal> {
    inventory.config(query, |id| {
        let chosen = Selection::of(traffic, &Parameters::default(), id, reader)?;
        let seen = Query { confined_to: reader.confined_to().cloned(), ..chosen.graph.clone() };
        if chosen.is_known(traffic, inventory) || has_traffic(&traffic.now(), id, &seen) {
            return Ok(chosen.led_nowhere(traffic));
        }
        Err(Refusal::unknown(id))
    })
}

/// How all were in the last minute, also services that nobody reached.
fn lately(traffic: &Traffic, inventory: &Inventory, r#type: GraphType) -> Healths {
    let (mut healths, now) = {
        let store = traffic.now();
        (Healths::of(&store, r#type), milliseconds(store.range().1 + 1))
    };
    let since = now.saturating_sub(HEALTH_OVER * 1000);
    let lost = traffic.recent().newest(is_lost, |_, one| one.time >= since, now, ROWS);
    let known = inventory.known(None);
    healths
        .lost(lost.iter().filter_map(|(_, one)| dialled(one)).flat_map(|to| known.services_at(to)));
    healths
}

fn graph_page(
    traffic: &Traffic,
    inventory: &Inventory,
    query: &str,
    reader: &Reader,
) -> Result<Page, Refusal> {
    let parameters = Parameters::read(query, parameters::GRAPH)?;
    let (mut graph, query, is_past, notices) = {
        let store = traffic.now();
        let query = parameters.graph(&store, reader)?;
        let is_past = query.at < store.range().1.saturating_sub(1);
        let mut notices = notices(traffic, &store, inventory, reader);
        if let Some(asked) = &query.namespaces {
            notices.extend(missing(asked, &inventory.namespaces(), &store, reader));
        }
        let steps = query.first()..query.at + 1;
        let is_all = query.namespaces.is_none() && query.confined_to.is_none();
        notices.extend(store.standstill(query.at).map(|seconds| {
            format!(
                "the control plane stood still for about {seconds} s: what proxies carried meanwhile is not all here yet"
            )
        }));
        notices.extend(lacking(match is_all {
            true => store.lacking(steps),
            false => store.lacking_of(steps, |key| query.shown(key).is_some()),
        }));
        let graph = graph(&store, &query);
        if traffic.source() == "memory" && (graph.edges.is_empty() || store.is_young()) {
            notices.extend(youth(&store, query.first(), query.at, graph.edges.is_empty()));
        }
        if graph.edges.is_empty() && traffic.source() == "prometheus" && traffic.proxies() == 0 {
            notices.push("Prometheus has scraped no proxy lately: nothing is known".to_owned());
        }
        (graph, query, is_past, notices)
    };
    mark(&mut graph, &inventory.acts(), query.services, is_past);
    graph.notices.extend(notices);
    match parameters.get("format").unwrap_or("lateen") {
        "lateen" => Ok(Page::compact_json(&graph)),
        "kiali" => {
            let tcp = TcpRate::read(parameters.get("rateTcp"))?;
            Ok(Page::compact_json(&kiali(&graph, query.namespaces.as_ref(), tcp)))
        }
        "text" => Ok(Page::text(text(&graph))),
        other => Err(format!("format {other:?} is not known: use lateen, kiali or text").into()),
    }
}

fn series_page(
    traffic: &Traffic,
    inventory: &Inventory,
    query: &str,
    reader: &Reader,
) -> Result<Page, Refusal> {
    let parameters = Parameters::read(query, parameters::SERIES)?;
    let id = parameters.id()?;
    let store = traffic.now();
    let mut query = parameters.graph_of(id, &store, reader)?;
    // A step that is not over would look like a fall.
    query.at = query.at.min(store.range().1.saturating_sub(1));
    if !(is_of_mesh(inventory, id, reader) || has_traffic(&store, id, &query)) {
        return Err(Refusal::unknown(id));
    }
    Ok(Page::json(&series(&store, id, &query)))
}

fn failures_page(
    traffic: &Traffic,
    inventory: &Inventory,
    query: &str,
    reader: &Reader,
) -> Result<Page, Refusal> {
    let chosen = Selection::read(traffic, inventory, query, reader)?;
    let known = inventory.known(reader.confined_to());
    let failed = chosen.failed(traffic, &known);
    let told = both_views(&failed, |(key, one)| failure(key, one, &known));
    let failures: Vec<_> = told.take(chosen.limit).collect();
    Ok(Page::json(&json!({ "failures": failures })))
}

fn logs_page(
    traffic: &Traffic,
    inventory: &Inventory,
    query: &str,
    reader: &Reader,
) -> Result<Page, Refusal> {
    let chosen = Selection::read(traffic, inventory, query, reader)?;
    let newest = chosen.newest(traffic, chosen.limit);
    let line =
        |one: &Connection| json!({ "time": one.time, "from": &*one.proxy, "text": one.line() });
    let lines: Vec<_> = newest.iter().rev().map(|(_, one)| line(one)).collect();
    Ok(Page::json(&json!({ "lines": lines })))
}

/// What connections are asked for.
struct Selection<'r> {
    id: String,
    /// The graph that it is of, as whoever may read everything has it.
    graph: Query,
    reader: &'r Reader,
    /// Milliseconds since 1970.
    until: u64,
    limit: usize,
}

impl<'r> Selection<'r> {
    fn read(
        traffic: &Traffic,
        inventory: &Inventory,
        query: &str,
        reader: &'r Reader,
    ) -> Result<Self, Refusal> {
        let parameters = Parameters::read(query, parameters::SELECTION)?;
        let chosen = Self::of(traffic, &parameters, parameters.id()?, reader)?;
        if !chosen.is_known(traffic, inventory) {
            return Err(Refusal::unknown(&chosen.id));
        }
        Ok(chosen)
    }

    fn of(
        traffic: &Traffic,
        parameters: &Parameters<'_>,
        id: &str,
        reader: &'r Reader,
    ) -> Result<Self, Refusal> {
        let graph = parameters.graph_of(id, &traffic.now(), reader)?;
        let graph = Query { confined_to: None, ..graph };
        let (until, limit) = (milliseconds(graph.at + 1), parameters.limit(ROWS)?);
        Ok(Self { id: id.to_owned(), graph, reader, until, limit })
    }

    /// Whether there is such a thing for this reader, or was in the last hour.
    fn is_known(&self, traffic: &Traffic, inventory: &Inventory) -> bool {
        let has_traffic = || traffic.now().keys().any(|key| self.has(key));
        let has_ended = || !self.newest(traffic, 1).is_empty();
        is_of_mesh(inventory, &self.id, self.reader) || has_traffic() || has_ended()
    }

    /// What led connections of it to no service.
    fn led_nowhere(&self, traffic: &Traffic) -> BTreeSet<ObjectRef> {
        let any = |key: &Key| is_lost(key) && self.has(key);
        let rows = traffic.recent().newest(any, |_, one| one.route.is_some(), self.until, ROWS);
        rows.iter().filter_map(|(_, one)| one.route.as_ref().map(ObjectRef::from)).collect()
    }

    /// The newest of them, of which nobody waits for what is made.
    fn newest(&self, traffic: &Traffic, limit: usize) -> Vec<Row> {
        traffic.recent().newest(|key| self.has(key), |_, _| true, self.until, limit)
    }

    /// The newest that failed. Those that were to go to a service and that a route led nowhere are the service's too.
    fn failed(&self, traffic: &Traffic, known: &Known) -> Vec<Row> {
        let may_be_lost = |key: &Key| self.is_service() && is_lost(key) && self.may_read(key);
        let any = |key: &Key| key.is_failure() && (self.has(key) || may_be_lost(key));
        let wanted = |key: &Key, one: &Connection| {
            let was_dialled =
                || dialled(one).is_some_and(|to| known.services_at(to).contains(&self.id));
            !is_lost(key) || self.has(key) || was_dialled()
        };
        traffic.recent().newest(any, wanted, self.until, ROWS)
    }

    fn is_service(&self) -> bool {
        self.id.starts_with("service/") || self.id.starts_with("serviceEntry/")
    }

    /// Whether all that is said of an edge's connections is of namespaces that the reader may look into.
    fn has(&self, key: &Key) -> bool {
        self.may_read(key) && selects(&self.id, &self.graph, key)
    }

    fn may_read(&self, key: &Key) -> bool {
        self.reader.confined_to().is_none_or(|namespaces| key.is_within(namespaces))
    }
}

/// The address that was asked for.
fn dialled(one: &Connection) -> Option<IpAddr> {
    Some(one.destination.parse::<SocketAddr>().ok()?.ip())
}

/// Whether it is of connections that went to no service.
fn is_lost(key: &Key) -> bool {
    *key.service.name == *BLACK_HOLE
}

/// Whether a node, or a group of them, is there for this reader even without traffic.
fn is_of_mesh(inventory: &Inventory, id: &str, reader: &Reader) -> bool {
    let may_see = |namespace: &str| {
        reader.confined_to().is_none_or(|namespaces| namespaces.contains(namespace))
    };
    id == "mesh"
        || id.split('/').nth(1).is_some_and(may_see) && inventory.acts().place(id).is_some()
}

#[cfg(test)]
mod contract;

#[cfg(test)]
mod tests;
