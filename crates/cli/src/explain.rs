//! `lateen explain`: the way of the newest connection through the ingress gateway, from the proxies'
//! access records and the live configuration. In: a home and a gateway port. Out: text or JSON.

mod draw;
mod way;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lateen_runtime::admin;
use serde_json::Value;

use crate::home::Home;
use crate::output::{say_json_lines, text};

/// How long the API may take to tell the VirtualService.
const API_PATIENCE: Duration = Duration::from_secs(3);

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
        "no access records: the mesh's own gateway keeps them, and it does not answer (a mesh that was \
         started with --gateway none has none; stock Envoy in its place writes an access log)",
    )?;
    let Some(record) = newest(&gateway, command.port) else {
        bail!("{}", nothing_yet(&home, command.port).await);
    };
    let sidecars = sidecar_records(&home).await?;
    let found = virtual_service(&home, record).await;
    let way = way::join(record, &sidecars, &found);
    match command.output {
        Format::Text => text(&draw::draw(&way)),
        Format::Json => say_json_lines(&serde_json::to_value(&way)?),
    }
    Ok(())
}

/// Why there is nothing to show; what is wrong with the port is worth more than how to try it.
async fn nothing_yet(home: &Home, port: Option<u16>) -> String {
    let Some(port) = port else {
        return "no connection has ended yet: make one, such as: printf hello | nc -q1 127.0.0.1 PORT"
            .into();
    };
    let issues = admin::get(&home.admin_socket("control"), "/issues").await;
    let issues: Vec<Value> =
        issues.ok().and_then(|page| serde_json::from_slice(&page).ok()).unwrap_or_default();
    match about(&issues, port) {
        Some(issue) => format!("no connection has ended on port {port}: {issue}"),
        None => format!(
            "no connection has ended on port {port} yet: make one, such as: \
             printf hello | nc -q1 127.0.0.1 {port}"
        ),
    }
}

/// The first issue that names the port.
fn about(issues: &[Value], port: u16) -> Option<String> {
    let needle = format!("port {port} ");
    issues.iter().find_map(|issue| {
        let text = issue["message"].as_str().filter(|text| text.contains(&needle))?;
        let object = issue["object"].as_str().unwrap_or_default();
        Some(format!("{} {object}: {text}", issue["code"].as_str().unwrap_or_default()))
    })
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
async fn virtual_service(home: &Home, record: &Value) -> way::Found {
    let Some(origin) = way::origin(record).filter(|origin| origin.kind == "virtual-service") else {
        return way::Found::Gone;
    };
    let kind = lateen_api::kinds::by_kind("networking.istio.io", "VirtualService")
        .expect("invariant: the kind is in the table");
    let source = lateen_kube::Source::Kubeconfig(home.kubeconfig());
    let asked = async {
        let client = lateen_kube::Client::connect(source).await?;
        client.get(kind, Some(&origin.namespace), &origin.name).await
    };
    match tokio::time::timeout(API_PATIENCE, asked).await {
        Ok(Ok(Some(object))) => way::Found::Object(object),
        Ok(Ok(None)) => way::Found::Gone,
        Ok(Err(error)) => way::Found::NotRead(error.to_string()),
        Err(_) => way::Found::NotRead(format!("the API did not answer within {API_PATIENCE:?}")),
    }
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
    #[test]
    fn a_port_that_an_issue_is_about_is_found() {
        let issues = [
            json!({"code": "LTN0102", "object": "Gateway default/g", "message": "port 314021 of x"}),
            json!({"code": "LTN0102", "object": "Gateway default/h", "message": "port 31402 of x is taken"}),
        ];
        let told = about(&issues, 31402).unwrap();
        assert_eq!(told, "LTN0102 Gateway default/h: port 31402 of x is taken");
        assert_eq!(about(&issues, 3140), None);
    }
}
