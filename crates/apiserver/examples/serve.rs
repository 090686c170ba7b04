//! Serves the API alone, for trials with kubectl: in, a data directory and a port; out, the kubeconfig
//! in the data directory.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use lateen_apiserver::{ApiServer, Config, system_clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = PathBuf::from(arguments.next().context("usage: serve DIR PORT")?);
    let port = arguments.next().context("usage: serve DIR PORT")?;
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let address = listener.local_addr()?;
    let server = ApiServer::open(Config {
        data_dir: data_dir.clone(),
        service_cidr: "10.96.0.0/16".parse()?,
        listener,
        public_url: format!("https://{address}"),
        clock: system_clock(),
    })
    .await?;
    let path = data_dir.join("kubeconfig");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(server.admin_kubeconfig().as_bytes())?;
    println!("{}", path.display());
    server.serve(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}
