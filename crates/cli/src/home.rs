//! A home directory: where `lateen up` keeps its state and where the other commands find it. In: a
//! directory. Out: paths, and [`HomeState`], what the running mesh wrote about itself.

use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// The kernel's limit for a Unix socket's path (`sun_path` of unix(7), with its final zero).
const MAX_SOCKET_PATH: usize = 107;
/// The longest socket name that is made in `DIR/run`, for the check of the directory's length.
const LONGEST_SOCKET_NAME: usize = 40;

/// Paths below one home directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// What `lateen up` tells the other commands, in `home.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HomeState {
    /// Addresses of local workloads; the first one is the bridge's.
    pub pod_cidr: Ipv4Net,
    /// The bridge that joins the workloads' network namespaces.
    pub bridge: String,
    /// Virtual addresses of Services.
    pub service_cidr: Ipv4Net,
    /// Where the embedded API answers, such as `https://127.0.0.1:6443`.
    pub api_url: String,
    /// The address that the ingress gateway listens on.
    pub gateway_bind: IpAddr,
    /// The process of `lateen up`.
    pub pid: u32,
}

impl Home {
    /// `dir`, or `~/.lateen`. The directory need not exist yet.
    pub fn new(dir: Option<PathBuf>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => dir,
            None => std::env::home_dir()
                .context("no home directory is known: name one with --home DIR")?
                .join(".lateen"),
        };
        let dir = std::path::absolute(&dir)
            .with_context(|| format!("--home {} is not a usable path", dir.display()))?;
        let home = Self { dir };
        let length = home.run().as_os_str().len() + 1 + LONGEST_SOCKET_NAME;
        if length > MAX_SOCKET_PATH {
            bail!(
                "--home {} is too long for the sockets in it ({length} bytes, at most {MAX_SOCKET_PATH}): choose a shorter path",
                home.dir.display()
            );
        }
        Ok(home)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    pub fn ads_socket(&self) -> PathBuf {
        self.run().join("ads.sock")
    }

    /// Where a proxy writes access log lines that are meant for its standard output.
    pub fn access_log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.access.log"))
    }

    /// What `lateen run` changed on the machine and `lateen up` puts back at its end.
    pub fn bridge_record(&self) -> PathBuf {
        self.run().join("bridge.json")
    }

    /// The admin socket of the process `name`: `control`, `gateway` or a local workload.
    pub fn admin_socket(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.admin.sock"))
    }

    /// Creates the directories, 0700: everything below is its owner's alone.
    pub fn create(&self) -> Result<()> {
        for dir in [self.dir.clone(), self.data(), self.run(), self.cache(), self.logs()] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }

    pub fn write_state(&self, state: &HomeState) -> Result<()> {
        let text = serde_json::to_vec_pretty(state).context("home.json")?;
        write_private(&self.dir.join("home.json"), &text)
    }

    /// What the mesh of this home wrote when it last started, if it ever did.
    pub fn last_state(&self) -> Option<HomeState> {
        let text = std::fs::read(self.dir.join("home.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The state of the mesh that runs here; an error names the command that starts it.
    pub fn running(&self) -> Result<HomeState> {
        let up = format!("start one with: lateen up --home {}", self.dir.display());
        let Some(state) = self.last_state() else {
            bail!("no mesh was ever started in {}; {up}", self.dir.display());
        };
        if !Path::new(&format!("/proc/{}", state.pid)).exists() {
            bail!("the mesh of {} is not running; {up}", self.dir.display());
        }
        Ok(state)
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write;
    let fresh = path.with_extension("new");
    let failed = || format!("cannot write {}", path.display());
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(failed)?;
    std::fs::rename(&fresh, path).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_too_long_for_its_sockets_is_refused_with_a_remedy() {
        let long = PathBuf::from("/").join("x".repeat(90));
        let error = Home::new(Some(long)).unwrap_err().to_string();
        assert!(error.contains("choose a shorter path"), "{error}");
    }

    #[test]
    fn without_a_mesh_the_error_names_the_command() {
        let home = Home::new(Some("/nonexistent/lateen".into())).unwrap();
        let error = home.running().unwrap_err().to_string();
        assert!(error.contains("lateen up --home /nonexistent/lateen"), "{error}");
    }
}
