//! Golden tests: `testdata/<case>.yaml` holds objects and, as a first document without a kind, the
//! settings (`values`, `mesh`, `revision`); `<case>.golden` what comes of them. `UPDATE_GOLDEN=1`
//! rewrites. Every injected pod must conform to Kubernetes' schema and be injected again to itself.

use std::path::Path;

use lateen_api::schema;
use serde_json::{Value, json};

use crate::{Manual, Outcome, Settings, workload};

fn settings(config: &Value) -> (Settings, Vec<String>) {
    let text = |field: &str| match &config[field] {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let revision = config["revision"].as_str().unwrap_or_default();
    let (mut settings, issues) = Settings::from_texts(&text("values"), &text("mesh"), revision);
    if config["values"]["global"]["tag"].is_null() {
        settings.image.tag = "test".to_owned();
    }
    (settings, issues.iter().map(ToString::to_string).collect())
}

fn split(text: &str) -> (Value, Vec<Value>) {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    if documents[0]["kind"].is_string() {
        return (Value::Null, documents);
    }
    (documents.remove(0), documents)
}

fn pod_of(object: &Value) -> &Value {
    match object["kind"].as_str().unwrap() {
        "Pod" => object,
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &object["spec"]["template"],
    }
}

/// The schema of a pod is that of every template but for `kind`.
fn conforms(case: &str, object: &Value) {
    let pod = pod_of(object);
    let mut pod = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
    let before = pod.clone();
    let findings = schema::conform("io.k8s.api.core.v1.Pod", &mut pod);
    assert!(findings.is_empty(), "{case}: {findings:?}");
    assert_eq!(pod, before, "{case}: a value is not of its type");
}

fn show(case: &str, object: &Value, settings: &Settings) -> String {
    let manual = Manual { namespace: "default", namespace_labels: None };
    match workload(object, &manual, settings) {
        Outcome::Injected { object: injected, issues } => {
            conforms(case, &injected);
            match workload(&injected, &manual, settings) {
                Outcome::Injected { object: again, .. } => {
                    assert_eq!(again.to_string(), injected.to_string(), "{case}: not idempotent");
                }
                other => panic!("{case}: injected again: {other:?}"),
            }
            let yaml = serde_saphyr::to_string(&injected).unwrap();
            let read: Value = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(read, injected, "{case}: the YAML reads differently");
            let read: Value = serde_saphyr::from_str(&compact(&injected, "")).unwrap();
            assert_eq!(read, injected, "{case}: the golden reads differently");
            let issues = issues.iter().map(|issue| format!("# {issue}\n"));
            issues.collect::<String>() + compact(&injected, "").trim_start() + "\n"
        }
        Outcome::Refused { issues } => {
            let issues = issues.iter().map(|issue| format!("# {issue}\n"));
            "# refused\n".to_owned() + &issues.collect::<String>()
        }
        Outcome::Skipped { reason } => format!("# skipped: {reason}\n"),
        Outcome::NotSelected => "# not selected\n".to_owned(),
        Outcome::Passed => "# passed\n".to_owned(),
    }
}

/// YAML with one line for what fits in one.
fn compact(value: &Value, indent: &str) -> String {
    let line = value.to_string();
    let deeper = format!("{indent}  ");
    match value {
        Value::Object(map) if line.len() > 60 || indent.is_empty() => map
            .iter()
            .map(|(key, value)| {
                let inner = compact(value, &deeper);
                let space = if inner.starts_with('\n') { "" } else { " " };
                format!("\n{indent}{key}:{space}{inner}")
            })
            .collect(),
        Value::Array(items) if line.len() > 60 => items
            .iter()
            .map(|item| match (item, item.to_string().len() > 150) {
                (Value::Object(_), true) => {
                    format!("\n{indent}- {}", compact(item, &deeper).trim_start())
                }
                _ => format!("\n{indent}- {item}"),
            })
            .collect(),
        _ => line,
    }
}

#[test]
fn goldens_hold() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|one| one == "yaml")).collect();
    cases.sort();
    assert!(cases.len() >= 30, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for path in cases {
        let case = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (config, objects) = split(&std::fs::read_to_string(&path).unwrap());
        let (settings, issues) = settings(&config);
        let mut shown: String = issues.iter().map(|issue| format!("# {issue}\n")).collect();
        for object in &objects {
            shown.push_str("---\n");
            shown.push_str(&show(&case, object, &settings));
        }
        let golden = path.with_extension("golden");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &shown).unwrap();
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != shown {
            wrong.push(case);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}: read the difference after UPDATE_GOLDEN=1");
}

mod behaviour;
mod long;
mod odd;
