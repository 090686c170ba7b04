//! Every query of the dashboards, with its variables filled in, on a real Prometheus after real traffic.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lateen_e2e::pod::NODE;
use lateen_e2e::{SOON, gateway, virtual_service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::prometheus::{Histograms, Prometheus};
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;
use regex::Regex;
use serde_json::Value;

use super::{REQUEST_METRICS, Rig, all_up, requests};

/// What is picked where a variable has one value.
type Picked = [(&'static str, &'static str)];
const PICKED: &Picked =
    &[("service", "web.default.svc.cluster.local"), ("namespace", "default"), ("workload", "web")];
/// One to which nothing comes.
const CLIENT: &Picked = &[("namespace", "istio-system"), ("workload", "istio-ingressgateway")];
/// What a query may be empty for here, and why.
const MAY_BE_EMPTY: [(&str, &str); 4] = [
    ("response_flags!=\"-\"", "no connection fails"),
    ("galley_validation_", "only a cluster's API asks webhooks"),
    ("sidecar_injection_", "only a cluster's API asks webhooks"),
    ("citadel_server_", "only a cluster has a certificate authority in a Secret"),
];

/// Variables and their values.
type Values = BTreeMap<String, String>;

fn dashboards() -> Result<Vec<(String, Value)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path)?;
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            all.push((name.clone(), serde_json::from_str(&text).context(name)?));
        }
    }
    ensure!(all.len() == 5, "{} dashboards in {}", all.len(), folder.display());
    Ok(all)
}

fn list<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten().collect()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// An expression without variables; one that is not defined is an error.
fn filled(expression: &str, values: &Values) -> Result<String> {
    let mut rest = expression;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('$') {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = after.split_at(end.unwrap_or(after.len()));
        let value = match name {
            "__rate_interval" => "30s",
            name => values.get(name).with_context(|| format!("${name} in {expression}"))?,
        };
        out.extend([before, value]);
        rest = after;
    }
    Ok(out + rest)
}

/// The values of a dashboard's variables, each query's by Prometheus itself.
fn values(dashboard: &Value, picked: &Picked, prometheus: &Prometheus) -> Result<Values> {
    let mut values = Values::new();
    for variable in list(dashboard, "/templating/list") {
        let name = text(variable, "name");
        let value = match text(variable, "type") {
            "datasource" => continue,
            "custom" => text(&variable["current"], "value").to_owned(),
            "query" => chosen(variable, &values, picked, prometheus)?,
            other => bail!("{name} is a variable of type {other:?}"),
        };
        ensure!(!value.is_empty(), "{name} has no value");
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

fn chosen(
    variable: &Value,
    values: &Values,
    picked: &Picked,
    prometheus: &Prometheus,
) -> Result<String> {
    let name = text(variable, "name");
    let found = choices(variable, values, prometheus)?;
    ensure!(picked == CLIENT || !found.is_empty(), "${name} has no values");
    if variable["includeAll"] == true {
        return Ok(text(variable, "allValue").to_owned());
    }
    let (_, picked) = picked.iter().find(|(of, _)| *of == name).with_context(|| name.to_owned())?;
    ensure!(found.iter().any(|value| value == picked), "${name}: no {picked} in {found:?}");
    Ok((*picked).to_owned())
}

/// What Grafana offers for a variable.
fn choices(variable: &Value, values: &Values, prometheus: &Prometheus) -> Result<Vec<String>> {
    let query = text(&variable["query"], "query");
    let (function, inner) = query
        .split_once('(')
        .and_then(|(function, rest)| Some((function, rest.strip_suffix(')')?)))
        .with_context(|| query.to_owned())?;
    match function {
        "label_values" => {
            let (series, label) = inner.rsplit_once(", ").with_context(|| query.to_owned())?;
            prometheus.label_values(label, &filled(series, values)?)
        }
        "query_result" => {
            let pattern = Regex::new(text(variable, "regex").trim_matches('/'))?;
            let result = prometheus.query(&filled(inner, values)?)?;
            Ok(result.iter().filter_map(|sample| captured(&pattern, sample)).collect())
        }
        other => bail!("{other} in {query}"),
    }
}

/// What a pattern finds in a sample, written as Grafana does.
fn captured(pattern: &Regex, sample: &Value) -> Option<String> {
    let labels = sample["metric"].as_object()?.iter();
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let sample = format!("{{{}}} 1 0", labels.join(","));
    Some(pattern.captures(&sample)?[1].to_owned())
}

/// Asks every query of a dashboard; those without data.
fn empty(dashboard: &Value, prometheus: &Prometheus) -> Result<Vec<String>> {
    without_data(dashboard, PICKED, "", prometheus)
}

/// The same of those panels whose title begins so.
fn without_data(
    dashboard: &Value,
    picked: &Picked,
    title: &str,
    prometheus: &Prometheus,
) -> Result<Vec<String>> {
    let values = values(dashboard, picked, prometheus)?;
    let mut empty = Vec::new();
    let panels = list(dashboard, "/panels").into_iter();
    for panel in panels.filter(|panel| text(panel, "title").starts_with(title)) {
        for target in list(panel, "/targets") {
            let expression = filled(text(target, "expr"), &values)?;
            let result = prometheus.query(&expression)?;
            let number = |sample: &&Value| sample["value"][1].as_str().is_some_and(|v| v != "NaN");
            let excused = MAY_BE_EMPTY.iter().any(|(part, _)| expression.contains(part));
            if !excused && !result.iter().any(|sample| number(&sample)) {
                empty.push(format!("{}: {expression}: {result:?}", text(panel, "title")));
            }
        }
    }
    Ok(empty)
}

/// What Grafana's own types have against a dashboard; nothing if it fits.
fn misfits(path: &Path) -> Result<String> {
    let output = Command::new(tools::cached("dashboards")?).arg(path).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() == said.is_empty(), "{}: {said}", output.status);
    Ok(said)
}

#[test]
fn dashboards_are_what_grafanas_own_types_have() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards");
    let scratch = tempfile::tempdir().unwrap();
    for (name, mut dashboard) in dashboards().unwrap() {
        assert_eq!(misfits(&folder.join(&name)).unwrap(), "");
        // The reader does look at what is in panels.
        dashboard["panels"][1]["targets"][0]["expression"] = "up".into();
        let path = scratch.path().join(&name);
        std::fs::write(&path, dashboard.to_string()).unwrap();
        let said = misfits(&path).unwrap();
        assert!(said.contains("panels[1].targets[0]") && said.contains("'expression'"), "{said}");
    }
}

#[test]
fn every_query_of_the_dashboards_has_data() {
    all_have_data(Histograms::Classic);
}

/// Of a Prometheus that takes native histograms, and so has no buckets.
#[test]
fn every_query_of_the_dashboards_has_data_of_native_histograms() {
    all_have_data(Histograms::Native);
}

fn all_have_data(histograms: Histograms) {
    isolated(move || {
        let folder = tempfile::tempdir()?;
        let rig = Rig::new(folder.path())?;
        rig.mesh.apply(&virtual_service("lost", "nowhere", 31402, &[("nobody", 100)]))?;
        let _requests = requests::serve(NODE, REQUEST_METRICS)?;
        let prometheus = rig.prometheus(histograms)?;
        all_up(&prometheus)?;
        let mut port = 31500;
        for (name, dashboard) in dashboards()? {
            wait_until(&format!("data for {name}"), SOON * 3, || {
                // Rates need a beginning and a rise.
                rig.talk()?;
                port += 1;
                let way = virtual_service("more", "more", port, &[("tcp-echo-server", 100)]);
                rig.mesh.apply(&[gateway("more", port), way].concat())?;
                let empty = empty(&dashboard, &prometheus)?;
                ensure!(empty.is_empty(), "{}", empty.join("\n"));
                Ok(())
            })?;
            if name == "istio-workload-dashboard.json" {
                let empty = without_data(&dashboard, CLIENT, "Outgoing: TCP", &prometheus)?;
                ensure!(empty.is_empty(), "{}", empty.join("\n"));
            }
        }
        Ok(())
    });
}

#[test]
fn dashboards_are_whole() {
    let mut uids = std::collections::BTreeSet::new();
    for (name, dashboard) in dashboards().unwrap() {
        assert!(text(&dashboard, "title").starts_with("Istio "), "{name}");
        assert!(uids.insert(text(&dashboard, "uid").to_owned()), "{name}: its uid is another's");
        let variables = list(&dashboard, "/templating/list");
        assert_eq!(text(variables[0], "type"), "datasource", "{name}");
        let mut ids = std::collections::BTreeSet::new();
        let mut taken = std::collections::BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "title");
            assert!(!title.is_empty() && ids.insert(panel["id"].as_u64()), "{name}: {title}");
            let of = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            let (x, y) = (of("x"), of("y"));
            assert!(x + of("w") <= 24, "{name}: {title} is too wide");
            for cell in (x..x + of("w")).flat_map(|x| (y..y + of("h")).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {title} lies over another");
            }
            for target in list(panel, "/targets") {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}: {title}");
            }
            let is_row = text(panel, "type") == "row";
            assert!(is_row || !list(panel, "/targets").is_empty(), "{name}: {title} asks nothing");
            assert!(is_row || !text(panel, "description").is_empty(), "{name}: {title}");
        }
    }
}
