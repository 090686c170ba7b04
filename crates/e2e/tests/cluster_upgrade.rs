//! The life of an installation on a real Kubernetes, under traffic: a canary upgrade by revision and tag, the
//! loss of the leading replica, pods that are deleted, probes of every kind, a name that only the mesh knows,
//! an uninstall under running pods and their return. One cluster, one story.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lateen_e2e::installed::{IMAGE, Node, START};
use lateen_e2e::pod::get;
use lateen_e2e::testdata;
use lateen_testkit::cluster::{Image, NODE};
use lateen_testkit::echo::{self, Manner};
use lateen_testkit::isolate::isolated_for;
use lateen_testkit::net::{connect, expect_answer};
use lateen_testkit::process::Process;
use lateen_testkit::tools;
use lateen_testkit::wait::{holds_for, wait_until};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(500);
const SOON: Duration = Duration::from_secs(40);
/// The gateway's port on the node.
const GATEWAY: &str = "10.99.0.1:31080";
const ASKER: &str = include_str!("../testdata/asker.yaml");
/// How long a pod of the shop goes on after it is deleted, by its own file.
const AFTER_DELETION: Duration = Duration::from_secs(3);

/// Short connections through the gateway, one after the other, from its start to its end.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Traffic {
    fn start() -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = spawn(move || {
            let (mut tries, mut failures, start) = (0, Vec::new(), Instant::now());
            while !stopped.load(Ordering::Relaxed) {
                tries += 1;
                if let Err(error) = expect_answer(GATEWAY, "hello\n", "hello\n") {
                    failures.push(format!("after {:?}: {error:#}", start.elapsed()));
                }
                sleep(Duration::from_millis(20));
            }
            (tries, failures)
        });
        Traffic { stop, thread }
    }

    /// All of them must have been answered.
    fn was_never_refused(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let (tries, failures) = self.thread.join().map_err(|_| anyhow!("the traffic panicked"))?;
        let some = &failures[..failures.len().min(10)];
        ensure!(failures.is_empty(), "{} of {tries} failed: {some:#?}", failures.len());
        ensure!(tries > 100, "only {tries} connections");
        Ok(())
    }
}

struct Shop {
    node: Node,
}

impl Shop {
    /// Revision 1-0 with tag `prod`, and the shop in a namespace that chooses the tag.
    fn open(scratch: &Path) -> Result<Shop> {
        let images = [
            Image::of_static("localhost/echo-server:1", &tools::cached("go-echo-server")?),
            Image::of_static("localhost/echo-client:1", &tools::cached("go-echo-client")?),
            Image::of_static("localhost/probed:1", &tools::cached("go-probed")?),
        ];
        let shop = Shop { node: Node::with_images(&images, scratch)? };
        echo::start(&format!("{NODE}:9000"), Manner::default())?;
        shop.install("1-0")?;
        shop.lateen(&["tag", "set", "prod", "--revision", "1-0"])?;
        shop.kubectl(&["create", "namespace", "shop"])?;
        shop.kubectl(&["label", "namespace", "shop", "istio.io/rev=prod"])?;
        shop.kubectl(&["config", "set-context", "--current", "--namespace=shop"])?;
        shop.node.cluster.apply(include_str!("../testdata/shop.yaml"))?;
        shop.node.cluster.apply(ASKER)?;
        for app in ["echo", "asker", "probed-http", "probed-tcp", "probed-grpc"] {
            shop.node.ready("shop", &format!("app={app}"), "2/2")?;
        }
        wait_until("the gateway", SOON, || expect_answer(GATEWAY, "hello\n", "hello\n"))?;
        Ok(shop)
    }

    fn install(&self, revision: &str) -> Result<()> {
        let file = testdata("canary.yaml").display().to_string();
        let args = [&["install", "-y", "-f", &file, "--revision", revision], &IMAGE[..]].concat();
        self.lateen(&args).map(drop)
    }

    fn lateen(&self, args: &[&str]) -> Result<String> {
        self.node.lateen(args)?.success(START)
    }

    fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.node.kubectl(args)
    }

    /// Waits until `kubectl get` prints `expected` for a JSONPath.
    fn becomes(&self, what: &[&str], path: &str, expected: &str) -> Result<()> {
        let path = format!("jsonpath={path}");
        let args = [&["get"], what, &["-o", &path]].concat();
        wait_until(&format!("{} to be {expected}", args.join(" ")), SOON, || {
            let found = self.kubectl(&args)?;
            ensure!(found == expected, "{found}");
            Ok(())
        })
    }

    fn rollout(&self, deployment: &str) -> Result<()> {
        self.kubectl(&["rollout", "restart", deployment])?;
        self.kubectl(&["rollout", "status", deployment, "--timeout=90s"]).map(drop)
    }

    /// Revision 1-1 beside 1-0; the tag moves, then the pods, then 1-0 goes.
    fn upgrade(&self) -> Result<()> {
        self.install("1-1")?;
        let mut set = self.node.lateen(&["tag", "set", "prod", "--revision", "1-1"])?;
        ensure!(
            set.exit_code(SOON)? == 1 && set.stderr().contains("--overwrite"),
            "{}",
            set.stderr()
        );
        self.lateen(&["tag", "set", "prod", "--revision", "1-1", "--overwrite"])?;
        self.rollout("deployment/echo")?;
        let mut uninstall = self.node.lateen(&["uninstall", "--revision", "1-0", "-y"])?;
        uninstall.success(START)?;
        let told = uninstall.stderr();
        ensure!(told.contains("shop/asker") && !told.contains("shop/echo"), "{told}");
        let rest = self.kubectl(&["get", "deployments", "-n", "istio-system", "-o", "name"])?;
        ensure!(
            rest == "deployment.apps/istio-ingressgateway\ndeployment.apps/istiod-1-1\n",
            "{rest}"
        );
        // It learns from nobody now, and is moved too.
        self.asker_hears_on()?;
        self.kubectl(&["delete", "pod", "asker", "--now"])?;
        self.node.cluster.apply(ASKER)?;
        self.node.ready("shop", "app=asker", "2/2")?;
        self.becomes(&["pod", "asker"], "{.metadata.annotations.istio\\.io/rev}", "1-1")
    }

    /// The client of a name that has no address anywhere but in the mesh has yet another reply.
    fn asker_hears_on(&self) -> Result<()> {
        let replies = || -> Result<usize> {
            let said = self.kubectl(&["logs", "asker", "-c", "asker"])?;
            ensure!(said.lines().all(|line| line.starts_with("reply: ")), "{said}");
            Ok(said.lines().count())
        };
        let before = replies()?;
        wait_until("another reply", SOON, || {
            let now = replies()?;
            ensure!(now > before, "{now} replies as before");
            Ok(())
        })
    }

    fn leader(&self) -> Result<String> {
        let holder = "jsonpath={.spec.holderIdentity}";
        self.kubectl(&["get", "lease", "istio-leader-1-1", "-n", "istio-system", "-o", holder])
    }

    /// Ends a pod as the loss of its machine would: it cannot say goodbye.
    fn lose(&self, pod: &str) -> Result<()> {
        let container = "jsonpath={.status.containerStatuses[0].containerID}";
        let id = self.kubectl(&["get", "pod", pod, "-n", "istio-system", "-o", container])?;
        let id = id.trim_start_matches("containerd://");
        let signal = |name: &str| -> Result<()> {
            let socket = self.node.cluster.folder().join("run/containerd.sock");
            let mut ctr = self.node.cluster.on_node(&tools::cached("ctr")?)?;
            ctr.arg("-a").arg(socket);
            ctr.args(["-n", "k8s.io", "tasks", "kill", "-s", name, id]);
            ensure!(ctr.status()?.success(), "ctr did not send {name}");
            Ok(())
        };
        signal("SIGSTOP")?;
        let force = ["--force", "--grace-period=0", "--wait=false"];
        self.kubectl(&[&["delete", "pod", pod, "-n", "istio-system"], &force[..]].concat())?;
        signal("SIGKILL")
    }

    /// Another replica takes over what the lost one did; meanwhile pods are injected.
    fn another_leads(&self, lost: &str) -> Result<()> {
        let image = ["--image", "localhost/echo-server:1", "--labels", "app=late", "--", "8020"];
        self.kubectl(&[&["run", "late"], &image[..]].concat())?;
        self.node.ready("shop", "app=late", "2/2")?;
        wait_until("another leader", SOON, || {
            let leader = self.leader()?;
            ensure!(leader != lost && !leader.is_empty(), "{leader}");
            Ok(())
        })?;
        self.kubectl(&["create", "namespace", "new"])?;
        wait_until("the root in a new namespace", SOON, || {
            self.kubectl(&["get", "configmap", "istio-ca-root-cert", "-n", "new"])
        })
        .map(drop)
    }

    /// The live graph of the last half minute is the same, whichever replica is asked.
    fn every_replica_shows_all_of_it(&self) -> Result<()> {
        let wanted = ["get", "pods", "-n", "istio-system", "-l", "app=istiod", "-o"];
        let address = "jsonpath={range .items[*]}{.status.podIP}{\"\\n\"}{end}";
        let token = ["create", "token", "istio-dashboard-1-1", "-n", "istio-system"];
        let token = self.kubectl(&token)?;
        let ask = |address: &str, path: &str| -> Result<Value> {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--insecure", "--max-time", "5"]);
            curl.args(["--header", &format!("authorization: Bearer {}", token.trim())]);
            curl.arg(format!("https://{address}:20001/api/v1/{path}"));
            let answer = Process::spawn("curl", &mut curl)?.success(SOON)?;
            serde_json::from_str(&answer).with_context(|| answer.clone())
        };
        let seen = |address: &str| -> Result<(Value, Value, Vec<String>)> {
            let status = ask(address, "status")?;
            let graph = ask(address, "graph?type=workload&duration=30s")?;
            let edges = graph["edges"].as_array().with_context(|| graph.to_string())?;
            let edges = edges.iter().map(|edge| edge["id"].to_string()).collect();
            Ok((status["proxies"].clone(), status["notices"].clone(), edges))
        };
        wait_until("the same graph of both replicas", START, || {
            let all = self.kubectl(&[&wanted[..], &[address]].concat())?;
            let all: Vec<&str> = all.lines().collect();
            let [one, other] = all.as_slice() else { bail!("{} replicas", all.len()) };
            let (one, other) = (seen(one)?, seen(other)?);
            ensure!(one == other, "{one:?}\n{other:?}");
            let (proxies, notices, edges) = one;
            ensure!(proxies.as_u64() >= Some(4) && notices == json!([]), "{proxies} {notices}");
            for part in ["istio-ingressgateway>", "workload/shop/asker>"] {
                ensure!(edges.iter().any(|edge| edge.contains(part)), "no {part}: {edges:?}");
            }
            Ok(())
        })
    }

    /// `/who` is another one after a restart.
    fn tell(&self, pod: &str, path: &str) -> Result<String> {
        let address = self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"])?;
        let (status, answer) = get(&format!("{address}:8080"), "GET", path)?;
        ensure!(status == 200, "{status} {answer}");
        Ok(answer.lines().last().unwrap_or_default().to_owned())
    }

    /// What the application says to each kind of probe is what the kubelet hears.
    fn probes_are_the_applications(&self) -> Result<()> {
        let pods = [
            ("probed-http", "ready", "live"),
            ("probed-tcp", "tcp", "grpc"),
            ("probed-grpc", "grpc", "tcp"),
        ];
        let ready = "{.status.containerStatuses[?(@.name==\"main\")].ready}";
        let restarts = "{.status.containerStatuses[?(@.name==\"main\")].restartCount}";
        let started = pods.map(|(pod, _, _)| self.tell(pod, "/who"));
        for (pod, readiness, _) in pods {
            self.tell(pod, &format!("/fail/{readiness}"))?;
            self.becomes(&["pod", pod], ready, "false")?;
            self.tell(pod, &format!("/pass/{readiness}"))?;
            self.becomes(&["pod", pod], ready, "true")?;
            self.becomes(&["pod", pod], restarts, "0")?;
        }
        for (pod, _, liveness) in pods {
            self.tell(pod, &format!("/fail/{liveness}"))?;
        }
        for ((pod, _, _), before) in pods.into_iter().zip(started) {
            self.becomes(&["pod", pod], restarts, "1")?;
            self.becomes(&["pod", pod], ready, "true")?;
            ensure!(self.tell(pod, "/who")? != before?, "{pod} is the same process");
        }
        Ok(())
    }

    /// Established connections of a pod that is deleted are served for as long as the pod goes on.
    fn a_deleted_pod_ends_its_conversations(&self) -> Result<()> {
        let mut open: Vec<TcpStream> = (0..4).map(|_| connect(GATEWAY)).collect::<Result<_>>()?;
        open.iter_mut().try_for_each(talk)?;
        let names = self.kubectl(&["get", "pods", "-l", "app=echo", "-o", "name"])?;
        let pod = names.lines().next().context("no pod")?;
        self.kubectl(&["delete", pod, "--wait=false"])?;
        let almost = AFTER_DELETION - Duration::from_secs(1);
        holds_for("every conversation", almost, || open.iter_mut().try_for_each(talk))?;
        self.kubectl(&["wait", "--for=delete", pod, "--timeout=60s"]).map(drop)
    }

    /// Without a control plane pods go on and new ones start; with one again they are its pods.
    fn uninstall_and_return(&self) -> Result<()> {
        self.lateen(&["uninstall", "--purge", "-y"])?;
        self.asker_hears_on()?;
        let image = ["--image", "localhost/echo-server:1", "--labels", "app=plain", "--", "8020"];
        self.kubectl(&[&["run", "plain"], &image[..]].concat())?;
        self.node.ready("shop", "app=plain", "1/1")?;
        let start = Instant::now();
        self.install("1-1")?;
        ensure!(start.elapsed() < Duration::from_secs(25), "it waited for a lease to end");
        self.asker_hears_on()?;
        wait_until("the pods to be back", SOON, || {
            let logs = ["logs", "-n", "istio-system", "-l", "app=istiod", "--tail=-1"];
            let said = self.kubectl(&logs)?;
            ensure!(said.contains("~asker.shop~"), "{said}");
            Ok(())
        })?;
        wait_until("the gateway", SOON, || expect_answer(GATEWAY, "hello\n", "hello\n"))
    }
}

/// One line there and back.
fn talk(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"hello\n")?;
    let mut reply = [0; 6];
    stream.read_exact(&mut reply)?;
    ensure!(reply == *b"hello\n", "{reply:?}");
    Ok(())
}

#[test]
fn an_installation_is_upgraded_loses_its_leader_and_is_removed_under_traffic() {
    isolated_for(LIMIT, || {
        let scratch = tempfile::tempdir()?;
        let shop = Shop::open(scratch.path())?;
        let traffic = Traffic::start();
        shop.upgrade()?;
        shop.every_replica_shows_all_of_it()?;
        let leader = shop.leader()?;
        shop.lose(&leader)?;
        shop.probes_are_the_applications()?;
        shop.another_leads(&leader)?;
        shop.every_replica_shows_all_of_it()?;
        shop.a_deleted_pod_ends_its_conversations()?;
        shop.asker_hears_on()?;
        traffic.was_never_refused()?;
        shop.uninstall_and_return()
    });
}
