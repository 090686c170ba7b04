//! A real Kubernetes of one node, by `scripts/cluster.sh`. In: container images. Out: kubectl against
//! it and commands on its node; it ends, and its folder is removed, when it goes out of scope.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::journal::Journal;
use crate::kubectl::{Kubectl, Version};
use crate::process::Process;
use crate::tools;
use crate::wait::wait_until;

/// The node's address, which the API server has too.
pub const NODE: &str = "10.99.0.1";
/// How long the cluster may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long buildah may take for one image.
const BUILD: Duration = Duration::from_secs(60);

/// An image made from files alone.
#[derive(Clone, Debug)]
pub struct Image {
    /// Such as `localhost/echo:1`.
    pub name: String,
    /// The path of its program.
    pub entrypoint: String,
    /// Files of this machine, and where the image has them.
    pub files: Vec<(PathBuf, String)>,
}

impl Image {
    /// An image of one program that needs nothing else.
    pub fn of_static(name: &str, program: &Path) -> Image {
        let entrypoint = "/program".to_owned();
        let files = vec![(program.to_owned(), entrypoint.clone())];
        Image { name: name.to_owned(), entrypoint, files }
    }

    /// The `lateen` under test, with the libraries that a debug build is linked to.
    pub fn lateen(name: &str, scratch: &Path) -> Result<Image> {
        let (lateen, stripped) = (tools::lateen()?, scratch.join("lateen"));
        let mut strip = Command::new("strip");
        strip.arg("-g").arg("-o").arg(&stripped).arg(&lateen);
        Process::spawn("strip", &mut strip)?.success(BUILD)?;
        let entrypoint = "/usr/local/bin/lateen".to_owned();
        let mut files = vec![(stripped, entrypoint.clone())];
        files.extend(libraries(&lateen)?);
        Ok(Image { name: name.to_owned(), entrypoint, files })
    }

    /// The same with the iptables programs of nftables' kind, as `make image IPTABLES=yes` adds them.
    pub fn with_iptables(mut self, name: &str) -> Result<Image> {
        let program = Path::new("/usr/sbin/xtables-nft-multi");
        let names = ["iptables", "iptables-restore", "ip6tables", "ip6tables-restore"];
        self.files.extend(names.map(|name| (program.to_owned(), format!("/usr/sbin/{name}"))));
        self.files.extend(libraries(program)?);
        for folder in fs::read_dir("/usr/lib")? {
            for file in fs::read_dir(folder?.path().join("xtables")).into_iter().flatten() {
                let path = file?.path();
                self.files.push((path.clone(), path.display().to_string()));
            }
        }
        Ok(Image { name: name.to_owned(), ..self })
    }

    /// Builds it into an archive in `scratch`.
    pub fn archive(&self, scratch: &Path) -> Result<PathBuf> {
        let archive = scratch.join(format!("{}.tar", self.name.replace(['/', ':'], "_")));
        self.build(scratch, &format!("oci-archive:{}:{}", archive.display(), self.name))?;
        Ok(archive)
    }

    /// Builds it into the registry that its name begins with, over plain HTTP.
    pub fn push(&self, scratch: &Path) -> Result<()> {
        self.build(scratch, &format!("docker://{}", self.name))
    }

    fn build(&self, scratch: &Path, to: &str) -> Result<()> {
        let work = tempfile::Builder::new().prefix("image.").tempdir_in(scratch)?;
        let context = work.path().join("context");
        for (from, to) in &self.files {
            let to = context.join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().context("a file of an image has a folder")?)?;
            fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        let recipe = format!(
            "FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin\nENTRYPOINT [{:?}]\n",
            self.entrypoint
        );
        fs::write(work.path().join("Containerfile"), recipe)?;
        let file = work.path().join("Containerfile").display().to_string();
        let context = context.display().to_string();
        buildah(work.path(), &["bud", "--quiet", "--tag", &self.name, "--file", &file, &context])?;
        buildah(work.path(), &["push", "--quiet", "--tls-verify=false", &self.name, to])
    }
}

/// The libraries of a program, each at its own path.
fn libraries(program: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut ldd = Command::new("ldd");
    let listed = Process::spawn("ldd", ldd.arg(program))?.success(BUILD)?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(|path| (path.into(), path.to_owned())).collect())
}

fn buildah(work: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("buildah");
    command.arg("--root").arg(work.join("root")).arg("--runroot").arg(work.join("run"));
    command.args(["--storage-driver", "vfs"]).args(args).stdin(Stdio::null());
    Process::spawn("buildah", &mut command)?.success(BUILD).map(drop)
}

pub struct Cluster {
    // Fields are dropped in this order: the processes end before their folder is removed.
    script: Process,
    kubectl: Kubectl,
    folder: TempDir,
}

impl Cluster {
    /// Starts it in the network namespace of the caller and waits for its node.
    pub fn start(images: &[PathBuf]) -> Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("lateen-k8s.").tempdir()?;
        let kubectl = Kubectl::new(Version::Current, folder.path())?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/cluster.sh");
        let mut command = Command::new(script);
        command.arg("--here").arg(folder.path()).args(images);
        Journal::current().watch_folder(&folder.path().join("log"));
        let script = Process::spawn("cluster", command.stdin(Stdio::null()))?;
        let mut cluster = Cluster { script, kubectl, folder };
        cluster.wait_for_node()?;
        Ok(cluster)
    }

    fn wait_for_node(&mut self) -> Result<()> {
        let ready = self.folder.path().join("ready");
        wait_until("the cluster's node", START, || {
            let ended = self.script.poll()?;
            ensure!(
                ended.is_none() || ready.exists(),
                "cluster.sh ended: {}",
                self.script.stderr()
            );
            ensure!(ready.exists(), "it is not ready");
            Ok(())
        })
    }

    /// kubectl as an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Where the logs, the sockets and the settings of the node's programs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl.ok_with_input(&["apply", "-f", "-"], yaml)
    }

    /// A program in the node's namespaces, where `/etc/containerd` and `/etc/hosts` are the node's; not
    /// yet run.
    pub fn on_node(&self, program: &Path) -> Result<Command> {
        let pid = fs::read_to_string(self.folder.path().join("pid"))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", pid.trim(), "--mount", "--pid", "--"]).arg(program);
        command.stdin(Stdio::null());
        Ok(command)
    }
}
