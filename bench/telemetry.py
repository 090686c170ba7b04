#!/usr/bin/env python3
"""What Istio's metrics and an access log to a file cost per connection and per byte.

Three relays (crates/proxy/examples/relay.rs) run at once on one CPU: without telemetry, with metrics, with metrics and
the log; client and backend have another CPU. Each round loads one after the other, beginning with another one each time,
and gives the differences between its own three figures: what else the machine does hits all three alike. Told are the
medians of all rounds, and the quartiles of the differences.

    telemetry.py [--rounds 40] [--secs 0.5] …        the other options are those of run.py

Needs root and `cargo build --release -p lateen-testkit --bins` and `-p lateen-proxy --example relay`.
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True  # the modules beside this file leave nothing in the working tree

import contestants
import measure
import run

NAMES = ("relay", "relay-metrics", "relay-log")
#        what                mode       backend   connections   unit
LOADS = (("new connections", "connect", "echo", 16, "cpu_us", "us"), ("bulk", "bulk", "source", 4, "cpu_s_per_gib", "s/GiB"))


def options():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", run.ROOT / "target")) / "release"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relay", default=target / "examples" / "relay")
    parser.add_argument("--load", default=target / "bench-load")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--secs", type=float, default=0.5)
    parser.add_argument("--warm", type=float, default=0.1)
    parser.add_argument("--cpu", default="0", help="of the relays")
    parser.add_argument("--load-cpu", default="1" if (os.cpu_count() or 1) > 1 else "0")
    return parser.parse_args()


def rounds(chosen, relays, mode, backend, connections, key):
    """The figures of every round, by name."""
    found = {name: [] for name in NAMES}
    for number in range(chosen.rounds):
        first = number % len(NAMES)
        for name in NAMES[first:] + NAMES[:first]:
            proxy, ports = relays[name]
            contestants.PORTS.update(ports)
            found[name].append(measure.load(chosen, proxy, mode, backend, connections)[key])
    return found


def tell(what, unit, found):
    bare, counting, telling = (found[name] for name in NAMES)
    print(f"{what}: without telemetry {statistics.median(bare):.3f} {unit}")
    for more, less, name in ((counting, bare, "metrics"), (telling, counting, "access log besides")):
        differences = [one - other for one, other in zip(more, less)]
        low, middle, high = statistics.quantiles(differences, n=4)
        print(f"  {name}: {middle:+.3f} {unit}, quartiles {low:+.3f} to {high:+.3f}", flush=True)


def main():
    chosen = options()
    run.enter_namespace()
    with tempfile.TemporaryDirectory(prefix="lateen-bench.") as folder:
        scratch, running, relays = pathlib.Path(folder), [], {}
        begin = dict(zip(NAMES, (contestants.relay, contestants.counting, contestants.telling)))
        try:
            running.append(contestants.backends(chosen, scratch))
            for number, name in enumerate(NAMES):
                ports = {backend: 31400 + 10 * number + at for at, backend in enumerate(("echo", "source"))}
                contestants.PORTS.update(ports)
                relays[name] = (begin[name](chosen, scratch, running), ports)
                contestants.wait_for(name, running[-1], lambda: contestants.echoes(contestants.PORTS["echo"]))
            for what, mode, backend, connections, key, unit in LOADS:
                tell(what, unit, rounds(chosen, relays, mode, backend, connections, key))
        finally:
            for child in reversed(running):
                contestants.stop(child)


if __name__ == "__main__":
    main()
