//! `lateen explain`: the way of the newest connection through the ingress gateway, from the proxies'
//! access records and the live configuration. In: a home and a gateway port. Out: text or JSON.

mod draw;
mod way;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lateen_runtime::admin;
use serde_json::Value;

use crate::home::Home;

/// Options of `lateen explain`.
#[derive(Debug, Args)]
pub struct ExplainCommand {
    /// The mesh's home directory [default: ~/.lateen]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The gateway's port [default: that of the newest connection]
    port: Option<u16>,
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub async fn execute(command: ExplainCommand) -> Result<()> {
    let home = Home::new(command.home.clone())?;
    home.running()?;
    let gateway = records(&home.admin_socket("gateway")).await.context(
        "the mesh's own gateway does not answer (with --gateway none, ask the proxy in its place)",
    )?;
    let Some(record) = newest(&gateway, command.port) else {
        let port = command.port.map_or(String::new(), |port| format!(" on port {port}"));
        bail!(
            "no connection has ended{port} yet: make one, such as: printf hello | nc -q1 127.0.0.1 PORT"
        );
    };
    let sidecars = sidecar_records(&home).await?;
    let route = virtual_service(&home, record).await;
    let way = way::join(record, &sidecars, route.as_ref());
    match command.output {
        Format::Text => print!("{}", draw::draw(&way)),
        Format::Json => println!("{:#}", serde_json::to_value(&way)?),
    }
    Ok(())
}

/// Access records of a proxy, the newest last.
async fn records(socket: &std::path::Path) -> Result<Vec<Value>> {
    let page = admin::get(socket, "/records").await?;
    serde_json::from_slice(&page).context("its access records are no JSON")
}

fn newest(records: &[Value], port: Option<u16>) -> Option<&Value> {
    let suffix = port.map(|port| format!(":{port}"));
    records.iter().rev().find(|record| {
        let local = record["downstream_local"].as_str().unwrap_or_default();
        suffix.as_ref().is_none_or(|suffix| local.ends_with(suffix))
    })
}

/// The records of every local workload's sidecar; one that is just ending is passed over.
async fn sidecar_records(home: &Home) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(home.run()).context("the home's sockets")? {
        let path = entry.context("the home's sockets")?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with("w.") || !name.ends_with(".admin.sock") {
            continue;
        }
        if let Ok(records) = records(&path).await {
            all.extend(records);
        }
    }
    Ok(all)
}

/// The VirtualService that routed the connection, as it is now.
async fn virtual_service(home: &Home, record: &Value) -> Option<Value> {
    let origin = way::origin(record).filter(|origin| origin.kind == "virtual-service")?;
    let kind = lateen_api::kinds::by_kind("networking.istio.io", "VirtualService")?;
    let source = lateen_kube::Source::Kubeconfig(home.kubeconfig());
    let client = lateen_kube::Client::connect(source).await.ok()?;
    client.get(kind, Some(&origin.namespace), &origin.name).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_record_of_a_port_is_found() {
        let records = [
            json!({"downstream_local": "127.0.0.1:31400", "n": 1}),
            json!({"downstream_local": "127.0.0.1:80"}),
        ];
        assert_eq!(newest(&records, Some(31400)).unwrap()["n"], 1);
        assert_eq!(newest(&records, None).unwrap()["downstream_local"], "127.0.0.1:80");
        assert!(newest(&records, Some(1)).is_none());
    }
}
