//! Says on standard output which ports the ingress gateway opens and closes. In: its admin socket and the
//! Gateways there are. Out: the ports that are open when the mesh is ready, then one line for each change,
//! for as long as it is polled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use lateen_api::kinds::by_kind;
use lateen_kube::watch::{Event, watch_all};
use lateen_kube::{Client, Source};
use lateen_runtime::admin;
use serde_json::Value;

use crate::home::Home;
use crate::output::say;

const INTERVAL: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(20);
/// How long the ports of Gateways may take at the start.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// A port that is not open although nothing has changed for this long, stays closed: nothing is routed
/// from it, or another program has it.
const QUIET: Duration = Duration::from_millis(700);

/// Addresses that the gateway listens on.
pub type Open = BTreeSet<String>;

/// The ports of all Gateways that select proxies with these labels.
pub async fn wanted(kubeconfig: &Path, labels: &BTreeMap<String, String>) -> Result<BTreeSet<u16>> {
    let client = Client::connect(Source::Kubeconfig(kubeconfig.into())).await?;
    let kind = by_kind("networking.istio.io", "Gateway").expect("the table of kinds has Gateway");
    let mut events = watch_all(&client, [kind]);
    let listed = async {
        while let Some(event) = events.next().await {
            if let Event::Replace(_, objects) = event {
                return objects;
            }
        }
        Vec::new()
    };
    let objects = tokio::time::timeout(OPEN_WITHIN, listed)
        .await
        .context("the API does not list Gateways")?;
    Ok(objects.iter().filter(|object| selects(object, labels)).flat_map(server_ports).collect())
}

fn selects(gateway: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selector = gateway["spec"]["selector"].as_object();
    let mut pairs = selector.into_iter().flatten();
    pairs.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
}

fn server_ports(gateway: &Value) -> impl Iterator<Item = u16> {
    let servers = gateway["spec"]["servers"].as_array().map_or(&[][..], Vec::as_slice);
    servers.iter().filter_map(|server| u16::try_from(server["port"]["number"].as_u64()?).ok())
}

/// Says which addresses are open once the wanted ports are, or nothing changes any more.
pub async fn settle(home: &Home, wanted: &BTreeSet<u16>) -> Open {
    let socket = home.admin_socket("gateway");
    let begin = Instant::now();
    let (mut last, mut since) = (Vec::new(), begin);
    let open = loop {
        let open = listening_now(&socket).await.unwrap_or_default();
        let mut state = control_state(home).await;
        state.extend(open.iter().map(|address| address.as_bytes().to_vec()));
        if state != last {
            (last, since) = (state, Instant::now());
        }
        let done = wanted.iter().all(|port| is_open(&open, *port));
        if done || since.elapsed() > QUIET || begin.elapsed() > OPEN_WITHIN {
            break open;
        }
        tokio::time::sleep(POLL).await;
    };
    for address in &open {
        say(format_args!("gateway  listens on {address}"));
    }
    open
}

/// What the control plane has published, and what its proxies have taken.
async fn control_state(home: &Home) -> Vec<Vec<u8>> {
    let socket = home.admin_socket("control");
    let mut pages = Vec::new();
    for page in ["/snapshot", "/proxies"] {
        // One that is just being started again has changed.
        pages.push(admin::get(&socket, page).await.map(|page| page.to_vec()).unwrap_or_default());
    }
    pages
}

fn is_open(open: &Open, port: u16) -> bool {
    open.iter()
        .any(|address| address.rsplit_once(':').is_some_and(|(_, tail)| tail == port.to_string()))
}

/// Never resolves; a gateway that is just being started again changes nothing.
pub async fn announce(admin_socket: PathBuf, mut open: Open) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(now) = listening_now(&admin_socket).await else { continue };
        for address in now.difference(&open) {
            say(format_args!("gateway  listens on {address}"));
        }
        for address in open.difference(&now) {
            say(format_args!("gateway  no longer listens on {address}"));
        }
        open = now;
    }
}

async fn listening_now(admin_socket: &Path) -> Option<Open> {
    let page = admin::get(admin_socket, "/config_dump").await.ok()?;
    Some(listening(&serde_json::from_slice(&page).ok()?))
}

/// The addresses in a proxy's configuration dump that it listens on itself.
pub fn listening(dump: &Value) -> Open {
    let listeners = dump["listeners"].as_array().map_or(&[][..], Vec::as_slice);
    listeners
        .iter()
        .filter(|listener| listener["bind_to_port"] == true)
        .filter_map(|listener| Some(listener["address"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_bound_is_announced() {
        let dump = json!({ "listeners": [
            { "address": "127.0.0.1:31400", "bind_to_port": true },
            { "address": "10.96.0.1:80", "bind_to_port": false },
        ] });
        let open = listening(&dump);
        assert_eq!(open, BTreeSet::from(["127.0.0.1:31400".to_owned()]));
        assert!(is_open(&open, 31400) && !is_open(&open, 1400));
    }

    #[test]
    fn ports_are_those_of_gateways_that_select_the_proxy() {
        let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
        let gateway = |selector: Value| {
            json!({ "spec": {
                "selector": selector,
                "servers": [{ "port": { "number": 31400 } }, { "port": {} }],
            } })
        };
        assert!(selects(&gateway(json!({ "istio": "ingressgateway" })), &labels));
        assert!(selects(&gateway(Value::Null), &labels));
        assert!(!selects(&gateway(json!({ "istio": "other" })), &labels));
        assert_eq!(server_ports(&gateway(Value::Null)).collect::<Vec<_>>(), [31400]);
    }
}
