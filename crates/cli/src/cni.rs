//! `lateen cni`: the agent of a node, in DaemonSet `istio-cni-node`. In: Istio's variables. Out: the plugin in
//! the node's chain of network plugins for as long as the DaemonSet is there, answers to the plugin, and
//! pods with rules that started before the agent did.

mod answers;
mod chain;
mod flags;
mod metrics;
pub mod plugin;
mod repair;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lateen_api::kinds::{Kind, by_kind};
use lateen_cni::exchange::SOCKET;
use lateen_cni::placement::wants;
use lateen_control::cluster::bind;
use lateen_kube::{Client, Source};
use lateen_runtime::admin::{self, Page};
use lateen_runtime::pages::{all, reading};
use lateen_runtime::tasks::Supervisor;
use serde_json::Value;
use tokio::sync::watch;

use crate::process::until_ended;
use chain::Chain;
use metrics::Metrics;

pub use flags::CniCommand;

/// Streams are told to end; whoever does not listen by then is cut off.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// How long the API may take to say whether the agent comes back, of the five seconds that a pod has to end.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often the chain is looked at: a folder and a few small files.
const LOOK: Duration = Duration::from_secs(1);
/// Where resolv.conf has the cluster's name servers, as pods have them.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What the agent's parts share.
pub struct Agent {
    client: Client,
    options: flags::Options,
    chain: Chain,
    metrics: Metrics,
    /// Whether the plugin is in the chain.
    chained: watch::Sender<bool>,
    resolv_conf: String,
}

pub async fn execute(command: CniCommand) -> Result<()> {
    let source = match &command.kubeconfig {
        Some(path) => Source::Kubeconfig(path.clone()),
        None => Source::InCluster,
    };
    let options = command.options();
    let agent = Arc::new(Agent {
        client: Client::connect(source).await?,
        chain: Chain::new(&options),
        options,
        metrics: Metrics::default(),
        chained: watch::Sender::new(false),
        resolv_conf: std::fs::read_to_string(RESOLV_CONF).unwrap_or_default(),
    });
    let ended = run(&agent).await;
    agent.leave().await;
    ended
}

async fn run(agent: &Arc<Agent>) -> Result<()> {
    let options = &agent.options;
    let folder = &options.run_folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let socket = folder.join(SOCKET);
    let listener = lateen_runtime::socket::bind(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    for address in [&options.health, &options.monitoring] {
        let (listener, pages) = (bind(address).await?, reading(pages(agent)));
        tasks.essential("pages", async move {
            admin::serve_tcp(listener, pages, all(Vec::new())).await;
            Ok(())
        });
    }
    tasks.essential("answers", answers::serve(listener, agent.clone()));
    tasks.essential("chain", keep(agent.clone()));
    if let Some(node) = options.repair.is_on().then(|| options.node.clone()) {
        tasks.essential("repair", repair::run(node, agent.clone()));
    }
    until_ended(supervisor, STOP_WITHIN).await
}

/// Keeps the plugin on the node and in its chain: other providers write their files anew.
async fn keep(agent: Arc<Agent>) -> Result<()> {
    let mut told = String::new();
    loop {
        let on_thread = agent.clone();
        match blocking(move || Ok(on_thread.chain.settle())).await? {
            Ok(settled) => {
                let is_new = !agent.chained.send_replace(true);
                if is_new || !settled.news.is_empty() {
                    agent.metrics.install("SUCCESS");
                }
                for line in settled.news {
                    tracing::info!("{line}");
                }
                if is_new {
                    tracing::info!(file = settled.file, "the plugin is in the node's chain");
                }
                told.clear();
            }
            Err(error) => {
                agent.chained.send_replace(false);
                // The same as before is no news.
                let text = error.to_string();
                if text != told {
                    agent.metrics.install(error.result());
                    tracing::warn!(error = text, "the plugin is not in the node's chain yet");
                }
                told = text;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn pages(agent: &Arc<Agent>) -> admin::Handler {
    let agent = agent.clone();
    Arc::new(move |path, _| match path {
        "/readyz" if *agent.chained.borrow() => Some(Page::text("ok\n")),
        "/readyz" => Some(Page::text("the plugin is not in the chain yet\n").with_status(503)),
        "/healthz" => Some(Page::text("ok\n")),
        "/metrics" => Some(agent.metrics.page(*agent.chained.borrow())),
        _ => None,
    })
}

impl Agent {
    /// The plugin stays where the next agent comes, so that no pod of the mesh starts without it meanwhile;
    /// it goes where none will come, because pods would wait for an agent for ever.
    async fn leave(&self) {
        if self.comes_back().await {
            tracing::info!("the plugin stays in the chain for the next agent");
            return;
        }
        match self.chain.withdraw() {
            Ok(()) => tracing::info!("the plugin is out of the chain: no agent follows here"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "cannot leave the chain"),
        }
    }

    async fn comes_back(&self) -> bool {
        tokio::time::timeout(FAREWELL, self.is_wanted()).await.unwrap_or(true)
    }

    /// Whether the DaemonSet stays, and on this node; what cannot be told stays.
    async fn is_wanted(&self) -> bool {
        let options = &self.options;
        // What is in a namespace that goes, goes after its pods, or with them.
        match self.client.get(kind("", "Namespace"), None, &options.namespace).await {
            Ok(namespace) if !namespace.as_ref().is_some_and(is_kept) => return false,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the namespace cannot be asked for"),
        }
        let (apps, namespace) = (kind("apps", "DaemonSet"), Some(options.namespace.as_str()));
        let daemon_set = match self.client.get(apps, namespace, &options.daemon_set).await {
            Ok(found) => found.filter(is_kept),
            // Whoever removed its account or its rights has removed the installation.
            Err(error) => return !matches!(error.code(), Some(401 | 403)),
        };
        let Some(daemon_set) = daemon_set else { return false };
        if options.node.is_empty() {
            return true;
        }
        match self.client.get(kind("", "Node"), None, &options.node).await {
            Ok(node) => node.is_some_and(|node| wants(&daemon_set, &node)),
            Err(error) => {
                tracing::warn!(%error, "the node cannot be asked for: the plugin stays");
                true
            }
        }
    }
}

fn is_kept(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_null()
}

fn kind(group: &str, name: &str) -> &'static Kind {
    by_kind(group, name).expect("invariant: the table holds Kubernetes' kinds")
}

/// Whether a program's name is the plugin's.
pub fn is_plugin(program: Option<&std::ffi::OsStr>) -> bool {
    program
        .and_then(|path| Path::new(path).file_name())
        .is_some_and(|name| name == lateen_cni::PLUGIN)
}

/// The answer of work that blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done: Result<_, _> = tokio::task::spawn_blocking(work).await;
    done.context("a thread ended early")?
}

/// What goes on for no longer than `limit`.
async fn within<T>(limit: Duration, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, future).await.context("it took too long")?
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use serde_json::json;

    use super::{is_kept, is_plugin};

    #[test]
    fn the_plugin_is_known_by_its_name() {
        assert!(is_plugin(Some(OsStr::new("/opt/cni/bin/istio-cni"))));
        assert!(!is_plugin(Some(OsStr::new("/usr/local/bin/lateen"))) && !is_plugin(None));
    }

    #[test]
    fn an_agent_comes_back_unless_its_daemon_set_or_namespace_goes() {
        assert!(is_kept(&json!({"metadata": {}})));
        assert!(!is_kept(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
    }
}
