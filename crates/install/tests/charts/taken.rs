//! Values files written for Istio's charts: every name that those have had is taken, what changes nothing is said,
//! and a name that is none of them is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::{Case, charts, helm};

const CHARTS: [&str; 4] = ["base", "istiod", "gateway", "cni"];

fn case(chart: &'static str, values: Value) -> Case {
    let (release, namespace, component) = ("release", "istio-system", "");
    Case { chart, release, namespace, component, values, spec: json!({}) }
}

/// Names that Istio's chart has had, with values.
fn of_istio(chart: &str) -> Value {
    let file = format!("testdata/istio_values/{chart}.yaml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    lateen_install::documents(&text).unwrap().remove(0)
}

fn words(chart: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(charts().join(chart).join("files/words.yaml")).unwrap();
    lateen_install::documents(&text).unwrap().remove(0).as_object().unwrap().clone()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What has a word, and is set.
fn expected(chart: &str, values: &Value) -> BTreeSet<String> {
    let find = |path: &str| path.split('.').try_fold(values, |at, step| at.get(step));
    let words = words(chart);
    let set = words.keys().filter(|path| find(path).is_some_and(|value| !is_empty(value)));
    set.cloned().collect()
}

/// What the comments on the workload name, but for Istio's registry.
fn said(output: &str) -> BTreeSet<String> {
    let lines = output.lines().skip_while(|line| *line != "# Of the values that are set:").skip(1);
    let said = lines.map_while(|line| line.strip_prefix("# "));
    let paths = said.filter_map(|line| line.split_once(": ")).map(|(path, _)| path.to_owned());
    paths.filter(|path| path != "hub" && !path.ends_with(".hub")).collect()
}

#[track_caller]
fn made(case: &Case) -> String {
    let output = helm(case, &[]);
    let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {refusal}", case.chart);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_name_of_istios_charts_is_taken_and_what_changes_nothing_is_said() {
    for chart in CHARTS {
        let values = of_istio(chart);
        let output = made(&case(chart, values.clone()));
        assert_eq!(said(&output), expected(chart, &values), "{chart}");
        assert!(!said(&output).is_empty(), "{chart}");
        assert!(said(&made(&case(chart, json!({})))).is_empty(), "{chart}");
    }
}

#[test]
fn a_copy_of_istios_whole_values_is_taken_and_what_stands_above_it_counts() {
    for wrapper in ["_internal_defaults_do_not_set", "defaults"] {
        for chart in CHARTS {
            let values = of_istio(chart);
            let output = made(&case(chart, json!({ wrapper: values })));
            assert_eq!(said(&output), expected(chart, &values), "{chart}");
        }
        let inner = json!({"replicaCount": 3, "autoscaleEnabled": false, "env": {"A": "inner"}});
        for (outer, replicas) in [
            (json!({}), 3),
            (json!({"replicaCount": 2}), 2),
            (json!({"pilot": {"replicaCount": 4}}), 4),
        ] {
            let mut values = outer;
            values[wrapper] = inner.clone();
            let output = made(&case("istiod", values));
            assert!(output.contains(&format!("replicas: {replicas}\n")), "{replicas}");
        }
    }
}

#[test]
fn one_file_for_all_charts_is_taken_and_what_is_another_charts_is_said() {
    let values = json!({
        "global": {"tag": "v1"}, "pilot": {"autoscaleMin": 2}, "service": {"type": "ClusterIP"},
        "cni": {"cniBinDir": "/bin"}, "cniBinDir": "/bin", "meshConfig": {"accessLogFile": "/dev/stdout"},
        "sidecarInjectorWebhook": {"injectLabel": "mesh"},
    });
    for (chart, own) in [
        ("base", &["global.tag", "pilot", "service", "cni", "cniBinDir", "meshConfig"][..]),
        ("istiod", &["service", "cni.cniBinDir", "cniBinDir"]),
        ("cni", &["pilot", "service", "meshConfig"]),
    ] {
        let output = made(&case(chart, values.clone()));
        assert!(
            said(&output).is_superset(&own.iter().map(|one| (*one).to_owned()).collect()),
            "{output}"
        );
        let word = "# service: it has no effect here: it is a value of the chart gateway";
        assert!(output.contains(word), "{chart}");
    }
    // Istio's has no names of others, either.
    let refused = helm(&case("gateway", values), &[]);
    let refusal = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && refusal.contains("'sidecarInjectorWebhook'"), "{refusal}");
}

/// The chart with one more template, which shows the notes: `helm template` leaves them out.
fn notes(case: &Case) -> String {
    let folder = super::tempdir().join(case.chart);
    let copied = Command::new("cp").arg("-r").arg(charts().join(case.chart)).arg(&folder).status();
    assert!(copied.unwrap().success());
    let shown = format!(
        "kind: Notes\ntext: {{{{ include \"{}/templates/NOTES.txt\" . | toJson }}}}\n",
        case.chart
    );
    std::fs::write(folder.join("templates/shown.yaml"), shown).unwrap();
    let values = folder.join("own.json");
    std::fs::write(&values, case.values.to_string()).unwrap();
    let output = Command::new(lateen_testkit::tools::cached("helm").unwrap())
        .args(["template", case.release, "--namespace", case.namespace, "--values"])
        .args([&values, &folder])
        .args(["--show-only", "templates/shown.yaml"])
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = lateen_install::documents(&String::from_utf8(output.stdout).unwrap()).unwrap();
    shown[0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn notes_say_what_changes_nothing_and_how_to_go_on() {
    for chart in CHARTS {
        let plain = notes(&case(chart, json!({})));
        assert!(plain.contains("installed") && !plain.contains("Of the values"), "{plain}");
        let told = notes(&case(chart, json!({"platform": "gke"})));
        assert!(
            told.contains("Of the values that are set:\n\n    platform: it has no effect"),
            "{told}"
        );
    }
    let told = notes(&case("istiod", json!({})));
    assert!(told.contains("kubectl label namespace NAMESPACE istio-injection=enabled"), "{told}");
    let tagged = json!({"revision": "canary", "revisionTags": ["default"]});
    let told = notes(&case("istiod", tagged));
    assert!(told.contains("NAMESPACE istio.io/rev=canary"), "{told}");
    assert!(told.contains("lateen tag set default --revision canary --overwrite"), "{told}");
}

#[test]
fn a_misspelled_name_is_refused_wherever_it_stands() {
    for chart in CHARTS {
        let mut values = json!({});
        let names: Vec<String> = of_istio(chart).as_object().unwrap().keys().cloned().collect();
        for name in &names {
            values[format!("{name}Zz")] = json!({});
            values["global"][format!("{name}Yy")] = json!({});
        }
        let output = helm(&case(chart, values), &[]);
        let refusal = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{chart}");
        for name in names.iter().flat_map(|name| [format!("{name}Zz"), format!("{name}Yy")]) {
            assert!(refusal.contains(&format!("'{name}'")), "{chart}: {name}: {refusal}");
        }
    }
}

#[test]
fn values_that_no_cluster_would_take_are_refused_by_their_place() {
    for (chart, setting, place) in [
        ("istiod", "meshConfig.acessLogFile=x", "'acessLogFile'"),
        ("istiod", "meshConfig.accessLogFile.x=y", "/meshConfig/accessLogFile"),
        ("istiod", "meshConfig.connectTimeout=5x", "/meshConfig/connectTimeout"),
        (
            "istiod",
            "meshConfig.defaultConfig.concurrency=many",
            "/meshConfig/defaultConfig/concurrency",
        ),
        (
            "istiod",
            "meshConfig.outboundTrafficPolicy.mode=SOME",
            "/meshConfig/outboundTrafficPolicy/mode",
        ),
        ("istiod", "global.imagePullPolicy=Sometimes", "/global/imagePullPolicy"),
        ("istiod", "replicaCount=-1", "/replicaCount"),
        ("istiod", "pilot.replicaCount=1.5", "/pilot/replicaCount"),
        ("istiod", "pilot.resources.requests.cpu=10x", "/pilot/resources/requests/cpu"),
        (
            "istiod",
            "global.proxy.resources.limits.memory=1Q",
            "/global/proxy/resources/limits/memory",
        ),
        ("istiod", "pilot.tolerations[0].kee=x", "/pilot/tolerations/0"),
        ("istiod", "rollingMaxSurge=most", "/rollingMaxSurge"),
        ("istiod", "revision=Canary", "revision: \"Canary\" is no name"),
        ("istiod", "autoscaleMin=9", "autoscaleMax"),
        ("istiod", "profile=ambient", "profile is ambient"),
        ("istiod", "istiodRemote.enabled=true", "istiodRemote.enabled"),
        ("gateway", "imagePullPolicy=Sometimes", "/imagePullPolicy"),
        ("gateway", "replicaCount=many", "/replicaCount"),
        ("gateway", "resources.limits.cpu=10x", "/resources/limits/cpu"),
        ("gateway", "service.ports[0].prot=80", "/service/ports/0"),
        ("cni", "chained=false", "/chained"),
        ("cni", "cni.provider=multus", "/cni/provider"),
        ("cni", "ambient.enabled=true", "ambient.enabled"),
        ("cni", "istioOwnedCNIConfig=true", "istioOwnedCNIConfig"),
    ] {
        let output = helm(&case(chart, json!({})), &["--set", setting]);
        let refusal = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && refusal.contains(place),
            "{chart} {setting}: {refusal}"
        );
    }
}

#[test]
fn meshes_settings_are_taken_in_either_spelling_and_with_numbers_in_quotes() {
    let mesh = json!({
        "access_log_file": "/dev/stdout", "defaultConfig": {"concurrency": "2", "drain_duration": "5s"},
        "enableTracing": false, "mixerCheckServer": "x",
    });
    let output = made(&case("istiod", json!({ "meshConfig": mesh })));
    let expected = ["meshConfig.enableTracing", "meshConfig.mixerCheckServer"];
    assert_eq!(said(&output), expected.map(str::to_owned).into());
}

#[test]
fn bounds_of_no_autoscaler_are_not_compared() {
    let setting = "autoscaleMin=9,autoscaleEnabled=false";
    let output = helm(&case("istiod", json!({})), &["--set", setting]);
    assert!(output.status.success(), "{output:?}");
}
