//! The Ansible collection and real ansible-core. In: an inventory, and variables. Out: what a play changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use serde_json::Value;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// A controlling machine: the collection, an inventory and variables.
pub struct Controller(TempDir);

/// What a run did.
pub struct Run {
    pub ok: bool,
    pub output: String,
    /// For each host of the recap, how much it changed.
    pub changed: Vec<(String, u32)>,
}

impl Controller {
    pub fn new(inventory: &str) -> Result<Controller> {
        let controller = Controller(tempfile::tempdir()?);
        fs::write(controller.path("inventory"), inventory)?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ansible");
        let mut install = controller.command("ansible-galaxy")?;
        install
            .args(["collection", "install"])
            .arg(source.canonicalize()?)
            .arg("-p")
            .arg(controller.path("c"));
        Process::spawn("ansible-galaxy", &mut install)?.success(LIMIT)?;
        Ok(controller)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(tools::cached(program)?);
        command.env("HOME", self.0.path()).env("ANSIBLE_COLLECTIONS_PATH", self.path("c"));
        command.env("ANSIBLE_LOCALHOST_WARNING", "false").env("LC_ALL", "C.UTF-8");
        command.current_dir(self.0.path());
        Ok(command)
    }

    pub fn play(&self, playbook: &str, variables: &Value, further: &[&str]) -> Result<Run> {
        let mut command = self.command("ansible-playbook")?;
        command.args(["-i", "inventory", playbook, "-e", &variables.to_string()]).args(further);
        let mut process = Process::spawn("ansible-playbook", &mut command)?;
        let ok = process.wait(LIMIT)?.success();
        let output = process.stdout() + &process.stderr();
        let changed = output.lines().filter_map(recap).collect();
        Ok(Run { ok, output, changed })
    }
}

/// `host : ok=3 changed=1 …`
fn recap(line: &str) -> Option<(String, u32)> {
    let (host, counts) = line.split_once(" : ")?;
    let changed = counts.split_whitespace().find_map(|count| count.strip_prefix("changed="))?;
    Some((host.trim().to_owned(), changed.parse().ok()?))
}

pub fn changed(run: &Run) -> Vec<(&str, u32)> {
    run.changed.iter().map(|(host, count)| (host.as_str(), *count)).collect()
}
