#!/usr/bin/env python3
"""What Lateen takes on a real Kubernetes: memory and CPU beside what its pods ask for, and the webhook's time.

A cluster of one node (scripts/cluster.sh) gets the image that `make image` made, Services with endpoints
that nobody is behind, and an echo server and client with sidecars. Each program is measured at rest (the
client sends a line a second), and busy: 100 lines a second, and an endpoint that comes or goes every second.
The webhook is asked over HTTPS, on one connection, about a typical pod.

    make image
    cluster.py [--services 100] [--secs 20] [--reviews 3000]

Needs root and scripts/test-deps.sh. Prints tables.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the module beside this file leaves nothing in the working tree

import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSIDE = "LATEEN_BENCH_CLUSTER_NETNS"
IMAGE = "localhost/lateen:bench"
CONTAINERS = ("discovery", "istio-proxy")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "image"
    cache = pathlib.Path(os.environ.get("LATEEN_CACHE", ROOT / ".cache"))
    parser.add_argument("--image", default=target / "lateen.oci.tar", type=pathlib.Path, help="an archive of one")
    parser.add_argument("--lateen", default=target / "lateen", type=pathlib.Path)
    parser.add_argument("--cache", default=cache, type=pathlib.Path)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--endpoints", type=int, default=3, help="of each Service")
    parser.add_argument("--secs", type=float, default=20)
    parser.add_argument("--reviews", type=int, default=3000)
    return parser.parse_args()


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words[:4]))}: {done.stderr[-2000:]}")
    return done.stdout


def buildah(scratch):
    return ["buildah", "--root", scratch / "store", "--runroot", scratch / "run", "--storage-driver", "vfs"]


def image(scratch, name, program):
    """An image of one static program, as an archive."""
    context = scratch / "context"
    context.mkdir()
    shutil.copy(program, context / "program")
    (context / "Containerfile").write_text('FROM scratch\nCOPY program /program\nENTRYPOINT ["/program"]\n')
    store = buildah(scratch)
    archive = scratch / f"{program.name}.tar"
    run(*store, "bud", "--quiet", "--tag", name, context)
    run(*store, "push", "--quiet", name, f"oci-archive:{archive}:{name}")
    shutil.rmtree(context)
    return archive


class Cluster:
    """The running script, and kubectl and lateen against its API."""

    def __init__(self, chosen, scratch):
        self.chosen, self.folder = chosen, scratch / "k"
        programs = (("localhost/pause:1", "pause"), ("localhost/server:1", "go-echo-server"),
                    ("localhost/client:1", "go-echo-client"))
        archives = [image(scratch, name, chosen.cache / "bin" / program) for name, program in programs]
        named = scratch / "lateen.tar"
        store = buildah(scratch)
        number = run(*store, "pull", "--quiet", f"oci-archive:{chosen.image}").strip()
        run(*store, "push", "--quiet", number, f"oci-archive:{named}:{IMAGE}")
        self.script = subprocess.Popen(
            [ROOT / "scripts/cluster.sh", "--here", self.folder, *archives, named],
            env={**os.environ, "LATEEN_CACHE": str(chosen.cache.resolve())}, stdout=subprocess.DEVNULL)
        until(lambda: self.script.poll() is not None or (self.folder / "ready").exists(), "the node")
        self.env = {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig")}

    def kubectl(self, *words, **more):
        return run(self.chosen.cache / "bin/kubectl", *words, env=self.env, **more)

    def apply(self, objects):
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(listed))

    def items(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))["items"]

    def stop(self):
        self.script.send_signal(signal.SIGTERM)
        self.script.wait(timeout=60)


def until(check, what, within=120):
    end = time.monotonic() + within
    while not check():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {within} s for {what}")
        time.sleep(0.2)


def slice_of(name, count):
    """An EndpointSlice with `count` addresses that nobody has."""
    ready = {"ready": True}
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-1", "namespace": "bench", "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [f"192.0.2.{at + 1}"], "conditions": ready} for at in range(count)],
            "ports": [{"name": "tcp", "port": 80, "protocol": "TCP"}]}


def service(name, selector=None):
    spec = {"ports": [{"name": "tcp", "port": 80}], **({"selector": selector} if selector else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bench"}, "spec": spec}


def pod(name, program, *args):
    container = {"name": "main", "image": f"localhost/{program}:1", "args": list(args)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "bench", "labels": {"app": name}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}


def ready(cluster, *words):
    def all_are():
        pods = cluster.items("pods", *words)
        conditions = [one for pod in pods for one in pod["status"].get("conditions", []) if one["type"] == "Ready"]
        return len(pods) == len(conditions) > 0 and all(one["status"] == "True" for one in conditions)
    until(all_are, f"pods {' '.join(words)}")


def fill(cluster):
    """The installation, the Services and the workload."""
    run(cluster.chosen.lateen, "install", "-y", "--set", "hub=localhost", "--set", "tag=bench", env=cluster.env)
    labels = {"istio-injection": "enabled"}
    cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench", "labels": labels}}])
    names = [f"s{at}" for at in range(cluster.chosen.services)]
    cluster.apply([service(name) for name in names])
    cluster.apply([slice_of(name, cluster.chosen.endpoints) for name in names])
    cluster.apply([service("server", {"app": "server"}), pod("server", "server", "80")])
    ready(cluster, "-n", "bench")


def client(cluster, interval_ms):
    cluster.kubectl("delete", "pod", "client", "-n", "bench", "--ignore-not-found", "--now")
    cluster.apply([pod("client", "client", "server", "80", str(interval_ms))])
    ready(cluster, "-n", "bench")


def processes(cluster):
    """{(pod, container): (process id, requests)} of Lateen's containers. A container's group has its id."""
    groups = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                for line in (entry / "cgroup").read_text().splitlines():
                    groups.setdefault(line.rsplit("/", 1)[-1], int(entry.name))
            except OSError:
                pass  # it has ended meanwhile
    found = {}
    for one in cluster.items("pods", "-A"):
        spec, status = one["spec"], one["status"]
        requests = {each["name"]: each.get("resources", {}).get("requests", {})
                    for each in spec["containers"] + spec.get("initContainers", [])}
        for each in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
            pid = groups.get(each.get("containerID", "").removeprefix("containerd://"))
            if each["name"] in CONTAINERS and pid:
                found[role(one["metadata"]["name"])] = (pid, requests[each["name"]])
    return found


def role(name):
    for prefix, what in (("istiod", "control plane"), ("istio-ingress", "gateway"), ("server", "sidecar of the server"),
                         ("client", "sidecar of the client")):
        if name.startswith(prefix):
            return what
    return name


def resources(cluster, what, meanwhile):
    """One row for each program: CPU over the time, memory at its end."""
    found = processes(cluster)
    before = {name: measure.cpu_ns(pid) for name, (pid, _) in found.items()}
    start = time.monotonic()
    while time.monotonic() < start + cluster.chosen.secs:
        meanwhile()
        time.sleep(1)
    wall = time.monotonic() - start
    for name, (pid, requests) in sorted(found.items()):
        milli = (measure.cpu_ns(pid) - before[name]) / wall / 1e6
        yield (what, name, f"{milli:.1f}m", requests.get("cpu", ""),
               f"{measure.resident_kib(pid) / 1024:.1f} MiB", requests.get("memory", ""))


def come_and_go(cluster):
    """An endpoint comes or goes at each call."""
    few = [cluster.chosen.endpoints]

    def step():
        few[0] = 2 * cluster.chosen.endpoints - 1 - few[0]
        cluster.apply([slice_of("s0", few[0])])
    return step


def reviews(cluster):
    """Milliseconds of each answer of the webhook to a pod."""
    address = cluster.items("pods", "-n", "istio-system", "-l", "app=istiod")[0]["status"]["podIP"]
    subject = pod("typical", "server", "80")
    subject["spec"]["containers"][0].update(
        env=[{"name": f"V{at}", "value": "x"} for at in range(20)],
        readinessProbe={"httpGet": {"path": "/ready", "port": 80}},
        livenessProbe={"httpGet": {"path": "/live", "port": 80}})
    request = {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
               "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "bench", "object": subject}
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    trusting = ssl._create_unverified_context()  # the time is asked for, not who answers
    connection = http.client.HTTPSConnection(address, 15017, context=trusting)
    times = []
    for _ in range(cluster.chosen.reviews):
        start = time.perf_counter()
        connection.request("POST", "/inject?timeout=10s", body, {"Content-Type": "application/json"})
        answer = connection.getresponse().read()
        times.append((time.perf_counter() - start) * 1e3)
    if not json.loads(answer)["response"].get("patch"):
        raise RuntimeError(f"no patch: {answer[:500]}")
    return sorted(times)


def generate(lateen):
    times = []
    for _ in range(20):
        start = time.perf_counter()
        run(lateen, "manifest", "generate", "--set", "profile=demo")
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)


def table(title, rows):
    print("\n| " + " | ".join(title) + " |\n|" + "---|" * len(title))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def report(cluster):
    chosen = cluster.chosen
    rows = []
    client(cluster, 1000)
    time.sleep(40)  # free heap is handed back by then
    rows += resources(cluster, "at rest", lambda: None)
    client(cluster, 10)
    rows += resources(cluster, "busy", come_and_go(cluster))
    print(f"{chosen.services} Services of {chosen.endpoints} endpoints, {chosen.secs:.0f} s each")
    table(("", "program", "CPU", "requested", "RSS", "requested"), rows)
    found = (("webhook over HTTPS", reviews(cluster)), ("manifest generate, a process each", generate(chosen.lateen)))
    table(("ms", "runs", "p50", "p99", "longest"),
          [(name, len(times), f"{statistics.median(times):.2f}", f"{times[len(times) * 99 // 100]:.2f}",
            f"{times[-1]:.2f}") for name, times in found])


def main():
    chosen = options()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: network namespaces")
    if not os.environ.get(INSIDE):
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="lbc.") as scratch:
        cluster = Cluster(chosen, pathlib.Path(scratch))
        try:
            fill(cluster)
            report(cluster)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
