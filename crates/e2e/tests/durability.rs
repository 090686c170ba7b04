//! Processes that die: nothing that was acknowledged is lost, watches go on, traffic goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_e2e::{
    ECHO_GATEWAY, ECHO_YAML, SOON, answers, echo_mesh, gateway, mesh, testdata, virtual_service,
};
use lateen_testkit::isolate::isolated;
use lateen_testkit::mesh::{Mesh, Part, START};
use lateen_testkit::net::{ask, connect, expect_answer};
use lateen_testkit::process::Process;
use lateen_testkit::wait::{holds_for, wait_until};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Within this a killed gateway serves again.
const RESTART: Duration = Duration::from_secs(1);

#[test]
fn what_the_api_acknowledged_survives_kill_9() {
    isolated(|| {
        let mesh = mesh()?;
        let (acknowledged, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        let count = || acknowledged.lock().expect("writers do not panic").len();
        std::thread::scope(|scope| -> Result<()> {
            for writer in 0..2 {
                let (mesh, acknowledged, done) = (&mesh, &acknowledged, &done);
                scope.spawn(move || write_until(mesh, writer, acknowledged, done));
            }
            let outcome = kill_between_writes(&mesh, count);
            done.store(true, Ordering::SeqCst);
            outcome
        })?;
        let stored = mesh.kubectl(&["get", "configmaps", "-o", "name"])?;
        for name in acknowledged.into_inner().expect("writers do not panic") {
            let line = format!("configmap/{name}");
            ensure!(stored.lines().any(|stored| stored == line), "{name} is lost");
        }
        Ok(())
    });
}

fn write_until(mesh: &Mesh, writer: u32, acknowledged: &Mutex<Vec<String>>, done: &AtomicBool) {
    for number in 0.. {
        if done.load(Ordering::SeqCst) {
            return;
        }
        let name = format!("w{writer}-{number}");
        if mesh.kubectl(&["create", "configmap", &name]).is_ok() {
            acknowledged.lock().expect("writers do not panic").push(name);
        }
    }
}

fn kill_between_writes(mesh: &Mesh, count: impl Fn() -> usize) -> Result<()> {
    for round in 1..=3 {
        let wanted = count() + 5;
        wait_until(&format!("5 writes of round {round}"), START, || {
            ensure!(count() >= wanted, "{} of {wanted}", count());
            Ok(())
        })?;
        let old = mesh.kill(Part::Control)?;
        mesh.wait_for_successor(Part::Control, old)?;
    }
    let wanted = count() + 3;
    wait_until("writes after the last kill", START, || {
        ensure!(count() >= wanted, "{} of {wanted}", count());
        Ok(())
    })
}

#[test]
fn a_full_disk_refuses_writes_and_serves_what_is_there() {
    isolated(|| {
        let mut mesh = mesh()?;
        mesh.stop()?;
        let data = mesh.home().join("data");
        onto_small_disk(&data, mesh.home())?;
        mesh.start()?;
        let process = mesh.pid(Part::Control)?;
        let filler = data.join("filler");
        let _ = std::fs::write(&filler, vec![0; 64 << 20]);
        let value = mesh.home().join("value");
        std::fs::write(&value, vec![b'x'; 200_000])?;
        let file = format!("--from-file={}", value.display());
        let create = |name: &str| mesh.kubectl(&["create", "configmap", name, &file]);
        let mut acknowledged = Vec::new();
        let refused = loop {
            let name = format!("c{}", acknowledged.len());
            match create(&name) {
                Ok(_) => acknowledged.push(name),
                Err(error) => break format!("{error:#}"),
            }
            ensure!(acknowledged.len() < 100, "the disk is never full");
        };
        ensure!(refused.contains("No space left on device"), "{refused}");
        let here = |mesh: &Mesh| -> Result<()> {
            let stored = mesh.kubectl(&["get", "configmaps", "-o", "name"])?;
            let has =
                |name: &String| stored.lines().any(|line| line == format!("configmap/{name}"));
            ensure!(acknowledged.iter().all(has), "{acknowledged:?} of {stored}");
            Ok(())
        };
        here(&mesh)?;
        std::fs::remove_file(&filler)?;
        create("later")?;
        ensure!(mesh.pid(Part::Control)? == process, "the control plane was started again");
        mesh.kill(Part::Control)?;
        mesh.wait_for_successor(Part::Control, process)?;
        wait_until("what was acknowledged", START, || {
            here(&mesh)?;
            mesh.object("configmap", "later").map(|_| ())
        })
    });
}

/// Moves a folder to a file system of 12 MiB.
fn onto_small_disk(folder: &std::path::Path, beside: &std::path::Path) -> Result<()> {
    let saved = beside.join("saved");
    std::fs::rename(folder, &saved)?;
    std::fs::create_dir(folder)?;
    let (none, size) = (MsFlags::empty(), Some("size=12m,mode=700"));
    mount(Some("tmpfs"), folder, Some("tmpfs"), none, size)?;
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(saved.join(".")).arg(folder);
    Process::spawn("cp", &mut copy)?.success(SOON).map(|_| ())
}

#[test]
fn a_watch_misses_no_event_over_kill_9() {
    isolated(|| {
        let mesh = mesh()?;
        let config = mesh.kubectl(&["config", "view", "--raw", "-o", "json"])?;
        let file = mesh.home().join("config.json");
        std::fs::write(&file, config)?;
        let mut command = Command::new("python3");
        command.arg(testdata("watch.py")).arg(&file);
        let mut watch = Process::spawn("watch.py", &mut command)?;
        watch.wait_for("watching", SOON)?;
        let mut created = Vec::new();
        for round in 0..3 {
            for number in 0..3 {
                let name = format!("event-{round}-{number}");
                wait_until("a write to be acknowledged", START, || {
                    mesh.kubectl(&["create", "configmap", &name]).map(|_| ())
                })?;
                created.push(name);
            }
            let old = mesh.kill(Part::Control)?;
            mesh.wait_for_successor(Part::Control, old)?;
        }
        for name in created {
            watch.wait_for(&format!("seen {name}\n"), SOON)?;
        }
        Ok(())
    });
}

#[test]
fn traffic_goes_on_without_the_control_plane_and_changes_arrive_after_it() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let mut old_connection = connect(ECHO_GATEWAY)?;
        echo(&mut old_connection)?;
        let old = mesh.kill(Part::Control)?;
        holds_for("traffic", Duration::from_secs(2), || {
            echo(&mut old_connection)?;
            expect_answer(ECHO_GATEWAY, "new\n", "v1> new\n")
        })?;
        mesh.wait_for_successor(Part::Control, old)?;
        wait_until("the API", START, || {
            let to = [("tcp-echo-server", 100)];
            mesh.apply(&gateway("second", 31500))?;
            mesh.apply(&virtual_service("second", "second", 31500, &to)).map(|_| ())
        })?;
        answers("127.0.0.1:31500", "v1> ")?;
        echo(&mut old_connection)
    });
}

fn echo(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"ping\n")?;
    let mut reply = [0; 9];
    stream.read_exact(&mut reply).context("the established connection")?;
    ensure!(&reply == b"v1> ping\n", "{:?}", String::from_utf8_lossy(&reply));
    Ok(())
}

#[test]
fn a_killed_gateway_serves_again_within_a_second() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let old = mesh.kill(Part::Gateway)?;
        let took = serving_again(old, &mesh)?;
        ensure!(took <= RESTART, "it took {took:?}");
        Ok(())
    });
}

#[test]
fn a_killed_gateway_serves_again_while_the_control_plane_is_away() {
    isolated(|| {
        let (mesh, _server) = echo_mesh()?;
        let control = Pid::from_raw(mesh.pid(Part::Control)?);
        kill(control, Signal::SIGSTOP)?;
        let outcome = mesh.kill(Part::Gateway).and_then(|old| serving_again(old, &mesh));
        kill(control, Signal::SIGCONT)?;
        let took = outcome?;
        ensure!(took <= RESTART, "it took {took:?}");
        wait_until("the API", SOON, || mesh.kubectl(&["get", "namespaces"]).map(|_| ()))
    });
}

/// How long after its death the gateway answers again.
fn serving_again(old: i32, mesh: &Mesh) -> Result<Duration> {
    let killed = Instant::now();
    wait_until("the gateway to answer", START, || {
        ensure!(mesh.pid(Part::Gateway)? != old, "{old} is not reaped yet");
        let reply = ask(ECHO_GATEWAY, "again\n")?;
        ensure!(reply == "v1> again\n", "it answers {reply:?}");
        Ok(killed.elapsed())
    })
}

#[test]
fn a_home_serves_the_same_after_a_restart() {
    isolated(|| {
        let mut mesh = mesh()?;
        mesh.apply(ECHO_YAML)?;
        let before = mesh.object("service", "tcp-echo-server")?;
        mesh.stop()?;
        mesh.start()?;
        let after = mesh.object("service", "tcp-echo-server")?;
        ensure!(before["metadata"]["uid"] == after["metadata"]["uid"], "{before} became {after}");
        ensure!(before["spec"] == after["spec"], "{before} became {after}");
        let _server = mesh.echo_server("echo-server", "echo-server", "v1", 8020)?;
        answers(ECHO_GATEWAY, "v1> ")
    });
}
