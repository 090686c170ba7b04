//! The embedded API as writers with kubectl know it: every type of patch, edit and replace, apply on
//! both sides with its conflicts, and what is refused with which words.

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_YAML, SOON, mesh, mesh_with};
use lateen_testkit::isolate::isolated;
use lateen_testkit::kubectl::Version;
use lateen_testkit::process::Process;
use serde_json::json;

const VS: &str = "virtualservices.networking.istio.io";

#[test]
fn every_type_of_patch_changes_what_it_says() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let patch = |kind: &str, name: &str, style: &str, text: &str| {
            mesh.kubectl(&["patch", kind, name, "--type", style, "-p", text])
        };
        let port = r#"[{"op":"replace","path":"/spec/ports/0/port","value":8021}]"#;
        patch("service", "tcp-echo-server", "json", port)?;
        patch("service", "tcp-echo-server", "merge", r#"{"metadata":{"labels":{"app":null}}}"#)?;
        // Ports merge by their number: the strategic patch adds one, it does not replace the list.
        let more = r#"{"spec":{"ports":[{"name":"more","port":9000}]}}"#;
        patch("service", "tcp-echo-server", "strategic", more)?;
        let service = mesh.object("service", "tcp-echo-server")?;
        let ports = service["spec"]["ports"].as_array().context("no ports")?;
        let mut numbers: Vec<_> = ports.iter().filter_map(|port| port["port"].as_u64()).collect();
        numbers.sort_unstable();
        ensure!(numbers == [8021, 9000], "{ports:?}");
        ensure!(service["metadata"]["labels"].get("app").is_none(), "{service}");

        let list = r#"{"spec":{"hosts":["a.example","b.example"]}}"#;
        patch(VS, "tcp-echo", "merge", list)?;
        ensure!(mesh.object(VS, "tcp-echo")?["spec"]["hosts"] == json!(["a.example", "b.example"]));
        let error = mesh.kubectl_fails(&[
            "patch",
            "service",
            "tcp-echo-server",
            "--type",
            "json",
            "-p",
            r#"[{"op":"test","path":"/spec/ports/0/port","value":1}]"#,
        ])?;
        ensure!(!error.is_empty());
        Ok(())
    });
}

#[test]
fn kubectl_edit_replace_scale_and_annotate_work() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let mut edit = mesh.kubectl_tool().command(&["edit", VS, "tcp-echo"]);
        edit.env("KUBE_EDITOR", "sed -i s/31400/31409/");
        Process::spawn("kubectl edit", &mut edit)?.success(SOON)?;
        let matched = &mesh.object(VS, "tcp-echo")?["spec"]["tcp"][0]["match"][0]["port"];
        ensure!(matched == &json!(31409), "{matched}");

        let mut object = mesh.object("service", "tcp-echo-server")?;
        object["spec"]["ports"][0]["port"] = json!(8022);
        mesh.kubectl_tool().ok_with_input(&["replace", "-f", "-"], &object.to_string())?;
        object["spec"]["ports"][0]["port"] = json!(8023);
        let stale =
            mesh.kubectl_tool().fails_with_input(&["replace", "-f", "-"], &object.to_string())?;
        ensure!(stale.contains("the object has been modified"), "{stale}");

        mesh.kubectl(&["scale", "deployment", "echo-server", "--replicas=3"])?;
        ensure!(mesh.object("deployment", "echo-server")?["spec"]["replicas"] == json!(3));
        mesh.kubectl(&["annotate", VS, "tcp-echo", "note=hello"])?;
        Ok(())
    });
}

#[test]
fn applying_twice_changes_nothing() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let version = || -> Result<String> {
            let object = mesh.object(VS, "tcp-echo")?;
            Ok(object["metadata"]["resourceVersion"].to_string())
        };
        let before = version()?;
        let again = mesh.apply(ECHO_YAML)?;
        ensure!(again.lines().count() == 4, "{again}");
        ensure!(again.lines().all(|line| line.ends_with(" unchanged")), "{again}");
        ensure!(version()? == before, "the resourceVersion moved");
        let mut diff = mesh.kubectl_tool().command(&["diff", "-f"]);
        diff.arg(lateen_e2e::testdata("echo-server.yaml"));
        let mut diff = Process::spawn("kubectl diff", &mut diff)?;
        ensure!(diff.exit_code(SOON)? == 0, "{}", diff.stdout());
        Ok(())
    });
}

#[test]
fn server_side_apply_owns_fields_and_reports_conflicts() {
    isolated(|| {
        let mesh = mesh()?;
        let yaml = |hosts: &str| {
            lateen_e2e::virtual_service("owned", "gw", 31400, &[("a", 100)]).replace("['*']", hosts)
        };
        let tool = mesh.kubectl_tool();
        let first = ["apply", "--server-side", "-f", "-", "--field-manager=first"];
        tool.ok_with_input(&first, &yaml("[one.example]"))?;
        let second = ["apply", "--server-side", "-f", "-", "--field-manager=second"];
        let conflict = tool.fails_with_input(&second, &yaml("[two.example]"))?;
        ensure!(conflict.contains("conflict"), "{conflict}");
        ensure!(conflict.contains("first") && conflict.contains(".spec.hosts"), "{conflict}");
        ensure!(mesh.object(VS, "owned")?["spec"]["hosts"] == json!(["one.example"]));
        let forced = [second.as_slice(), &["--force-conflicts"]].concat();
        tool.ok_with_input(&forced, &yaml("[two.example]"))?;
        ensure!(mesh.object(VS, "owned")?["spec"]["hosts"] == json!(["two.example"]));
        Ok(())
    });
}

/// What is wrong, the YAML, and words that the error must have.
const REFUSED: [(&str, &str, &[&str]); 4] = [
    (
        "unknown field",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec: {hosts: ['*'], gatewayz: [gw]}
",
        &["gatewayz", "unknown field"],
    ),
    (
        "wrong type",
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec: {hosts: 7}
",
        &["hosts"],
    ),
    (
        "unknown kind",
        "apiVersion: networking.istio.io/v1
kind: VirtualServize
metadata: {name: bad}
spec: {}
",
        &["VirtualServize"],
    ),
    (
        "bad name",
        "apiVersion: v1
kind: ConfigMap
metadata: {name: Bad_Name}
",
        &["metadata.name", "Invalid value"],
    ),
];

#[test]
fn a_current_kubectl_shows_what_is_wrong_and_nothing_is_stored() {
    isolated(|| refusals(Version::Current));
}

#[test]
fn debians_kubectl_shows_what_is_wrong_and_nothing_is_stored() {
    isolated(|| refusals(Version::Debian));
}

fn refusals(kubectl: Version) -> Result<()> {
    let mesh = mesh_with(kubectl)?;
    for (what, yaml, words) in REFUSED {
        let error = mesh.apply_fails(yaml)?;
        for word in words {
            ensure!(error.contains(word), "{what}: no {word:?} in {error}");
        }
    }
    let stored = mesh.kubectl(&["get", VS, "-A", "-o", "name"])?;
    ensure!(stored.is_empty(), "stored although refused: {stored}");
    let error = mesh.kubectl_fails(&["get", "service", "nobody"])?;
    ensure!(error.contains(r#"services "nobody" not found"#), "{error}");
    let error = mesh.kubectl_fails(&["get", "nonsense"])?;
    ensure!(error.contains("doesn't have a resource type"), "{error}");
    Ok(())
}

#[test]
fn the_server_refuses_what_kubectl_did_not_check() {
    isolated(|| {
        let mesh = mesh()?;
        let unchecked = ["apply", "--validate=false", "-f", "-"];
        let wrong_type = REFUSED[1].1;
        let error = mesh.kubectl_tool().fails_with_input(&unchecked, wrong_type)?;
        ensure!(error.contains("spec.hosts"), "{error}");
        let semantic = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: [a.example]
  tcp:
  - route:
    - destination: {host: a.example, port: {number: 70000}}
";
        let error = mesh.apply_fails(semantic)?;
        ensure!(error.contains("port") && error.contains("70000"), "{error}");
        let stored = mesh.kubectl(&["get", VS, "-A", "-o", "name"])?;
        ensure!(stored.is_empty(), "stored although refused: {stored}");
        Ok(())
    });
}
