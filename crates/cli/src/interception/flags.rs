//! istio-iptables' command line: long and short flags, and the variables that stand for them. Values are
//! read as Go reads them; what they mean together is in [`super::lists`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use lateen_api::duration::parse_span;

/// Lay the rules by which a pod's traffic reaches its sidecar (istio-init runs this)
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub struct InterceptionCommand {
    /// Where captured outbound connections go
    #[arg(short = 'p', long, env, value_name = "PORT", default_value_t = 15001)]
    pub envoy_port: u16,
    /// Where captured inbound connections go
    #[arg(short = 'z', long, env, value_name = "PORT", default_value_t = 15006)]
    pub inbound_capture_port: u16,
    /// Where tunnelled connections arrive, which are never captured
    #[arg(short = 'e', long, env, value_name = "PORT", default_value_t = 15008)]
    pub inbound_tunnel_port: u16,
    /// The users, comma-separated, whose connections are the proxy's own
    #[arg(short = 'u', long, env, value_name = "UIDS", default_value = "1337")]
    pub proxy_uid: String,
    /// The groups, comma-separated, whose connections are the proxy's own [default: as -u]
    #[arg(short = 'g', long, env, value_name = "GIDS", default_value = "")]
    pub proxy_gid: String,
    /// How inbound connections are captured
    #[arg(
        short = 'm',
        long = "istio-inbound-interception-mode",
        env = "ISTIO_INBOUND_INTERCEPTION_MODE",
        value_enum,
        ignore_case = true,
        default_value = "redirect"
    )]
    pub mode: Mode,
    /// Inbound ports to capture, comma-separated; * is all, nothing is none
    #[arg(short = 'b', long, env, value_name = "PORTS", default_value = "")]
    pub istio_inbound_ports: String,
    /// Inbound ports to leave alone when all are captured
    #[arg(short = 'd', long, env, value_name = "PORTS", default_value = "")]
    pub istio_local_exclude_ports: String,
    /// Interfaces whose traffic is left alone
    #[arg(short = 'c', long, env, value_name = "NAMES", default_value = "")]
    pub istio_exclude_interfaces: String,
    /// Destinations to capture, comma-separated CIDR blocks; * is all, nothing is none
    #[arg(short = 'i', long, env, value_name = "RANGES", default_value = "")]
    pub istio_service_cidr: String,
    /// Destinations to leave alone
    #[arg(short = 'x', long, env, value_name = "RANGES", default_value = "")]
    pub istio_service_exclude_cidr: String,
    /// Outbound ports to capture whatever the destination is
    #[arg(short = 'q', long, env, value_name = "PORTS", default_value = "")]
    pub istio_outbound_ports: String,
    /// Outbound ports to leave alone
    #[arg(short = 'o', long, env, value_name = "PORTS", default_value = "")]
    pub istio_local_outbound_ports_exclude: String,
    /// Interfaces of virtual machines, whose traffic is captured as outbound
    #[arg(short = 'k', long, env, value_name = "NAMES", default_value = "")]
    pub kube_virt_interfaces: String,
    /// Groups whose connections are captured; * is all
    #[arg(long, env, value_name = "GROUPS", default_value = "*", hide = true)]
    pub istio_outbound_owner_groups: String,
    /// Groups whose connections are left alone
    #[arg(long, env, value_name = "GROUPS", default_value = "", hide = true)]
    pub istio_outbound_owner_groups_exclude: String,
    /// What programs call themselves by
    #[arg(long, env, value_name = "RANGE", default_value = "127.0.0.1/32", hide = true)]
    pub istio_outbound_ipv4_loopback_cidr: String,
    /// The mark of packets that TPROXY keeps in the pod
    #[arg(short = 't', long, env, value_name = "MARK", default_value = "1337")]
    pub istio_inbound_tproxy_mark: String,
    /// The routing table of packets with that mark
    #[arg(short = 'r', long, env, value_name = "TABLE", default_value = "133")]
    pub istio_inbound_tproxy_route_table: String,
    #[command(flatten)]
    pub switches: Switches,
    /// Use the iptables programs of this kind instead of the kernel's nf_tables
    #[arg(
        long, env = "LATEEN_IPTABLES", value_enum, value_name = "KIND", num_args = 0..=1,
        require_equals = true, default_missing_value = "usual"
    )]
    pub iptables: Option<Iptables>,
    /// The port that a validation dials, where nobody listens
    #[arg(long, env, value_name = "PORT", default_value_t = 15002)]
    pub iptables_probe_port: u16,
    /// How long a validation goes on
    #[arg(long, env, value_name = "TIME", default_value = "5s", value_parser = parse_span)]
    pub probe_timeout: Duration,
    /// Do it in the network namespace of this file
    #[arg(long, env, value_name = "FILE")]
    pub network_namespace: Option<PathBuf>,
    #[command(flatten)]
    pub ignored: Ignored,
}

/// Flags that are true when nothing follows them.
#[derive(Debug, Args)]
pub struct Switches {
    /// Only print the rules
    #[arg(short = 'n', long, env, value_parser = boolean, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    pub dry_run: bool,
    /// Lay no rules
    #[arg(long, env, value_parser = boolean, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    pub skip_rule_apply: bool,
    /// Try whether connections are captured
    #[arg(long, env, value_parser = boolean, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    pub run_validation: bool,
    /// Take the rules away
    #[arg(long, env, value_parser = boolean, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    pub cleanup_only: bool,
    /// Capture questions to the name servers of /etc/resolv.conf
    #[arg(long, env = "ISTIO_META_DNS_CAPTURE", value_parser = boolean, num_args = 0..=1,
        require_equals = true, default_value = "false", default_missing_value = "true",
        action = ArgAction::Set)]
    pub redirect_dns: bool,
    /// Capture questions to every name server, with --redirect-dns
    #[arg(long, env, value_parser = boolean, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = ArgAction::Set)]
    pub capture_all_dns: bool,
    /// Drop packets that belong to no connection
    #[arg(long, env = "INVALID_DROP", value_parser = boolean, num_args = 0..=1,
        require_equals = true, default_value = "false", default_missing_value = "true",
        action = ArgAction::Set)]
    pub drop_invalid: bool,
}

/// Flags of istio-iptables for which there is nothing to do: rules are always laid for both families, anew,
/// and by nf_tables.
#[derive(Debug, Args)]
pub struct Ignored {
    #[arg(short = 'f', long, hide = true, num_args = 0..=1, require_equals = true)]
    restore_format: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    dual_stack: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    cni_mode: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    reconcile: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    force_apply: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    native_nftables: Option<Option<String>>,
    #[arg(long = "log_output_level", hide = true)]
    log_output_level: Option<String>,
    #[arg(long = "log_as_json", hide = true, num_args = 0..=1, require_equals = true)]
    log_as_json: Option<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Redirect,
    Tproxy,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Iptables {
    /// What the name iptables stands for
    Usual,
    Legacy,
    Nft,
}

/// As Go's `strconv.ParseBool`; a variable that is set to nothing is not set.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}
