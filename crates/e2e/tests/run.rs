//! `lateen run` as a program's parent: exit codes, signals, standard input, the WorkloadEntry, the
//! first dial, missing privileges.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use lateen_e2e::{ECHO_YAML, SOON, echo_mesh, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::process::Process;
use lateen_testkit::tools::{cached, lateen};
use lateen_testkit::wait::wait_until;
use nix::sys::signal::Signal;

/// After this the WorkloadEntry of a workload that was killed must be gone.
const REAPED: Duration = Duration::from_secs(20);

fn run(mesh: &Mesh, name: &str, script: &str) -> Result<Process> {
    mesh.run(name, "app=probe,version=v1", &["sh", "-c", script])
}

fn entries(mesh: &Mesh) -> Result<serde_json::Value> {
    let text = mesh.kubectl(&["get", "workloadentries", "-o", "json"])?;
    Ok(serde_json::from_str::<serde_json::Value>(&text)?["items"].take())
}

fn count(mesh: &Mesh) -> Result<usize> {
    Ok(entries(mesh)?.as_array().map_or(0, Vec::len))
}

#[test]
fn exit_codes_and_output_are_the_programs() {
    isolated(|| {
        let mesh = mesh()?;
        for code in [0, 1, 42] {
            let mut program = run(&mesh, "probe", &format!("echo out; echo err >&2; exit {code}"))?;
            let ended = program.exit_code(START)?;
            ensure!(ended == code, "{code} became {ended}");
            ensure!(program.stdout() == "out\n", "{:?}", program.stdout());
            ensure!(program.stderr().contains("err\n"), "{:?}", program.stderr());
        }
        let ended = run(&mesh, "probe", "kill -KILL $$")?.exit_code(START)?;
        ensure!(ended == 128 + 9, "death by SIGKILL became {ended}");
        let mut missing = mesh.run("probe", "app=probe", &["/no/such/program"])?;
        let ended = missing.exit_code(START)?;
        ensure!(ended == 127, "a missing program became {ended}");
        ensure!(missing.stderr().contains("/no/such/program"), "{}", missing.stderr());
        Ok(())
    });
}

#[test]
fn signals_reach_the_program() {
    isolated(|| {
        let mesh = mesh()?;
        for (signal, name) in
            [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP")]
        {
            let script = format!(
                "trap 'echo got {name}; exit 17' {name}; echo started; while :; do sleep 0.1; done"
            );
            let mut program = run(&mesh, "probe", &script)?;
            program.wait_for("started", START)?;
            program.signal(signal)?;
            ensure!(program.exit_code(SOON)? == 17, "SIG{name}");
            ensure!(program.stdout().contains(&format!("got {name}")), "{}", program.stdout());
        }
        Ok(())
    });
}

#[test]
fn standard_input_is_the_programs() {
    isolated(|| {
        let mesh = mesh()?;
        let mut command =
            mesh.lateen(&["run", "--name", "cat", "--labels", "app=cat", "--home"])?;
        command.arg(mesh.home()).args(["--", "cat"]).stdin(Stdio::piped());
        let mut program = Process::spawn("lateen run cat", &mut command)?;
        program.write_stdin("through\n")?;
        program.close_stdin();
        ensure!(program.success(START)? == "through\n");
        Ok(())
    });
}

#[test]
fn the_environment_and_folder_are_kept() {
    isolated(|| {
        let mesh = mesh()?;
        let folder = mesh.home().canonicalize()?;
        let mut command =
            mesh.lateen(&["run", "--name", "env", "--labels", "app=env", "--home"])?;
        command.arg(mesh.home()).args(["--", "sh", "-c", "echo $GREETING; pwd"]);
        command.env("GREETING", "hello").current_dir(&folder);
        let printed = Process::spawn("lateen run env", &mut command)?.success(START)?;
        ensure!(printed == format!("hello\n{}\n", folder.display()), "{printed}");
        Ok(())
    });
}

#[test]
fn a_workload_entry_lives_as_long_as_its_program() {
    isolated(|| {
        let mesh = mesh()?;
        ensure!(count(&mesh)? == 0);
        let mut program = run(&mesh, "probe", "echo started; exec sleep 600")?;
        program.wait_for("started", START)?;
        let found = entries(&mesh)?;
        ensure!(found.as_array().is_some_and(|list| list.len() == 1), "{found}");
        let labels = &found[0]["spec"]["labels"];
        ensure!(labels["app"] == "probe" && labels["version"] == "v1", "{found}");
        program.stop()?;
        ensure!(count(&mesh)? == 0, "it outlives its program");
        Ok(())
    });
}

#[test]
fn a_workload_entry_goes_even_when_lateen_run_is_killed() {
    isolated(|| {
        let mesh = mesh()?;
        let mut program = run(&mesh, "probe", "echo started; exec sleep 600")?;
        program.wait_for("started", START)?;
        ensure!(count(&mesh)? == 1);
        program.signal(Signal::SIGKILL)?;
        program.wait(SOON)?;
        wait_until("the entry to go", REAPED, || {
            ensure!(count(&mesh)? == 0, "it is still there");
            Ok(())
        })?;
        let mut again = run(&mesh, "probe", "exit 0")?;
        ensure!(again.exit_code(START)? == 0, "the name cannot be used again");
        Ok(())
    });
}

#[test]
fn one_immediate_dial_never_fails() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let client = cached("go-echo-client")?.display().to_string();
        let words = [&client, "--count", "1", "tcp-echo-server", "8020", "1"];
        for round in 0..50 {
            let mut program = mesh.run("dialler", "app=dialler,version=v1", &words)?;
            let code = program.exit_code(START)?;
            ensure!(code == 0, "dial {round} of 50 failed: {}", program.stderr());
        }
        Ok(())
    });
}

#[test]
fn two_workloads_have_two_addresses_and_reach_each_other() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let second = mesh.echo_server("second", "echo-server", "v2", 8020)?;
        let found = entries(&mesh)?;
        let address = |at: usize| found[at]["spec"]["address"].to_string();
        ensure!(address(0) != address(1), "{found}");
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do \
                      echo hi | nc -q1 tcp-echo-server 8020; done | sort -u";
        let printed = mesh.run_script("caller", script)?;
        ensure!(printed == "v1> hi\nv2> hi\n", "{printed}");
        drop(second);
        Ok(())
    });
}

#[test]
fn without_privileges_it_says_what_is_missing() {
    isolated(|| {
        let mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"]);
        command.arg(lateen()?).args(["run", "--home"]).arg(mesh.home());
        command.args(["--name", "x", "--labels", "app=x", "--", "echo", "must not run"]);
        command.stdin(Stdio::null());
        let mut refused = Process::spawn("lateen run without privileges", &mut command)?;
        ensure!(refused.exit_code(START)? != 0, "it went well");
        let (out, err) = (refused.stdout(), refused.stderr());
        ensure!(!out.contains("must not run"), "the program was started");
        ensure!(err.contains("CAP_NET_ADMIN") && err.contains("sudo"), "{err}");
        ensure!(count(&mesh)? == 0, "a WorkloadEntry is left");
        Ok(())
    });
}

#[test]
fn without_a_mesh_it_says_how_to_start_one() {
    isolated(|| {
        let home = tempfile::tempdir()?;
        let mut command = Command::new(lateen()?);
        command.args(["run", "--home"]).arg(home.path());
        command.args(["--name", "x", "--labels", "app=x", "--", "true"]).stdin(Stdio::null());
        let mut refused = Process::spawn("lateen run without a mesh", &mut command)?;
        ensure!(refused.exit_code(START)? != 0, "it went well");
        ensure!(refused.stderr().contains("lateen up"), "{}", refused.stderr());
        Ok(())
    });
}
