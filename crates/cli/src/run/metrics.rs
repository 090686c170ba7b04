//! Where a local program has metrics of its own, by the annotations of a pod. In: those of the Deployment that has the
//! workload's name, and of the command line, which come first. Out: what port 15020 merges with the proxy's.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lateen_api::kinds::by_kind;
use lateen_kube::Client;
use lateen_proxy::agent::{Application, STATUS_PORT};
use serde_json::{Value, json};

/// Its value has commas of its own.
const TARGETS: &str = "prometheus.istio.io/scrape-targets";
const KEYS: [&str; 4] =
    ["prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path", TARGETS];

pub(super) type Annotations = BTreeMap<String, String>;

/// `KEY=VALUE,…`, of the annotations that are followed here.
pub(super) fn parse_annotations(text: &str) -> Result<Annotations, String> {
    let mut annotations = Annotations::new();
    let mut last = "";
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        // No key begins with a digit, every target does.
        if last == TARGETS && pair.starts_with(|c: char| c.is_ascii_digit()) {
            let targets = annotations.get_mut(TARGETS).expect("invariant: the last one is there");
            *targets = format!("{targets},{pair}");
            continue;
        }
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is not an annotation: write key=value,key=value"))?;
        if !KEYS.contains(&key) {
            return Err(format!("annotation {key:?} has no effect here: use {}", KEYS.join(", ")));
        }
        annotations.insert(key.to_owned(), value.to_owned());
        last = key;
    }
    application(&json!(annotations)).map_err(|error| format!("{error:#}"))?;
    Ok(annotations)
}

/// Where the program's metrics are, if anybody says so and the mesh merges any (`meshConfig.enablePrometheusMerge`).
pub(super) async fn of(
    client: &Client,
    (namespace, name): (&str, &str),
    own: &Annotations,
) -> Result<Option<Application>> {
    if !merges(client).await? {
        return Ok(None);
    }
    let kind = by_kind("apps", "Deployment").expect("the table of kinds has Deployment");
    let deployment = client.get(kind, Some(namespace), name).await?.unwrap_or_default();
    let mut annotations = deployment["spec"]["template"]["metadata"]["annotations"].clone();
    if !annotations.is_object() {
        annotations = json!({});
    }
    for (key, value) in own {
        annotations[key] = json!(value);
    }
    application(&annotations)
        .with_context(|| format!("annotations of Deployment {namespace}/{name}"))
}

async fn merges(client: &Client) -> Result<bool> {
    let kind = by_kind("", "ConfigMap").expect("the table of kinds has ConfigMap");
    let config = client.get(kind, Some("istio-system"), "istio").await?.unwrap_or_default();
    let mesh = config["data"]["mesh"].as_str().unwrap_or_default();
    Ok(lateen_inject::Settings::from_texts("", mesh, "").0.merge_metrics)
}

/// As an injected pod with these annotations is scraped.
fn application(annotations: &Value) -> Result<Option<Application>> {
    let mut pod = json!({"metadata": {"annotations": annotations}});
    let merged = lateen_inject::merge_metrics(&mut pod, STATUS_PORT);
    if let Some(wrong) = merged.wrong {
        bail!("{TARGETS}: {wrong}");
    }
    let Some(own) = merged.own else { return Ok(None) };
    Ok(Application::parse(&own, STATUS_PORT)?)
}

#[cfg(test)]
mod tests {
    use super::{Application, application, parse_annotations};
    use serde_json::json;

    #[test]
    fn annotations_say_where_the_metrics_are() {
        let parsed =
            parse_annotations("prometheus.io/port=9000,prometheus.io/path=/own?a=b").unwrap();
        let expected = Application::parse(r#"{"port":"9000","path":"/own?a=b"}"#, 15020).unwrap();
        assert_eq!(application(&json!(parsed)).unwrap(), expected);
        assert_eq!(application(&json!({"prometheus.io/scrape": "false"})).unwrap(), None);
        assert_eq!(application(&json!({})).unwrap(), None);
    }

    #[test]
    fn several_targets_are_one_annotation() {
        let text = "prometheus.istio.io/scrape-targets=8080:/a?x=y,9100,prometheus.io/scrape=true";
        let own = r#"{"targets":[{"port":"8080","path":"/a?x=y"},{"port":"9100"}]}"#;
        let expected = Application::parse(own, 15020).unwrap();
        assert_eq!(application(&json!(parse_annotations(text).unwrap())).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let refused = |text| parse_annotations(text).unwrap_err();
        assert!(refused("prometheus.io/port=http").contains("not a port"));
        assert!(refused("prometheus.io/scheme=https").contains("prometheus.io/path"));
        assert!(refused("9000").contains("key=value"));
        assert!(refused("prometheus.istio.io/scrape-targets=8080,15090").contains("15090"));
    }
}
