//! `lateen node registry list`. In: a node's files. Out: registries with their runtimes and how they are
//! trusted, each with the file that says so.

use std::process::ExitCode;

use anyhow::{Context, Result};
use lateen_registry::containerd::{FOLDER, Registries};
use lateen_registry::{Host, Trust, auth, crio, docker, hosts};
use serde_json::json;

use super::files::Root;
use super::plan::crio_drop_ins;
use super::runtime::{
    CRIO_FOLDERS, CRIO_SETTINGS, Containerd, DOCKER_FOLDERS, DOCKER_SETTINGS, KUBELET_CREDENTIALS,
    Runtime,
};
use super::{ListArgs, Output};
use crate::output::{note, printable, say, say_json};

/// One setting.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    host: String,
    whose: String,
    how: &'static str,
    file: String,
}

pub fn execute(args: &ListArgs) -> Result<ExitCode> {
    let root = args.node.root()?;
    let mut rows = Vec::new();
    for runtime in args.node.runtimes(&root)? {
        let mut found = match runtime {
            Runtime::Docker => of_docker(&root)?,
            Runtime::Containerd => of_containerd(&root)?,
            Runtime::Crio => of_crio(&root)?,
        };
        found.iter_mut().for_each(|row| row.whose = runtime.to_string());
        rows.append(&mut found);
    }
    let text = root.read(KUBELET_CREDENTIALS)?.unwrap_or_default();
    for host in auth::hosts(&text).with_context(|| KUBELET_CREDENTIALS.to_owned())? {
        let mut found = row(&host, "credentials", KUBELET_CREDENTIALS);
        "kubelet".clone_into(&mut found.whose);
        rows.push(found);
    }
    rows.sort();
    print(&rows, args.output);
    Ok(ExitCode::SUCCESS)
}

fn row(host: &str, how: &'static str, file: &str) -> Row {
    Row { host: host.to_owned(), whose: String::new(), how, file: file.to_owned() }
}

fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::System => "settings",
        Trust::Authority => "ca",
        Trust::Insecure => "insecure",
    }
}

/// Hosts whose folders have certificates of authorities.
fn authorities(root: &Root, folders: &str) -> Vec<Row> {
    let certificate = |folder: &str| root.names(folder).iter().any(|name| name.ends_with(".crt"));
    let folder = |host: &String| format!("{folders}/{host}");
    let hosts = root.names(folders).into_iter().filter(|host| certificate(&folder(host)));
    hosts.map(|host| row(&host, "ca", &folder(&host))).collect()
}

fn of_docker(root: &Root) -> Result<Vec<Row>> {
    let text = root.read(DOCKER_SETTINGS)?.unwrap_or_default();
    let insecure = docker::insecure(&text).with_context(|| DOCKER_SETTINGS.to_owned())?;
    let mut rows: Vec<Row> =
        insecure.iter().map(|host| row(host, "insecure", DOCKER_SETTINGS)).collect();
    rows.extend(authorities(root, DOCKER_FOLDERS));
    Ok(rows)
}

fn of_containerd(root: &Root) -> Result<Vec<Row>> {
    let (path, config) = Containerd::read(root)?.deciding();
    let folders = match config.registries() {
        Registries::Folders(folders) => folders,
        Registries::Unset => Vec::new(),
        Registries::Inline => {
            let hosts = config.inline_hosts();
            let trust = |name: &String| match name.parse::<Host>() {
                Ok(host) => config.inline_trust(&host),
                Err(_) => Trust::System,
            };
            return Ok(hosts.iter().map(|name| row(name, word(trust(name)), &path)).collect());
        }
    };
    let mut rows = Vec::new();
    for folder in &folders {
        rows.extend(of_folder(root, folder)?);
    }
    if folders.is_empty() && !root.names(FOLDER).is_empty() {
        note(format_args!("containerd does not read {FOLDER}: {path} has no config_path"));
    }
    Ok(rows)
}

fn of_folder(root: &Root, folder: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in root.names(folder) {
        // The other form of a name with a port is `host_port_`.
        let plain = name.strip_suffix('_').and_then(|name| name.rsplit_once('_'));
        let host = plain.map_or(name.clone(), |(host, port)| format!("{host}:{port}"));
        let file = format!("{folder}/{name}/hosts.toml");
        match (root.read(&file)?, host.parse::<Host>()) {
            (Some(text), Ok(known)) => {
                let trust = hosts::trust(&text, &known).with_context(|| file.clone())?;
                rows.push(row(&host, word(trust), &file));
            }
            (Some(_), Err(_)) => rows.push(row(&name, "settings", &file)),
            (None, _) => {
                let files = root.names(&format!("{folder}/{name}"));
                if files.iter().any(|file| file.ends_with(".crt")) {
                    rows.push(row(&host, "ca", &format!("{folder}/{name}")));
                }
            }
        }
    }
    Ok(rows)
}

fn of_crio(root: &Root) -> Result<Vec<Row>> {
    let mut rows = authorities(root, CRIO_FOLDERS);
    for path in [CRIO_SETTINGS.to_owned()].into_iter().chain(crio_drop_ins(root)) {
        let text = root.read(&path)?.unwrap_or_default();
        for (host, insecure) in crio::entries(&text).with_context(|| path.clone())? {
            rows.push(row(&host, if insecure { "insecure" } else { "settings" }, &path));
        }
    }
    Ok(rows)
}

fn print(rows: &[Row], output: Output) {
    if output == Output::Json {
        let view = |row: &Row| json!({ "host": row.host, "runtime": row.whose, "trust": row.how, "file": row.file });
        say_json(&json!(rows.iter().map(view).collect::<Vec<_>>()));
        return;
    }
    if rows.is_empty() {
        note("no registries: add one with lateen node registry add");
        return;
    }
    let width = |title: &str, of: fn(&Row) -> &str| {
        rows.iter().map(|row| of(row).len()).chain([title.len()]).max().unwrap_or_default()
    };
    let widths = (width("HOST", |row| &row.host), width("RUNTIME", |row| &row.whose));
    let line = |host: &str, whose: &str, how: &str, file: &str| {
        let (host, file) = (printable(host), printable(file));
        say(format_args!("{host:0$} {whose:1$} {how:11} {file}", widths.0, widths.1));
    };
    line("HOST", "RUNTIME", "TRUST", "FILE");
    for row in rows {
        line(&row.host, &row.whose, row.how, &row.file);
    }
}
