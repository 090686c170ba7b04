//! `lateen proxy`: what runs in a pod, as Istio's agent and Envoy do, in one process. In: Istio's flags, the
//! variables and files that the injector gives the container. Out: a proxy, until the pod ends.

mod level;
mod node;
mod pod;
mod serve;
mod wait;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use lateen_control::Domain;

use crate::node::Role;
use pod::Pod;

/// The proxy of a pod
#[derive(Debug, Args)]
pub struct ProxyCommand {
    #[command(subcommand)]
    command: ProxyKind,
}

#[derive(Debug, Subcommand)]
enum ProxyKind {
    /// Run beside an application
    Sidecar(PodArgs),
    /// Run as a gateway
    Router(PodArgs),
    /// Wait until the proxy of this pod is ready
    Wait(wait::WaitArgs),
}

/// The flags of Istio's agent that a pod template may have.
#[derive(Debug, Args)]
struct PodArgs {
    /// The DNS domain of the pod's services, such as default.svc.cluster.local
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// What the data path logs: trace, debug, info, warning, error, critical or off
    #[arg(long = "proxyLogLevel", value_name = "LEVEL", default_value = "warning")]
    proxy_log_level: String,
    /// Levels of Envoy's components; Lateen has none of them
    #[arg(long = "proxyComponentLogLevel", value_name = "LEVELS", hide = true)]
    _component_log_level: Option<String>,
    /// What the agent logs: debug, info, warn, error or none, also as default:LEVEL
    #[arg(long = "log_output_level", value_name = "LEVEL", default_value = "default:info")]
    log_output_level: String,
    /// Log JSON
    #[arg(long = "log_as_json")]
    log_as_json: bool,
    /// Worker threads; 0 is one for each core [default: the container's CPU limit]
    #[arg(long, value_name = "NUMBER")]
    concurrency: Option<u16>,
}

/// What the command logs, as a filter, and whether as JSON.
pub fn logging(command: &ProxyCommand) -> (String, bool) {
    match &command.command {
        ProxyKind::Sidecar(args) | ProxyKind::Router(args) => {
            let filter = level::filter(&args.log_output_level, &args.proxy_log_level);
            (filter, args.log_as_json)
        }
        ProxyKind::Wait(_) => ("warn".to_owned(), false),
    }
}

pub fn execute(command: ProxyCommand) -> Result<()> {
    match command.command {
        ProxyKind::Sidecar(args) => run(Role::Sidecar, &args),
        ProxyKind::Router(args) => run(Role::Gateway, &args),
        ProxyKind::Wait(args) => wait::execute(&args),
    }
}

fn run(role: Role, args: &PodArgs) -> Result<()> {
    let mut pod = Pod::of_this_process(role)?;
    if let Some(domain) = &args.domain {
        pod.domain = cluster_domain(domain)?.as_str().to_owned();
    }
    if let Some(concurrency) = args.concurrency {
        pod.config.concurrency = Some(i32::from(concurrency));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve::serve(pod))
}

/// The cluster's domain of a pod's: what follows `svc.`, or all of it, as Istio's agent reads it.
fn cluster_domain(domain: &str) -> Result<Domain> {
    let below = domain.split_once(".svc.").map(|(_, cluster)| cluster);
    let cluster = below.or_else(|| domain.strip_prefix("svc.")).unwrap_or(domain);
    let read = Domain::parse(cluster).map_err(anyhow::Error::msg);
    read.with_context(|| {
        format!("--domain {domain}: check clusterDomain (values.global.proxy.clusterDomain)")
    })
}

#[cfg(test)]
mod tests {
    use super::cluster_domain;

    #[test]
    fn the_cluster_s_domain_is_what_follows_its_services() {
        for (domain, cluster) in [
            ("default.svc.cluster.local", "cluster.local"),
            ("default.svc.k8s.corp.example.", "k8s.corp.example"),
            ("svc.k8s", "k8s"),
            ("corp.example", "corp.example"),
        ] {
            assert_eq!(cluster_domain(domain).unwrap().as_str(), cluster, "{domain}");
        }
        for wrong in ["", "default.svc.", "$(POD_NAMESPACE).svc"] {
            let error = cluster_domain(wrong).unwrap_err().to_string();
            assert!(error.contains("clusterDomain"), "{error}");
        }
    }
}
