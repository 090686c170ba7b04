//! Telemetry objects and MeshConfig's extension providers, applied while workloads run: what is logged and
//! counted follows, and nothing is started again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::{
    ECHO_GATEWAY, ECHO_YAML, SOON, answers, echo_mesh, gateway, mesh_of_envoy, service,
    virtual_service,
};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::net::{ask, http_get};
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;

/// How long bytes may take to be counted: an interval, and the machine.
const COUNTED: Duration = Duration::from_secs(15);
/// A gateway's port that leads to a service without endpoints.
const LOST: &str = "127.0.0.1:31500";

/// MeshConfig with these providers, each a line.
fn mesh_config(providers: &[String]) -> String {
    let lines: String = providers.iter().map(|line| format!("    - {line}\n")).collect();
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders:
{lines}---
"
    )
}

fn telemetry(namespace: &str, name: &str, app: (&str, &str), spec: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{{}: {}}}}}
{spec}---
",
        app.0, app.1
    )
}

const INGRESS: (&str, &str) = ("istio", "ingressgateway");

/// The samples of a metric on the gateway's page.
fn samples(mesh: &Mesh, metric: &str) -> Result<Vec<String>> {
    let page = http_get(&mesh.home().join("run/gateway.admin.sock"), "/stats/prometheus")?;
    let start = format!("istio_tcp_{metric}_total{{");
    Ok(page.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect())
}

#[test]
fn a_running_gateway_logs_only_what_a_filter_lets_through() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        mesh.apply(&service("lost", 8020, "app: nobody"))?;
        mesh.apply(&gateway("lost", 31500))?;
        mesh.apply(&virtual_service("lost", "lost", 31500, &[("lost", 100)]))?;
        let (path, other) = (mesh.home().join("failures.log"), mesh.home().join("other.log"));
        let file = "envoyFileAccessLog: {path: PATH, logFormat: {labels: {flags: '%RESPONSE_FLAGS%', \
                    to: {cluster: '%UPSTREAM_CLUSTER%', bytes: '%BYTES_SENT%'}}}}";
        let provider = |name: &str, path: &Path| {
            format!("{{name: {name}, {}}}", file.replace("PATH", &path.display().to_string()))
        };
        mesh.apply(&mesh_config(&[provider("failures", &path), provider("other", &other)]))?;
        let spec = "  accessLogging:\n  - providers: [{name: failures}]\n    filter: {expression: \
                    'response.flags != 0 && destination.port == 31500'}\n";
        mesh.apply(&telemetry("istio-system", "failures", INGRESS, spec))?;
        let lines = || std::fs::read_to_string(&path).unwrap_or_default();
        let mut asked = 0;
        wait_until("a failure to be logged", START, || {
            // Nobody answers there.
            let _ = ask(LOST, "x\n");
            asked += 1;
            ensure!(!lines().is_empty(), "no line yet");
            Ok(())
        })?;
        for _ in 0..5 {
            ensure!(ask(ECHO_GATEWAY, "x\n")? == "v1> x\n");
        }
        // More than were asked for before: one of them is behind all that.
        let before = lines().lines().count();
        wait_until("one more failure", SOON, || {
            let _ = ask(LOST, "x\n");
            ensure!(lines().lines().count() > before + asked, "{}", lines());
            Ok(())
        })?;
        for line in lines().lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let expected = serde_json::json!({
                "flags": "UH",
                "to": {"cluster": "outbound|8020||lost.default.svc.cluster.local", "bytes": 0},
            });
            ensure!(line == expected, "{line}");
        }

        mesh.kubectl(&["delete", "telemetries", "-n", "istio-system", "failures"])?;
        let spec = spec.replace("failures", "other");
        mesh.apply(&telemetry("istio-system", "other", INGRESS, &spec))?;
        let others = || std::fs::read_to_string(&other).unwrap_or_default().lines().count();
        wait_until("a failure to be logged elsewhere", START, || {
            let _ = ask(LOST, "x\n");
            ensure!(others() > 0, "no line yet");
            Ok(())
        })?;
        // All lines are written in the order of their connections.
        let (before, elsewhere) = (lines(), others());
        wait_until("one more elsewhere", SOON, || {
            let _ = ask(LOST, "x\n");
            ensure!(others() > elsewhere, "no more lines");
            Ok(())
        })?;
        ensure!(lines() == before, "it goes on: {}", lines());
        Ok(())
    });
}

#[test]
fn a_running_gateway_counts_as_telemetry_says() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        ensure!(samples(&mesh, "connections_opened")?.iter().all(|line| !line.contains("route=")));
        let spec = "  metrics:
  - overrides:
    - match: {metric: TCP_OPENED_CONNECTIONS, mode: CLIENT}
      disabled: true
    - match: {metric: TCP_SENT_BYTES}
      tagOverrides:
        source_version: {operation: REMOVE}
        route: {value: \"'to ' + xds.cluster_name\"}
        peer: {value: upstream_peer.app}
        host: {value: request.host}
";
        mesh.apply(&telemetry("istio-system", "metrics", INGRESS, spec))?;
        let tagged = || {
            let all = samples(&mesh, "sent_bytes")?;
            Ok::<_, anyhow::Error>(all.into_iter().find(|line| line.contains("route=")))
        };
        wait_until("a changed label", START, || {
            ask(ECHO_GATEWAY, "x\n")?;
            ensure!(tagged()?.is_some(), "{:?}", samples(&mesh, "sent_bytes")?);
            Ok(())
        })?;
        let line = tagged()?.unwrap_or_default();
        let cluster = "outbound|8020||tcp-echo-server.default.svc.cluster.local";
        for label in
            [&format!("route=\"to {cluster}\"")[..], "peer=\"echo-server\"", "host=\"unknown\""]
        {
            ensure!(line.contains(label), "no {label} in {line}");
        }
        ensure!(!line.contains("source_version"), "{line}");
        let closed = || -> Result<u64> {
            let all = samples(&mesh, "connections_closed")?;
            all.iter()
                .map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?))
                .sum()
        };
        let (opened, before) = (samples(&mesh, "connections_opened")?, closed()?);
        for _ in 0..3 {
            ask(ECHO_GATEWAY, "x\n")?;
        }
        wait_until("closed connections to be counted", COUNTED, || {
            ensure!(closed()? >= before + 3, "{before} then {}", closed()?);
            Ok(())
        })?;
        let now = samples(&mesh, "connections_opened")?;
        ensure!(now == opened, "what is disabled is counted: {now:?}");
        Ok(())
    });
}

#[test]
fn an_unknown_provider_and_a_second_object_are_told_on_their_status() {
    isolated(|| {
        let mesh = lateen_e2e::mesh()?;
        let spec = "  accessLogging: [{providers: [{name: nowhere}]}]\n";
        let lost = telemetry("default", "lost", ("app", "a"), spec);
        let warned = ["apply", "--warnings-as-errors", "-f", "-"];
        let warned = mesh.kubectl_tool().fails_with_input(&warned, &lost)?;
        let said = "Warning: error IST0101 Telemetry default/lost: spec.accessLogging[0].providers[0].name: \
                    meshConfig.extensionProviders has no \"nowhere\": use envoy, or add it\n";
        let once = warned.matches("Warning: ").count() == 1;
        ensure!(warned.contains(said) && once, "{warned}");
        let all = |name: &str| {
            format!(
                "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}}}\n\
                 spec: {{accessLogging: [{{providers: [{{name: envoy}}]}}]}}\n---\n"
            )
        };
        mesh.apply(&(all("a-first") + &all("b-second")))?;
        let tells = |name: &str, words: &[&str]| {
            wait_until(&format!("{words:?} on the status of {name}"), SOON, || {
                let status = mesh.object("telemetries", name)?["status"].to_string();
                for word in words {
                    ensure!(status.contains(word), "no {word:?} in {status}");
                }
                Ok(())
            })
        };
        tells("lost", &["IST0101", "spec.accessLogging[0].providers[0].name", "add it"])?;
        tells("b-second", &["IST0160", "a-first comes first"])?;
        let refused = mesh.apply_fails(&telemetry(
            "default",
            "bad",
            ("app", "a"),
            "  accessLogging: [{filter: {expression: 'response.code >='}}]\n",
        ))?;
        ensure!(refused.contains("spec.accessLogging[0].filter.expression"), "{refused}");
        let tags = "  metrics: [{overrides: [{tagOverrides: {le: {value: \"'a'\"}}}]}]\n";
        let refused = mesh.apply_fails(&telemetry("default", "bad", ("app", "a"), tags))?;
        ensure!(refused.contains("spec.metrics[0].overrides[0].tagOverrides[le]"), "{refused}");
        let provider = "{name: own, envoyFileAccessLog: {path: /a, logFormat: {text: '%NOPE%'}}}";
        let refused = mesh.apply_fails(&mesh_config(&[provider.to_owned()]))?;
        let path = "extensionProviders[0].envoyFileAccessLog.logFormat.text";
        ensure!(refused.contains(path) && refused.contains("%NOPE%"), "{refused}");
        Ok(())
    });
}

#[test]
fn a_provider_that_leads_nowhere_is_told_to_kubectl_and_on_the_status_of_who_names_it() {
    isolated(|| {
        let mesh = lateen_e2e::mesh()?;
        let to = |host: &str| {
            let host = format!("{host}.default.svc.cluster.local");
            mesh_config(&[format!("{{name: als, envoyTcpAls: {{service: {host}, port: 80}}}}")])
        };
        mesh.apply(&(to("als") + &service("als", 80, "app: als")))?;
        let spec = "  accessLogging: [{providers: [{name: als}]}]\n";
        mesh.apply(&telemetry("default", "cs", ("app", "a"), spec))?;
        let user = "Telemetry default/cs: spec.accessLogging[0].providers[0].name: ";
        let apply = ["apply", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
        let field = "data.mesh.extensionProviders[0].envoyTcpAls.service: nothing is sent to provider \"als\"";
        let user_too = format!("{user}nothing is sent to provider \"als\"");
        let removed = format!("{user}meshConfig.extensionProviders has no \"als\"");
        let other = mesh_config(&["{name: other, prometheus: {}}".to_owned()]);
        for (config, told) in [(to("gone"), vec![field, &*user_too]), (other, vec![&*removed])] {
            wait_until("the warnings", SOON, || {
                let said = mesh.kubectl_tool().fails_with_input(&apply, &config)?;
                ensure!(told.iter().all(|words| said.contains(words)), "{said}");
                Ok(())
            })?;
        }
        let status_has = |expected: bool| {
            wait_until("the status", SOON, || {
                let status = mesh.object("telemetries", "cs")?["status"].to_string();
                let has = status.contains("nothing is sent to provider \\\"als\\\": no service");
                ensure!(has == expected, "{status}");
                Ok(())
            })
        };
        mesh.apply(&to("gone"))?;
        status_has(true)?;
        mesh.apply(&service("gone", 80, "app: als"))?;
        status_has(false)?;
        mesh.kubectl(&["delete", "service", "gone"])?;
        status_has(true)
    });
}

/// Lines of a kind that the collector printed and that have this in them.
fn printed(collector: &Process, kind: &str, what: &str) -> usize {
    let fits = |line: &&str| line.starts_with(kind) && line.contains(what);
    collector.stdout().lines().filter(fits).count()
}

/// A collector as a workload, and the mesh's providers that send to it.
fn collect(mesh: &Mesh) -> Result<Process> {
    let program = tools::collector()?.display().to_string();
    let mut collector = mesh.run("collector", "app=collector,version=v1", &[&program, "9001"])?;
    collector.wait_for("listening on", START)?;
    // Stock Envoy speaks HTTP/2 where a port's name says so.
    let named = service("collector", 9001, "app: collector").replace("name: tcp", "name: grpc");
    mesh.apply(&named)?;
    let at = "service: collector.default.svc.cluster.local, port: 9001";
    let format = "logFormat: {text: '%RESPONSE_FLAGS%', labels: {in: '%BYTES_RECEIVED%', out: '%BYTES_SENT%'}}";
    mesh.apply(&mesh_config(&[
        format!("{{name: als, envoyTcpAls: {{{at}, logName: tcp}}}}"),
        format!("{{name: otel, envoyOtelAls: {{{at}, {format}}}}}"),
    ]))?;
    Ok(collector)
}

/// Each of some connections through the gateway is one entry of both kinds.
fn exactly(mesh: &Mesh, collector: &Process, cluster: &str) -> Result<()> {
    wait_until("entries to arrive", START, || {
        ask(ECHO_GATEWAY, "x\n")?;
        let found = (printed(collector, "als", ""), printed(collector, "otlp", ""));
        ensure!(found.0 > 0 && found.1 > 0, "{found:?}: {}", mesh.logs());
        Ok(())
    })?;
    for _ in 0..7 {
        ensure!(ask(ECHO_GATEWAY, "0123456789\n")? == "v1> 0123456789\n");
    }
    let counts = || {
        let als = printed(collector, &format!("als tcp {cluster} - "), " 11 15");
        (als, printed(collector, "otlp - ", "in=11 out=15"))
    };
    wait_until("an entry of each connection", START, || {
        ensure!(counts() == (7, 7), "{:?}:\n{}", counts(), collector.stdout());
        Ok(())
    })
}

const COLLECTED: &str = "  accessLogging:\n  - providers: [{name: als}, {name: otel}]\n";

#[test]
fn collectors_get_an_entry_of_each_connection_of_a_running_workload() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let collector = collect(&mesh)?;
        mesh.apply(&telemetry("default", "collected", ("app", "echo-server"), COLLECTED))?;
        exactly(&mesh, &collector, "inbound|8020||")?;
        let socket = mesh.home().join("run/w.default.echo-server.admin.sock");
        let page = http_get(&socket, "/stats/prometheus")?;
        let dropped = |service: &str| {
            page.contains(&format!("\nenvoy_access_logs_{service}_access_log_logs_dropped 0\n"))
        };
        ensure!(dropped("grpc") && dropped("open_telemetry"), "{page}");
        Ok(())
    });
}

/// The older way: one service for all proxies, by MeshConfig alone.
const BY_DEFAULT: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    enableEnvoyAccessLogService: true
    defaultConfig:
      envoyAccessLogService: {address: 'collector.default.svc.cluster.local:9001'}
";

#[test]
fn the_log_service_of_mesh_config_gets_an_entry_of_each_connection_from_both_sides() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let collector = collect(&mesh)?;
        mesh.apply(BY_DEFAULT)?;
        let entries = |cluster: &str, of: &str| {
            printed(&collector, &format!("als tcp_envoy_accesslog {cluster} - "), of)
        };
        let outbound = "outbound|8020||tcp-echo-server.default.svc.cluster.local";
        wait_until("entries to arrive", START, || {
            ask(ECHO_GATEWAY, "x\n")?;
            let found = (entries(outbound, ""), entries("inbound|8020||", ""));
            ensure!(found.0 > 0 && found.1 > 0, "{found:?}: {}", mesh.logs());
            Ok(())
        })?;
        for _ in 0..7 {
            ensure!(ask(ECHO_GATEWAY, "0123456789\n")? == "v1> 0123456789\n");
        }
        wait_until("an entry of each connection", START, || {
            let found = (entries(outbound, " 11 15"), entries("inbound|8020||", " 11 15"));
            ensure!(found == (7, 7), "{found:?}:\n{}", collector.stdout());
            Ok(())
        })
    });
}

#[test]
fn collectors_get_the_same_from_stock_envoy() {
    isolated(|| {
        let (mesh, mut envoy) = mesh_of_envoy()?;
        mesh.apply(ECHO_YAML)?;
        let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
        answers(ECHO_GATEWAY, "v1> ")?;
        let collector = collect(&mesh)?;
        mesh.apply(&telemetry("istio-system", "collected", INGRESS, COLLECTED))?;
        exactly(&mesh, &collector, "outbound|8020||tcp-echo-server.default.svc.cluster.local")?;
        envoy.stop()?;
        Ok(())
    });
}

/// What a connection is the same by, whoever carries it.
const SAME: &str = "SAME %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% \
     %BYTES_RECEIVED% %BYTES_SENT% %PROTOCOL% %UPSTREAM_CLUSTER% %UPSTREAM_REMOTE_PORT% \
     %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQUESTED_SERVER_NAME% \
     %ROUTE_NAME% %FILTER_CHAIN_NAME% %ACCESS_LOG_TYPE% %UPSTREAM_REQUEST_ATTEMPT_COUNT% \
     %UPSTREAM_METADATA(istio:workload)% %REQ(X-A?:PATH)% %REQ_WITHOUT_QUERY(:PATH)% \
     %DOWNSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_SENT% %GRPC_STATUS% %DOWNSTREAM_PEER_URI_SAN% \
     %CEL(connection.mtls)% %CEL(response.flags)% %CEL(response.code)% %CEL(xds.cluster_name)% \
     %CEL(upstream.transport_failure_reason == '')% %CEL(response.total_size > 0)% %CEL(request.host)%";

/// The lines of the two gateways' connections: one that is answered, and one that leads nowhere.
fn same_lines(mesh: &Mesh, log: impl Fn() -> String) -> Result<Vec<String>> {
    mesh.apply(ECHO_YAML)?;
    mesh.apply(&service("lost", 8020, "app: nobody"))?;
    mesh.apply(&gateway("lost", 31500))?;
    mesh.apply(&virtual_service("lost", "lost", 31500, &[("lost", 100)]))?;
    let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
    answers(ECHO_GATEWAY, "v1> ")?;
    let config = mesh_config(&["{name: unused, prometheus: {}}".to_owned()]);
    let format =
        format!("  mesh: |\n    accessLogFile: /dev/stdout\n    accessLogFormat: \"{SAME}\"\n");
    mesh.apply(&config.replace("  mesh: |\n", &format))?;
    let lines = |port: &str| {
        let all = log();
        let mut of = all.lines().filter(|line| line.starts_with("SAME ") && line.contains(port));
        of.next_back().map(str::to_owned)
    };
    let mut found = Vec::new();
    for (address, port) in [(ECHO_GATEWAY, ":31400 "), (LOST, ":31500 ")] {
        found.push(wait_until("a line of the log", START, || {
            let _ = ask(address, "0123\n");
            let line = lines(port);
            ensure!(line.is_some(), "no line yet");
            Ok(line.unwrap_or_default())
        })?);
    }
    Ok(found)
}

#[test]
fn stock_envoy_and_lateen_write_the_same_line() {
    isolated(|| {
        let own = {
            let mesh = lateen_e2e::mesh()?;
            same_lines(&mesh, || mesh.logs())?
        };
        let (mesh, mut envoy) = mesh_of_envoy()?;
        let theirs = same_lines(&mesh, || envoy.stdout())?;
        ensure!(own == theirs, "\n{own:#?}\n{theirs:#?}");
        ensure!(own[0].starts_with("SAME 0 - - - 5 9 -"), "{}", own[0]);
        ensure!(own[1].starts_with("SAME 0 UH NoHealthyUpstream - 0 0 -"), "{}", own[1]);
        envoy.stop()?;
        Ok(())
    });
}
