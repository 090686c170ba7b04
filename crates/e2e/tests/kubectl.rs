//! The embedded API as readers with kubectl know it: tables, selectors, watches, describe; with a
//! current kubectl and with Debian's 1.20.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lateen_e2e::{ECHO_YAML, SOON, mesh, mesh_with, service};
use lateen_testkit::isolate::isolated;
use lateen_testkit::kubectl::{Version, table};
use lateen_testkit::mesh::Mesh;
use lateen_testkit::process::Process;
use lateen_testkit::wait::wait_until;

const VS: &str = "virtualservices.networking.istio.io";

fn header(mesh: &Mesh, args: &[&str]) -> Result<Vec<String>> {
    Ok(table(&mesh.kubectl(args)?).0)
}

#[test]
fn a_current_kubectl_prints_the_columns_that_users_know() {
    isolated(|| columns(Version::Current));
}

#[test]
fn debians_kubectl_prints_the_columns_that_users_know() {
    isolated(|| columns(Version::Debian));
}

fn columns(kubectl: Version) -> Result<()> {
    let mesh = mesh_with(kubectl)?;
    mesh.apply(ECHO_YAML)?;
    let expected: [(&[&str], &[&str]); 9] = [
        (&["namespaces"], &["NAME", "STATUS", "AGE"]),
        (&["namespaces", "-L", "istio-injection"], &["NAME", "STATUS", "AGE", "ISTIO-INJECTION"]),
        (&["services"], &["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]),
        (
            &["svc", "-o", "wide"],
            &["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"],
        ),
        (&["deployments"], &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]),
        (
            &["deploy", "-o", "wide"],
            &[
                "NAME",
                "READY",
                "UP-TO-DATE",
                "AVAILABLE",
                "AGE",
                "CONTAINERS",
                "IMAGES",
                "SELECTOR",
            ],
        ),
        (&["virtualservices"], &["NAME", "GATEWAYS", "HOSTS", "AGE"]),
        (&["gateways.networking.istio.io"], &["NAME", "AGE"]),
        (
            &["svc", "-A"],
            &["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        ),
    ];
    for (args, columns) in expected {
        let args: Vec<&str> = std::iter::once("get").chain(args.iter().copied()).collect();
        let found = header(&mesh, &args)?;
        ensure!(found == columns, "kubectl {args:?} has the columns {found:?}");
    }
    let services = mesh.kubectl(&["get", "svc", "tcp-echo-server"])?;
    ensure!(services.contains("ClusterIP") && services.contains("8020/TCP"), "{services}");
    let routes = mesh.kubectl(&["get", "vs"])?;
    ensure!(routes.contains(r#"["tcp-echo-gateway-server"]"#), "{routes}");
    mesh.kubectl(&["api-resources"])?;
    mesh.kubectl(&["version"])?;
    let empty = mesh.kubectl(&["get", "destinationrules"])?;
    ensure!(empty.is_empty(), "{empty}");
    Ok(())
}

#[test]
fn labels_select_and_fields_select() {
    isolated(|| {
        let mesh = mesh()?;
        for (name, tier) in [("one", "front"), ("two", "back"), ("three", "back")] {
            mesh.kubectl(&["create", "configmap", name])?;
            mesh.kubectl(&["label", "configmap", name, &format!("tier={tier}")])?;
        }
        let names = |args: &[&str]| -> Result<Vec<String>> {
            let args = [&["get", "configmaps", "-o", "name"], args].concat();
            Ok(mesh.kubectl(&args)?.lines().map(str::to_owned).collect())
        };
        ensure!(names(&["-l", "tier=back"])? == ["configmap/three", "configmap/two"]);
        ensure!(names(&["-l", "tier in (front,none)"])? == ["configmap/one"]);
        let rest = names(&["-l", "tier!=back"])?;
        ensure!(rest.contains(&"configmap/one".to_owned()), "{rest:?}");
        ensure!(!rest.contains(&"configmap/two".to_owned()), "{rest:?}");
        ensure!(names(&["--field-selector", "metadata.name=two"])? == ["configmap/two"]);
        mesh.kubectl(&["label", "configmap", "two", "tier-"])?;
        ensure!(names(&["-l", "tier=back"])? == ["configmap/three"]);
        Ok(())
    });
}

#[test]
fn a_watch_shows_every_change() {
    isolated(|| {
        let mesh = mesh()?;
        let mut command = mesh.kubectl_tool().command(&["get", "services", "-w"]);
        let watch = Process::spawn("kubectl get -w", &mut command)?;
        let lines = |what: &str| watch.stdout().matches(what).count();
        // An object that is there before the watch starts would appear in its first list.
        mesh.apply(&service("first", 80, "app: x"))?;
        wait_until("the first", SOON, || {
            ensure!(lines("first ") == 1);
            Ok(())
        })?;
        mesh.kubectl(&["label", "service", "first", "a=b"])?;
        wait_until("the change", SOON, || {
            ensure!(lines("first ") == 2);
            Ok(())
        })?;
        mesh.kubectl(&["delete", "service", "first"])?;
        wait_until("the deletion", SOON, || {
            ensure!(lines("first ") == 3);
            Ok(())
        })
    });
}

#[test]
fn describe_shows_the_object_and_its_events() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let service = mesh.kubectl(&["describe", "service", "tcp-echo-server"])?;
        ensure!(service.contains("Selector:") && service.contains("app=echo-server"), "{service}");
        let route = mesh.kubectl(&["describe", VS, "tcp-echo"])?;
        ensure!(route.contains("Host:") && route.contains("tcp-echo-server"), "{route}");
        wait_until("the Deployment's event", SOON, || {
            let text = mesh.kubectl(&["describe", "deployment", "echo-server"])?;
            ensure!(text.contains("Events:") && text.contains("lateen run"), "{text}");
            Ok(())
        })
    });
}

#[test]
fn a_deployment_says_that_no_container_runtime_is_here() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        wait_until("the status", SOON, || {
            let status = mesh.object("deployment", "echo-server")?["status"].to_string();
            ensure!(status.contains("container runtime"), "{status}");
            ensure!(status.contains("lateen run"), "{status}");
            Ok(())
        })?;
        let row = mesh.kubectl(&["get", "deployment", "echo-server", "--no-headers"])?;
        ensure!(row.contains("0/1"), "{row}");
        wait_until("the event", SOON, || {
            let events = mesh.kubectl(&["get", "events"])?;
            ensure!(events.contains("deployment/echo-server"), "{events}");
            ensure!(events.contains("lateen run"), "{events}");
            Ok(())
        })
    });
}

#[test]
fn the_service_of_the_api_is_listed_as_on_a_cluster() {
    isolated(|| {
        let mesh = mesh()?;
        let row = mesh.kubectl(&["get", "svc", "kubernetes", "--no-headers"])?;
        let cells: Vec<&str> = row.split_whitespace().collect();
        ensure!(cells[..2] == ["kubernetes", "ClusterIP"], "{row}");
        ensure!(cells[2].ends_with(".0.1") && cells[4] == "443/TCP", "{row}");
        mesh.kubectl(&["delete", "svc", "kubernetes"])?;
        wait_until("its return", SOON, || mesh.kubectl(&["get", "svc", "kubernetes"]).map(drop))
    });
}

#[test]
fn a_current_kubectl_does_not_wait_for_a_rollout_that_nobody_starts() {
    isolated(|| rollout(Version::Current));
}

#[test]
fn debians_kubectl_does_not_wait_for_a_rollout_that_nobody_starts() {
    isolated(|| rollout(Version::Debian));
}

fn rollout(kubectl: Version) -> Result<()> {
    const STATUS: [&str; 3] = ["rollout", "status", "deployment/echo-server"];
    let mesh = mesh_with(kubectl)?;
    mesh.apply(ECHO_YAML)?;
    // The limit is for a failure of this test; by it kubectl would say something else.
    let failed = mesh.kubectl_fails(&[&STATUS[..], &["--timeout=60s"]].concat())?;
    ensure!(failed.contains("exceeded its progress deadline"), "{failed}");
    let text = mesh.kubectl(&["describe", "deployment", "echo-server"])?;
    ensure!(text.contains("ProgressDeadlineExceeded"), "{text}");
    let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
    wait_until("the rollout", SOON, || {
        let status = mesh.kubectl(&STATUS)?;
        ensure!(status.contains("successfully rolled out"), "{status}");
        Ok(())
    })
}

#[test]
fn a_watch_with_a_selector_shows_who_comes_and_who_leaves() {
    isolated(|| {
        let mesh = mesh()?;
        let args = ["get", "configmaps", "-w", "-l", "tier=front", "--output-watch-events"];
        let watch = Process::spawn("kubectl get -w -l", &mut mesh.kubectl_tool().command(&args))?;
        let steps: [(&[&str], &str); 3] = [
            (&["label", "configmap", "one", "tier=front"], "ADDED"),
            (&["annotate", "configmap", "one", "a=b"], "MODIFIED"),
            (&["label", "configmap", "one", "tier=back", "--overwrite"], "DELETED"),
        ];
        mesh.kubectl(&["create", "configmap", "one"])?;
        for (change, event) in steps {
            mesh.kubectl(change)?;
            wait_until(event, SOON, || {
                let text = watch.stdout();
                let last = text.lines().last().unwrap_or_default();
                let cells: Vec<&str> = last.split_whitespace().take(2).collect();
                ensure!(cells == [event, "one"], "{text}");
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn refusals_are_worded_as_on_a_cluster() {
    isolated(|| {
        let mesh = mesh()?;
        let text =
            mesh.apply_fails(&service("web", 80, "app: x").replace("port: 80", "port: 70000"))?;
        let known = "The Service \"web\" is invalid: ";
        ensure!(text.contains(known), "{text}");
        let range =
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive";
        ensure!(text.contains(range), "{text}");
        let deployment = ECHO_YAML.replace("image: ", "# image: ");
        let text = mesh.apply_fails(&deployment)?;
        ensure!(text.contains("spec.template.spec.containers[0].image: Required value"), "{text}");
        mesh.kubectl(&["create", "configmap", "c"])?;
        let patch = r#"[{"op": "replace", "path": "/data/x", "value": "1"}]"#;
        let text = mesh.kubectl_fails(&["patch", "configmap", "c", "--type=json", "-p", patch])?;
        ensure!(
            text.contains("The ConfigMap \"c\" is invalid: patch: replace operation"),
            "{text}"
        );
        Ok(())
    });
}

#[test]
fn five_hundred_objects_are_applied_from_one_file() {
    isolated(|| {
        let mesh = mesh()?;
        let yaml: String = (0..250)
            .map(|number| {
                let config = format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\ndata: {{n: '{number}'}}\n---\n"
                );
                config + &service(&format!("s{number}"), 8000, "app: x")
            })
            .collect();
        for (turn, word) in ["created", "unchanged"].into_iter().enumerate() {
            let start = Instant::now();
            let text = mesh.apply(&yaml)?;
            let taken = start.elapsed();
            println!("500 objects, turn {turn}: {taken:?}");
            let done = text.lines().filter(|line| line.ends_with(word)).count();
            ensure!(done == 500, "{done} of 500 {word}");
            ensure!(taken < Duration::from_secs(60), "{taken:?}");
        }
        let services =
            mesh.kubectl(&["get", "svc", "-o", "jsonpath={.items[*].spec.clusterIP}"])?;
        let mut addresses: Vec<&str> = services.split_whitespace().collect();
        addresses.sort_unstable();
        addresses.dedup();
        ensure!(addresses.len() == 251, "{} addresses", addresses.len());
        Ok(())
    });
}
