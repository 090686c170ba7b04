//! A running mesh: `lateen up` in a scratch home. In: options. Out: kubectl and `lateen run` against
//! it, its processes and its logs. It is stopped, and its home removed, when it goes out of scope.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::journal::{Journal, read_folder};
use crate::kubectl::{Kubectl, Version};
use crate::process::{Process, children};
use crate::tools;
use crate::wait::wait_until;

/// How long a mesh or a workload may take to start on a busy machine.
pub const START: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
pub struct Options {
    pub kubectl: Version,
    /// Further arguments of `lateen up`.
    pub args: Vec<String>,
    /// Files or folders for `-f`.
    pub files: Vec<PathBuf>,
}

pub struct Mesh {
    // Fields are dropped in this order: the process ends before its home is removed.
    up: Option<Process>,
    kubectl: Kubectl,
    options: Options,
    home: TempDir,
}

/// One of the two processes under the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Control,
    Gateway,
}

impl Mesh {
    /// Starts `lateen up` and waits until it is ready.
    pub fn up(options: Options) -> Result<Mesh> {
        let home = tempfile::Builder::new().prefix("lateen-e2e.").tempdir()?;
        let kubectl = Kubectl::new(options.kubectl, home.path())?;
        Journal::current().watch_folder(&home.path().join("logs"));
        let mut mesh = Mesh { up: None, kubectl, options, home };
        mesh.start()?;
        Ok(mesh)
    }

    /// Starts `lateen up` again in the same home, after `stop`.
    pub fn start(&mut self) -> Result<()> {
        let mut command = self.lateen(&["up", "--home"])?;
        command.arg(self.home()).args(&self.options.args);
        for file in &self.options.files {
            command.arg("-f").arg(file);
        }
        let mut up = Process::spawn("lateen up", &mut command)?;
        up.wait_for("ready", START)?;
        self.up = Some(up);
        Ok(())
    }

    /// Stops it as a user does, by SIGTERM; returns what it had printed.
    pub fn stop(&mut self) -> Result<String> {
        let mut up = self.up.take().context("it is not running")?;
        up.success_after_term()
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `lateen up` itself.
    pub fn supervisor(&self) -> &Process {
        self.up.as_ref().expect("the mesh is running")
    }

    /// A `lateen` command, not yet run, without standard input.
    pub fn lateen(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(tools::lateen()?);
        command.args(args).stdin(Stdio::null()).env("HOME", self.home());
        Ok(command)
    }

    /// Runs `lateen run --home … --name … --labels … ARGS -- PROGRAM…` and returns at once.
    pub fn run_with(
        &self,
        name: &str,
        labels: &str,
        args: &[&str],
        program: &[&str],
    ) -> Result<Process> {
        let mut command = self.lateen(&["run", "--home"])?;
        command.arg(self.home()).args(["--name", name, "--labels", labels]);
        command.args(args).arg("--").args(program);
        Process::spawn(&format!("lateen run {name}"), &mut command)
    }

    pub fn run(&self, name: &str, labels: &str, program: &[&str]) -> Result<Process> {
        self.run_with(name, labels, &[], program)
    }

    /// The Rust echo server as workload `name` with labels `app=APP,version=VERSION`; it listens and
    /// answers `VERSION> line`.
    pub fn echo_server(&self, name: &str, app: &str, version: &str, port: u16) -> Result<Process> {
        let program = tools::echo_server()?.display().to_string();
        let labels = format!("app={app},version={version}");
        let (port, prefix) = (port.to_string(), format!("{version}> "));
        let mut server = self.run(name, &labels, &[&program, &port, "--reply-prefix", &prefix])?;
        server.wait_for("listening on", START)?;
        Ok(server)
    }

    /// A shell script as a short-lived workload; returns what it printed, insisting on success.
    pub fn run_script(&self, name: &str, script: &str) -> Result<String> {
        self.run(name, &format!("app={name},version=v1"), &["sh", "-c", script])?.success(START)
    }

    /// kubectl that must succeed; returns standard output.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl.ok(args)
    }

    /// kubectl that must fail; returns standard error.
    pub fn kubectl_fails(&self, args: &[&str]) -> Result<String> {
        self.kubectl.fails(args)
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl.ok_with_input(&["apply", "-f", "-"], yaml)
    }

    /// `kubectl apply -f -` that must be refused; returns standard error.
    pub fn apply_fails(&self, yaml: &str) -> Result<String> {
        self.kubectl.fails_with_input(&["apply", "-f", "-"], yaml)
    }

    pub fn kubectl_tool(&self) -> &Kubectl {
        &self.kubectl
    }

    /// One object as JSON.
    pub fn object(&self, kind: &str, name: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])?)?)
    }

    /// All that `lateen up` and its children have printed or logged so far.
    pub fn logs(&self) -> String {
        let printed = self.up.as_ref().map(|up| up.stdout() + &up.stderr()).unwrap_or_default();
        let files = read_folder(&self.home().join("logs")).into_iter().map(|(_, text)| text);
        std::iter::once(printed).chain(files).collect()
    }

    /// The process id of a part. Parts are told apart by their command lines.
    pub fn pid(&self, part: Part) -> Result<i32> {
        let all = children(self.supervisor().pid());
        let found = all.iter().find(|(_, words)| part_of(words) == Some(part));
        found.map(|(pid, _)| *pid).with_context(|| format!("no {part:?} among {all:?}"))
    }

    /// `kill -9` of a part; returns the id that died.
    pub fn kill(&self, part: Part) -> Result<i32> {
        let pid = self.pid(part)?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Waits until another process than `old` plays the part.
    pub fn wait_for_successor(&self, part: Part, old: i32) -> Result<i32> {
        wait_until(&format!("a new {part:?}"), START, || {
            let now = self.pid(part)?;
            anyhow::ensure!(now != old, "it is still {old}");
            Ok(now)
        })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // Ended first: what it logs on its way out belongs to the journal too.
        self.up.take();
        Journal::current().keep_folder(&self.home().join("logs"));
    }
}

/// The subcommand is the first word that is not an option; values of options do not count.
fn part_of(words: &[String]) -> Option<Part> {
    let subcommand = words.iter().skip(1).find(|word| !word.starts_with('-'))?;
    let rest = words.join(" ");
    match subcommand.as_str() {
        word if word.contains("control") => Some(Part::Control),
        word if word.contains("gateway") => Some(Part::Gateway),
        _ if rest.contains("router") || rest.contains("role gateway") => Some(Part::Gateway),
        word if word.contains("proxy") => Some(Part::Gateway),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, part_of};

    #[test]
    fn tells_the_parts_apart() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(part_of(&words("lateen control --gateway-bind x")), Some(Part::Control));
        assert_eq!(part_of(&words("lateen gateway --home x")), Some(Part::Gateway));
        assert_eq!(part_of(&words("lateen up")), None);
    }
}
