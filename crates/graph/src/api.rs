//! The graph API, version 1, as pages. In: paths and queries. Out: JSON; what is wrong with a query is a
//! problem that names the parameter and what it takes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_control::Inventory;
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Pages, Reader, at_once, only};
use serde_json::json;

use crate::collect::Traffic;
use crate::connection::Connection;
use crate::failure::failure;
use crate::graph::{Query, graph, left_out};
use crate::key::Key;
use crate::kiali::kiali;
use crate::mesh::{Healths, mark};
use crate::series::{selects, series};
use crate::store::{KEPT, STEP, Store, step_of};
use crate::text::text;
use crate::view::{GraphType, Status, StoreStatus};

/// Seconds that rates are over, unless it is said.
const DURATION: u64 = 60;
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
        let parameters = parameters(&ask.query);
        let path = ask.path.strip_prefix("/api/v1/")?;
        if let ("graph" | "series", Some(why)) = (path, traffic.missing()) {
            return Some(Page::problem(502, why));
        }
        let page = match path {
            "status" => Ok(Page::json(&status(&traffic, &about, &inventory, &ask.reader))),
            "graph" => graph_page(&traffic, &inventory, &parameters, &ask.reader),
            "series" => series_page(&traffic.now(), &parameters, &ask.reader),
            "failures" => failures_page(&traffic, &inventory, &parameters, &ask.reader),
            "logs" => logs_page(&traffic, &parameters, &ask.reader),
            list => Ok(list_page(&traffic, &inventory, list, &ask.query)?),
        };
        Some(match page {
            _ if !ask.is_reading() => only("GET"),
            Ok(page) => page,
            Err(message) => Page::problem(400, message),
        })
    })
}

type Parameters<'q> = BTreeMap<Cow<'q, str>, Cow<'q, str>>;

fn parameters(query: &str) -> Parameters<'_> {
    form_urlencoded::parse(query.as_bytes()).collect()
}

fn status(traffic: &Traffic, about: &About, inventory: &Inventory, reader: &Reader) -> Status {
    let store = traffic.now();
    let (fill, (oldest, now)) = (store.fill(), store.range());
    let mut notices = notices(traffic, &store, inventory);
    notices.extend(reader.confined_to().map(|namespaces| left_out(namespaces)));
    Status {
        version: about.version,
        cluster: about.cluster.clone(),
        source: traffic.source(),
        now: milliseconds(now + 1),
        oldest: milliseconds(oldest),
        step: STEP * 1000,
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

/// What is not shown, to whomever.
fn notices(traffic: &Traffic, store: &Store, inventory: &Inventory) -> Vec<String> {
    let (fill, (oldest, now)) = (store.fill(), store.range());
    let mut notices = traffic.notices();
    notices.extend(inventory.notices());
    if fill.dropped > 0 {
        notices.push(format!("{} counts of edges found no room and are not shown", fill.dropped));
    }
    if fill.is_short {
        let minutes = u64::from(now - oldest) * STEP / 60;
        notices.push(format!(
            "only the last {minutes} minutes are kept: there is no room for an hour of so many edges"
        ));
    }
    notices
}

fn milliseconds(step: u32) -> u64 {
    u64::from(step) * STEP * 1000
}

/// One of the control plane's lists, with the health that the traffic tells of.
fn list_page(traffic: &Traffic, inventory: &Inventory, list: &str, query: &str) -> Option<Page> {
    let r#type = if list == "applications" { GraphType::App } else { GraphType::Workload };
    let healths = OnceCell::new();
    inventory.list(list, query, &|id| {
        healths.get_or_init(|| Healths::of(&traffic.now(), r#type)).get(id)
    })
}

fn graph_page(
    traffic: &Traffic,
    inventory: &Inventory,
    parameters: &Parameters<'_>,
    reader: &Reader,
) -> Result<Page, String> {
    let (mut graph, services, notices) = {
        let store = traffic.now();
        let query = read(&store, parameters, reader)?;
        (graph(&store, &query), query.services, notices(traffic, &store, inventory))
    };
    mark(&mut graph, &inventory.acts(), services);
    graph.notices.extend(notices);
    match parameters.get("format").map_or("lateen", |format| &**format) {
        "lateen" => Ok(Page::json(&graph)),
        "kiali" => Ok(Page::json(&kiali(&graph))),
        "text" => Ok(Page::text(text(&graph))),
        other => Err(format!("format {other:?} is not known: use lateen, kiali or text")),
    }
}

fn series_page(
    store: &Store,
    parameters: &Parameters<'_>,
    reader: &Reader,
) -> Result<Page, String> {
    let id = parameters.get("id").ok_or("id is missing: give the id of a node or an edge")?;
    let mut query = read(store, parameters, reader)?;
    // A step that is not over would look like a fall.
    query.at = query.at.min(store.range().1.saturating_sub(1));
    Ok(Page::json(&series(store, id, &query)))
}

fn failures_page(
    traffic: &Traffic,
    inventory: &Inventory,
    parameters: &Parameters<'_>,
    reader: &Reader,
) -> Result<Page, String> {
    let (id, at, limit) = selection(traffic, parameters)?;
    let recent = traffic.recent();
    let failed = recent.newest(
        |key| key.is_failure() && may_read(reader, key) && selects(id, key),
        at,
        limit,
    );
    let known = inventory.known(reader.confined_to());
    let failures = failed.iter().filter_map(|(key, one)| failure(key, one, &known));
    let failures: Vec<_> = failures.collect();
    Ok(Page::json(&json!({ "failures": failures })))
}

fn logs_page(
    traffic: &Traffic,
    parameters: &Parameters<'_>,
    reader: &Reader,
) -> Result<Page, String> {
    let (id, at, limit) = selection(traffic, parameters)?;
    let recent = traffic.recent();
    let newest = recent.newest(|key| may_read(reader, key) && selects(id, key), at, limit);
    let line =
        |one: &Connection| json!({ "time": one.time, "from": &*one.proxy, "text": one.line() });
    let lines: Vec<_> = newest.into_iter().rev().map(|(_, one)| line(one)).collect();
    Ok(Page::json(&json!({ "lines": lines })))
}

/// Whether all that is said of an edge's connections is of namespaces that the reader may look into.
fn may_read(reader: &Reader, key: &Key) -> bool {
    reader.confined_to().is_none_or(|namespaces| key.is_within(namespaces))
}

/// What is selected, until when in milliseconds, and how many rows are wanted.
fn selection<'p>(
    traffic: &Traffic,
    parameters: &'p Parameters<'_>,
) -> Result<(&'p str, u64, usize), String> {
    let get = |name: &str| parameters.get(name).map(|value| &**value).filter(|v| !v.is_empty());
    let id = get("id").ok_or("id is missing: give the id of a node or an edge, or mesh")?;
    let at = at(&traffic.now(), get("at"))?;
    let limit = match get("limit") {
        None => ROWS,
        Some(text) => match text.parse() {
            Ok(limit) if (1..=ROWS).contains(&limit) => limit,
            _ => return Err(format!("limit {text:?} is not from 1 to {ROWS}")),
        },
    };
    Ok((id, milliseconds(at + 1), limit))
}

fn read(store: &Store, parameters: &Parameters<'_>, reader: &Reader) -> Result<Query, String> {
    let get = |name: &str| parameters.get(name).map(|value| &**value).filter(|v| !v.is_empty());
    let flag = |name: &str, or: bool| match get(name) {
        None => Ok(or),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{name} {other:?} is neither true nor false")),
    };
    let namespaces = get("namespaces").map(|names| {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect::<BTreeSet<String>>()
    });
    Ok(Query {
        r#type: get("type").map_or(Ok(GraphType::VersionedApp), graph_type)?,
        namespaces,
        confined_to: reader.confined_to().cloned(),
        duration: get("duration").map_or(Ok(DURATION), duration)?,
        at: at(store, get("at"))?,
        services: flag("services", true)?,
        idle: flag("idle", false)?,
    })
}

fn graph_type(text: &str) -> Result<GraphType, String> {
    Ok(match text {
        "workload" => GraphType::Workload,
        "app" => GraphType::App,
        "versionedApp" => GraphType::VersionedApp,
        "service" => GraphType::Service,
        other => {
            return Err(format!(
                "type {other:?} is not known: use workload, app, versionedApp or service"
            ));
        }
    })
}

/// Seconds, with or without their unit; whole steps.
///
/// # Errors
/// If it is none, or not one that is kept.
pub fn duration(text: &str) -> Result<u64, String> {
    let longest = u64::from(KEPT) * STEP;
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    let seconds = number.parse().ok().and_then(|count: u64| count.checked_mul(factor));
    match seconds {
        Some(seconds) if (STEP..=longest).contains(&seconds) => Ok(seconds / STEP * STEP),
        _ => Err(format!("duration {text:?} is not from {STEP} to {longest} seconds")),
    }
}

/// The last step of the time that is asked for; a time that is not kept any more is an error, one that is
/// to come is now.
fn at(store: &Store, text: Option<&str>) -> Result<u32, String> {
    let (oldest, now) = store.range();
    let Some(text) = text else { return Ok(now) };
    let time: u64 = text
        .parse()
        .map_err(|_| format!("at {text:?} is not a time: give milliseconds since 1970"))?;
    let step = step_of(time / 1000).saturating_sub(u32::from(time.is_multiple_of(STEP * 1000)));
    match step {
        step if step < oldest => {
            Err(format!("at {text} is too long ago: the oldest is {}", milliseconds(oldest)))
        }
        step => Ok(step.min(now)),
    }
}

#[cfg(test)]
mod contract;

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use lateen_runtime::admin::Page;
    use lateen_runtime::pages::Ask;

    use super::{About, Inventory, Traffic, duration, pages};

    fn page(path: &str, query: &str) -> Option<Page> {
        let about = About { version: "1", cluster: "Kubernetes".into() };
        let ask = Ask::get(path, query);
        pages(Traffic::new(1 << 20), about, Inventory::default())
            .answer(&ask)
            .now_or_never()
            .unwrap()
    }

    fn get(path: &str, query: &str) -> (u16, String) {
        let page = page(path, query).unwrap();
        (page.status, String::from_utf8(page.body).unwrap())
    }

    #[test]
    fn an_empty_mesh_has_an_empty_graph() {
        let (status, body) = get("/api/v1/graph", "type=workload&duration=1m&idle=true");
        assert_eq!(status, 200);
        let graph: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&graph["nodes"], &graph["duration"]), (&serde_json::json!([]), &60.into()));
        assert_eq!(graph["apiVersion"], "graph.lateen.io/v1");
        assert_eq!(get("/api/v1/status", "").0, 200);
    }

    #[test]
    fn what_is_wrong_with_a_query_is_said() {
        for (query, said) in [
            ("type=pod", "type \\\"pod\\\" is not known"),
            ("duration=2h", "is not from 5 to 3600 seconds"),
            ("duration=", "\"nodes\""),
            ("namespaces=,%20,", "\"nodes\": []"),
            ("duration=18446744073709551615h", "is not from 5"),
            ("at=yesterday", "give milliseconds"),
            ("at=1000", "is too long ago"),
            ("idle=perhaps", "neither true nor false"),
            ("format=dot", "use lateen, kiali or text"),
        ] {
            let (_, body) = get("/api/v1/graph", query);
            assert!(body.contains(said), "{query}: {body}");
        }
        assert_eq!(get("/api/v1/series", "").0, 400);
    }

    #[test]
    fn a_series_ends_with_the_last_step_that_is_over() {
        let (_, body) = get("/api/v1/series", "id=mesh&duration=60");
        let series: serde_json::Value = serde_json::from_str(&body).unwrap();
        let end = series["start"].as_u64().unwrap() + 60_000;
        let now = crate::collect::seconds() * 1000;
        assert!(end <= now && now < end + 10_000, "{end} {now}");
    }

    #[test]
    fn pages_of_others_are_none() {
        assert!(page("/api/v1/nothing", "").is_none() && page("/", "").is_none());
    }

    #[test]
    fn durations_are_whole_steps() {
        assert_eq!(duration("62"), Ok(60));
        assert_eq!(duration("10m"), Ok(600));
    }
}
