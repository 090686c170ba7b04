//! What is typed and what is printed: refusals with a remedy, the ports before `ready`, and log files that
//! tell in one line.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, ECHO_YAML, SOON, answers, echo_mesh, gateway, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Options, Part, START};
use lateen_testkit::net::{add_address, free_port};
use lateen_testkit::process::Process;
use lateen_testkit::tools::lateen;
use lateen_testkit::wait::wait_until;

/// Exit code and standard error of a command that must fail.
fn refused(home: &Path, args: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(lateen()?);
    command.arg(args[0]).arg("--home").arg(home).args(&args[1..]).stdin(Stdio::null());
    let mut process = Process::spawn(&format!("lateen {}", args.join(" ")), &mut command)?;
    let code = process.exit_code(START)?;
    ensure!(code != 0, "lateen {args:?} went well");
    Ok((code, process.stderr()))
}

#[test]
fn names_and_labels_that_kubernetes_would_refuse_are_refused_with_the_rule() {
    isolated(|| {
        let home = tempfile::tempdir()?;
        let long = format!("app={}", "a".repeat(64));
        let cases: [(&str, &str, &str); 6] = [
            ("x", "app=a,app=b", "label app is given twice"),
            ("x", "=a", "not a label's key"),
            ("x", "app=a b", "cannot be the value of label app"),
            ("x", &long, "at most 63"),
            ("Upper", "app=a", "RFC 1123"),
            ("a.b", "app=a", "RFC 1123"),
        ];
        for (name, labels, reason) in cases {
            let args = ["run", "--name", name, "--labels", labels, "--", "true"];
            let (code, said) = refused(home.path(), &args)?;
            ensure!(code == 2 && said.contains(reason), "{labels}: {code}: {said}");
        }
        Ok(())
    });
}

#[test]
fn what_cannot_be_printed_fails_and_a_reader_that_goes_away_does_not() -> Result<()> {
    let manifests: &[&str] = &["manifest", "generate", "--set", "profile=minimal"];
    let json = [manifests, &["-o", "json"]].concat();
    for args in [manifests, &json, &["completion", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full")?;
        let output = Command::new(lateen()?).args(args).stdout(full).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{args:?}: {}: {said}", output.status);
        ensure!(said.contains("cannot write to standard output: No space left"), "{said}");
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = Command::new(lateen()?).args(args).stdout(writer).output()?;
        ensure!(output.status.success(), "{args:?}: {}", output.status);
    }
    Ok(())
}

#[test]
fn addresses_and_ports_that_cannot_be_listened_on_are_refused_at_once() {
    isolated(|| {
        let home = tempfile::tempdir()?;
        let (code, said) = refused(home.path(), &["up", "--gateway-bind", "localhost"])?;
        ensure!(code == 2 && said.contains("not an IP address"), "{said}");
        let begin = Instant::now();
        let (_, said) = refused(home.path(), &["up", "--gateway-bind", "203.0.113.9"])?;
        ensure!(said.contains("--gateway-bind 203.0.113.9"), "{said}");
        ensure!(said.contains("use an address of this machine"), "{said}");
        ensure!(begin.elapsed() < Duration::from_secs(5), "not at once");
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let port = taken.local_addr()?.port().to_string();
        let (_, said) = refused(home.path(), &["up", "--api-port", &port])?;
        ensure!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        ensure!(said.contains("choose another --api-port"), "{said}");
        Ok(())
    });
}

/// That the port is printed, and `ready` after it.
fn port_before_ready(printed: &str) -> Result<()> {
    let port = printed.find(&format!("gateway  listens on {ECHO_GATEWAY}\n"));
    let ready = printed.find("\nready\n").context("it is not ready")?;
    ensure!(port.is_some_and(|port| port < ready), "{printed}");
    Ok(())
}

#[test]
fn the_ports_of_what_is_applied_or_stored_are_printed_before_ready() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("echo.yaml");
        std::fs::write(&file, ECHO_YAML)?;
        let mut mesh = Mesh::up(Options { files: vec![file.clone()], ..Options::default() })?;
        port_before_ready(&mesh.supervisor().stdout())?;
        mesh.stop()?;
        // What is in the file is in the store: without it nothing is applied.
        std::fs::write(&file, "")?;
        mesh.start()?;
        let printed = mesh.supervisor().stdout();
        ensure!(!printed.contains("applied  "), "{printed}");
        port_before_ready(&printed)
    });
}

#[test]
fn a_port_that_nothing_is_routed_from_does_not_hold_the_start_up() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("gateway.yaml");
        let unused = gateway("unused", free_port()?);
        std::fs::write(&file, format!("{ECHO_YAML}---\n{unused}"))?;
        let mesh = Mesh::up(Options { files: vec![file], ..Options::default() })?;
        port_before_ready(&mesh.supervisor().stdout())
    });
}

#[test]
fn the_ports_that_mesh_config_gives_the_sidecar_are_those_that_are_captured() {
    isolated(|| {
        let mesh = mesh()?;
        let config = "proxyListenPort: 16001\\nproxyInboundListenPort: 16006\\n";
        let patch = format!("{{\"data\":{{\"mesh\":\"{config}\"}}}}");
        mesh.kubectl(&["-n", "istio-system", "patch", "configmap", "istio", "-p", &patch])?;
        mesh.apply(ECHO_YAML)?;
        let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
        answers(ECHO_GATEWAY, "v1> ")?;
        let printed = mesh.run_script(
            "caller",
            "echo hi | nc -q1 tcp-echo-server 8020; awk '{print $2,$4}' /proc/self/net/tcp",
        )?;
        ensure!(printed.starts_with("v1> hi\n"), "{printed}");
        // 16001 and 16006 in the kernel's table, listening.
        for port in [":3E81 0A", ":3E86 0A"] {
            ensure!(printed.contains(port), "{printed}");
        }
        Ok(())
    });
}

#[test]
fn a_connection_that_a_sidecar_refused_is_in_the_workloads_log() {
    isolated(|| {
        add_address("192.0.2.77")?;
        let mesh = mesh()?;
        let port = free_port()?;
        let script = format!("nc -w2 192.0.2.77 {port} </dev/null; echo tried");
        let mut program = mesh.run("probe", "app=probe", &["sh", "-c", &script])?;
        ensure!(program.success(START)? == "tried\n");
        ensure!(!program.stderr().contains("refused"), "{}", program.stderr());
        let log = std::fs::read_to_string(mesh.home().join("logs/w.default.probe.log"))?;
        let line = log.lines().find(|line| line.contains("connection refused"));
        let line = line.with_context(|| format!("nothing about it in {log}"))?;
        ensure!(line.contains(" INFO ") && line.contains(&format!("192.0.2.77:{port}")), "{line}");
        Ok(())
    });
}

#[test]
fn the_loss_of_the_control_plane_and_its_return_are_one_short_line_each() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let old = mesh.kill(Part::Control)?;
        mesh.wait_for_successor(Part::Control, old)?;
        for name in ["gateway.log", "w.default.echo-server.log"] {
            let path = mesh.home().join("logs").join(name);
            wait_until("the line", SOON, || {
                let log = std::fs::read_to_string(&path)?;
                let line = log.lines().find(|line| line.contains("lost the control plane"));
                let line = line.with_context(|| format!("{name} does not tell"))?;
                let said =
                    " WARN lost the control plane: connection closed, going on with what is known";
                ensure!(line.ends_with(said), "{line}");
                let mut back =
                    log.lines().filter(|line| line.contains("the control plane is back"));
                let line =
                    back.next().with_context(|| format!("{name} does not tell of its return"))?;
                let (_, seconds) =
                    line.split_once(" INFO the control plane is back after ").context(name)?;
                seconds.trim_end_matches(" s").parse::<f64>().with_context(|| line.to_owned())?;
                ensure!(back.next().is_none(), "it is back once: {log}");
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_finding_is_one_line_with_its_severity_once() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let taken = TcpListener::bind("127.0.0.1:31500")?;
        mesh.apply(&gateway("blocked", 31500))?;
        mesh.apply(&lateen_e2e::virtual_service(
            "blocked",
            "blocked",
            31500,
            &[("tcp-echo-server", 1)],
        ))?;
        wait_until("the finding", SOON, || {
            let log = std::fs::read_to_string(mesh.home().join("logs/control.log"))?;
            let line = log.lines().find(|line| line.contains("in use by another program"));
            let line = line.context("the log does not tell")?;
            let (_, said) = line.split_once("ERROR ").with_context(|| line.to_owned())?;
            ensure!(said.contains(" Gateway default/blocked: spec.servers: port 31500"), "{line}");
            ensure!(!said.starts_with("error") && !said.contains("object="), "{line}");
            Ok(())
        })?;
        drop(taken);
        Ok(())
    });
}
