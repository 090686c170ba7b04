//! Query parameters of the graph's pages. In: a query. Out: values; what is wrong is said with the parameter's name and
//! what it takes. Nothing is rounded, and no name that is not known is passed over: whoever misspells would be
//! shown another graph than they asked for.

use std::collections::BTreeSet;

use lateen_control::query::{Pairs, not_taken, pairs};
use lateen_runtime::pages::Reader;

use crate::graph::Query;
use crate::kiali;
use crate::series::{is_among_services, type_having};
use crate::store::{KEPT, STEP, STEP_MS, Store, step_of};
use crate::view::GraphType;

/// Seconds that rates are over, unless it is said.
const DURATION: u64 = 60;
/// Steps that a time may be ahead: clocks differ a little.
const AHEAD: u32 = 1;

pub const STATUS: &[&str] = &[];
pub const GRAPH: &[&str] = &["type", "namespaces", "duration", "at", "services", "idle", "format"];
pub const SERIES: &[&str] = &["id", "type", "namespaces", "duration", "at", "services", "idle"];
pub const SELECTION: &[&str] = &["id", "type", "services", "at", "limit"];

/// What a query gives.
#[derive(Default)]
pub struct Parameters<'q>(Pairs<'q>);

impl<'q> Parameters<'q> {
    /// Of a page that takes these; with `format=kiali` those that Kiali's clients send, too.
    ///
    /// # Errors
    /// If one is not among them, or is given twice.
    pub fn read(query: &'q str, names: &[&str]) -> Result<Self, String> {
        let mut all = pairs(query)?;
        let for_kiali =
            names.contains(&"format") && all.get("format").is_some_and(|format| format == "kiali");
        if for_kiali {
            kiali::translate(&mut all)?;
        }
        let is_known = |name: &str| names.contains(&name) || for_kiali && kiali::is_parameter(name);
        match all.keys().find(|name| !is_known(name)) {
            None => Ok(Self(all)),
            Some(name) if kiali::is_parameter(name) => {
                Err(format!("{name} is a parameter of Kiali's: it is read with format=kiali only"))
            }
            Some(name) => Err(not_taken(name, names)),
        }
    }

    /// A value; an empty one is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }

    pub fn id(&self) -> Result<&str, String> {
        self.get("id").ok_or_else(|| {
            "id is missing: give the id of a node or an edge, or mesh for all".to_owned()
        })
    }

    pub fn limit(&self, most: usize) -> Result<usize, String> {
        let Some(text) = self.get("limit") else { return Ok(most) };
        match text.parse() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(format!("limit {text:?} is not from 1 to {most}")),
        }
    }

    fn flag(&self, name: &str, or: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(or),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("{name} {other:?} is neither true nor false")),
        }
    }

    /// The last step of the time that is asked for; a time that is not kept any more is an error, and so is one that is
    /// to come.
    pub fn at(&self, store: &Store) -> Result<u32, String> {
        let (oldest, now) = store.range();
        let Some(text) = self.get("at") else { return Ok(now) };
        let time: u64 = text
            .parse()
            .map_err(|_| format!("at {text:?} is not a time: give milliseconds since 1970"))?;
        let step = step_of(time / 1000).saturating_sub(u32::from(time.is_multiple_of(STEP_MS)));
        match step {
            _ if time < milliseconds(oldest) => {
                Err(format!("at {text} is too long ago: the oldest is {}", milliseconds(oldest)))
            }
            step if step > now + AHEAD => {
                Err(format!("at {text} is to come: now is {}", milliseconds(now + 1)))
            }
            // At the oldest time itself its first step has only begun.
            step => Ok(step.clamp(oldest, now)),
        }
    }

    /// All of a graph.
    pub fn graph(&self, store: &Store, reader: &Reader) -> Result<Query, String> {
        let namespaces = self.get("namespaces").map(|names| {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect::<BTreeSet<String>>()
        });
        Ok(Query {
            r#type: self.get("type").map_or(Ok(GraphType::VersionedApp), graph_type)?,
            namespaces,
            confined_to: reader.confined_to().cloned(),
            duration: self.get("duration").map_or(Ok(DURATION), duration)?,
            at: self.at(store)?,
            services: self.flag("services", true)?,
            idle: self.flag("idle", false)?,
        })
    }

    /// The graph that an id is of: where it is not said, one that has such an id.
    pub fn graph_of(&self, id: &str, store: &Store, reader: &Reader) -> Result<Query, String> {
        let given = self.graph(store, reader)?;
        let guessed = type_having(id).filter(|_| self.get("type").is_none());
        let services = self.flag("services", is_among_services(id))?;
        Ok(Query { r#type: guessed.unwrap_or(given.r#type), services, ..given })
    }
}

pub fn milliseconds(step: u32) -> u64 {
    u64::from(step) * STEP_MS
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
/// If it is none, not one that is kept, or not of whole steps.
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
        Some(seconds) if (STEP..=longest).contains(&seconds) => match seconds % STEP {
            0 => Ok(seconds),
            more => Err(format!(
                "duration {text:?} is not of whole steps of {STEP} seconds: use {} or {}",
                seconds - more,
                seconds - more + STEP
            )),
        },
        _ => Err(format!(
            "duration {text:?} is not from {STEP} to {longest} seconds: give a number such as 60, 60s or 10m"
        )),
    }
}
