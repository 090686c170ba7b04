//! Which webhooks a change concerns: in, a webhook of a configuration and the change; out, yes or no,
//! and the webhook's settings.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::object;
use crate::selector::LabelSelector;
use crate::write::Change;

/// Where and how to ask.
pub struct Hook {
    /// Its name, for messages.
    pub name: String,
    /// `clientConfig.url`, or the reference to a Service.
    pub place: Place,
    /// PEM.
    pub ca_bundle: Vec<u8>,
    /// How long to wait.
    pub timeout: Duration,
    /// Whether a failure lets the change pass.
    pub ignore_failure: bool,
    /// Whether it wants to see later changes.
    pub reinvoke: bool,
    /// Whether it may be asked about a dry run.
    pub without_side_effects: bool,
}

/// Where a webhook listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An https URL.
    Url(String),
    /// A Service of the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The path, "/" if none is given.
        path: String,
        /// The port of the Service.
        port: u16,
    },
}

impl Hook {
    /// Reads one webhook.
    pub fn read(hook: &Value) -> Self {
        let client = &hook["clientConfig"];
        let bundle = STANDARD.decode(client["caBundle"].as_str().unwrap_or_default());
        let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30);
        Self {
            name: object::text(hook, &["name"]).to_owned(),
            place: Place::read(client),
            ca_bundle: bundle.unwrap_or_default(),
            timeout: Duration::from_secs(seconds),
            ignore_failure: hook["failurePolicy"] == "Ignore",
            reinvoke: hook["reinvocationPolicy"] == "IfNeeded",
            without_side_effects: matches!(
                hook["sideEffects"].as_str(),
                Some("None" | "NoneOnDryRun")
            ),
        }
    }
}

impl Place {
    fn read(client: &Value) -> Self {
        if let Some(url) = client["url"].as_str() {
            return Place::Url(url.to_owned());
        }
        let service = &client["service"];
        let path = object::text(service, &["path"]);
        let slash = if path.starts_with('/') { "" } else { "/" };
        Place::Service {
            namespace: object::text(service, &["namespace"]).to_owned(),
            name: object::text(service, &["name"]).to_owned(),
            path: format!("{slash}{path}"),
            port: service["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or(443),
        }
    }
}

/// Whether a webhook's rules and selectors let the change through to it.
pub fn concerns(
    hook: &Value,
    change: &Change<'_>,
    old: Option<&Value>,
    new: &Value,
    namespace: Option<&Value>,
) -> bool {
    let rules = hook["rules"].as_array();
    let ruled = rules.into_iter().flatten().any(|rule| rule_matches(rule, change));
    let selects = |field: &str, object: &Value| {
        // A selector that cannot be read selects everything: better asked in vain than not asked.
        LabelSelector::from_object(&hook[field]).map_or(true, |selector| selector.matches(object))
    };
    ruled
        && namespace.is_none_or(|namespace| selects("namespaceSelector", namespace))
        && (selects("objectSelector", new) || old.is_some_and(|old| selects("objectSelector", old)))
}

fn rule_matches(rule: &Value, change: &Change<'_>) -> bool {
    let kind = change.target.kind;
    let has = |field: &str, wanted: &str| {
        let list = rule[field].as_array();
        list.into_iter().flatten().any(|one| one == "*" || one == wanted)
    };
    // matchPolicy Equivalent, the default: a rule for one served version takes the others too.
    let version = has("apiVersions", change.target.version)
        || kind.versions.iter().any(|version| has("apiVersions", version));
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => kind.namespaced,
        Some("Cluster") => !kind.namespaced,
        _ => true,
    };
    let list = rule["resources"].as_array();
    let resource = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|pattern| resource_matches(pattern, kind.plural, &change.target.subresource));
    has("operations", change.operation.name())
        && has("apiGroups", kind.group)
        && version
        && scope
        && resource
}

fn resource_matches(pattern: &str, plural: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        None => subresource.is_empty() && (pattern == "*" || pattern == plural),
        Some((resource, sub)) => {
            (resource == "*" || resource == plural)
                && if sub == "*" { true } else { sub == subresource && !sub.is_empty() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::resource_matches;

    #[test]
    fn a_star_without_a_slash_means_no_subresources() {
        assert!(resource_matches("*", "pods", ""));
        assert!(!resource_matches("*", "pods", "status"));
        assert!(resource_matches("*/*", "pods", "") && resource_matches("*/*", "pods", "status"));
        assert!(resource_matches("pods/*", "pods", "status"));
        assert!(resource_matches("*/status", "pods", "status"));
        assert!(!resource_matches("*/status", "pods", "") && !resource_matches("pods", "jobs", ""));
    }
}
