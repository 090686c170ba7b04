//! Istio's control plane selects its pods by one label, which no apply can change. In: the objects that are to be
//! applied, and a cluster. Out: the objects, with a control plane in Istio's place selecting as Istio's.

use anyhow::Result;
use lateen_kube::Client;
use serde_json::{Value, json};

use super::cluster::{is_control_plane, live};

pub async fn keep(client: &Client, wanted: &mut [Value]) -> Result<()> {
    for object in wanted.iter_mut().filter(|object| is_control_plane(object)) {
        if let Some(live) = live(client, object).await? {
            keep_istios(&live, object);
        }
    }
    Ok(())
}

/// The pods have that label too; what an overlay says otherwise is its author's matter.
fn keep_istios(live: &Value, wanted: &mut Value) {
    let istios = json!({ "matchLabels": { "istio": "pilot" } });
    let own = json!({ "matchLabels": { "app": "istiod", "istio": "pilot" } });
    if live["spec"]["selector"] == istios && wanted["spec"]["selector"] == own {
        wanted["spec"]["selector"] = istios;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::keep_istios;

    fn kept(live: Value, wanted: &Value) -> Value {
        let mut wanted = json!({"spec": {"selector": {"matchLabels": wanted}}});
        keep_istios(&json!({"spec": {"selector": {"matchLabels": live}}}), &mut wanted);
        wanted["spec"]["selector"]["matchLabels"].take()
    }

    #[test]
    fn istios_selector_stays_and_no_other_is_taken() {
        let own = json!({"app": "istiod", "istio": "pilot"});
        assert_eq!(kept(json!({"istio": "pilot"}), &own), json!({"istio": "pilot"}));
        assert_eq!(kept(json!({"istio": "other"}), &own), own);
        let overlaid = json!({"app": "istiod", "istio": "pilot", "a": "b"});
        assert_eq!(kept(json!({"istio": "pilot"}), &overlaid), overlaid);
    }
}
