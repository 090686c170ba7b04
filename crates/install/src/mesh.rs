//! What MeshConfig means beyond its types. In: MeshConfig in the form of its definition, and the paths in it that are
//! wrong by their types. Out: what is wrong with the rest, by path.

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use lateen_api::istio::mesh::{parse_mesh_config, parse_mesh_networks};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::shape::UNKNOWN;
use crate::{input, yaml};

/// Values of a wrong type that are told one by one; behind those, a file has more to mend first.
const ROUNDS: usize = 32;

/// Everything that is wrong with the mesh's settings but what is told already.
pub fn check(mut config: Value, wrong: &[String], object: &ObjectRef) -> Vec<(String, String)> {
    for path in wrong {
        input::take_below(&mut config, path);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for _ in 0..ROUNDS {
        let (read, issues) = parse_mesh_config(&yaml::text(&config), object);
        let errors = issues.into_iter().filter(Issue::is_error);
        found.extend(errors.map(|Issue { path, message, .. }| (path, message)));
        // Of values that do not have their types one is told, the last, and the others are looked at without it.
        let Some((last, _)) = found.last().filter(|_| read.is_none()) else { break };
        if !input::take_below(&mut config, last) {
            break;
        }
    }
    found
}

/// Networks of `values.global` that the control plane could not read, one by one.
pub fn networks(plan: &Plan) -> Vec<Issue> {
    const PATH: &str = "spec.values.global.meshNetworks";
    let mut wrong = Vec::new();
    for (name, network) in
        plan.object("values.global.meshNetworks").as_object().into_iter().flatten()
    {
        let text = yaml::text(&json!({ "networks": { "network": network } }));
        for mut issue in parse_mesh_networks(&text, &plan.operator).1 {
            let is_unknown = issue.code == Code::SCHEMA_WARNING;
            if issue.is_error() || is_unknown {
                let below = issue.path.strip_prefix("networks.network").unwrap_or_default();
                issue.path = format!("{PATH}.{name}{below}");
                issue.severity = Severity::Error;
                if is_unknown {
                    issue.message = format!("{UNKNOWN}, check its spelling");
                }
                wrong.push(issue);
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use lateen_api::issue::ObjectRef;
    use serde_json::{Value, json};

    use super::check;

    fn told(config: Value, wrong: &[&str]) -> Vec<String> {
        let object = ObjectRef::new("", "ConfigMap", "istio-system", "istio");
        let wrong: Vec<String> = wrong.iter().map(|path| (*path).to_owned()).collect();
        check(config, &wrong, &object).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn one_wrong_value_hides_no_other() {
        let config = json!({
            "connectTimeout": "soon", "dnsRefreshRate": "later", "proxyListenPort": 70000,
            "outboundTrafficPolicy": {"mode": "SOME"}, "trustDomain": "a b",
            "defaultConfig": {"drainDuration": "x", "concurrency": -1},
        });
        let mut told = told(config, &["outboundTrafficPolicy.mode"]);
        told.sort();
        told.dedup();
        assert_eq!(
            told,
            [
                "connectTimeout",
                "defaultConfig.concurrency",
                "defaultConfig.drainDuration",
                "dnsRefreshRate",
                "proxyListenPort",
                "trustDomain",
            ]
        );
    }

    #[test]
    fn operators_of_access_logs_are_known_or_refused() {
        let at = "accessLogFormat";
        for (format, is_told) in
            [("%START_TIME% %REQ(:METHOD)%", false), ("%FOO%", true), ("100%", true), ("", false)]
        {
            assert_eq!(told(json!({at: format}), &[]), vec![at; usize::from(is_told)], "{format}");
        }
        let json = |format: &str| told(json!({at: format, "accessLogEncoding": "JSON"}), &[]);
        assert_eq!(json("{\"a\": \"%PROTOCOL%\"}"), Vec::<String>::new());
        assert_eq!(json("{\"a\": \"%FOO%\"}"), [at]);
        assert_eq!(json("%PROTOCOL%"), [at]);
        let labels = json!({"labels": {"a": "%FOO%"}});
        let provider =
            json!({"name": "x", "envoyFileAccessLog": {"path": "/x", "logFormat": labels}});
        assert_eq!(
            told(json!({"extensionProviders": [provider]}), &[]),
            ["extensionProviders[0].envoyFileAccessLog.logFormat.labels"]
        );
    }
}
