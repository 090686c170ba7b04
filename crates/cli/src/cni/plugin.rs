//! The plugin `istio-cni`, which a container runtime starts for every pod of its node, at the end of the
//! chain. In: a runtime's call. Out: the result of the plugin before it, and the rules in the pod's network
//! namespace where its node's agent says so; or an error, on which the kubelet tries again.
//!
//! The agent is asked, and not the API: the node then has no credentials in a file. Without an agent no pod
//! can be told from one of the mesh, so all wait but the agent's own and those of excluded namespaces.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lateen_cni::exchange::{Answer, LONGEST, Question, Report, Rules, SOCKET};
use lateen_cni::protocol::{self, Call, Command, Failure, Pod, code};
use lateen_netns::find::is_same;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::interception::rules;
use crate::output::say_json;

/// How long an agent may be away, as it is while it is replaced by the next one.
const AWAY: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(200);
/// How long it may think; it asks the API.
const ANSWER: Duration = Duration::from_secs(30);
/// The agent's pods are named after their DaemonSet.
const AGENT: &str = "istio-cni-node-";

pub fn execute() -> ExitCode {
    let mut input = String::new();
    // What cannot be read as text is no JSON either.
    let _ = io::stdin().take(LONGEST).read_to_string(&mut input);
    match run(&input) {
        Ok(answer) => {
            answer.iter().for_each(say_json);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say_json(&failure.json(&protocol::version_of(&input)));
            ExitCode::FAILURE
        }
    }
}

/// Only ADD has something to do: the rules end with their namespace, and a STATUS that asked for the agent
/// would keep the agent's own pod from starting.
fn run(input: &str) -> Result<Option<Value>, Failure> {
    let call = protocol::read(|name| env::var(name).ok(), input)?;
    if call.command == Command::Add
        && let Some(pod) = call.pod.as_ref().filter(|pod| !is_excluded(&call, pod))
    {
        add(&call, pod)?;
    }
    Ok(protocol::answer(&call))
}

fn is_excluded(call: &Call, pod: &Pod) -> bool {
    let config = &call.config;
    let is_agent = pod.namespace == config.agent_namespace && pod.name.starts_with(AGENT);
    is_agent || config.excluded_namespaces.contains(&pod.namespace)
}

fn add(call: &Call, pod: &Pod) -> Result<(), Failure> {
    let socket = Path::new(&call.config.agent_directory).join(SOCKET);
    let silent = |error: anyhow::Error| {
        let message = format!(
            "the node's istio-cni agent does not answer on {}: {error:#}: check the pods of DaemonSet \
             istio-cni-node",
            socket.display()
        );
        Failure::new(code::TRY_AGAIN, message)
    };
    let mut agent = Agent::connect(&socket).map_err(silent)?;
    match agent.ask(pod).map_err(silent)? {
        Answer::Leave(_) => Ok(()),
        Answer::Refuse { reason, again } => {
            let code = if again { code::TRY_AGAIN } else { code::NOT_LAID };
            Err(Failure::new(code, format!("pod {}/{}: {reason}", pod.namespace, pod.name)))
        }
        Answer::Lay(rules) => {
            let laid = lay(&rules, &call.netns);
            agent.tell(&laid);
            laid.map(drop).map_err(|error| {
                let message = format!("pod {}/{}: {error:#}", pod.namespace, pod.name);
                Failure::new(code::NOT_LAID, message)
            })
        }
    }
}

fn lay(rules: &Rules, netns: &str) -> Result<Vec<String>> {
    let namespace =
        File::open(netns).with_context(|| format!("cannot open the network namespace {netns}"))?;
    let own = File::open("/proc/self/ns/net").context("cannot open the own network namespace")?;
    ensure!(!is_same(&namespace, &own)?, "{netns} is the node's own network, which is left alone");
    let Some(intercept) = rules::read(rules)? else { return Ok(Vec::new()) };
    rules::lay(&intercept, namespace.as_fd())
}

/// A conversation with the node's agent.
struct Agent {
    reader: BufReader<io::Take<UnixStream>>,
}

impl Agent {
    fn connect(socket: &Path) -> Result<Agent> {
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(_) if begin.elapsed() < AWAY => thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
        };
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(Agent { reader: BufReader::new(stream.take(LONGEST)) })
    }

    fn ask(&mut self, pod: &Pod) -> Result<Answer> {
        self.write(&Question { pod: pod.clone() })?;
        self.read()
    }

    /// For the agent's log; the runtime is told anyway.
    fn tell(&mut self, laid: &Result<Vec<String>>) {
        let report = match laid {
            Ok(remarks) => Report { failure: None, remarks: remarks.clone() },
            Err(error) => Report { failure: Some(format!("{error:#}")), remarks: Vec::new() },
        };
        let _ = self.write(&report);
    }

    fn write(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value)? + "\n";
        Ok(self.reader.get_ref().get_ref().write_all(text.as_bytes())?)
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut text = String::new();
        self.reader.read_line(&mut text)?;
        serde_json::from_str(&text).context("it ended before it had answered")
    }
}
