//! What refers to nothing is told on the object's status and in the log, and is taken back when it has
//! been put right.

use anyhow::{Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, SOON, answers, echo_mesh, gateway};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Part};
use lateen_testkit::wait::wait_until;

const GATEWAY: &str = "gateways.networking.istio.io";
const RULE: &str = "destinationrules.networking.istio.io";

fn status_tells(mesh: &Mesh, kind: &str, name: &str, words: &[&str]) -> Result<()> {
    wait_until(&format!("{words:?} on the status of {name}"), SOON, || {
        let status = mesh.object(kind, name)?["status"].to_string();
        for word in words {
            ensure!(status.contains(word), "no {word:?} in {status}");
        }
        Ok(())
    })
}

fn status_is_clean(mesh: &Mesh, kind: &str, name: &str, code: &str) -> Result<()> {
    wait_until(&format!("{code} to leave the status of {name}"), SOON, || {
        let status = mesh.object(kind, name)?["status"].to_string();
        ensure!(!status.contains(code), "{status}");
        Ok(())
    })
}

#[test]
fn a_selector_that_matches_no_gateway_is_told_and_one_that_does_never_is() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let stray = |selector: &str| gateway("stray", 31500).replace("ingressgateway", selector);
        mesh.apply(&stray("egressgateway"))?;
        let words = ["IST0101", "spec.selector", "istio=egressgateway"];
        status_tells(&mesh, GATEWAY, "stray", &words)?;
        let old = mesh.kill(Part::Gateway)?;
        mesh.wait_for_successor(Part::Gateway, old)?;
        answers(ECHO_GATEWAY, "v1> ")?;
        status_tells(&mesh, GATEWAY, "stray", &words)?;
        // The log tells of what has stood for a second.
        wait_until("the log to tell", SOON, || {
            let told = mesh.logs().contains("has the labels istio=egressgateway");
            ensure!(told, "it does not");
            Ok(())
        })?;
        mesh.apply(&stray("ingressgateway"))?;
        status_is_clean(&mesh, GATEWAY, "stray", "spec.selector")?;
        let log = mesh.logs();
        ensure!(!log.contains("has the labels istio=ingressgateway"), "a false alarm:\n{log}");
        Ok(())
    });
}

#[test]
fn a_subset_that_selects_nothing_is_told_until_a_workload_has_its_labels() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        mesh.apply(
            "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions}
spec:
  host: tcp-echo-server
  subsets:
  - {name: one, labels: {version: v1}}
  - {name: two, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: nobody}
spec: {host: nobody}
",
        )?;
        let words = ["IST0173", "spec.subsets[1].labels", "version=v2"];
        status_tells(&mesh, RULE, "versions", &words)?;
        status_tells(&mesh, RULE, "nobody", &["IST0174", "spec.host"])?;
        let status = mesh.object(RULE, "versions")?["status"].to_string();
        ensure!(!status.contains("version=v1"), "subset one has an endpoint: {status}");
        let _second = mesh.echo_server("echo-v2", "echo-server", "v2", 8020)?;
        status_is_clean(&mesh, RULE, "versions", "IST0173")
    });
}

/// A rule with one subset, and a route to it.
const ROUTED: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  ports: [{number: 80, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.201.255.254, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  tcp: [{route: [{destination: {host: shop.example.com, subset: first}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop.example.com
  subsets: [{name: first, labels: {version: v1}}]
";

#[test]
fn kubectl_is_warned_of_what_a_change_does_to_another_object() {
    isolated(|| {
        let mesh = lateen_e2e::mesh()?;
        mesh.apply(ROUTED)?;
        let renamed = ROUTED.rsplit("---\n").next().unwrap_or_default().replace("first", "other");
        let apply = ["apply", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
        wait_until("the warning", SOON, || {
            let said = mesh.kubectl_tool().fails_with_input(&apply, &renamed)?;
            let told = said.contains("Warning: ") && said.contains("VirtualService default/shop");
            ensure!(told, "{said}");
            Ok(())
        })
    });
}

#[test]
fn kubectl_is_warned_of_what_misses_a_deleted_object_and_of_its_own_one_without_effect() {
    isolated(|| {
        let mesh = lateen_e2e::mesh()?;
        mesh.apply(ROUTED)?;
        let removals = [
            ("destinationrule", "VirtualService default/shop"),
            ("serviceentry", "no service is called"),
        ];
        for (kind, words) in removals {
            let delete = ["delete", kind, "shop", "--dry-run=server", "--warnings-as-errors"];
            wait_until("the warning of a removal", SOON, || {
                let said = mesh.kubectl_tool().fails(&delete)?;
                ensure!(said.contains("Warning: ") && said.contains(words), "{said}");
                Ok(())
            })?;
        }
        let policy =
            "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p}}";
        let gateway = |server: &str| {
            format!(
                "{{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {{name: g}}, spec: {{selector: \
                 {{istio: ingressgateway}}, servers: [{server}]}}}}"
            )
        };
        let passed = gateway(
            "{port: {number: 443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ['*']}",
        );
        let http = gateway("{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}");
        let own = [
            (policy, "AuthorizationPolicy is not enforced yet"),
            (&passed, "AUTO_PASSTHROUGH is not served yet"),
            (&http, "HTTP servers are not served yet"),
        ];
        let apply = ["apply", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
        for (object, words) in own {
            wait_until("the warning of itself", SOON, || {
                let said = mesh.kubectl_tool().fails_with_input(&apply, object)?;
                ensure!(said.contains("Warning: ") && said.contains(words), "{said}");
                Ok(())
            })?;
        }
        Ok(())
    });
}
