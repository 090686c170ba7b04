//! A real Kubernetes whose node has images of Lateen and of applications. In: images beside Lateen's. Out:
//! `lateen` and kubectl against it, and waiting for pods.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::cluster::{Cluster, Image};
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::wait_until;

/// How long an installation or a pod may take on a busy machine.
pub const START: Duration = Duration::from_secs(120);
/// The settings by which an installation takes the image under test.
pub const IMAGE: [&str; 4] = ["--set", "hub=localhost", "--set", "tag=test"];

pub struct Node {
    pub cluster: Cluster,
}

impl Node {
    /// A cluster without an installation.
    pub fn with_images(images: &[Image], scratch: &Path) -> Result<Node> {
        let lateen = Image::lateen("localhost/lateen:test", scratch)?;
        let all = [&lateen].into_iter().chain(images);
        let archives: Vec<_> = all.map(|image| image.archive(scratch)).collect::<Result<_>>()?;
        Ok(Node { cluster: Cluster::start(&archives)? })
    }

    /// A `lateen` command that has been started.
    pub fn lateen(&self, args: &[&str]) -> Result<Process> {
        let mut command = Command::new(tools::lateen()?);
        command.args(args).env("KUBECONFIG", self.cluster.kubeconfig()).stdin(Stdio::null());
        Process::spawn(&format!("lateen {}", args.join(" ")), &mut command)
    }

    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl().ok(args)
    }

    /// Waits until the pods that `selector` selects are ready, and are as many containers as `containers`.
    pub fn ready(&self, namespace: &str, selector: &str, containers: &str) -> Result<()> {
        let args = ["get", "pods", "-n", namespace, "-l", selector, "--no-headers"];
        wait_until(&format!("{selector} to be {containers}"), START, || {
            let rows = self.kubectl(&args)?;
            let is_ready = |row: &str| row.split_whitespace().nth(1) == Some(containers);
            ensure!(!rows.is_empty() && rows.lines().all(is_ready), "{rows}");
            Ok(())
        })
        .with_context(|| self.kubectl(&["describe", "pods", "-n", namespace]).unwrap_or_default())
    }
}
