//! Query parameters that Kiali's clients send. In: theirs. Out: the graph API's own; those of things that this graph does
//! not have are taken and say nothing, because a client sends them always.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::view::Tcp;

/// Kiali's names of the graph API's own.
const RENAMED: &[(&str, &str)] =
    &[("graphType", "type"), ("includeIdleEdges", "idle"), ("injectServiceNodes", "services")];
/// Seconds since 1970, where the graph API has milliseconds in `at`.
const TIME: &str = "queryTime";
const TCP_RATE: &str = "rateTcp";
/// Sent by Kiali's page each time, and without a counterpart here.
const WITHOUT_EFFECT: &[&str] = &[
    "ambientTraffic",
    "appenders",
    "boxBy",
    "cluster",
    "clusterName",
    "configVendor",
    "includeHealth",
    "includeLabels",
    "rateGrpc",
    "rateHttp",
    "responseTime",
    "telemetryVendor",
    "throughputType",
    "waypoints",
];

/// Which bytes the rates of TCP are: of Istio's `istio_tcp_sent_bytes_total`, those that the server sent, of
/// `istio_tcp_received_bytes_total`, those that it received, or of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpRate {
    #[default]
    Sent,
    Received,
    Total,
    None,
}

impl TcpRate {
    /// # Errors
    /// If it is none of Kiali's.
    pub fn read(text: Option<&str>) -> Result<Self, String> {
        match text {
            None | Some("sent") => Ok(Self::Sent),
            Some("received") => Ok(Self::Received),
            Some("total") => Ok(Self::Total),
            Some("none") => Ok(Self::None),
            Some(other) => {
                Err(format!("{TCP_RATE} {other:?} is not known: use sent, received, total or none"))
            }
        }
    }

    pub fn of(self, tcp: &Tcp) -> f64 {
        match self {
            Self::Sent => tcp.received,
            Self::Received => tcp.sent,
            Self::Total => tcp.sent + tcp.received,
            Self::None => 0.0,
        }
    }
}

pub fn is_parameter(name: &str) -> bool {
    name == TIME
        || name == TCP_RATE
        || WITHOUT_EFFECT.contains(&name)
        || RENAMED.iter().any(|(theirs, _)| *theirs == name)
}

/// Puts the graph API's names for Kiali's.
///
/// # Errors
/// If a time is none, or both names of one parameter are given.
pub fn translate<'q>(all: &mut BTreeMap<Cow<'q, str>, Cow<'q, str>>) -> Result<(), String> {
    all.retain(|name, _| !WITHOUT_EFFECT.contains(&&**name));
    for (theirs, own) in RENAMED {
        if let Some(value) = all.remove(*theirs) {
            put(all, theirs, own, value)?;
        }
    }
    if let Some(value) = all.remove(TIME) {
        let milliseconds = value.parse().ok().and_then(|time: u64| time.checked_mul(1000));
        let milliseconds = milliseconds
            .ok_or_else(|| format!("{TIME} {value:?} is not a time: give seconds since 1970"))?;
        put(all, TIME, "at", milliseconds.to_string().into())?;
    }
    Ok(())
}

fn put<'q>(
    all: &mut BTreeMap<Cow<'q, str>, Cow<'q, str>>,
    theirs: &str,
    own: &'static str,
    value: Cow<'q, str>,
) -> Result<(), String> {
    match all.insert(own.into(), value) {
        Some(_) => Err(format!("{theirs} and {own} are the same: give one of them")),
        None => Ok(()),
    }
}
