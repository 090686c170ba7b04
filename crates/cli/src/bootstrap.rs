//! `lateen bootstrap`: the Envoy bootstrap with which stock Envoy takes the place of Lateen's own proxy.
//! In: who the proxy is and where the home is. Out: the bootstrap as YAML or JSON; nothing is started.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::home::Home;
use crate::node::{DOMAIN, NodeArgs, Role};
use crate::output::{say_json_lines, text};
use crate::words::{Labels, LabelsParser, parse_name};

/// Istio's mark of a proxy's own traffic, which interception leaves alone.
const PROXY_MARK: u32 = 1337;
/// `SOL_SOCKET` and `SO_MARK` of socket(7).
const SOL_SOCKET: i32 = 1;
const SO_MARK: i32 = 36;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Yaml,
    Json,
}

/// Options of `lateen bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapCommand {
    /// The mesh's home directory [default: ~/.lateen]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// What Envoy shall be
    #[arg(long, value_enum)]
    role: Role,
    /// Name of the workload [default: istio-ingressgateway for a gateway]
    #[arg(long, required_if_eq("role", "sidecar"), value_parser = parse_name)]
    name: Option<String>,
    /// Namespace of the workload [default: istio-system for a gateway, else default]
    #[arg(long, short, value_parser = parse_name)]
    namespace: Option<String>,
    /// Labels of the workload, such as app=web,version=v1
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = LabelsParser, default_value = "")]
    labels: Labels,
    /// The workload's address; a gateway's is the one it listens on
    #[arg(long, required_if_eq("role", "sidecar"))]
    address: Option<IpAddr>,
    /// Envoy's admin server: a Unix socket's path [default: one in DIR/run]
    #[arg(long, value_name = "PATH")]
    admin: Option<PathBuf>,
    /// Use delta ADS (else state-of-the-world, as Istio's bootstrap does by default)
    #[arg(long)]
    delta: bool,
    #[arg(long, short, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

/// What a bootstrap is made from.
pub struct BootstrapArgs {
    pub node: NodeArgs,
    pub ads_socket: PathBuf,
    pub admin_socket: PathBuf,
    pub delta: bool,
}

pub fn execute(command: BootstrapCommand) -> Result<()> {
    let home = Home::new(command.home.clone())?;
    let state = home.running()?;
    let node = node(&command, state.gateway_bind);
    let default_admin = home.admin_socket(&format!("envoy.{}", node.instance()));
    let args = BootstrapArgs {
        ads_socket: home.ads_socket(),
        admin_socket: command.admin.clone().unwrap_or(default_admin),
        delta: command.delta,
        node,
    };
    match command.output {
        Format::Yaml => text(&render(&args)?),
        Format::Json => say_json_lines(&value(&args)),
    }
    Ok(())
}

/// The bootstrap as YAML.
pub fn render(args: &BootstrapArgs) -> Result<String> {
    lateen_api::yaml::write(&value(args)).context("the bootstrap cannot be written as YAML")
}

fn node(command: &BootstrapCommand, gateway_bind: IpAddr) -> NodeArgs {
    let base = match command.role {
        Role::Gateway => NodeArgs::ingress_gateway(command.address.unwrap_or(gateway_bind)),
        Role::Sidecar => NodeArgs {
            role: Role::Sidecar,
            name: String::new(),
            namespace: "default".into(),
            // Clap requires it for a sidecar.
            address: command.address.unwrap_or(gateway_bind),
            labels: Labels::new(),
            service_account: "default".into(),
            bind: None,
            domain: DOMAIN.to_owned(),
        },
    };
    let mut labels = base.labels.clone();
    labels.extend(command.labels.clone());
    NodeArgs {
        name: command.name.clone().unwrap_or_else(|| base.name.clone()),
        namespace: command.namespace.clone().unwrap_or_else(|| base.namespace.clone()),
        labels,
        ..base
    }
}

fn value(args: &BootstrapArgs) -> Value {
    let mut bootstrap = json!({
        "node": args.node.to_json(),
        "admin": { "address": pipe(&args.admin_socket) },
        "dynamic_resources": dynamic_resources(args.delta),
        "static_resources": { "clusters": [xds_cluster(args)] },
    });
    if args.node.role == Role::Sidecar {
        bootstrap["cluster_manager"] = json!({ "upstream_bind_config": mark() });
    }
    bootstrap
}

/// Marks every upstream connection, so that interception knows it for the proxy's own.
fn mark() -> Value {
    json!({
        "socket_options": [{
            "description": "mark of the proxy's own traffic",
            "level": SOL_SOCKET,
            "name": SO_MARK,
            "int_value": PROXY_MARK,
            "state": "STATE_PREBIND",
        }],
    })
}

fn dynamic_resources(delta: bool) -> Value {
    let source = json!({ "ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3" });
    json!({
        "ads_config": {
            "api_type": if delta { "DELTA_GRPC" } else { "GRPC" },
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds-grpc" } }],
        },
        "cds_config": source,
        "lds_config": source,
    })
}

fn xds_cluster(args: &BootstrapArgs) -> Value {
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http2_protocol_options": {} },
    });
    let endpoint = json!({ "endpoint": { "address": pipe(&args.ads_socket) } });
    json!({
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2,
        },
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
    })
}

fn pipe(path: &std::path::Path) -> Value {
    json!({ "pipe": { "path": path } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(role: Role) -> BootstrapArgs {
        let node = NodeArgs { role, ..NodeArgs::ingress_gateway([127, 0, 0, 1].into()) };
        BootstrapArgs {
            node,
            ads_socket: "/h/run/ads.sock".into(),
            admin_socket: "/h/run/envoy.sock".into(),
            delta: false,
        }
    }

    #[test]
    fn a_sidecar_marks_its_traffic_and_a_gateway_does_not() {
        assert!(value(&args(Role::Gateway)).get("cluster_manager").is_none());
        let options = &value(&args(Role::Sidecar))["cluster_manager"]["upstream_bind_config"];
        assert_eq!(options["socket_options"][0]["int_value"], 1337);
    }
}
