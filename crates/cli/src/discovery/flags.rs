//! istiod's flags and its pod's environment. In: the command line. Out: [`DiscoveryCommand`], and what it
//! says about the log.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lateen_api::duration::parse_span;
use lateen_control::Domain;

use crate::prometheus::PrometheusArgs;

/// The audience of the tokens that the injector gives to proxies, as Istio's.
const TOKEN_AUDIENCE: &str = "istio-ca";

/// Where the installed control plane has a token of its own for that audience.
const TOKEN: &str = "/var/run/secrets/tokens/istio-token";

/// Serve the mesh on a Kubernetes cluster, as istiod does
#[derive(Debug, Args)]
pub struct DiscoveryCommand {
    /// Where proxies connect over TLS
    #[arg(long = "secureGRPCAddr", value_name = "ADDRESS", default_value = ":15012")]
    pub secure: String,
    /// Where proxies connect without TLS, and nobody is asked who they are; nowhere if empty
    #[arg(long = "grpcAddr", value_name = "ADDRESS", default_value = "")]
    pub plaintext: String,
    /// Where /ready is served
    #[arg(long = "httpAddr", value_name = "ADDRESS", default_value = ":8080")]
    pub http: String,
    /// Where webhooks are served; nowhere if empty
    #[arg(long = "httpsAddr", value_name = "ADDRESS", default_value = ":15017")]
    pub https: String,
    /// Where /metrics and /version are served
    #[arg(long = "monitoringAddr", value_name = "ADDRESS", default_value = ":15014")]
    pub monitoring: String,
    /// Where the live graph is served over TLS; nowhere if empty
    #[arg(long = "graphAddr", value_name = "ADDRESS", default_value = ":20001")]
    pub graph: String,
    /// What to log: LEVEL or SCOPE:LEVEL, separated by commas
    #[arg(long = "log_output_level", value_name = "LEVELS", default_value = "default:info")]
    log_output_level: String,
    /// Write the log as JSON
    #[arg(long = "log_as_json")]
    log_as_json: bool,
    /// The cluster's DNS domain
    #[arg(long, default_value = "cluster.local", value_parser = Domain::parse)]
    pub domain: Domain,
    /// How old a proxy's connection may become, such as 30m; 0 is for ever
    #[arg(
        long = "keepaliveMaxServerConnectionAge",
        value_name = "DURATION",
        default_value = "30m",
        value_parser = parse_span
    )]
    pub max_connection_age: Duration,
    /// The API to serve for, instead of the one whose pod this is
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Taken and without effect: the mesh's settings are read from ConfigMap istio
    #[arg(long = "meshConfig", value_name = "FILE", hide = true)]
    mesh_config: Option<PathBuf>,
    /// Taken and without effect
    #[arg(long = "networksConfig", value_name = "FILE", hide = true)]
    networks_config: Option<PathBuf>,
    #[command(flatten)]
    pub prometheus: PrometheusArgs,
    #[command(flatten)]
    pub pod: Pod,
}

/// What the pod's environment says.
#[derive(Debug, Args)]
pub struct Pod {
    /// The revision that this control plane is of
    #[arg(long, env = "REVISION", default_value = "default", hide = true)]
    pub revision: String,
    #[arg(long, env = "POD_NAME", default_value = "", hide = true)]
    pub pod_name: String,
    #[arg(long, env = "POD_NAMESPACE", default_value = "istio-system", hide = true)]
    pub pod_namespace: String,
    #[arg(long, env = "SERVICE_ACCOUNT", default_value = "istiod", hide = true)]
    pub service_account: String,
    #[arg(long, env = "CLUSTER_ID", default_value = "Kubernetes", hide = true)]
    pub cluster_id: String,
    /// Whether sidecars are native ones: true, false, or by the nodes' versions
    #[arg(long, env = "ENABLE_NATIVE_SIDECARS", default_value = "", hide = true)]
    pub native_sidecars: String,
    /// More names under which proxies reach this server, separated by commas
    #[arg(long, env = "ISTIOD_CUSTOM_HOST", default_value = "", hide = true)]
    pub hosts: String,
    /// The file of this ServiceAccount's own token, by which other replicas know this one
    #[arg(long, env = "LATEEN_REPLICA_TOKEN", default_value = TOKEN, hide = true)]
    pub replica_token: PathBuf,
    /// For whom proxies' tokens may be meant, separated by commas
    #[arg(long, env = "TOKEN_AUDIENCES", default_value = TOKEN_AUDIENCE, hide = true)]
    token_audiences: String,
}

impl Pod {
    /// Never empty: a token for nobody in particular is one for the API.
    pub fn token_audiences(&self) -> Vec<String> {
        let named = self.token_audiences.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut audiences: Vec<String> = named.map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences.push(TOKEN_AUDIENCE.to_owned());
        }
        audiences
    }
}

impl DiscoveryCommand {
    /// The log's filter in tracing's words.
    pub fn log_filter(&self) -> String {
        log_filter(&self.log_output_level)
    }

    pub fn log_as_json(&self) -> bool {
        self.log_as_json
    }

    /// A flag of istiod's that was given and has no effect here.
    pub fn mesh_flag(&self) -> Option<&'static str> {
        let flags =
            [("--meshConfig", &self.mesh_config), ("--networksConfig", &self.networks_config)];
        flags.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name)
    }
}

/// Istio's levels to tracing's. Its scopes are parts of its own code; only `default` means something here.
pub fn log_filter(levels: &str) -> String {
    let mut level = "info";
    for part in levels.split(',') {
        let (scope, wanted) = part.trim().split_once(':').unwrap_or(("default", part.trim()));
        if matches!(scope, "default" | "all") {
            level = match wanted {
                "none" => "off",
                "fatal" | "error" => "error",
                "warn" => "warn",
                "debug" => "debug",
                _ => "info",
            };
        }
    }
    match level {
        // What the libraries below have to say is of no use to anybody but their authors.
        "debug" => "info,lateen=debug,kube_client=off,kube_runtime=off".to_owned(),
        level => format!("{level},kube_client=off,kube_runtime=off"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::{DiscoveryCommand, log_filter, parse_span};

    #[test]
    fn token_audiences_are_a_list_and_never_empty() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            command: DiscoveryCommand,
        }
        let audiences = |text: &str| {
            let line = Line::parse_from(["discovery", &format!("--token-audiences={text}")]);
            line.command.pod.token_audiences()
        };
        assert_eq!(audiences("istio-ca"), ["istio-ca"]);
        assert_eq!(audiences("mesh.example, istio-ca,"), ["mesh.example", "istio-ca"]);
        assert_eq!(audiences(" ,"), ["istio-ca"]);
    }

    #[test]
    fn gos_durations_are_read() {
        assert_eq!(parse_span("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(parse_span("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_span("0"), Ok(Duration::ZERO));
        for wrong in ["", "30", "m", "1d", "-1s", "99999999999h"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn istios_levels_are_understood() {
        assert!(log_filter("default:debug").starts_with("info,lateen=debug,"));
        assert!(log_filter("warn").starts_with("warn,"));
        assert!(log_filter("ads:debug,default:error").starts_with("error,"));
        assert!(log_filter("").starts_with("info,"));
    }
}
