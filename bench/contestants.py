"""The proxies under test and the backends behind them. In: a name. Out: a running Proxy whose ports
lead to the backends; it is stopped at the end of its `with` block."""
import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
# Where the backends are, and where every proxy listens for each of them.
BACKENDS = {"echo": 7001, "source": 7002, "a": 7003, "b": 7004}
PORTS = {"echo": 31400, "source": 31401, "flip": 31402}
PATIENCE = 30

RESOURCES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.bench.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: {backend}, name: tcp, protocol: TCP}}]
  endpoints: [{{address: 127.0.0.1}}]
---
"""

ROUTE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: tcp, protocol: TCP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: ['*']
  gateways: [{name}]
  tcp:
  - match: [{{port: {port}}}]
    route:
    - destination: {{host: {to}.bench.test, port: {{number: {backend}}}}}
---
"""

ACCESS_LOG = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec:
  accessLogging:
  - providers: [{name: envoy}]
---
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9500
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 20000; }}
stream {{
  proxy_timeout 1h;
  {servers}
}}
"""


@dataclasses.dataclass
class Proxy:
    """`pid` is the proxy's; `control` are the processes of the control plane, `home` its home."""
    pid: int
    control: list
    home: pathlib.Path | None


def spawn(argv, log, cpu=None, **more):
    argv = [str(word) for word in argv]
    if cpu is not None:
        argv = ["taskset", "-c", cpu, *argv]
    more.setdefault("stdout", log)
    more.setdefault("stdin", subprocess.DEVNULL)
    child = subprocess.Popen(argv, stderr=log, start_new_session=True, **more)
    child.log = log.name
    return child


def stop(child):
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def tail(path):
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")[-1500:]


def wait_for(what, child, check):
    deadline = time.monotonic() + PATIENCE
    while not check():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what}: {tail(child.log)}")
        time.sleep(0.02)


def echoes(port):
    """Whether `port` leads to the echo backend."""
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(b"x")
            return connection.recv(1) == b"x"
    except OSError:
        return False


def log_file(scratch, name):
    return open(scratch / f"{name}.{time.monotonic_ns()}.log", "wb")


def backends(chosen, scratch):
    """The echo and source backends on the load's CPU."""
    argv = [chosen.load, "backend", "--echo", f"{HOST}:{BACKENDS['echo']}", "--source", f"{HOST}:{BACKENDS['source']}"]
    child = spawn(argv, log_file(scratch, "backend"), chosen.load_cpu)
    wait_for("backend", child, lambda: echoes(BACKENDS["echo"]))
    return child


@contextlib.contextmanager
def start(name, chosen, scratch):
    running = []
    try:
        begin = {"lateen": lateen, "lateen-log": logging, "relay": relay, "relay-metrics": counting,
                 "relay-log": telling, "envoy": envoy, "haproxy": haproxy, "nginx": nginx}[name]
        proxy = begin(chosen, scratch, running)
        wait_for(f"{name} to echo", running[-1], lambda: echoes(PORTS["echo"]))
        yield proxy
    finally:
        for child in reversed(running):
            stop(child)


def mesh(chosen, scratch, running, more, telemetry=""):
    """`lateen up` with the resources of all scenarios."""
    home = scratch / f"home.{time.monotonic_ns()}"
    resources = scratch / "resources.yaml"
    entries = "".join(RESOURCES.format(name=name, backend=port) for name, port in BACKENDS.items())
    to = {"echo": "echo", "source": "source", "flip": "a"}
    routes = "".join(ROUTE.format(name=name, port=port, to=to[name], backend=BACKENDS[to[name]])
                     for name, port in PORTS.items())
    resources.write_text(entries + routes + telemetry, encoding="utf-8")
    log = log_file(scratch, "up")
    child = spawn([chosen.lateen, "up", "--home", home, "-f", resources, *more], log, chosen.cpu)
    running.append(child)
    wait_for("lateen up", child, lambda: "ready" in tail(log.name))
    return home, child


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def arguments(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def logging(chosen, scratch, running):
    return lateen(chosen, scratch, running, ACCESS_LOG)


def lateen(chosen, scratch, running, telemetry=""):
    home, up = mesh(chosen, scratch, running, [], telemetry)
    parts = children(up.pid)
    gateway = next((pid for pid in parts if b"gateway" in arguments(pid)), None)
    if gateway is None:
        raise RuntimeError(f"no gateway among {[arguments(pid) for pid in parts]}")
    return Proxy(gateway, [up.pid] + [pid for pid in parts if pid != gateway], home)


def relay(chosen, scratch, running, *more):
    """Lateen's data path without a control plane, and without telemetry: what that costs is the difference."""
    pairs = [f"{HOST}:{PORTS[name]}={HOST}:{BACKENDS[name]}" for name in ("echo", "source")]
    running.append(spawn([chosen.relay, *pairs, *more], log_file(scratch, "relay"), chosen.cpu))
    return Proxy(running[-1].pid, [], None)


def counting(chosen, scratch, running):
    return relay(chosen, scratch, running, "metrics")


def telling(chosen, scratch, running):
    return relay(chosen, scratch, running, "metrics", f"log={scratch / 'access.log'}")


def envoy(chosen, scratch, running):
    home, up = mesh(chosen, scratch, running, ["--gateway", "none"])
    argv = [str(chosen.lateen), "bootstrap", "--home", str(home), "--role", "gateway"]
    bootstrap = home / "envoy.yaml"
    bootstrap.write_bytes(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
    argv = [chosen.envoy, "-c", bootstrap, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    running.append(spawn(argv, log_file(scratch, "envoy"), chosen.cpu))
    return Proxy(running[-1].pid, [up.pid] + children(up.pid), home)


def haproxy(chosen, scratch, running):
    config = scratch / "haproxy.cfg"
    text = HAPROXY
    for name in ("echo", "source"):
        text += f"listen {name}\n  bind {HOST}:{PORTS[name]}\n  server backend {HOST}:{BACKENDS[name]}\n"
    config.write_text(text, encoding="utf-8")
    running.append(spawn(["haproxy", "-db", "-f", config], log_file(scratch, "haproxy"), chosen.cpu))
    return Proxy(running[-1].pid, [], None)


def nginx(chosen, scratch, running):
    config = scratch / "nginx.conf"
    servers = " ".join(f"server {{ listen {HOST}:{PORTS[name]} backlog=1024; proxy_pass {HOST}:{BACKENDS[name]}; }}"
                       for name in ("echo", "source"))
    config.write_text(NGINX.format(work=scratch, servers=servers), encoding="utf-8")
    argv = ["nginx", "-p", scratch, "-e", scratch / "nginx.log", "-c", config]
    running.append(spawn(argv, log_file(scratch, "nginx"), chosen.cpu))
    return Proxy(running[-1].pid, [], None)
