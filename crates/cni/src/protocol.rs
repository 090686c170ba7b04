//! A runtime's call to a plugin, and the plugin's answers. In: the variables `CNI_*` and standard input. Out:
//! a [`Call`], and JSON for standard output; an error has a code of the specification (section 5).

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::VERSIONS;

/// Codes of errors, see the specification's section 5.
pub mod code {
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    pub const INVALID_ENVIRONMENT: u32 = 4;
    pub const DECODING: u32 = 6;
    pub const INVALID_CONFIG: u32 = 7;
    /// The runtime may try the same again.
    pub const TRY_AGAIN: u32 = 11;
    /// The rules could not be laid; the first code that is a plugin's own.
    pub const NOT_LAID: u32 = 100;
}

/// Where the agent's socket is if the configuration does not say.
const AGENT_DIRECTORY: &str = "/var/run/istio-cni";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub command: Command,
    pub config: Config,
    /// The path of the namespace; empty where the command has none.
    pub netns: String,
    /// `None` where the runtime is not Kubernetes'.
    pub pod: Option<Pod>,
}

/// The plugin's part of the network configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub version: String,
    /// What the plugin before this one in the chain answered.
    pub previous: Option<Value>,
    pub excluded_namespaces: Vec<String>,
    /// The folder of the agent's socket.
    pub agent_directory: String,
    /// The namespace of the agent's own pods.
    pub agent_namespace: String,
}

/// Whose network it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    /// Empty where the runtime does not say.
    pub uid: String,
}

/// Why a call is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: u32,
    pub message: String,
}

impl Failure {
    pub fn new(code: u32, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// As the runtime reads it.
    pub fn json(&self, version: &str) -> Value {
        let version = if VERSIONS.contains(&version) { version } else { newest() };
        json!({ "cniVersion": version, "code": self.code, "msg": self.message })
    }
}

/// Reads a call; `variable` is the environment.
pub fn read(variable: impl Fn(&str) -> Option<String>, input: &str) -> Result<Call, Failure> {
    let text = |name: &str| variable(name).unwrap_or_default();
    let command = command(&text("CNI_COMMAND"))?;
    let config: Value = serde_json::from_str(input).map_err(|error| {
        Failure::new(code::DECODING, format!("standard input is not valid JSON: {error}"))
    })?;
    let config = config.as_object().ok_or_else(|| {
        Failure::new(code::DECODING, "standard input is not a JSON object: it is the configuration")
    })?;
    let config = read_config(command, config)?;
    for name in command.needs() {
        if text(name).is_empty() {
            let message = format!("{name} is not set: it is needed for {command:?}");
            return Err(Failure::new(code::INVALID_ENVIRONMENT, message));
        }
    }
    Ok(Call { command, config, netns: text("CNI_NETNS"), pod: pod(&text("CNI_ARGS"))? })
}

/// The version that a call's input names, for an answer to a call that cannot be read.
pub fn version_of(input: &str) -> String {
    let config: Value = serde_json::from_str(input).unwrap_or_default();
    config["cniVersion"].as_str().unwrap_or_default().to_owned()
}

/// What is written for a call that is done; nothing for most commands.
pub fn answer(call: &Call) -> Option<Value> {
    match call.command {
        Command::Add => {
            let nothing = || json!({ "cniVersion": call.config.version });
            Some(call.config.previous.clone().unwrap_or_else(nothing))
        }
        Command::Version => Some(json!({ "cniVersion": newest(), "supportedVersions": VERSIONS })),
        Command::Del | Command::Check | Command::Gc | Command::Status => None,
    }
}

impl Command {
    /// The variables without which it makes no sense.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Command::Add | Command::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Command::Gc | Command::Status | Command::Version => &[],
        }
    }

    /// The first version that has it.
    fn since(self) -> &'static str {
        match self {
            Command::Add | Command::Del | Command::Version => "0.3.1",
            Command::Check => "0.4.0",
            Command::Gc | Command::Status => "1.1.0",
        }
    }
}

fn newest() -> &'static str {
    VERSIONS[VERSIONS.len() - 1]
}

fn command(word: &str) -> Result<Command, Failure> {
    Ok(match word {
        "ADD" => Command::Add,
        "DEL" => Command::Del,
        "CHECK" => Command::Check,
        "GC" => Command::Gc,
        "STATUS" => Command::Status,
        "VERSION" => Command::Version,
        other => {
            let message = format!(
                "CNI_COMMAND is {other:?}: a container runtime starts this program, with ADD, DEL, CHECK, GC, \
                 STATUS or VERSION"
            );
            return Err(Failure::new(code::INVALID_ENVIRONMENT, message));
        }
    })
}

fn read_config(command: Command, config: &Map<String, Value>) -> Result<Config, Failure> {
    let text = |key: &str| match config.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Failure::new(code::INVALID_CONFIG, format!("{key} is not a text"))),
    };
    let version = text("cniVersion")?;
    if command == Command::Version {
        return Ok(Config { version, ..Config::default() });
    }
    let place = |version: &str| VERSIONS.iter().position(|known| *known == version);
    if place(&version).is_none() || place(&version) < place(command.since()) {
        let message = format!(
            "cniVersion {version:?} has no {command:?} here: the versions {} are understood",
            VERSIONS.join(", ")
        );
        return Err(Failure::new(code::INCOMPATIBLE_VERSION, message));
    }
    let previous = config.get("prevResult").filter(|value| !value.is_null()).cloned();
    if previous.as_ref().is_some_and(|value| !value.is_object()) {
        return Err(Failure::new(code::INVALID_CONFIG, "prevResult is not an object"));
    }
    let directory = text("cni_agent_run_dir")?;
    let directory = if directory.is_empty() { AGENT_DIRECTORY.to_owned() } else { directory };
    Ok(Config {
        version,
        previous,
        excluded_namespaces: namespaces(config.get("exclude_namespaces"))?,
        agent_directory: directory,
        agent_namespace: text("pod_namespace")?,
    })
}

fn namespaces(list: Option<&Value>) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::new(code::INVALID_CONFIG, "exclude_namespaces is not a list of texts");
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone()).map_err(|_| wrong()),
    }
}

/// `KEY=VALUE` pairs, separated by semicolons.
fn pod(arguments: &str) -> Result<Option<Pod>, Failure> {
    let (mut namespace, mut name, mut uid) = (String::new(), String::new(), String::new());
    for pair in arguments.split(';').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            let message = format!("CNI_ARGS: {pair:?} is not KEY=VALUE");
            return Err(Failure::new(code::INVALID_ENVIRONMENT, message));
        };
        match key {
            "K8S_POD_NAMESPACE" => value.clone_into(&mut namespace),
            "K8S_POD_NAME" => value.clone_into(&mut name),
            "K8S_POD_UID" => value.clone_into(&mut uid),
            _ => {}
        }
    }
    let named = !namespace.is_empty() && !name.is_empty();
    Ok(named.then_some(Pod { namespace, name, uid }))
}
