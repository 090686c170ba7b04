//! How it all ends: what programs leave behind, `kill -9`, Ctrl-C and the terminal's end. Afterwards nothing
//! is left: no process, interface, rule or file.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, SOON, answers, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, START};
use lateen_testkit::process::Process;
use lateen_testkit::terminal::{CTRL_C, Terminal};
use lateen_testkit::tools::{cached, lateen};
use lateen_testkit::wait::{holds_for, wait_until};
use nix::sys::signal::Signal;

/// As long as a mesh may take to end what a killed workload left.
const SWEPT: Duration = Duration::from_secs(20);
/// A program and two others that outlive it, one of them in a session of its own.
const LEAVES_TWO: &str = "readlink /proc/self/ns/net; sleep 600 >/dev/null 2>&1 & \
                          setsid sleep 601 >/dev/null 2>&1 & echo started";

/// Whether a process is in the namespace that `readlink` shows so.
fn inside(namespace: &str) -> Result<Vec<PathBuf>> {
    let processes = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
    let is_in = |path: &PathBuf| {
        std::fs::read_link(path.join("ns/net")).is_ok_and(|link| link.as_os_str() == namespace)
    };
    Ok(processes.filter(is_in).collect())
}

fn nobody_in(namespace: &str) -> Result<()> {
    let left = inside(namespace)?;
    ensure!(left.is_empty(), "{left:?} are left in {namespace}");
    Ok(())
}

/// The first line of what a program printed that shows its namespace.
fn namespace_of(printed: &str) -> Result<String> {
    let line = printed.lines().find(|line| line.starts_with("net:["));
    line.map(|line| line.trim().to_owned()).with_context(|| format!("no namespace in {printed:?}"))
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    Process::spawn(program, Command::new(program).args(args))?.success(SOON)
}

/// No interface but the machine's own, no rules.
fn no_trace() -> Result<()> {
    let links = output("ip", &["-o", "link"])?;
    ensure!(!links.contains("ltn") && !links.contains("ltv"), "{links}");
    let rules = output("nft", &["list", "ruleset"])?;
    ensure!(rules.is_empty(), "{rules}");
    Ok(())
}

/// Processes whose command lines name `text`.
fn nobody_about(text: &str) -> Result<()> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        ensure!(!line.contains(text), "{:?} is left: {line}", entry.path());
    }
    Ok(())
}

fn no_entries(mesh: &Mesh) -> Result<()> {
    let entries = mesh.kubectl(&["get", "workloadentries", "-o", "name"])?;
    ensure!(entries.is_empty(), "{entries}");
    Ok(())
}

fn no_veth() -> Result<()> {
    let links = output("ip", &["-o", "link"])?;
    ensure!(!links.contains("ltv"), "{links}");
    Ok(())
}

fn run(mesh: &Mesh, name: &str, script: &str) -> Result<Process> {
    mesh.run(name, "app=probe,version=v1", &["sh", "-c", script])
}

#[test]
fn what_a_program_leaves_behind_ends_with_it_and_is_told() {
    isolated(|| {
        let mesh = mesh()?;
        let mut program = run(&mesh, "probe", &format!("{LEAVES_TWO}; exit 3"))?;
        ensure!(program.exit_code(START)? == 3);
        nobody_in(&namespace_of(&program.stdout())?)?;
        let told = program.stderr();
        ensure!(told.contains("lateen: ending 2 processes that probe left behind"), "{told}");
        no_veth()?;
        no_entries(&mesh)?;
        let mut tidy = run(&mesh, "probe", "sleep 0.01 & wait")?;
        tidy.success(START)?;
        ensure!(tidy.stderr().is_empty(), "{}", tidy.stderr());
        Ok(())
    });
}

#[test]
fn one_that_ignores_sigterm_is_killed_after_a_grace() {
    isolated(|| {
        let mesh = mesh()?;
        let deaf = "trap '' TERM; while :; do sleep 1; done";
        let script =
            format!("readlink /proc/self/ns/net; sh -c \"{deaf}\" >/dev/null 2>&1 & sleep 0.2");
        let mut program = run(&mesh, "probe", &script)?;
        program.success(START)?;
        nobody_in(&namespace_of(&program.stdout())?)?;
        no_veth()
    });
}

#[test]
fn a_signal_to_lateen_run_ends_the_others_too() {
    isolated(|| {
        let mesh = mesh()?;
        let mut program = run(&mesh, "probe", &format!("{LEAVES_TWO}; exec sleep 602"))?;
        program.wait_for("started", START)?;
        let namespace = namespace_of(&program.stdout())?;
        ensure!(inside(&namespace)?.len() >= 3);
        program.signal(Signal::SIGTERM)?;
        ensure!(program.exit_code(SOON)? == 128 + 15);
        nobody_in(&namespace)?;
        no_veth()
    });
}

#[test]
fn what_a_killed_lateen_run_leaves_is_ended_by_the_mesh_and_nobody_else_is() {
    isolated(|| {
        let mesh = mesh()?;
        let mut other = run(&mesh, "other", &format!("{LEAVES_TWO}; exec sleep 602"))?;
        other.wait_for("started", START)?;
        let mut program = run(&mesh, "probe", &format!("{LEAVES_TWO}; exec sleep 602"))?;
        program.wait_for("started", START)?;
        let namespace = namespace_of(&program.stdout())?;
        program.signal(Signal::SIGKILL)?;
        program.wait(SOON)?;
        wait_until("the end of what is left", SWEPT, || nobody_in(&namespace))?;
        wait_until("the interface to go", SWEPT, || {
            let links = output("ip", &["-o", "link"])?;
            ensure!(links.matches("ltv").count() == 1, "{links}");
            Ok(())
        })?;
        let elsewhere = namespace_of(&other.stdout())?;
        holds_for("the other workload", Duration::from_secs(2), || {
            ensure!(inside(&elsewhere)?.len() == 3, "its processes were ended");
            Ok(())
        })?;
        wait_until("a word about it", SOON, || {
            let log = mesh.logs();
            let line = log.lines().find(|line| line.contains("killed workload left behind"));
            let line = line.context("the log does not tell")?;
            ensure!(line.contains("default/probe") && line.contains("processes=2"), "{line}");
            Ok(())
        })
    });
}

#[test]
fn a_mesh_that_starts_ends_what_was_left_while_there_was_none() {
    isolated(|| {
        let mut mesh = mesh()?;
        let mut program = run(&mesh, "probe", &format!("{LEAVES_TWO}; exec sleep 602"))?;
        program.wait_for("started", START)?;
        let namespace = namespace_of(&program.stdout())?;
        mesh.stop()?;
        program.signal(Signal::SIGKILL)?;
        program.wait(SOON)?;
        ensure!(inside(&namespace)?.len() >= 2, "nothing was left to end");
        mesh.start()?;
        wait_until("the end of what is left", SWEPT, || nobody_in(&namespace))?;
        wait_until("the entry to go", SWEPT, || no_entries(&mesh))
    });
}

#[test]
fn a_mesh_that_ends_takes_with_it_what_was_left_just_before() {
    isolated(|| {
        let mut mesh = mesh()?;
        let mut program = run(&mesh, "probe", &format!("{LEAVES_TWO}; exec sleep 602"))?;
        program.wait_for("started", START)?;
        let namespace = namespace_of(&program.stdout())?;
        program.signal(Signal::SIGKILL)?;
        program.wait(SOON)?;
        mesh.stop()?;
        nobody_in(&namespace)?;
        no_trace()
    });
}

fn up_on_a_terminal(home: &std::path::Path) -> Result<Terminal> {
    let mut command = Command::new(lateen()?);
    let mut up = Terminal::spawn("lateen up", command.args(["up", "--home"]).arg(home))?;
    up.wait_for("\nready\n", START)?;
    Ok(up)
}

fn run_on_a_terminal(mesh: &Mesh, program: &str) -> Result<Terminal> {
    let mut command = Command::new(lateen()?);
    command.args(["run", "--home"]).arg(mesh.home());
    command.args(["--name", "probe", "--labels", "app=probe", "--", "sh", "-c", program]);
    let mut run = Terminal::spawn("lateen run", &mut command)?;
    run.wait_for("started", START)?;
    Ok(run)
}

#[test]
fn ctrl_c_even_twice_ends_the_mesh_in_order() {
    isolated(|| {
        for keys in [CTRL_C.to_owned(), CTRL_C.repeat(2)] {
            let home = tempfile::tempdir()?;
            let mut up = up_on_a_terminal(home.path())?;
            let mut command = Command::new(lateen()?);
            command.args(["run", "--home"]).arg(home.path());
            command.args(["--name", "a", "--labels", "app=a", "--", "true"]);
            Process::spawn("lateen run", &mut command)?.success(START)?;
            up.press(&keys)?;
            ensure!(up.exit_code(START)? == 0, "{}", up.text());
            ensure!(up.text().contains("SIGINT, stopping"), "{}", up.text());
            nobody_about(&home.path().display().to_string())?;
            no_trace()?;
        }
        Ok(())
    });
}

#[test]
fn ctrl_c_even_twice_ends_a_workload_in_order() {
    isolated(|| {
        let mesh = mesh()?;
        for keys in [CTRL_C.to_owned(), CTRL_C.repeat(2)] {
            let script = "readlink /proc/self/ns/net; sleep 600 & echo started; exec sleep 601";
            let mut run = run_on_a_terminal(&mesh, script)?;
            let namespace = namespace_of(&run.text())?;
            run.press(&keys)?;
            ensure!(run.exit_code(START)? == 128 + 2, "{}", run.text());
            nobody_in(&namespace)?;
            no_veth()?;
            no_entries(&mesh)?;
        }
        Ok(())
    });
}

/// A workload whose sidecar never becomes ready.
fn held_in_preparation(mesh: &Mesh, folder: &std::path::Path) -> Result<Process> {
    let sidecar = folder.join("sidecar");
    std::fs::write(&sidecar, "#!/bin/sh\nexec sleep 600\n")?;
    std::fs::set_permissions(&sidecar, std::fs::Permissions::from_mode(0o755))?;
    let args = ["--proxy", &sidecar.display().to_string()];
    let run = mesh.run_with("probe", "app=probe", &args, &["true"])?;
    wait_until("the sidecar's start", START, || {
        ensure!(mesh.home().join("run/w.default.probe.envoy.yaml").exists());
        Ok(())
    })?;
    Ok(run)
}

#[test]
fn a_signal_before_the_program_has_begun_leaves_nothing() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let mut mesh = mesh()?;
        let mut run = held_in_preparation(&mesh, folder.path())?;
        run.signal(Signal::SIGTERM)?;
        ensure!(run.exit_code(SOON)? == 128 + 15, "{}", run.stderr());
        let resolver = mesh.home().join("run/w.default.probe.resolv.conf");
        ensure!(!resolver.exists(), "its resolv.conf is left");
        no_veth()?;
        no_entries(&mesh)?;
        // And when the mesh has gone before it.
        std::fs::remove_file(mesh.home().join("run/w.default.probe.envoy.yaml"))?;
        let mut run = held_in_preparation(&mesh, folder.path())?;
        mesh.stop()?;
        run.signal(Signal::SIGTERM)?;
        ensure!(run.exit_code(SOON)? == 128 + 15, "{}", run.stderr());
        ensure!(!resolver.exists(), "its resolv.conf is left");
        no_trace()
    });
}

#[test]
fn a_terminal_that_goes_away_ends_what_runs_on_it() {
    isolated(|| {
        let home = tempfile::tempdir()?;
        let mut up = up_on_a_terminal(home.path())?;
        up.hang_up();
        ensure!(up.exit_code(START)? == 0, "{}", up.text());
        nobody_about(&home.path().display().to_string())?;
        no_trace()?;
        let mesh = mesh()?;
        let script = "readlink /proc/self/ns/net; nohup sleep 600 >/dev/null 2>&1 & echo started; \
                      exec sleep 601";
        let mut run = run_on_a_terminal(&mesh, script)?;
        let namespace = namespace_of(&run.text())?;
        run.hang_up();
        ensure!(run.exit_code(START)? == 128 + 1, "{}", run.text());
        nobody_in(&namespace)?;
        no_veth()?;
        no_entries(&mesh)
    });
}

#[test]
fn a_mesh_under_nohup_outlives_its_terminal() {
    isolated(|| {
        let mut command = Command::new("nohup");
        let home = tempfile::tempdir()?;
        command.arg(lateen()?).args(["up", "--home"]).arg(home.path());
        command.current_dir(home.path());
        let mut up = Terminal::spawn("nohup lateen up", &mut command)?;
        let out = home.path().join("nohup.out");
        wait_until("ready", START, || {
            let text = std::fs::read_to_string(&out)?;
            ensure!(text.contains("\nready\n"), "{text}");
            Ok(())
        })?;
        up.hang_up();
        let path = home.path().display().to_string();
        holds_for("the mesh", Duration::from_secs(1), || {
            ensure!(nobody_about(&path).is_err(), "it has ended");
            Ok(())
        })
    });
}

/// As `make demo` runs it: under make, on a terminal.
fn demo(folder: &std::path::Path, command: &[&str]) -> Result<Terminal> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/demo.sh");
    let rule = format!("demo:\n\t@{} {}\n", script.canonicalize()?.display(), lateen()?.display());
    std::fs::write(folder.join("Makefile"), rule)?;
    let kubectl = cached("kubectl")?;
    let tools = kubectl.parent().context("kubectl is in a folder")?.display();
    let (program, args) = command.split_first().context("a command")?;
    let mut command = Command::new(program);
    command.args(args).current_dir(folder);
    command.env("PATH", format!("{tools}:{}", std::env::var("PATH")?));
    let mut demo = Terminal::spawn("make demo", &mut command)?;
    demo.wait_for("lateen up --home ", START)?;
    Ok(demo)
}

fn demo_home(demo: &Terminal) -> Result<String> {
    let text = demo.text();
    let home =
        text.split("lateen up --home ").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(home.context("the demo names no home")?.to_owned())
}

fn no_demo_left(home: &str) -> Result<()> {
    nobody_about(home)?;
    ensure!(!PathBuf::from(home).exists(), "{home} is left");
    no_trace()
}

#[test]
fn ctrl_c_ends_the_whole_demo() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let mut demo = demo(folder.path(), &["make", "demo"])?;
        demo.wait_for("Try it yourself", START * 3)?;
        answers(ECHO_GATEWAY, "")?;
        let home = demo_home(&demo)?;
        demo.press(CTRL_C)?;
        demo.press(CTRL_C)?;
        ensure!(demo.exit_code(START)? != 0);
        let text = demo.text();
        ensure!(text.contains("demo: stopped, nothing of it is left\n"), "{text}");
        no_demo_left(&home)
    });
}

#[test]
fn ctrl_c_ends_a_demo_that_is_just_starting() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let mut demo = demo(folder.path(), &["make", "demo"])?;
        let home = demo_home(&demo)?;
        demo.press(CTRL_C)?;
        demo.exit_code(START)?;
        no_demo_left(&home)
    });
}

#[test]
fn a_demo_whose_terminal_goes_away_ends() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        // The terminal tells the shell, and the shell's end its jobs.
        let mut demo = demo(folder.path(), &["sh", "-c", "make demo; echo over"])?;
        demo.wait_for("Try it yourself", START * 3)?;
        let home = demo_home(&demo)?;
        demo.hang_up();
        let begin = Instant::now();
        wait_until("the demo's end", START, || no_demo_left(&home))?;
        ensure!(begin.elapsed() < START);
        Ok(())
    });
}
