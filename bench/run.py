#!/usr/bin/env python3
"""Lateen's gateway beside stock Envoy, HAProxy and nginx as TCP relays on one machine.

Lateen and Envoy run under Lateen's control plane with the same resources. All are pinned to one CPU
with one worker; client and backend have another. Every repeat goes over all proxies, beginning with
another one each time, so that drift hits all alike. CPU figures are the on-CPU time of every thread of
the proxy (/proc/PID/task/*/schedstat) over the whole run of the load tool, divided by all that it moved.

    run.py [--repeats 5] [--proxies lateen,envoy,haproxy,nginx] [--skip idle,latency] [--out FOLDER]
    run.py --proxies relay,relay-metrics,relay-log --skip idle,latency
                                 what Istio's metrics cost, and an access log to a file besides: the data path alone, from
                                 `cargo build --release -p lateen-proxy --example relay`
    run.py --table FOLDER        the table of an earlier run

Needs root and scripts/test-deps.sh --bench; runs in a network namespace of its own. Writes
FOLDER/results.jsonl, one line per measurement, and FOLDER/results.md.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the modules beside this file leave nothing in the working tree

import contestants
import latency
import measure
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSIDE = "LATEEN_BENCH_NETNS"
#         name         mode        backend   connections
LOADS = (("bulk", "bulk", "source", 4), ("ping-pong 64", "pingpong", "echo", 64),
         ("new connections", "connect", "echo", 16))
IDLE = (0, 1000, 9000)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    cache = pathlib.Path(os.environ.get("LATEEN_CACHE", ROOT / ".cache")) / "bin"
    parser.add_argument("--lateen", default=os.environ.get("LATEEN_BIN", target / "lateen"))
    parser.add_argument("--relay", default=target / "examples" / "relay")
    parser.add_argument("--load", default=target / "bench-load")
    parser.add_argument("--echo-server", default=target / "echo-server")
    parser.add_argument("--envoy", default=cache / "envoy")
    parser.add_argument("--kubectl", default=cache / "kubectl")
    parser.add_argument("--proxies", default="lateen,envoy,haproxy,nginx")
    parser.add_argument("--skip", default="", help="of: load, idle, latency")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--changes", type=int, default=200, help="samples of the latency of a change")
    parser.add_argument("--secs", type=float, default=1.5)
    parser.add_argument("--warm", type=float, default=0.5)
    parser.add_argument("--cpu", default="0", help="of the proxy")
    parser.add_argument("--load-cpu", default="1" if (os.cpu_count() or 1) > 1 else "0")
    parser.add_argument("--out", default=ROOT / "target" / "bench", type=pathlib.Path)
    parser.add_argument("--table", type=pathlib.Path)
    return parser.parse_args()


def enter_namespace():
    """Starts this program again in a new network namespace: private ports, few TIME_WAIT sockets."""
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in (("ip_local_port_range", "32768 65535"), ("tcp_max_tw_buckets", "4096")):
            pathlib.Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
        return
    if os.geteuid() != 0:
        sys.exit("bench: needs root: network namespaces")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


class Run:
    """One run: its options, the file of results, the scratch folder."""

    def __init__(self, chosen, scratch):
        self.chosen, self.scratch = chosen, scratch
        chosen.out.mkdir(parents=True, exist_ok=True)
        self.results = open(chosen.out / "results.jsonl", "w", encoding="utf-8")

    def record(self, **result):
        line = json.dumps(result)
        print(line, flush=True)
        print(line, file=self.results, flush=True)

    def each(self, repeat, work):
        """Starts each proxy in turn and gives it to `work`; one that fails is recorded, not fatal."""
        names = self.chosen.proxies.split(",")
        start = repeat % len(names)
        for name in names[start:] + names[:start]:
            try:
                with contestants.start(name, self.chosen, self.scratch) as proxy:
                    work(name, proxy)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                self.record(proxy=name, scenario="failed", repeat=repeat, error=str(error)[-2000:])

    def loads(self, repeat):
        def work(name, proxy):
            for scenario, mode, backend, connections in LOADS:
                found = measure.load(self.chosen, proxy, mode, backend, connections)
                self.record(proxy=name, scenario=scenario, repeat=repeat, **found)
        self.each(repeat, work)

    def idle(self, repeat):
        def work(name, proxy):
            for connections in IDLE:
                found = measure.idle(self.chosen, proxy, connections)
                self.record(proxy=name, scenario=f"idle {connections}", repeat=repeat, **found)
        self.each(repeat, work)

    def latency(self):
        def work(name, proxy):
            if proxy.home:
                found = latency.changes(self.chosen, proxy)
                self.record(proxy=name, scenario="change to traffic", repeat=0, **found)
        self.each(0, work)


def main():
    chosen = options()
    if chosen.table:
        print(report.table(report.read(chosen.table / "results.jsonl")))
        return
    enter_namespace()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    skip = chosen.skip.split(",")
    with tempfile.TemporaryDirectory(prefix="lateen-bench.") as scratch:
        run = Run(chosen, pathlib.Path(scratch))
        backend = contestants.backends(chosen, run.scratch)
        try:
            for repeat in range(chosen.repeats):
                if "load" not in skip:
                    run.loads(repeat)
                if "idle" not in skip and repeat < 2:
                    run.idle(repeat)
            if "latency" not in skip:
                run.latency()
        finally:
            contestants.stop(backend)
            run.results.close()
    table = report.table(report.read(chosen.out / "results.jsonl"))
    (chosen.out / "results.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
