//! kube-controller-manager on this node. In: its process. Out: whether it answers, as its own probe asks it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

use super::daemon::{Daemon, running};
use super::http::{Request, ask};

const QUICK: Duration = Duration::from_secs(5);
/// The kubelet starts it again after some seconds, if it has to.
const RECOVERY: Duration = Duration::from_secs(120);

/// The controller manager, by where it answers.
#[derive(Debug)]
pub struct Manager {
    address: String,
}

impl Manager {
    /// Of this node: one in another network namespace is another node's, and not to be reached.
    pub fn find() -> Option<Manager> {
        let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let own = network("self");
        let found = running("kube-controller-manager");
        found.iter().find(|daemon| network(&daemon.pid.to_string()) == own).map(Manager::of)
    }

    fn of(daemon: &Daemon) -> Manager {
        let port = daemon.value("--secure-port").unwrap_or_else(|| "10257".to_owned());
        let bound = daemon.value("--bind-address");
        let everywhere = |address: &String| matches!(address.as_str(), "0.0.0.0" | "::");
        let bound = bound.filter(|address| !everywhere(address));
        let host = bound.unwrap_or_else(|| "127.0.0.1".to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Manager { address: format!("{host}:{port}") }
    }

    /// An error unless it says that it is well.
    pub async fn healthy(&self) -> Result<()> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.with_context(|| format!("nothing listens on {}", self.address))?;
        let name = ServerName::try_from("localhost").context("localhost is a name")?;
        let handshake = connector()?.connect(name, stream);
        let stream = tokio::time::timeout(QUICK, handshake).await.context("no TLS in time")??;
        let answer = ask(stream, &Request::local("GET /healthz"), QUICK).await?;
        match answer.status {
            200 => Ok(()),
            status => bail!("{}/healthz answers with status {status}", self.address),
        }
    }

    /// Waits until it is well again.
    pub async fn recovers(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.healthy().await {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > RECOVERY => {
                    return Err(error).context(
                        "kube-controller-manager does not answer since the restart: see its pod in \
                         kube-system and journalctl -u kubelet",
                    );
                }
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

/// As the kubelet's probe: the certificate is the manager's own, and nothing is told to it.
fn connector() -> Result<TlsConnector> {
    Ok(TlsConnector::from(lateen_identity::unverified_client_config()?))
}

#[cfg(test)]
mod tests {
    use super::{Daemon, Manager};

    #[test]
    fn it_answers_where_its_command_line_says() {
        let address = |flags: &[&str]| {
            let words = ["kube-controller-manager"].iter().chain(flags);
            let arguments = words.map(|word| (*word).to_owned()).collect();
            Manager::of(&Daemon { pid: 1, arguments }).address
        };
        assert_eq!(address(&[]), "127.0.0.1:10257");
        assert_eq!(address(&["--bind-address=0.0.0.0", "--secure-port=1"]), "127.0.0.1:1");
        assert_eq!(address(&["--bind-address=fd00::1"]), "[fd00::1]:10257");
    }
}
