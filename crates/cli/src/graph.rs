//! `lateen graph`: the live traffic graph for the terminal and for scripts. In: a home or a cluster, and what of
//! the graph. Out: a line per edge, and what should be known of them on standard error; or the API's JSON.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use lateen_control::Inventory;
use lateen_graph::api::{About, duration, pages};
use lateen_graph::prometheus::{self, Settings};
use lateen_graph::text::Parts;
use lateen_runtime::admin;
use lateen_runtime::pages::Ask;

use crate::control_plane::GRAPH_MEMORY;
use crate::home::Home;
use crate::manifest::ClusterArgs;
use crate::node::CLUSTER_ID;
use crate::output::{note, text};
use crate::prometheus::PrometheusArgs;
use crate::remote::{self, Wanted};

/// How long an answer of a mesh on this machine may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Show who talks to whom: rates, bytes and failures of the last minute
#[derive(Debug, Args)]
pub struct GraphCommand {
    /// The mesh's home directory [default: ~/.lateen]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    home: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The control plane's namespace, on a cluster
    #[arg(long, short = 'i', default_value = "istio-system")]
    istio_namespace: String,
    /// The control plane's revision, on a cluster [default: the default one, or any]
    #[arg(long, short)]
    revision: Option<String>,
    /// On a cluster, look as this account and not as yourself
    #[arg(long, value_name = "NAMESPACE/NAME")]
    service_account: Option<String>,
    /// What the nodes are
    #[arg(long, value_enum, default_value_t = Kind::Workload)]
    r#type: Kind,
    /// Only what comes from or goes to these namespaces [default: all]
    #[arg(long, short, value_name = "NAMESPACE", value_delimiter = ',')]
    namespace: Vec<String>,
    /// How long the rates are over, such as 30s or 10m: steps of 5 s, at most an hour
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    duration: String,
    /// Leave the services out that stand between clients and workloads
    #[arg(long)]
    no_services: bool,
    /// Show what had no traffic in that time, too
    #[arg(long)]
    idle: bool,
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    prometheus: PrometheusArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Workload,
    App,
    VersionedApp,
    Service,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    /// The graph API's own
    Json,
    /// As Kiali's graph API has it
    KialiJson,
}

pub async fn execute(command: GraphCommand) -> Result<()> {
    let page = match command.prometheus.settings()? {
        Some(settings) => command.read_prometheus(settings).await?,
        None if command.cluster.is_given() => command.of_cluster().await?,
        None if command.is_of_kubectls_cluster()? => {
            let which = "of the cluster that kubectl uses (--home is a mesh of lateen up)";
            command.of_cluster().await.context(which)?
        }
        None => command.of_home().await?,
    };
    match command.output {
        Format::Text => tell(Parts::of(&page)),
        Format::Json | Format::KialiJson => text(&indented(&page)?),
    }
    Ok(())
}

/// As people read it: the API leaves spaces out.
fn indented(page: &str) -> Result<String> {
    let graph: serde_json::Value = serde_json::from_str(page).context("the graph is no JSON")?;
    Ok(format!("{:#}\n", graph))
}

fn tell(parts: Parts<'_>) {
    if parts.edges.is_empty() {
        note(silence(parts.notices));
    }
    parts.notices.lines().for_each(note);
    text(parts.edges);
}

/// What is said of a graph without edges. Where notices explain it nothing need be set up.
fn silence(notices: &str) -> &'static str {
    match notices {
        "" => {
            "nothing has talked in that time: see lateen run, and kubectl label namespace … istio-injection=enabled"
        }
        _ => "nothing is known to have talked in that time",
    }
}

/// What the API says is wrong, in its own words.
fn reason(error: admin::Error) -> anyhow::Error {
    if let admin::Error::Status { body, .. } = &error
        && let Ok(problem) = serde_json::from_str::<serde_json::Value>(body)
        && let Some(message) = problem["message"].as_str()
    {
        return anyhow::anyhow!("{message}");
    }
    error.into()
}

impl GraphCommand {
    /// The API's answer by what a Prometheus has, without a control plane.
    async fn read_prometheus(&self, settings: Settings) -> Result<String> {
        let duration = duration(&self.duration).map_err(anyhow::Error::msg)?;
        let traffic = prometheus::traffic(GRAPH_MEMORY, &settings);
        prometheus::read(settings, &traffic, duration).await?;
        let about = About { version: env!("CARGO_PKG_VERSION"), cluster: CLUSTER_ID.to_owned() };
        let pages = pages(traffic, about, Inventory::default());
        let page = pages.answer(&Ask::get("/api/v1/graph", &self.query())).await;
        let page = page.context("invariant: the API has a graph")?;
        ensure!(page.status == 200, "{}", String::from_utf8_lossy(&page.body));
        String::from_utf8(page.body).context("the graph is no text")
    }

    /// Whether no mesh is named, none runs here, and kubectl has a cluster.
    fn is_of_kubectls_cluster(&self) -> Result<bool> {
        Ok(self.home.is_none() && ClusterArgs::has_default() && Home::new(None)?.running().is_err())
    }

    async fn of_home(&self) -> Result<String> {
        let home = Home::new(self.home.clone())?;
        let running = home.running().map(drop);
        if self.home.is_none() {
            running
                .context("no --home, and no cluster by --context, --kubeconfig or KUBECONFIG")?;
        } else {
            running?;
        }
        let socket = home.admin_socket("control");
        let uri = self.uri();
        let page = tokio::time::timeout(ANSWER, admin::get(&socket, &uri)).await;
        let page = page.with_context(|| {
            format!("the control plane has not answered for {} s: is it stopped?", ANSWER.as_secs())
        })?;
        let page = page.map_err(reason)?;
        String::from_utf8(page.to_vec()).context("the graph is no text")
    }

    async fn of_cluster(&self) -> Result<String> {
        let wanted = Wanted {
            cluster: &self.cluster,
            namespace: &self.istio_namespace,
            revision: self.revision.as_deref(),
            account: self.service_account.as_deref(),
        };
        remote::get(&remote::relay(&wanted).await?, &self.uri()).await
    }

    fn uri(&self) -> String {
        format!("/api/v1/graph?{}", self.query())
    }

    fn query(&self) -> String {
        let kind = match self.r#type {
            Kind::Workload => "workload",
            Kind::App => "app",
            Kind::VersionedApp => "versionedApp",
            Kind::Service => "service",
        };
        let format = match self.output {
            Format::Text => "text",
            Format::Json => "lateen",
            Format::KialiJson => "kiali",
        };
        form_urlencoded::Serializer::new(String::new())
            .append_pair("type", kind)
            .append_pair("format", format)
            .append_pair("duration", &self.duration)
            .append_pair("namespaces", &self.namespace.join(","))
            .append_pair("services", if self.no_services { "false" } else { "true" })
            .append_pair("idle", if self.idle { "true" } else { "false" })
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::silence;

    #[test]
    fn what_explains_an_empty_graph_is_no_fault_of_the_setup() {
        assert!(silence("").contains("istio-injection=enabled"));
        assert!(!silence("the control plane began less than 5 s ago\n").contains("injection"));
    }
}
