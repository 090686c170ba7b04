//! The command line, and real programs in real namespaces, without a mesh around them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use lateen_netns::ns::Namespace;
use lateen_netns::preflight::preflight;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

use super::RunCommand;
use super::program::{Ended, Start, start};
use super::sidecar::Choice;
use super::signals::Received;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RunCommand,
}

/// What a program inside needs; `None`, loudly, without the privileges. In CI that is a failure.
struct Place {
    namespace: Namespace,
    resolv_conf: PathBuf,
}

impl Place {
    fn new(name: &str) -> Option<Place> {
        if let Err(missing) = preflight() {
            assert!(std::env::var_os("CI").is_none(), "CI must run the namespace tests: {missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let resolv_conf =
            std::env::temp_dir().join(format!("lateen-run-{name}-{}", std::process::id()));
        std::fs::write(&resolv_conf, "search marker.example\n").unwrap();
        Some(Place { namespace: Namespace::create().unwrap(), resolv_conf })
    }

    fn start(&self, command: &[&str]) -> Start {
        Start {
            command: command.iter().map(OsString::from).collect(),
            netns: self.namespace.as_fd().try_clone_to_owned().unwrap(),
            resolv_conf: self.resolv_conf.clone(),
        }
    }

    async fn run(&self, command: &[&str]) -> Ended {
        match start(self.start(command)).await {
            Ok(mut program) => program.ended().await,
            Err(ended) => ended,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_file(&self.resolv_conf).unwrap();
    }
}

#[test]
fn everything_after_the_dashes_is_the_programs() {
    let cli = Cli::try_parse_from([
        "x",
        "--name",
        "a",
        "--labels",
        "app=a,version=v1",
        "--",
        "nc",
        "--name",
        "-l",
    ]);
    let run = cli.unwrap().run;
    assert_eq!(run.command, ["nc", "--name", "-l"]);
    assert_eq!(run.labels["version"], "v1");
    assert_eq!(run.namespace, "default");
    assert_eq!(Choice::parse(&run.proxy), Choice::Lateen);
    assert!(Cli::try_parse_from(["x", "--name", "a"]).is_err());
}

#[tokio::test]
async fn the_exit_code_is_the_programs() {
    let Some(place) = Place::new("code") else { return };
    assert_eq!(place.run(&["sh", "-c", "exit 42"]).await, Ended::Code(42));
    assert_eq!(place.run(&["sh", "-c", "kill -TERM $$"]).await, Ended::Signal(Signal::SIGTERM));
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named_with_the_shells_code() {
    let Some(place) = Place::new("missing") else { return };
    for (program, expected) in [("/nonexistent/program", 127), ("/etc", 126)] {
        let ended = place.run(&[program]).await;
        let Ended::NotStarted { code, message } = ended else { panic!("{ended:?}") };
        assert_eq!(code, expected, "{message}");
        assert!(message.contains(program), "{message}");
    }
}

#[tokio::test]
async fn the_program_has_its_own_network_and_resolver_and_the_host_keeps_its_own() {
    let Some(place) = Place::new("place") else { return };
    let before = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    let script = "grep -q marker.example /etc/resolv.conf && [ $(ls /proc/self/net/dev_snmp6 | wc -l) -ge 1 ] \
                  && ! grep -q eth0 /proc/self/net/dev";
    assert_eq!(place.run(&["sh", "-c", script]).await, Ended::Code(0));
    assert_eq!(std::fs::read_to_string("/etc/resolv.conf").unwrap(), before);
}

#[tokio::test]
async fn a_signal_is_handed_on_unless_the_terminal_gave_it_to_both() {
    let Some(place) = Place::new("signal") else { return };
    let ready = place.resolv_conf.with_extension("ready");
    let script = format!(
        "trap 'exit 7' TERM; trap 'exit 8' USR1; : > {}; while :; do read x; done",
        ready.display()
    );
    let mut program = start(place.start(&["sh", "-c", &script])).await.unwrap();
    while !ready.exists() {
        tokio::task::yield_now().await;
    }
    program.forward(Received { signal: Signal::SIGUSR1, by_terminal: true });
    program.forward(Received { signal: Signal::SIGTERM, by_terminal: false });
    assert_eq!(program.ended().await, Ended::Code(7));
    std::fs::remove_file(&ready).unwrap();
}
