//! The agent's variables, by Istio's names, as ConfigMap `istio-cni-config` has them. In: the environment.
//! Out: [`Options`].

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

use crate::discovery::flags::log_filter;

/// Lay the interception rules of a node's pods, as Istio's CNI agent does
#[derive(Debug, Args)]
pub struct CniCommand {
    /// What to log: LEVEL or SCOPE:LEVEL, separated by commas
    #[arg(long = "log_output_level", value_name = "LEVELS", default_value = "default:info")]
    log_output_level: String,
    /// Write the log as JSON
    #[arg(long = "log_as_json")]
    log_as_json: bool,
    /// The API to ask for pods, instead of the one whose pod this is
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the node's network configurations are
    #[arg(
        long,
        env = "MOUNTED_CNI_NET_DIR",
        value_name = "DIR",
        default_value = "/host/etc/cni/net.d"
    )]
    mounted_cni_net_dir: PathBuf,
    /// Where the node's network plugins are
    #[arg(
        long,
        env = "MOUNTED_CNI_BIN_DIR",
        value_name = "DIR",
        default_value = "/host/opt/cni/bin"
    )]
    mounted_cni_bin_dir: PathBuf,
    /// The configuration to insert the plugin into, instead of the first one
    #[arg(long, env = "CNI_CONF_NAME", value_name = "FILE", default_value = "")]
    cni_conf_name: String,
    /// Where the plugin finds the agent, in this pod and on the node
    #[arg(
        long,
        env = "CNI_AGENT_RUN_DIR",
        value_name = "DIR",
        default_value = "/var/run/istio-cni"
    )]
    cni_agent_run_dir: PathBuf,
    /// The node's processes
    #[arg(long, env = "HOST_PROC", value_name = "DIR", default_value = "/host/proc")]
    host_proc: PathBuf,
    /// Namespaces whose pods are left alone, separated by commas
    #[arg(long, env = "EXCLUDED_NAMESPACES", value_name = "NAMES", default_value = "")]
    excluded_namespaces: String,
    /// Where /readyz is served
    #[arg(long, value_name = "ADDRESS", default_value = ":8000")]
    health_addr: String,
    /// Where /metrics is served
    #[arg(long, value_name = "ADDRESS", default_value = ":15014")]
    monitoring_addr: String,
    #[command(flatten)]
    repair: RepairFlags,
    #[arg(long, env = "NODE_NAME", default_value = "", hide = true)]
    node_name: String,
    #[arg(long, env = "POD_NAMESPACE", default_value = "istio-system", hide = true)]
    pod_namespace: String,
    #[arg(long, env = "DAEMON_SET", default_value = "istio-cni-node", hide = true)]
    daemon_set: String,
}

/// What is done with pods whose check of the rules failed.
#[derive(Debug, Args)]
struct RepairFlags {
    /// Look for pods that started without rules
    #[arg(long, env = "REPAIR_ENABLED", value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        value_name = "BOOL", default_value = "true")]
    repair_enabled: bool,
    /// Lay their rules
    #[arg(long, env = "REPAIR_REPAIR_PODS", value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        value_name = "BOOL", default_value = "true")]
    repair_repair_pods: bool,
    /// Or delete them
    #[arg(long, env = "REPAIR_DELETE_PODS", value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        value_name = "BOOL", default_value = "false")]
    repair_delete_pods: bool,
    /// Or label them
    #[arg(long, env = "REPAIR_LABEL_PODS", value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        value_name = "BOOL", default_value = "false")]
    repair_label_pods: bool,
    /// The container that checks the rules
    #[arg(
        long,
        env = "REPAIR_INIT_CONTAINER_NAME",
        value_name = "NAME",
        default_value = "istio-validation"
    )]
    repair_init_container_name: String,
    #[arg(
        long,
        env = "REPAIR_BROKEN_POD_LABEL_KEY",
        value_name = "KEY",
        default_value = "cni.istio.io/uninitialized"
    )]
    repair_broken_pod_label_key: String,
    #[arg(
        long,
        env = "REPAIR_BROKEN_POD_LABEL_VALUE",
        value_name = "VALUE",
        default_value = "true"
    )]
    repair_broken_pod_label_value: String,
}

/// The settings of the agent.
#[derive(Clone, Debug)]
pub struct Options {
    pub conf_folder: PathBuf,
    pub bin_folder: PathBuf,
    pub conf_name: Option<String>,
    pub run_folder: PathBuf,
    pub proc: PathBuf,
    pub excluded_namespaces: Vec<String>,
    pub health: String,
    pub monitoring: String,
    pub repair: Repair,
    pub node: String,
    pub namespace: String,
    pub daemon_set: String,
}

/// What is done for a pod that has no rules. Of several wishes the first one counts, as in Istio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub means: Option<Means>,
    pub container: String,
    pub label: (String, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    Repair,
    Delete,
    Label,
}

impl Repair {
    pub fn is_on(&self) -> bool {
        self.means.is_some()
    }
}

impl CniCommand {
    pub fn log_filter(&self) -> String {
        log_filter(&self.log_output_level)
    }

    pub fn log_as_json(&self) -> bool {
        self.log_as_json
    }

    pub fn options(&self) -> Options {
        let namespaces = self.excluded_namespaces.split(',').map(str::trim);
        Options {
            conf_folder: self.mounted_cni_net_dir.clone(),
            bin_folder: self.mounted_cni_bin_dir.clone(),
            conf_name: Some(self.cni_conf_name.clone()).filter(|name| !name.is_empty()),
            run_folder: self.cni_agent_run_dir.clone(),
            proc: self.host_proc.clone(),
            excluded_namespaces: namespaces
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            health: self.health_addr.clone(),
            monitoring: self.monitoring_addr.clone(),
            repair: self.repair.read(),
            node: self.node_name.clone(),
            namespace: self.pod_namespace.clone(),
            daemon_set: self.daemon_set.clone(),
        }
    }
}

impl RepairFlags {
    fn read(&self) -> Repair {
        let wishes = [
            (self.repair_repair_pods, Means::Repair),
            (self.repair_delete_pods, Means::Delete),
            (self.repair_label_pods, Means::Label),
        ];
        let first = wishes.into_iter().find(|(wanted, _)| *wanted).map(|(_, means)| means);
        Repair {
            means: first.filter(|_| self.repair_enabled),
            container: self.repair_init_container_name.clone(),
            label: (
                self.repair_broken_pod_label_key.clone(),
                self.repair_broken_pod_label_value.clone(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{CniCommand, Means};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: CniCommand,
    }

    fn means(arguments: &[&str]) -> Option<Means> {
        let line = Line::parse_from([&["cni"], arguments].concat());
        line.command.options().repair.means
    }

    #[test]
    fn pods_are_repaired_unless_another_means_is_wanted() {
        assert_eq!(means(&[]), Some(Means::Repair));
        let no = "--repair-repair-pods=false";
        assert_eq!(
            means(&[no, "--repair-delete-pods=true", "--repair-label-pods=true"]),
            Some(Means::Delete)
        );
        assert_eq!(means(&[no, "--repair-label-pods=true"]), Some(Means::Label));
        assert_eq!(means(&[no]), None);
        assert_eq!(means(&["--repair-enabled=false"]), None);
    }

    #[test]
    fn lists_of_namespaces_are_split() {
        let line = Line::parse_from(["cni", "--excluded-namespaces", "istio-system, kube-system,"]);
        let options = line.command.options();
        assert_eq!(options.excluded_namespaces, ["istio-system", "kube-system"]);
        assert_eq!(options.conf_name, None);
    }
}
