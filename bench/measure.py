"""Measuring one running proxy. In: a Proxy and a load. Out: CPU per unit, rates, latencies, memory."""
import json
import pathlib
import subprocess
import tempfile
import time

import contestants

GIB = 1 << 30


def cpu_ns(pid):
    """On-CPU nanoseconds of all threads of a process (the scheduler's own account)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def load(chosen, proxy, mode, backend, connections):
    to = f"{contestants.HOST}:{contestants.PORTS[backend]}"
    argv = ["taskset", "-c", chosen.load_cpu, chosen.load, mode, "--to", to, "--conns", connections,
            "--secs", chosen.secs, "--warm", chosen.warm]
    before, started = cpu_ns(proxy.pid), time.monotonic()
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    spent, wall = cpu_ns(proxy.pid) - before, time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"{mode}: {done.stderr[-1000:]}")
    found = json.loads(done.stdout)
    unit = found["total_bytes"] / GIB * 1e6 if mode == "bulk" else found["total"]
    if not unit:
        raise RuntimeError(f"{mode}: nothing went through")
    key = "cpu_s_per_gib" if mode == "bulk" else "cpu_us"
    return {key: spent / 1e3 / unit, "busy": spent / 1e9 / wall, "rss_kib": resident_kib(proxy.pid),
            **{name: found[name] for name in ("rate", "gbit_s", "p50_us", "p99_us")}}


def idle(chosen, proxy, connections):
    """Resident memory with so many idle connections, each of which has exchanged one message."""
    if not connections:
        return memory(proxy)
    to = f"{contestants.HOST}:{contestants.PORTS['echo']}"
    argv = ["taskset", "-c", chosen.load_cpu, chosen.load, "idle", "--to", to, "--conns", connections]
    with tempfile.TemporaryFile() as errors:
        client = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=errors)
        with client:
            if client.stdout.readline() != b"ready\n":
                client.wait()
                errors.seek(0)
                raise RuntimeError(f"idle: {errors.read()[-1000:]}")
            settled = memory(proxy)
            client.stdin.close()
    return settled


def memory(proxy):
    """The figures once they have stopped moving: equal twice, half a second apart."""
    last = None
    for _ in range(10):
        now = {"rss_kib": resident_kib(proxy.pid)}
        if proxy.control:
            now["control_kib"] = sum(resident_kib(pid) for pid in proxy.control)
        if now == last:
            break
        last = now
        time.sleep(0.5)
    return last
