//! `lateen run`: a local program as a workload of the mesh.
//!
//! In: a command and who it is in the mesh. Out: the program, in a network namespace with its own
//! address, sidecar and DNS, known to the mesh as long as it lives; and its end as our own: the same
//! exit code, or death of the same signal.

mod log;
mod metrics;
mod overlay;
mod program;
mod resolver;
mod sidecar;
mod signals;
#[cfg(test)]
mod tests;
mod traces;
mod workload;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use lateen_netns::address::{self, Lease};
use lateen_netns::ns::{Attachment, Namespace};
use lateen_netns::remains::{self, GRACE, Record};
use lateen_netns::{host, preflight};
use lateen_runtime::descriptors;
use lateen_runtime::tasks::Supervisor;

use crate::home::{Home, HomeState, instance};
use crate::node::{DOMAIN, NodeArgs, Role};
use crate::output::note;
use crate::words::{Labels, LabelsParser, parse_name};
use metrics::{Annotations, parse_annotations};
use program::{Ended, Program};
use sidecar::{Choice, Sidecar};
use signals::{Received, Signals};
use traces::{Plug, Presence, Scrap, forget_host};

/// How long our own tasks may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// What ends together with the program, as after Ctrl-C, is not left behind yet.
const TOGETHER: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(10);

/// Options of `lateen run`.
#[derive(Debug, Args)]
pub struct RunCommand {
    /// The mesh's home directory [default: ~/.lateen]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Name of the workload
    #[arg(long, value_parser = parse_name)]
    name: String,
    /// Namespace of the workload
    #[arg(long, short, default_value = "default", value_parser = parse_name)]
    namespace: String,
    /// Labels of the workload, by which Services select it, such as app=web,version=v1
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = LabelsParser, default_value = "")]
    labels: Labels,
    /// Where the program has metrics of its own, such as prometheus.io/port=9000,prometheus.io/path=/metrics
    /// [default: what the template of a Deployment of the workload's name says]
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = parse_annotations, default_value = "", hide_default_value = true)]
    annotations: Annotations,
    /// Service account that the workload's identity names
    #[arg(long, default_value = "default", value_parser = parse_name)]
    service_account: String,
    /// The sidecar: `lateen`, or the path of an Envoy binary
    #[arg(long, value_name = "lateen|PATH", default_value = "lateen")]
    proxy: String,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The workload's log file, for what is not worth the program's terminal.
pub fn log_copy(command: &RunCommand) -> Option<lateen_runtime::log::Copy> {
    let home = Home::new(command.home.clone()).ok()?;
    log::copy(&home, &instance(&command.namespace, &command.name))
}

/// Runs the program to its end. Must be called on the process's main thread.
pub fn execute(command: RunCommand) -> Result<ExitCode> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(run(command));
    runtime.shutdown_timeout(STOP_WITHIN);
    Ok(match ended? {
        Ended::Code(code) => ExitCode::from(code),
        Ended::NotStarted { code, message } => {
            note(message);
            ExitCode::from(code)
        }
        Ended::Signal(signal) => {
            signals::die_of(signal);
            // The signal was one that we cannot die of.
            ExitCode::from(128u8.wrapping_add(signal as u8))
        }
    })
}

async fn run(command: RunCommand) -> Result<Ended> {
    let home = Home::new(command.home.clone())?;
    let state = home.running()?;
    preflight::preflight()?;
    let mut signals = Signals::install()?;
    let mut supervisor = Supervisor::new();
    // What a preparation that goes no further has made is undone as it is dropped.
    let prepared = tokio::select! {
        prepared = prepare(&command, &home, &state, &supervisor) => prepared.map(Ok),
        signal = asked_to_end(&mut signals) => Ok(Err(Ended::Signal(signal))),
    };
    let ended = match prepared {
        Ok(Ok(mut workload)) => {
            let ended = live(&command, &mut workload, &mut signals, &mut supervisor).await;
            workload.end(&command).await;
            ended
        }
        Ok(Err(ended)) => Ok(ended),
        Err(error) => Err(error),
    };
    supervisor.stop(STOP_WITHIN).await;
    forget_host(&home, &state);
    ended
}

async fn asked_to_end(signals: &mut Signals) -> nix::sys::signal::Signal {
    loop {
        let received: Received = signals.next().await;
        if received.asks_to_end() {
            return received.signal;
        }
    }
}

/// What has to be there before the program, and to go after it.
struct Workload {
    client: lateen_kube::Client,
    sidecar: Sidecar,
    _plug: Plug,
    namespace: Namespace,
    resolv_conf: Scrap,
    _record: Option<Record>,
    _lease: Lease,
    _presence: Presence,
}

/// One process for each workload: the files in the home are its own from here on.
fn own(home: &Home, command: &RunCommand) -> Result<Presence> {
    let RunCommand { namespace, name, .. } = command;
    Presence::take(home, &instance(namespace, name))?.with_context(|| {
        format!("a workload {namespace}/{name} runs already: choose another --name, or end it")
    })
}

async fn prepare(
    command: &RunCommand,
    home: &Home,
    state: &HomeState,
    supervisor: &Supervisor,
) -> Result<Workload> {
    let client =
        lateen_kube::Client::connect(lateen_kube::Source::Kubeconfig(home.kubeconfig())).await?;
    let presence = own(home, command)?;
    log::prune(home);
    traces::sweep(home);
    workload::reserve(&client, &command.namespace, &command.name).await?;
    let (lease, attachment) = address(command, home, state)?;
    let namespace = Namespace::create()?;
    namespace.attach(&attachment)?;
    let plug = Plug(attachment);
    let node = node(command, &lease);
    let record = record(&node, home, &namespace)?;
    let resolv_conf = resolver::start(&supervisor.tasks(), &namespace, home, state, &node)?;
    let choice = Choice::parse(&command.proxy);
    let tasks = supervisor.tasks();
    let owner = (&*command.namespace, &*command.name);
    let application = metrics::of(&client, owner, &command.annotations).await?;
    let sidecar = sidecar::start(&choice, &node, home, (&namespace, application), &tasks).await?;
    // After the sidecar, which says where it listens, and before the program, which must not go around it.
    namespace.intercept(&sidecar::intercept(&choice, &node, home).await?)?;
    let registered = workload::Workload {
        name: &command.name,
        namespace: &command.namespace,
        labels: &command.labels,
        service_account: &command.service_account,
        address: lease.address(),
        home: home.dir(),
    };
    workload::create(&client, &registered).await?;
    tracing::info!(node = node.id(), "the workload is in the mesh");
    let (_plug, _record, _lease, _presence) = (plug, record, lease, presence);
    Ok(Workload { client, sidecar, _plug, namespace, resolv_conf, _record, _lease, _presence })
}

/// A bridge, and an address on it.
fn address(command: &RunCommand, home: &Home, state: &HomeState) -> Result<(Lease, Attachment)> {
    host::ensure_bridge(&state.bridge, state.pod_cidr, &home.bridge_record())
        .context("cannot prepare the workloads' bridge")?;
    let key = format!("{}/{}", command.namespace, command.name);
    let lease = address::lease(&home.run(), state.pod_cidr, &key)?;
    let attachment = Attachment {
        bridge: state.bridge.clone(),
        subnet: state.pod_cidr,
        address: lease.address(),
    };
    Ok((lease, attachment))
}

/// By this the control plane finds what is left in the namespace if we are killed.
fn record(node: &NodeArgs, home: &Home, namespace: &Namespace) -> Result<Option<Record>> {
    let workload = format!("{}/{}", node.namespace, node.name);
    Record::write(&home.run(), &node.instance(), &workload, namespace)
        .with_context(|| format!("cannot write to {}", home.run().display()))
}

fn node(command: &RunCommand, lease: &Lease) -> NodeArgs {
    NodeArgs {
        role: Role::Sidecar,
        name: command.name.clone(),
        namespace: command.namespace.clone(),
        address: lease.address().into(),
        labels: command.labels.clone(),
        service_account: command.service_account.clone(),
        bind: None,
        domain: DOMAIN.to_owned(),
    }
}

/// From the program's start to its end.
async fn live(
    command: &RunCommand,
    workload: &mut Workload,
    signals: &mut Signals,
    supervisor: &mut Supervisor,
) -> Result<Ended> {
    let start = program::Start {
        command: command.command.clone(),
        netns: workload
            .namespace
            .as_fd()
            .try_clone_to_owned()
            .context("cannot share the network namespace")?,
        resolv_conf: workload.resolv_conf.path().to_owned(),
    };
    let mut program = match program::start(start).await {
        Ok(program) => program,
        Err(ended) => return Ok(ended),
    };
    lateen_runtime::memory::release_startup_pages();
    supervisor.tasks().child("memory", lateen_runtime::memory::give_back());
    Ok(watch(&mut program, &mut workload.sidecar, signals, supervisor).await)
}

/// A task of ours that fails is told, but the program is not ended for it.
async fn watch(
    program: &mut Program,
    sidecar: &mut Sidecar,
    signals: &mut Signals,
    supervisor: &mut Supervisor,
) -> Ended {
    let mut has_sidecar = true;
    loop {
        tokio::select! {
            ended = program.ended() => return ended,
            received = signals.next() => program.forward(received),
            () = sidecar.failed(), if has_sidecar => {
                has_sidecar = false;
                tracing::error!("the sidecar ended, the program's connections are refused: start it again");
            }
            exit = supervisor.first_exit() => tracing::error!(%exit, "the program goes on without it"),
        }
    }
}

impl Workload {
    /// Out of the mesh first, so that nobody is sent here any more; then what the program left, then the
    /// sidecar, then the rest.
    async fn end(mut self, command: &RunCommand) {
        if let Err(error) = workload::delete(&self.client, &command.namespace, &command.name).await
        {
            tracing::warn!(%error, "the WorkloadEntry {}/{} is left behind", command.namespace, command.name);
        }
        self = self.end_remains(&command.name).await;
        self.sidecar.stop().await;
    }

    /// Nothing that the program started stays behind in its namespace: without a sidecar it would be cut
    /// off there.
    async fn end_remains(self, name: &str) -> Self {
        let spared: Vec<u32> = self.sidecar.process().into_iter().collect();
        let left = self.left_after(TOGETHER, &spared).await;
        if left == 0 {
            return self;
        }
        let processes = if left == 1 { "process" } else { "processes" };
        note(format_args!("ending {left} {processes} that {name} left behind"));
        let ended = tokio::task::spawn_blocking(move || {
            let all = remains::end(&self.namespace, &spared, GRACE);
            (self, all)
        });
        let (workload, all) = ended.await.expect("ending processes does not panic");
        if !all {
            note(format_args!("some of them cannot be ended and are cut off the network"));
        }
        workload
    }

    /// How many processes are left after at most this time.
    async fn left_after(&self, within: Duration, spared: &[u32]) -> usize {
        let begin = Instant::now();
        loop {
            let left = remains::count(&self.namespace, spared);
            if left == 0 || begin.elapsed() > within {
                return left;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
