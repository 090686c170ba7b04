//! Reads the YAML text in which mesh settings come.
//!
//! In: the text of a ConfigMap's key or of an annotation, and the object that holds it. Out: the
//! settings, unless a value does not fit its type, and issues; an unknown field is a warning.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Fault, MeshConfig, MeshNetworks, ProxyConfig, unusable_mesh_config};
use crate::issue::{Code, Issue, ObjectRef};
use crate::schema::{self, Finding};
use crate::typed::{FieldError, typed};

/// The key `mesh` of Istio's ConfigMap. Values that nobody could use are errors; the settings are read all the
/// same.
pub fn parse_mesh_config(yaml: &str, object: &ObjectRef) -> (Option<MeshConfig>, Vec<Issue>) {
    parse("io.istio.mesh.MeshConfig", yaml, object, unusable_mesh_config)
}

/// The key `meshNetworks` of Istio's ConfigMap.
pub fn parse_mesh_networks(yaml: &str, object: &ObjectRef) -> (Option<MeshNetworks>, Vec<Issue>) {
    parse("io.istio.mesh.MeshNetworks", yaml, object, |_| Vec::new())
}

/// The annotation `proxy.istio.io/config`, a part of what its pod is configured with.
pub fn parse_proxy_config(yaml: &str, object: &ObjectRef) -> (Option<ProxyConfig>, Vec<Issue>) {
    parse("io.istio.mesh.ProxyConfig", yaml, object, |_| Vec::new())
}

fn parse<T: DeserializeOwned + Default>(
    definition: &str,
    yaml: &str,
    object: &ObjectRef,
    check: fn(&Value) -> Vec<Fault>,
) -> (Option<T>, Vec<Issue>) {
    let code = Code::SCHEMA_VALIDATION_ERROR;
    if yaml.trim().is_empty() {
        return (Some(T::default()), Vec::new());
    }
    let mut value: Value = match crate::yaml::one(yaml) {
        Ok(Value::Null) => return (Some(T::default()), Vec::new()),
        Ok(value) => value,
        Err(reason) => {
            let message = format!("it is not YAML, {reason}");
            return (None, vec![Issue::error(object.clone(), "", code, message)]);
        }
    };
    let findings = schema::conform(definition, &mut value);
    let fatal = findings.iter().any(Finding::is_fatal);
    let mut issues: Vec<Issue> =
        findings.into_iter().map(|finding| finding.into_issue(object.clone())).collect();
    if fatal {
        return (None, issues);
    }
    let faults = check(&value);
    let issue = |fault: Fault| Issue::error(object.clone(), fault.path, code, fault.message);
    match typed(value) {
        Ok(config) => {
            issues.extend(faults.into_iter().map(issue));
            (Some(config), issues)
        }
        Err(FieldError { path, message }) => {
            let others = faults.into_iter().filter(|fault| fault.path != path);
            issues.extend(others.map(issue));
            issues.push(Issue::error(object.clone(), path, code, message));
            (None, issues)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_mesh_config, parse_proxy_config};
    use crate::issue::ObjectRef;
    use crate::istio::mesh::OutboundTrafficPolicyMode;

    fn object() -> ObjectRef {
        ObjectRef::new("", "ConfigMap", "istio-system", "istio")
    }

    #[test]
    fn a_mesh_config_is_read_in_either_spelling() {
        let yaml = "outbound_traffic_policy: {mode: REGISTRY_ONLY}\nmeshMTLS: {minProtocolVersion: TLSV1_3}\n\
                    connectTimeout: 10s\ndefaultConfig:\n  concurrency: '2'\n  proxyMetadata: {A: b}\n";
        let (config, issues) = parse_mesh_config(yaml, &object());
        assert_eq!(issues, []);
        let config = config.unwrap();
        let mode = config.outbound_traffic_policy.unwrap().mode;
        assert_eq!(mode, Some(OutboundTrafficPolicyMode::RegistryOnly));
        assert_eq!(config.default_config.unwrap().concurrency, Some(2));
        assert_eq!(config.connect_timeout.unwrap().as_nanos(), 10_000_000_000);
    }

    #[test]
    fn an_unknown_field_is_a_warning_with_its_path() {
        let (config, issues) = parse_mesh_config("defaultConfig: {concurency: 2}", &object());
        assert!(config.is_some());
        assert_eq!(issues[0].path, "defaultConfig.concurency");
        assert!(!issues[0].is_error());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_with_its_path() {
        let (config, issues) = parse_proxy_config("statusPort: many", &object());
        assert!(config.is_none());
        assert_eq!(issues[0].path, "statusPort");
    }

    #[test]
    fn no_text_is_the_default_and_garbage_is_an_error() {
        assert!(parse_mesh_config("", &object()).0.is_some());
        assert!(parse_mesh_config("{{{:", &object()).1[0].is_error());
        for list in ["[1, 2]", "defaultConfig: []"] {
            let (config, issues) = parse_mesh_config(list, &object());
            assert!(config.is_none() && issues[0].is_error(), "{list}");
        }
    }
}
