//! A home directory: where `lateen up` keeps its state and where the other commands find it. In: a
//! directory. Out: paths, and [`HomeState`], what the running mesh wrote about itself.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use lateen_identity::{private_dir, read_or_create_token, write_private};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::lock;

/// The kernel's limit for a Unix socket's path (`sun_path` of unix(7), with its final zero).
const MAX_SOCKET_PATH: usize = 107;
/// The longest socket name that is made in `DIR/run`, for the check of the directory's length.
const LONGEST_SOCKET_NAME: usize = 40;
/// Leaves room for `.admin.sock` in [`LONGEST_SOCKET_NAME`].
const LONGEST_INSTANCE: usize = 29;
/// What the names of workloads' files begin with.
const WORKLOAD: &str = "w.";
/// What the names of their locks end with.
const LOCK: &str = ".lock";

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
    /// Where the live graph's page is, such as `http://127.0.0.1:20001`.
    #[serde(default)]
    pub graph_url: String,
    /// The address that the ingress gateway listens on.
    pub gateway_bind: IpAddr,
    /// The address from which it reaches workloads: the bridge's, where it is not Lateen's.
    #[serde(default)]
    pub gateway_address: Option<Ipv4Addr>,
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
        let dir = dir
            .canonicalize()
            .or_else(|_| std::path::absolute(&dir))
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

    /// The log of the process `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Held by `lateen run` for as long as the workload `instance` lives.
    pub fn instance_lock(&self, instance: &str) -> PathBuf {
        self.run().join(format!("{instance}{LOCK}"))
    }

    /// What a workload's program has for its `/etc/resolv.conf`.
    pub fn resolv_conf(&self, instance: &str) -> PathBuf {
        self.run().join(format!("{instance}.resolv.conf"))
    }

    /// The workloads that have a lock, whoever holds it.
    pub fn instances(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.run()) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let of_workloads = names.filter(|name| name.starts_with(WORKLOAD));
        of_workloads.filter_map(|name| name.strip_suffix(LOCK).map(str::to_owned)).collect()
    }

    /// What `lateen run` changed on the machine and `lateen up` puts back at its end.
    pub fn bridge_record(&self) -> PathBuf {
        self.run().join("bridge.json")
    }

    /// The admin socket of the process `name`: `control`, `gateway` or a workload's [`instance`].
    pub fn admin_socket(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.admin.sock"))
    }

    /// Creates the directories, 0700: everything in those below is its owner's alone. A directory that
    /// the user made for the home keeps its mode, theirs are narrowed.
    pub fn create(&self) -> Result<()> {
        if !self.dir.exists() {
            private_dir(&self.dir)?;
        }
        for dir in [self.data(), self.run(), self.cache(), self.logs()] {
            private_dir(&dir)?;
        }
        Ok(())
    }

    /// The secret that the graph's page asks for; the same for as long as the home is there.
    pub fn graph_token(&self) -> Result<String> {
        Ok(read_or_create_token(&self.data().join("graph-token"))?)
    }

    pub fn write_state(&self, state: &HomeState) -> Result<()> {
        let text = serde_json::to_vec_pretty(state).context("home.json")?;
        Ok(write_private(&self.state_file(), &text)?)
    }

    /// What the mesh of this home wrote when it last started, if it ever did.
    pub fn last_state(&self) -> Option<HomeState> {
        let text = std::fs::read(self.state_file()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The state of the mesh that runs here; an error names the command that starts it.
    pub fn running(&self) -> Result<HomeState> {
        let up = format!("start one with: lateen up --home {}", self.dir.display());
        if let Err(error) = std::fs::metadata(self.state_file())
            && error.kind() != ErrorKind::NotFound
        {
            bail!("cannot read {}: {error}; is it another user's?", self.state_file().display());
        }
        let Some(state) = self.last_state() else {
            bail!("no mesh was ever started in {}; {up}", self.dir.display());
        };
        if !lock::is_held(&self.lock_file()) {
            bail!("the mesh of {} is not running; {up}", self.dir.display());
        }
        Ok(state)
    }

    /// Makes this process the one that runs the mesh of this home, for as long as the lock is held.
    pub fn lock(&self) -> Result<Flock<File>> {
        lock::take(&self.lock_file())?.ok_or_else(|| {
            let pid = self
                .last_state()
                .map_or(String::new(), |state| format!(" (process {})", state.pid));
            anyhow::anyhow!(
                "a mesh already runs in {}{pid}: stop it, or choose another --home",
                self.dir.display()
            )
        })
    }

    fn state_file(&self) -> PathBuf {
        self.dir.join("home.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }
}

/// The name under which a workload's files lie in the home: unlike that of any other workload and of
/// the mesh's own processes, and short enough for a socket.
pub fn instance(namespace: &str, name: &str) -> String {
    let full = format!("{WORKLOAD}{namespace}.{name}");
    if full.len() <= LONGEST_INSTANCE {
        return full;
    }
    let mut hasher = DefaultHasher::new();
    full.hash(&mut hasher);
    format!("{}.{:08x}", &full[..LONGEST_INSTANCE - 9], hasher.finish() as u32)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_path_too_long_for_its_sockets_is_refused_with_a_remedy() {
        let long = PathBuf::from("/").join("x".repeat(90));
        let error = Home::new(Some(long)).unwrap_err().to_string();
        assert!(error.contains("choose a shorter path"), "{error}");
    }

    #[test]
    fn no_two_workloads_share_files_and_none_is_too_long() {
        assert_eq!(instance("default", "gateway"), "w.default.gateway");
        let long = [instance("default", &"a".repeat(63)), instance("default", &"a".repeat(62))];
        assert_ne!(long[0], long[1]);
        assert!(long.iter().all(|name| name.len() <= LONGEST_INSTANCE));
    }

    #[test]
    fn what_is_below_a_home_is_its_owners_alone_and_a_folder_that_was_there_stays_as_it_was() {
        let scratch = std::env::temp_dir().join(format!("lateen-home-{}", std::process::id()));
        let wide = |dir: &Path| {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
        };
        let mode = |dir: &Path| dir.metadata().unwrap().permissions().mode() & 0o777;
        let (old, new) = (scratch.join("old"), scratch.join("new"));
        wide(&old);
        wide(&old.join("run"));
        for (dir, expected) in [(old, 0o755), (new, 0o700)] {
            let home = Home::new(Some(dir)).unwrap();
            home.create().unwrap();
            assert_eq!(mode(home.dir()), expected);
            for below in [home.data(), home.run(), home.cache(), home.logs()] {
                assert_eq!(mode(&below), 0o700, "{}", below.display());
            }
        }
        std::fs::remove_dir_all(scratch).unwrap();
    }

    #[test]
    fn without_a_mesh_the_error_names_the_command() {
        let home = Home::new(Some("/nonexistent/lateen".into())).unwrap();
        let error = home.running().unwrap_err().to_string();
        assert!(error.contains("lateen up --home /nonexistent/lateen"), "{error}");
    }
}
