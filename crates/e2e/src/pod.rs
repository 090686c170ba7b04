//! A pod without a kubelet: a network namespace, the interception rules and the proxy of a rendered pod, started
//! as the kubelet would, by the container's own arguments, variables and files. In: a pod template with its
//! proxy. Out: processes; the proxy's has the user and the capabilities of its `securityContext`.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lateen_testkit::net::connect;
use lateen_testkit::process::Process;
use lateen_testkit::tools::lateen;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use tempfile::TempDir;

/// The machine's address on the pod's link, and the pod's.
pub const NODE: &str = "10.77.0.1";
pub const POD: &str = "10.77.0.2";

const NAME: &str = "pod";
const QUICK: Duration = Duration::from_secs(10);

/// A program that must succeed.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    Process::spawn(&format!("{program} {}", args.join(" ")), &mut command)?.success(QUICK)
}

/// Makes a control plane's Unix socket a port of the machine, in plain text.
pub fn relay(socket: PathBuf) -> Result<()> {
    let listener = TcpListener::bind((NODE, 15010)).context("the relay's port")?;
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let Ok(far) = UnixStream::connect(&socket) else { continue };
            pass(near, far);
        }
    });
    Ok(())
}

fn pass(near: TcpStream, far: UnixStream) {
    let (Ok(near_in), Ok(far_in)) = (near.try_clone(), far.try_clone()) else { return };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut &near_in, &mut &far_in);
        let _ = far_in.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut &far, &mut &near);
        let _ = near.shutdown(Shutdown::Write);
    });
}

/// Status and body of a page.
pub fn get(address: &str, method: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = connect(address)?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}

pub struct Pod {
    /// `spec.template` of the workload.
    template: Value,
    root: TempDir,
}

impl Pod {
    /// The pod's namespace with a link to this one, and its files.
    pub fn new(template: Value) -> Result<Self> {
        run("ip", &["netns", "add", NAME])?;
        run("ip", &["link", "add", "pod0", "type", "veth", "peer", "eth0", "netns", NAME])?;
        run("ip", &["address", "add", &format!("{NODE}/24"), "dev", "pod0"])?;
        run("ip", &["link", "set", "pod0", "up"])?;
        let inside = |args: &[&str]| run("ip", &[&["-n", NAME], args].concat());
        inside(&["link", "set", "lo", "up"])?;
        inside(&["address", "add", &format!("{POD}/24"), "dev", "eth0"])?;
        inside(&["link", "set", "eth0", "up"])?;
        inside(&["route", "add", "default", "via", NODE])?;
        let root = tempfile::tempdir()?;
        let pod = Self { template, root };
        pod.write_files()?;
        Ok(pod)
    }

    fn write_files(&self) -> Result<()> {
        let root = self.root.path();
        fs::set_permissions(root, Permissions::from_mode(0o755))?;
        fs::create_dir_all(root.join("etc/istio/pod"))?;
        fs::create_dir_all(root.join("var/lib/istio/data"))?;
        fs::set_permissions(root.join("var/lib/istio/data"), Permissions::from_mode(0o777))?;
        for kind in ["labels", "annotations"] {
            let pairs = self.template["metadata"][kind].as_object().into_iter().flatten();
            let lines: String = pairs.map(|(key, value)| format!("{key}={value}\n")).collect();
            fs::write(root.join("etc/istio/pod").join(kind), lines)?;
        }
        Ok(())
    }

    /// A file of one of the pod's volumes, which changes whole as the kubelet changes it.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().context("a file")?)?;
        let new = path.with_extension("new");
        fs::write(&new, text)?;
        Ok(fs::rename(new, path)?)
    }

    fn container(&self, name: &str) -> Result<&Value> {
        let spec = &self.template["spec"];
        let lists = ["initContainers", "containers"].map(|field| spec[field].as_array());
        let mut all = lists.into_iter().flatten().flatten();
        all.find(|container| container["name"] == name).with_context(|| format!("no {name}"))
    }

    /// The container's variables, with what the kubelet fills in.
    fn variables(&self, container: &Value) -> BTreeMap<String, String> {
        let entries = container["env"].as_array().into_iter().flatten();
        let pairs = entries.map(|entry| {
            let from = &entry["valueFrom"];
            let value = match from["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => "web-1",
                Some("metadata.namespace") => {
                    self.template["metadata"]["namespace"].as_str().unwrap_or("default")
                }
                Some("status.podIP") => POD,
                Some(_) => "default",
                None if from.is_object() => "2",
                None => entry["value"].as_str().unwrap_or_default(),
            };
            (entry["name"].as_str().unwrap_or_default().to_owned(), value.to_owned())
        });
        pairs.collect()
    }

    /// A container's own command.
    fn command(&self, name: &str, before: &[&str]) -> Result<Command> {
        let container = self.container(name)?;
        let variables = self.variables(container);
        let mut command = self.inside(before);
        command.arg(lateen()?);
        for argument in container["args"].as_array().into_iter().flatten() {
            let mut argument = argument.as_str().context("an argument")?.to_owned();
            for (name, value) in &variables {
                argument = argument.replace(&format!("$({name})"), value);
            }
            command.arg(argument);
        }
        command.envs(variables).env("LATEEN_ROOT", self.root.path());
        Ok(command)
    }

    /// A program in the pod's network, as root.
    pub fn inside(&self, program: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", NAME]).args(program).stdin(Stdio::null());
        command
    }

    /// A program of the application's, which is not the proxy's user; what it printed.
    pub fn application(&self, script: &str) -> Result<String> {
        let mut command = self.inside(&["setpriv", "--reuid=1000", "--regid=1000"]);
        command.args(["--clear-groups", "sh", "-c", script]);
        Process::spawn("application", &mut command)?.success(QUICK)
    }

    /// The init container.
    pub fn intercept(&self) -> Result<()> {
        self.intercept_by(&[])
    }

    /// The init container with more arguments.
    pub fn intercept_by(&self, more: &[&str]) -> Result<()> {
        let mut command = self.command("istio-init", &[])?;
        command.args(more);
        Process::spawn("istio-init", &mut command)?.success(QUICK).map(drop)
    }

    /// The proxy's container; `before` is what starts its command.
    pub fn start(&self, before: &[&str]) -> Result<Process> {
        let security = &self.container("istio-proxy")?["securityContext"];
        let number = |field: &str| security[field].as_i64().unwrap_or(1337);
        let user = format!("--reuid={}", number("runAsUser"));
        let group = format!("--regid={}", number("runAsGroup"));
        let added = security["capabilities"]["add"].as_array().into_iter().flatten();
        let added =
            added.filter_map(Value::as_str).map(|name| format!(",+{}", name.to_lowercase()));
        let bounds = format!("--bounding-set=-all{}", added.collect::<String>());
        let rights = ["setpriv", &user, &group, "--clear-groups", "--no-new-privs"];
        let powers = ["--inh-caps=-all", &bounds];
        let mut command = self.command("istio-proxy", &[before, &rights, &powers].concat())?;
        Process::spawn("istio-proxy", &mut command)
    }

    /// Runs `serve` on a thread in the pod's network.
    pub fn serve(&self, address: &str, serve: fn(TcpListener)) -> Result<()> {
        let (address, namespace) = (address.to_owned(), Path::new("/run/netns").join(NAME));
        let (ready_in, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let listen = || -> Result<TcpListener> {
                setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
                Ok(TcpListener::bind(address)?)
            };
            let (listener, outcome) = match listen() {
                Ok(listener) => (Some(listener), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // The receiver waits for exactly this.
            let _ = ready_in.send(outcome);
            listener.map(serve);
        });
        ready.recv()?
    }
}

/// The template of the one workload of this kind and name among `objects`.
pub fn template(objects: &[Value], name: &str) -> Result<Value> {
    let is = |object: &&Value| object["metadata"]["name"] == name;
    let mut workloads = objects.iter().filter(|object| object["spec"]["template"].is_object());
    let workload = workloads.find(is).with_context(|| format!("no workload {name}"))?;
    let mut template = workload["spec"]["template"].clone();
    template["metadata"]["namespace"] = workload["metadata"]["namespace"].clone();
    Ok(template)
}

/// What `lateen inject` makes of a workload.
pub fn injected(folder: &Path, yaml: &str, name: &str) -> Result<Value> {
    let file = folder.join("workload.yaml");
    fs::write(&file, yaml)?;
    let mut command = Command::new(lateen()?);
    command.args(["inject", "-o", "json", "-f"]).arg(&file);
    let text = Process::spawn("lateen inject", &mut command)?.success(QUICK)?;
    let object: Value = serde_json::from_str(&text)?;
    ensure!(object["spec"].is_object(), "{text}");
    template(&[object], name)
}
