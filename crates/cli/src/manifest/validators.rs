//! What the control plane has made of the validators of an installation. In: a cluster and the objects that
//! are to be applied. Out: the objects, with validators failing closed where they do so already.

use anyhow::Result;
use lateen_kube::Client;
use serde_json::{Value, json};

use super::cluster;

/// The manifests' validators ignore failures until the control plane answers, which then says otherwise;
/// another installation must not undo that.
pub async fn keep_closed(client: &Client, wanted: &mut [Value]) -> Result<()> {
    let is_one = |object: &&mut Value| object["kind"] == "ValidatingWebhookConfiguration";
    for object in wanted.iter_mut().filter(is_one) {
        if let Some(live) = cluster::live(client, object).await? {
            close(&live, object);
        }
    }
    Ok(())
}

fn close(live: &Value, wanted: &mut Value) {
    let webhooks = live["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    for webhook in wanted["webhooks"].as_array_mut().into_iter().flatten() {
        let is_closed = |live: &&Value| {
            let trusted =
                live["clientConfig"]["caBundle"].as_str().is_some_and(|it| !it.is_empty());
            live["name"] == webhook["name"] && live["failurePolicy"] == "Fail" && trusted
        };
        if webhooks.iter().any(|live| is_closed(&live)) {
            webhook["failurePolicy"] = json!("Fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::close;

    fn closed(live: Value) -> bool {
        let mut wanted = json!({"webhooks": [{"name": "a", "failurePolicy": "Ignore"}]});
        close(&json!({"webhooks": [live]}), &mut wanted);
        wanted["webhooks"][0]["failurePolicy"] == "Fail"
    }

    #[test]
    fn a_validator_that_is_asked_stays_closed() {
        let trust = json!({"caBundle": "Q0E="});
        assert!(closed(json!({"name": "a", "failurePolicy": "Fail", "clientConfig": trust})));
        assert!(!closed(json!({"name": "a", "failurePolicy": "Ignore", "clientConfig": trust})));
        assert!(!closed(json!({"name": "b", "failurePolicy": "Fail", "clientConfig": trust})));
        let untrusted = json!({"name": "a", "failurePolicy": "Fail", "clientConfig": {}});
        assert!(
            !closed(untrusted),
            "it would refuse everything until the control plane repairs it"
        );
    }
}
