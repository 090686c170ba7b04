//! What the machine around a mesh sets and changes: the limits of open files that a shell hands on, and
//! `/etc/resolv.conf` when the host replaces it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{ECHO_GATEWAY, ECHO_YAML, answers, mesh};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::START;
use lateen_testkit::net::connect;
use lateen_testkit::process::Process;
use lateen_testkit::tools::{echo_server, lateen};
use nix::mount::{MsFlags, mount};

/// More than fit under the soft limit below, whose connections have two ends each.
const MANY: usize = 400;

/// `lateen` from a shell that allows 256 open files, and more to those who ask.
fn under_limits(args: &[&str]) -> Result<Command> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 256 && ulimit -Hn 4096 && exec \"$0\" \"$@\""]);
    command.arg(lateen()?).args(args).stdin(Stdio::null());
    Ok(command)
}

#[test]
fn proxies_take_as_many_connections_as_the_hard_limit_allows() {
    isolated(|| {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("home").display().to_string();
        let file = folder.path().join("echo.yaml");
        std::fs::write(&file, ECHO_YAML)?;
        let file = file.display().to_string();
        let mut command = under_limits(&["up", "--home", &home, "-f", &file])?;
        let mut up = Process::spawn("lateen up", &mut command)?;
        up.wait_for("\nready\n", START)?;
        let server = echo_server()?.display().to_string();
        // The server has no need of the small limit: what counts here is its sidecar's.
        let script = format!("ulimit -Sn 4096; exec {server} 8020 --reply-prefix 'v1> '");
        let labels = "app=echo-server,version=v1";
        let args = ["run", "--home", &home, "--name", "echo-server", "--labels", labels];
        let mut command = under_limits(&args)?;
        let mut server =
            Process::spawn("lateen run", command.args(["--", "sh", "-c", script.as_str()]))?;
        server.wait_for("listening on", START)?;
        answers(ECHO_GATEWAY, "v1> ")?;
        let mut open = Vec::new();
        for at in 0..MANY {
            let mut stream = connect(ECHO_GATEWAY).with_context(|| format!("connection {at}"))?;
            stream.write_all(b"hello\n")?;
            let mut answer = [0; 10];
            stream.read_exact(&mut answer).with_context(|| format!("answer {at}"))?;
            ensure!(&answer == b"v1> hello\n", "{at}: {answer:?}");
            open.push(stream);
        }
        ensure!(open.len() == MANY);
        drop(open);
        server.stop()?;
        up.success_after_term().map(drop)
    });
}

#[test]
fn a_program_has_the_limits_of_open_files_that_its_caller_had() {
    isolated(|| {
        let mesh = mesh()?;
        let home = mesh.home().display().to_string();
        let args = ["run", "--home", &home, "--name", "probe", "--labels", "app=probe"];
        let mut command = under_limits(&args)?;
        command.args(["--", "sh", "-c", "ulimit -Sn; ulimit -Hn"]);
        let printed = Process::spawn("lateen run", &mut command)?.success(START)?;
        ensure!(printed == "256\n4096\n", "{printed}");
        Ok(())
    });
}

/// A copy of `/etc`, for this test and what it starts, that may be changed.
fn own_etc(folder: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["-a", "/etc/."]).arg(folder);
    Process::spawn("cp", &mut copy)?.success(START)?;
    let none: Option<&str> = None;
    mount(Some(folder), "/etc", none, MsFlags::MS_BIND, none).context("binding /etc")
}

#[test]
fn a_program_keeps_its_resolver_when_the_host_replaces_the_file() {
    isolated(|| {
        let (etc, flags) = (tempfile::tempdir()?, tempfile::tempdir()?);
        own_etc(etc.path())?;
        let mesh = mesh()?;
        let script = format!(
            "mine() {{ grep -q svc.cluster.local /etc/resolv.conf; }}
             mine || exit 2
             for turn in 1 2; do
                 echo turn $turn
                 while [ ! -e {}/$turn ]; do sleep 0.05; done
                 tries=0
                 until mine; do
                     tries=$((tries + 1)); [ $tries -gt 200 ] && exit 3
                     sleep 0.05
                 done
             done",
            flags.path().display()
        );
        let mut program = mesh.run("probe", "app=probe", &["sh", "-c", &script])?;
        for turn in ["1", "2"] {
            program.wait_for(&format!("turn {turn}"), START)?;
            // As a DHCP client does it.
            std::fs::write("/etc/resolv.conf.new", "nameserver 192.0.2.1\n")?;
            std::fs::rename("/etc/resolv.conf.new", "/etc/resolv.conf")?;
            std::fs::write(flags.path().join(turn), "")?;
        }
        program.success(START)?;
        let host = std::fs::read_to_string("/etc/resolv.conf")?;
        ensure!(host == "nameserver 192.0.2.1\n", "the host's file became {host:?}");
        Ok(())
    });
}
