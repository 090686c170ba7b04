//! What MeshConfig means beyond its types. In: MeshConfig in the form of its definition, and the paths in it that are
//! wrong by their types. Out: what is wrong with the rest, by path.

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use lateen_api::istio::mesh::{parse_mesh_config, parse_mesh_networks};
use lateen_telemetry::{Format, FormatError};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::shape::UNKNOWN;
use crate::{input, path, yaml};

/// Values of a wrong type that are told one by one; behind those, a file has more to mend first.
const ROUNDS: usize = 32;
/// Where providers have formats of access logs.
const FORMATS: [&str; 3] = [
    "envoyFileAccessLog.logFormat.text",
    "envoyFileAccessLog.logFormat.labels",
    "envoyOtelAls.logFormat.text",
];

/// Everything that is wrong with the mesh's settings but what is told already.
pub fn check(mut config: Value, wrong: &[String], object: &ObjectRef) -> Vec<(String, String)> {
    for path in wrong {
        input::take_below(&mut config, path);
    }
    let mut found = access_log(&config);
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

/// Formats of access logs: Envoy refuses one with an operator that there is not, and what it would listen to with it.
fn access_log(config: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let at = "accessLogFormat";
    let format = config[at].as_str().filter(|format| !format.is_empty());
    match format.map(|format| (format, serde_json::from_str(format))) {
        None => {}
        Some((_, Ok(json @ Value::Object(_)))) if is_json(config) => {
            look(at, Format::json(&json), &mut found);
        }
        Some(_) if is_json(config) => {
            let message = "it is no JSON object, and accessLogEncoding is JSON: write one, or TEXT";
            found.push((at.to_owned(), message.to_owned()));
        }
        Some((format, _)) => look(at, Format::text(format), &mut found),
    }
    for (index, _) in config["extensionProviders"].as_array().into_iter().flatten().enumerate() {
        for field in FORMATS {
            let at = format!("extensionProviders[{index}].{field}");
            match path::at(config, &at) {
                Some(Value::String(text)) => look(&at, Format::text(text), &mut found),
                Some(labels @ Value::Object(_)) => look(&at, Format::json(labels), &mut found),
                _ => {}
            }
        }
    }
    found
}

fn look(at: &str, format: Result<Format, FormatError>, found: &mut Vec<(String, String)>) {
    match format {
        Ok(format) => {
            let unknown = format.notes().filter_map(unknown);
            found.extend(unknown.map(|message| (at.to_owned(), message)));
        }
        Err(error) => found.push((at.to_owned(), error.to_string())),
    }
}

fn is_json(config: &Value) -> bool {
    config["accessLogEncoding"] == "JSON"
}

/// Of the notes on a format, the one that names an operator that there is not.
fn unknown(note: &str) -> Option<String> {
    let operator = note.strip_suffix(" is not known and gives -")?;
    Some(format!(
        "{operator} is not known, and Envoy refuses what it does not know: check its spelling"
    ))
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
