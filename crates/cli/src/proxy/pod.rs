//! The pod that a proxy is in. In: the container's variables, and the files of its volumes. Out: who the proxy
//! is, where its control plane is, and how it runs. Names are those of Istio's agent.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lateen_api::istio::mesh::ProxyConfig;
use lateen_proxy::agent::drain::Drain;
use lateen_proxy::agent::processes::{Containers, Restarts};
use lateen_proxy::agent::{self, Application, podinfo};
use lateen_xds::client::AdsAddress;
use serde_json::{Value, json};

use crate::node::Role;
use crate::yaml;

const DISCOVERY: &str = "istiod.istio-system.svc:15012";
/// Where a control plane serves without TLS, if it does.
const PLAIN_PORT: &str = ":15010";
const ADMIN_PORT: i32 = 15000;
const DRAIN: Duration = Duration::from_secs(5);

/// Before the paths of all files, where they are not those of a container; for trials and tests.
const ROOT: &str = "LATEEN_ROOT";
const TOKEN: &str = "var/run/secrets/tokens/istio-token";
const ROOTS: &str = "var/run/secrets/istio/root-cert.pem";
const DATA: &str = "var/lib/istio/data";
const INFO: &str = "etc/istio/pod";

pub type Variables = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Pod {
    pub role: Role,
    pub name: String,
    pub namespace: String,
    /// The cluster's DNS domain.
    pub domain: String,
    /// The first is the one by which others know the pod.
    pub addresses: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub config: ProxyConfig,
    /// `config` as it was written.
    pub config_json: Value,
    pub variables: Variables,
    root: PathBuf,
}

impl Pod {
    pub fn of_this_process(role: Role) -> Result<Self> {
        // One that is not UTF-8 cannot have come from a pod's template.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        Self::new(role, variables, &interfaces(), read)
    }

    /// `local` are the addresses of the pod's interfaces.
    pub fn new(
        role: Role,
        mut variables: Variables,
        local: &[IpAddr],
        read: impl Fn(&Path) -> Option<String>,
    ) -> Result<Self> {
        let text = variables.get("PROXY_CONFIG").map(String::as_str).unwrap_or_default();
        let (config, config_json) = proxy_config(text).context("PROXY_CONFIG")?;
        for (name, value) in &config.proxy_metadata {
            variables.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let root = PathBuf::from(variables.get(ROOT).map_or("/", String::as_str));
        let info = |name: &str| {
            let text = read(&root.join(INFO).join(name));
            podinfo::parse(&text.unwrap_or_default())
        };
        let must = |name: &str| {
            let value = variables.get(name).filter(|value| !value.is_empty());
            value.cloned().with_context(|| {
                format!("{name} is not set: this command runs in a pod that was injected")
            })
        };
        Ok(Self {
            role,
            name: must("POD_NAME")?,
            namespace: must("POD_NAMESPACE")?,
            domain: crate::node::DOMAIN.to_owned(),
            addresses: addresses(variables.get("INSTANCE_IP"), local)?,
            labels: info("labels"),
            annotations: info("annotations"),
            config,
            config_json,
            variables,
            root,
        })
    }

    /// The value of a variable; an empty one is none.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.variable(name), Some("true" | "1" | "TRUE" | "True" | "t" | "T"))
    }

    pub fn address(&self) -> IpAddr {
        self.addresses[0]
    }

    /// Where the control plane is. The address of the plain port is the operator's choice, who has opened it.
    pub fn control_plane(&self) -> Result<AdsAddress> {
        let configured = self.config.discovery_address.as_str();
        let host = if configured.is_empty() { DISCOVERY } else { configured }.to_owned();
        if host.ends_with(PLAIN_PORT) {
            return Ok(AdsAddress::Tcp(host));
        }
        let roots = match self.variable("XDS_ROOT_CA") {
            Some("SYSTEM") => bail!(
                "XDS_ROOT_CA=SYSTEM: the image has no certificates of its own: mount a bundle and write its path"
            ),
            Some(path) => path.into(),
            None => self.root.join(ROOTS),
        };
        Ok(AdsAddress::Tls { host, roots, token: self.root.join(TOKEN) })
    }

    /// What the proxy last knew; none where there is no volume for it.
    pub fn cache(&self) -> Option<PathBuf> {
        let folder = self.root.join(DATA);
        folder.is_dir().then(|| folder.join("resources.pb"))
    }

    /// Whether the pod's DNS questions are redirected here.
    pub fn captures_dns(&self) -> bool {
        self.role == Role::Sidecar && self.flag("ISTIO_META_DNS_CAPTURE")
    }

    /// The resolver configuration that the kubelet gave the pod.
    pub fn resolv_conf(&self) -> &Path {
        Path::new("/etc/resolv.conf")
    }

    /// Whether what comes in keeps its addresses on the way to the proxy.
    pub fn is_transparent(&self) -> bool {
        let mode = self.variable("ISTIO_META_INTERCEPTION_MODE");
        self.role == Role::Sidecar && mode == Some("TPROXY")
    }

    /// Worker threads on a machine with so many cores: as configured, else the container's limit.
    pub fn workers(&self, cores: usize) -> usize {
        let limit = || self.variable("ISTIO_CPU_LIMIT").and_then(|limit| limit.parse().ok());
        let wanted = match self.config.concurrency {
            Some(number) => usize::try_from(number).unwrap_or(0),
            None => limit().unwrap_or(0),
        };
        if wanted == 0 { cores } else { wanted.min(cores.max(1)) }
    }

    /// How long it goes on after it was asked to end.
    pub fn drain(&self) -> Result<Drain> {
        if self.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS") {
            return Ok(Drain::Idle(self.duration("MINIMUM_DRAIN_DURATION")?.unwrap_or(DRAIN)));
        }
        Ok(Drain::After(self.termination()))
    }

    /// `terminationDrainDuration`.
    pub fn termination(&self) -> Duration {
        let configured = self.config.termination_drain_duration.as_ref();
        configured.and_then(lateen_api::duration::Duration::to_std).unwrap_or(DRAIN)
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.variable(name) else { return Ok(None) };
        let parsed: lateen_api::duration::Duration =
            text.parse().with_context(|| name.to_owned())?;
        Ok(Some(parsed.to_std().with_context(|| format!("{name}: {text} is negative"))?))
    }

    /// The containers with whose end it ends, if it does; see the injector. To be asked once: it notes in the
    /// pod's volume that an agent was here.
    pub fn ends_with(&self) -> Option<Containers> {
        let names = self.variable("ISTIO_META_APP_CONTAINERS").unwrap_or_default();
        let containers = names.split(',').filter(|name| !name.is_empty()).count();
        let held = self.config.hold_application_until_proxy_starts == Some(true);
        let later = if held { containers } else { 0 };
        match self.variable(lateen_inject::END_WITH)? {
            lateen_inject::WITH_PROCESSES => Some(Containers { later, restarts: Restarts::Never }),
            lateen_inject::WITH_SUCCESS if self.was_here() => {
                Some(Containers { later: 0, restarts: Restarts::FailedBefore })
            }
            lateen_inject::WITH_SUCCESS => {
                Some(Containers { later, restarts: Restarts::Failed { containers } })
            }
            _ => None,
        }
    }

    /// Whether an agent before this one noted the same.
    fn was_here(&self) -> bool {
        let note = std::fs::File::create_new(self.root.join(DATA).join("started"));
        note.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists)
    }

    pub fn agent(&self) -> Result<agent::Options> {
        let status_port =
            port(self.config.status_port, agent::STATUS_PORT.into()).context("statusPort")?;
        let probers = self.variable("ISTIO_KUBE_APP_PROBERS").map(agent::probe::Probers::parse);
        let application = self
            .variable("ISTIO_PROMETHEUS_ANNOTATIONS")
            .map(|annotations| Application::parse(annotations, status_port));
        Ok(agent::Options {
            address: None,
            status_port,
            admin_port: port(self.config.proxy_admin_port, ADMIN_PORT).context("proxyAdminPort")?,
            pod: self.address(),
            probers: probers.transpose().context("ISTIO_KUBE_APP_PROBERS")?.unwrap_or_default(),
            application: application.transpose().context("ISTIO_PROMETHEUS_ANNOTATIONS")?.flatten(),
            netns: None,
        })
    }
}

/// ProxyConfig as JSON or YAML; nothing is the default.
fn proxy_config(text: &str) -> Result<(ProxyConfig, Value)> {
    let mut documents = yaml::documents(text)?;
    ensure!(documents.len() <= 1, "it has more than one document");
    let value = documents.pop().filter(|value| !value.is_null()).unwrap_or_else(|| json!({}));
    let config = serde_json::from_value(value.clone()).context("it is not a ProxyConfig")?;
    Ok((config, value))
}

fn port(number: Option<i32>, default: i32) -> Result<u16> {
    let number = number.unwrap_or(default);
    u16::try_from(number).with_context(|| format!("{number} is not a port"))
}

/// The pod's address first, then the others of its interfaces.
fn addresses(instance: Option<&String>, local: &[IpAddr]) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for text in instance.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()) {
        let address = text.trim().parse();
        addresses.push(address.with_context(|| format!("INSTANCE_IP: {text:?} is no address"))?);
    }
    addresses.extend(local);
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    ensure!(!addresses.is_empty(), "the pod has no address: check INSTANCE_IP and its network");
    Ok(addresses)
}

/// Where the proxy connects to the application from, an address of the loopback interface.
const PASSTHROUGH: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));

/// The addresses by which others could reach this network namespace.
fn interfaces() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = all.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    });
    let is_own = |address: &IpAddr| address.is_loopback() || *address == PASSTHROUGH;
    addresses.filter(|address| !is_own(address) && !is_link_local(*address)).collect()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
