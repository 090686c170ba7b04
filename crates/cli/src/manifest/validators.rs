//! Validators, whose `failurePolicy` is the control plane's from the moment that it answers. In: a cluster and a
//! validator that is to be applied. Out: the validator as it may be applied, and whether it is asked.

use anyhow::Result;
use lateen_control::cluster::webhook::{PROBE_REFUSAL, probe};
use lateen_kube::{Client, DryRun, Error};
use serde_json::{Value, json};

use super::cluster::kind_of;

pub fn is_one(object: &Value) -> bool {
    object["kind"] == "ValidatingWebhookConfiguration"
}

/// The manifests' validators ignore failures until the control plane answers, which then says otherwise, whenever that
/// is: who applies one of them names the version that was looked at, so that what was written since is not undone.
pub async fn kept(client: &Client, object: &Value) -> Result<Value, Error> {
    let Ok(kind) = kind_of(object) else { return Ok(object.clone()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut kept = object.clone();
    if let Some(live) = client.get(kind, None, name).await? {
        keep(&live, &mut kept);
    }
    Ok(kept)
}

fn keep(live: &Value, wanted: &mut Value) {
    wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    for webhook in webhooks_mut(wanted) {
        let is_closed = |live: &&Value| {
            live["name"] == webhook["name"]
                && is_closed(live)
                && same_service(&live["clientConfig"], &webhook["clientConfig"])
        };
        if webhooks(live).iter().any(|live| is_closed(&live)) {
            webhook["failurePolicy"] = json!("Fail");
        }
    }
}

/// One without a bundle would refuse everything until the control plane repairs it.
fn is_closed(webhook: &Value) -> bool {
    let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    webhook["failurePolicy"] == "Fail" && !bundle.is_empty()
}

/// Another control plane has to answer first.
fn same_service(one: &Value, other: &Value) -> bool {
    ["name", "namespace"].iter().all(|field| one["service"][*field] == other["service"][*field])
}

fn webhooks(object: &Value) -> &[Value] {
    object["webhooks"].as_array().map_or(&[], Vec::as_slice)
}

fn webhooks_mut(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object["webhooks"].as_array_mut().into_iter().flatten()
}

/// Why an object that is wrong would be stored yet, or one that is right refused; nothing if an object that only the
/// control plane refuses was refused by it.
pub async fn unasked(client: &Client, live: &Value) -> Result<Option<String>> {
    for webhook in webhooks(live) {
        // The trust in a URL, and what its failure means, are its author's matter.
        let Some(namespace) = webhook["clientConfig"]["service"]["namespace"].as_str() else {
            continue;
        };
        if !is_closed(webhook) {
            return Ok(Some("the control plane has not turned validation on yet".to_owned()));
        }
        let asked = probe_of(webhook, namespace);
        match client.create_or_try(kind_of(&asked)?, asked, DryRun::Yes).await {
            Err(error) if error.to_string().contains(PROBE_REFUSAL) => {}
            Err(error) => return Ok(Some(format!("validation does not answer yet: {error}"))),
            Ok(_) => return Ok(Some("the API does not ask it yet".to_owned())),
        }
    }
    Ok(None)
}

/// A probe that the webhook's selector chooses.
fn probe_of(webhook: &Value, namespace: &str) -> Value {
    let mut asked = probe(namespace, "");
    let rules = webhook["objectSelector"]["matchExpressions"].as_array();
    let chosen = rules.into_iter().flatten().filter(|rule| rule["operator"] == "In");
    let labels = chosen.filter_map(|rule| Some((rule["key"].as_str()?, rule["values"].get(0)?)));
    asked["metadata"]["labels"] =
        labels.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    asked
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use tokio::net::TcpListener;

    use super::super::scripted;
    use super::{PROBE_REFUSAL, keep, probe_of, unasked};

    fn client(service: &str, bundle: &str) -> Value {
        json!({"service": {"name": service, "namespace": "n"}, "caBundle": bundle})
    }

    fn kept(live: Value) -> Value {
        let service = json!({"service": {"name": "istiod", "namespace": "n", "path": "/validate"}});
        let webhook = json!({"name": "a", "failurePolicy": "Ignore", "clientConfig": service});
        let mut wanted = json!({"metadata": {"name": "v"}, "webhooks": [webhook]});
        let live = json!({"metadata": {"name": "v", "resourceVersion": "7"}, "webhooks": [live]});
        keep(&live, &mut wanted);
        wanted
    }

    fn closed(name: &str, policy: &str, client: Value) -> bool {
        let live = json!({"name": name, "failurePolicy": policy, "clientConfig": client});
        kept(live)["webhooks"][0]["failurePolicy"] == "Fail"
    }

    #[test]
    fn a_validator_that_is_asked_stays_closed() {
        assert!(closed("a", "Fail", client("istiod", "Q0E=")));
        assert!(!closed("a", "Ignore", client("istiod", "Q0E=")));
        assert!(!closed("b", "Fail", client("istiod", "Q0E=")));
        assert!(!closed("a", "Fail", client("istiod-1-1", "Q0E=")), "another one has to answer");
        assert!(!closed("a", "Fail", client("istiod", "")), "it would refuse everything");
    }

    #[test]
    fn what_is_applied_names_the_version_that_was_looked_at() {
        assert_eq!(kept(json!({}))["metadata"]["resourceVersion"], "7");
    }

    /// What is told of a validator of this policy when the API answers a probe so.
    async fn told(policy: &str, answers: Vec<(u16, Value)>) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = scripted::client(&listener).await;
        let webhook = json!({"failurePolicy": policy, "clientConfig": client("istiod", "Q0E=")});
        let live = json!({"webhooks": [webhook]});
        let (told, requests) =
            tokio::join!(unasked(&api, &live), scripted::answer(listener, answers));
        assert!(requests.iter().all(|request| request.contains("dryRun=All")), "{requests:?}");
        told.unwrap()
    }

    #[tokio::test]
    async fn validation_is_on_when_it_fails_closed_and_refuses_what_it_alone_refuses() {
        assert_eq!(told("Fail", vec![(400, json!(PROBE_REFUSAL))]).await, None);
        assert!(told("Ignore", Vec::new()).await.unwrap().contains("not turned validation on"));
        let stored = super::probe("n", "");
        assert!(told("Fail", vec![(201, stored)]).await.unwrap().contains("does not ask"));
        let refused = vec![(500, json!("dial tcp 10.96.0.1:443: connection refused"))];
        assert!(told("Fail", refused).await.unwrap().contains("connection refused"));
    }

    #[test]
    fn a_probe_is_one_that_the_webhook_chooses() {
        let rule = json!({"key": "istio.io/rev", "operator": "In", "values": ["1-1"]});
        let of = |rule: Value| {
            probe_of(&json!({"objectSelector": {"matchExpressions": [rule]}}), "n")["metadata"]
                ["labels"]
                .clone()
        };
        assert_eq!(of(rule), json!({"istio.io/rev": "1-1"}));
        assert_eq!(of(json!({"key": "istio.io/rev", "operator": "DoesNotExist"})), json!({}));
    }
}
