//! Stock Envoy as a sidecar: a child inside the workload's network namespace.
//!
//! In: its binary and a bootstrap. Out: a process that ends with us, and only after its connections
//! are done, or a deadline.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lateen_identity::write_private;
use lateen_runtime::admin;
use tokio::process::{Child, Command};

use crate::bootstrap::{BootstrapArgs, render};
use crate::home::Home;
use crate::node::NodeArgs;
use crate::run::program::{die_with_parent, enter};

const POLL: Duration = Duration::from_millis(20);
/// Connections that listeners hold, but for the admin server's.
const ACTIVE: &str = "/stats?filter=^listener%5C..*downstream_cx_active$";

pub(in crate::run) struct Envoy {
    child: Child,
    admin: PathBuf,
    log: PathBuf,
}

/// Must be called on the process's main thread, with which Envoy is to end.
pub(super) fn start(path: &Path, node: &NodeArgs, home: &Home, netns: OwnedFd) -> Result<Envoy> {
    let instance = node.instance();
    let admin = home.admin_socket(&instance);
    let args = BootstrapArgs {
        node: node.clone(),
        ads_socket: home.ads_socket(),
        admin_socket: admin.clone(),
        delta: false,
    };
    let config = home.run().join(format!("{instance}.envoy.yaml"));
    write_private(&config, render(&args)?.as_bytes())?;
    let log = home.logs().join(format!("{instance}.envoy.log"));
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    // What a killed predecessor left would answer nobody; Envoy does not replace it.
    let _ = std::fs::remove_file(&admin);
    let parent = std::process::id();
    let mut command = Command::new(path);
    command
        .arg("--config-path")
        .arg(&config)
        .args(["--disable-hot-restart", "--log-level", "warning"])
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot share Envoy's log")?)
        .stderr(output)
        // The terminal's Ctrl-C is for the program; Envoy ends after it.
        .process_group(0)
        .kill_on_drop(true);
    // SAFETY: between fork and exec only async-signal-safe calls are made, on values prepared before.
    unsafe {
        command.pre_exec(move || {
            enter(netns.as_fd())?;
            die_with_parent(parent)
        });
    }
    let child =
        command.spawn().with_context(|| format!("cannot start Envoy at {}", path.display()))?;
    Ok(Envoy { child, admin, log })
}

impl Envoy {
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error if Envoy has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("cannot watch Envoy")? {
            bail!("Envoy ended with {status}: see {}", self.log.display());
        }
        Ok(())
    }

    /// Resolves when Envoy has ended.
    pub(super) async fn ended(&mut self) {
        // A child that cannot be watched counts as ended.
        let _ = self.child.wait().await;
    }

    pub(super) async fn stop(mut self, within: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < within {
            match admin::get(&self.admin, ACTIVE).await {
                Ok(body) if active(&String::from_utf8_lossy(&body)) > 0 => {
                    tokio::time::sleep(POLL).await
                }
                _ => break,
            }
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "Envoy could not be ended");
        }
        let _ = std::fs::remove_file(&self.admin);
    }
}

/// The sum of `name: value` lines, without the admin server's own connection.
fn active(stats: &str) -> u64 {
    let counted = stats.lines().filter(|line| !line.starts_with("listener.admin."));
    counted.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::active;

    #[test]
    fn the_admin_servers_connection_does_not_count() {
        let stats = "listener.0.0.0.0_15006.downstream_cx_active: 2\n\
                     listener.admin.downstream_cx_active: 1\nlistener.0.0.0.0_15001.downstream_cx_active: 1\n";
        assert_eq!(active(stats), 3);
    }
}
