//! The workload's DNS: sockets inside the namespace, served from outside, and the file by which the
//! program finds it.

use std::fs::Permissions;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use lateen_netns::ns::{Namespace, gateway};
use lateen_proxy::dns::names::mesh_names;
use lateen_proxy::dns::{Dns, Upstream, Zone, resolv_conf};
use lateen_runtime::tasks::Tasks;
use lateen_xds::client::AdsAddress;

use super::traces::Scrap;
use crate::home::{Home, HomeState};
use crate::node::NodeArgs;

const HOST_FILE: &str = "/etc/resolv.conf";
/// Where interception sends questions to.
const LISTEN: &str = "127.0.0.1:15053";

/// Starts the server's tasks and writes the program's `resolv.conf`; which goes with
/// the answer.
pub(super) fn start(
    tasks: &Tasks,
    namespace: &Namespace,
    home: &Home,
    state: &HomeState,
    node: &NodeArgs,
) -> Result<Scrap> {
    // Nothing answers at that address: questions to it are captured, like those to any other.
    let nameserver = IpAddr::V4(gateway(state.pod_cidr));
    let sockets = namespace
        .run(|| Ok::<_, std::io::Error>((UdpSocket::bind(LISTEN)?, TcpListener::bind(LISTEN)?)));
    let (udp, tcp) = sockets?.with_context(|| format!("cannot listen on {LISTEN} for DNS"))?;
    let (names, names_task) = mesh_names(AdsAddress::Unix(home.ads_socket()), node.to_proto());
    let upstream = Upstream::of_file(Path::new(HOST_FILE), nameserver);
    let dns = Dns::new(udp, tcp, Arc::new(names), upstream, Zone::default())
        .context("cannot serve DNS")?;
    tasks.essential("mesh names", async {
        names_task.run().await;
        Ok(())
    });
    tasks.essential("mesh dns", async { Err(anyhow!(dns.serve().await)) });

    let host = resolv_conf::parse(&std::fs::read_to_string(HOST_FILE).unwrap_or_default());
    let text = resolv_conf::for_workload(nameserver, &node.namespace, &host);
    let file = Scrap(home.resolv_conf(&node.instance()));
    let path = file.path();
    // Readable by whichever user the program turns into.
    let readable = Permissions::from_mode(0o644);
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, readable))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}
