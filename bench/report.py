"""The table of a run. In: measurements. Out: Markdown with medians, ratios to Envoy, and the aims."""
import json
import statistics

BASE = "envoy"
# Scenario: (the field compared, its unit, what Lateen aims at relative to Envoy).
LOADS = {"bulk": ("cpu_s_per_gib", "s/GiB", 0.45), "ping-pong 64": ("cpu_us", "us/message", 0.75),
         "new connections": ("cpu_us", "us/connection", 0.55)}
AIM_IDLE_MIB, AIM_PER_CONNECTION_KIB, AIM_UP_MIB, AIM_CHANGE_MS = 15, 4, 60, 100


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def median(rows, field):
    values = [row[field] for row in rows if row.get(field) is not None]
    return statistics.median(values) if values else None


def spread(rows, field):
    values = [row[field] for row in rows]
    return (max(values) - min(values)) / statistics.median(values) * 100 if values else 0


def pick(rows, scenario, proxy):
    return [row for row in rows if row["scenario"] == scenario and row["proxy"] == proxy]


def verdict(value, aim):
    return f"{aim} {'met' if value <= aim else 'MISSED'}"


def table(rows):
    proxies = list(dict.fromkeys(row["proxy"] for row in rows))
    parts = [loads(rows, proxies), idle(rows, proxies), changes(rows, proxies), failures(rows)]
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 2)


def loads(rows, proxies):
    out = ["| load | proxy | runs | rate | CPU | spread % | x envoy | aim | busy | p50 us | p99 us |", "|" + "---|" * 11]
    for scenario, (field, unit, aim) in LOADS.items():
        base = median(pick(rows, scenario, BASE), field)
        for proxy in proxies:
            found = pick(rows, scenario, proxy)
            if not found:
                continue
            cpu = median(found, field)
            ratio = cpu / base if base else None
            bulk = scenario == "bulk"
            rate = f"{median(found, 'gbit_s'):.1f} Gbit/s" if bulk else f"{median(found, 'rate'):.0f}/s"
            goal = verdict(ratio, aim) if proxy == "lateen" and ratio is not None else ""
            quick = ["", ""] if bulk else [f"{median(found, name):.0f}" for name in ("p50_us", "p99_us")]
            out.append("| " + " | ".join([
                scenario, proxy, str(len(found)), rate, f"{cpu:.3f} {unit}", f"{spread(found, field):.0f}",
                f"{ratio:.2f}" if ratio is not None else "", goal, f"{median(found, 'busy'):.2f}", *quick]) + " |")
    return out


def idle(rows, proxies):
    counts = sorted({int(row["scenario"].split()[1]) for row in rows if row["scenario"].startswith("idle ")})
    heads = [f"MiB at {count}" for count in counts]
    out = ["| memory | " + " | ".join(heads) + " | KiB per connection | aim | control plane MiB | aim |",
           "|" + "---|" * (len(heads) + 5)]
    for proxy in proxies:
        sizes = [median(pick(rows, f"idle {count}", proxy), "rss_kib") for count in counts]
        if not sizes or None in sizes:
            continue
        each = (sizes[-1] - sizes[0]) / counts[-1] if counts[-1] else 0
        control = median(pick(rows, "idle 0", proxy), "control_kib")
        own = proxy == "lateen"
        goal = f"{verdict(sizes[0] / 1024, AIM_IDLE_MIB)}; {verdict(each, AIM_PER_CONNECTION_KIB)}" if own else ""
        up = f"{control / 1024:.1f}" if control else ""
        out.append("| " + " | ".join([proxy, *(f"{size / 1024:.1f}" for size in sizes), f"{each:.2f}", goal, up,
                                      verdict(control / 1024, AIM_UP_MIB) if own and control else ""]) + " |")
    return out


def changes(rows, proxies):
    out = ["| change to traffic, ms | changes | acknowledged p50 | p99 | followed p50 | p99 | aim | closed meanwhile "
           "| after kubectl apply ended: p50 | max |", "|" + "---|" * 10]
    for proxy in proxies:
        for row in pick(rows, "change to traffic", proxy):
            goal = verdict(row["p99_ms"], AIM_CHANGE_MS) if proxy == "lateen" else ""
            figures = [f"{row[name]:.1f}" for name in ("ack_p50_ms", "ack_p99_ms", "p50_ms", "p99_ms")]
            after = [f"{row[name]:.1f}" for name in ("after_kubectl_p50_ms", "after_kubectl_max_ms")]
            out.append("| " + " | ".join([proxy, str(row["changes"]), *figures, goal,
                                          str(row["closed_connections"]), *after]) + " |")
    return out


def failures(rows):
    failed = [row for row in rows if row["scenario"] == "failed"]
    return ["Failed:", ""] + [f"- {row['proxy']}, repeat {row['repeat']}: {row['error']}" for row in failed]
