// What the mock answers beside the graph: series, failures, logs, lists and namespaces, computed from a mesh.
import { add, graph, health, nodeOf, serviceNode, trafficOf } from "./graph.mjs";

/** @typedef {import("./mesh.mjs").Mesh} Mesh */
/** @typedef {import("./mesh.mjs").Flow} Flow */
/** @typedef {import("../src/api/types").Lines} Lines */
/** @typedef {import("../src/api/types").Traffic} Traffic */

const TYPES = /** @type {const} */ (["versionedApp", "workload", "app", "service"]);

/** The flows into and out of what an id selects.
 * @param {Mesh} mesh @param {string} id @returns {{in: Flow[], out: Flow[]}} */
export function flowsOf(mesh, id) {
  if (id === "mesh") return { in: mesh.flows, out: [] };
  const [edge] = id.split("#");
  const ends = (edge ?? id).split(">");
  if (ends.length === 2) {
    const [a, b] = ends;
    const out = mesh.flows.filter(
      (f) => touches(mesh, f, "source", a ?? "") && touches(mesh, f, "target", b ?? ""),
    );
    return { in: [], out };
  }
  if (id.startsWith("namespace/")) {
    const ns = id.slice("namespace/".length);
    const is = (/** @type {import("./mesh.mjs").End} */ e) =>
      (e.kind === "workload" ? e.workload.ns : e.ns) === ns;
    return { in: mesh.flows.filter((f) => is(f.target)), out: mesh.flows.filter((f) => is(f.source)) };
  }
  return {
    in: mesh.flows.filter((f) => touches(mesh, f, "target", id)),
    out: mesh.flows.filter((f) => touches(mesh, f, "source", id)),
  };
}

/** @param {Mesh} mesh @param {Flow} f @param {"source" | "target"} side @param {string} id */
function touches(mesh, f, side, id) {
  if (f.service && serviceNode(f.service).id === id) return true;
  if (id.startsWith("appbox/")) {
    const end = f[side];
    return end.kind === "workload" && `appbox/${end.workload.ns}/${end.workload.app}` === id;
  }
  return TYPES.some((type) => nodeOf(mesh, f[side], type).id === id);
}

/** @param {Mesh} mesh @param {string} id @param {number} at @param {number} duration @returns {import("../src/api/types").Series} */
export function series(mesh, id, at, duration) {
  const flows = flowsOf(mesh, id);
  // All of a big mesh in fewer samples: the mock has one thread.
  const most = flows.in.length + flows.out.length > 1000 ? 8 : 60;
  const step = Math.max(5000, Math.round(duration / most) * 1000);
  const samples = Math.min(120, Math.floor((duration * 1000) / step));
  const start = at - samples * step;
  return {
    id,
    start,
    step,
    inbound: lines(flows.in, start, step, samples),
    outbound: lines(flows.out, start, step, samples),
  };
}

/** @param {Flow[]} flows @param {number} start @param {number} step @param {number} samples @returns {Lines} */
function lines(flows, start, step, samples) {
  /** @type {Lines} */
  const out = {};
  for (let i = 0; i < samples && flows.length > 0; i += 1) {
    const t = flows.map((f) => trafficOf(f, start + i * step)).reduce(add, /** @type {Traffic} */ ({}));
    const put = (/** @type {string} */ name, /** @type {number | undefined} */ value) => {
      out[name] ??= Array(samples).fill(null);
      /** @type {(number | null)[]} */ (out[name])[i] = value ?? null;
    };
    if (t.tcp)
      for (const k of /** @type {const} */ (["sent", "received", "opened", "failed", "active"]))
        put(`tcp.${k}`, t.tcp[k]);
    for (const p of /** @type {const} */ (["http", "grpc"])) {
      const h = t[p];
      if (!h) continue;
      put(`${p}.requests`, h.requests);
      put(`${p}.errors`, h.requests * h.errorShare);
      for (const k of /** @type {const} */ (["p50", "p95", "p99"])) put(`${p}.${k}`, h.latency?.[k]);
    }
  }
  return out;
}

/** @param {Mesh} mesh @param {string} id @param {number} now @param {number} limit @returns {import("../src/api/types").Failure[]} */
export function failures(mesh, id, now, limit) {
  const { in: inbound, out } = flowsOf(mesh, id);
  const lost = mesh.flows.filter((f) => f.dialled && serviceNode(f.dialled).id === id);
  const failing = [...inbound, ...out, ...lost].filter((f) => f.errors(now) > 0);
  return failing
    .flatMap((f, n) => [0, 1, 2].map((i) => bothViews(failure(mesh, f, now - (n * 3 + i) * 2700))))
    .slice(0, limit);
}

/** A refused connection, as the proxies at both of its ends tell it.
 * @param {import("../src/api/types").Failure} f @returns {import("../src/api/types").Failure} */
function bothViews(f) {
  if (f.protocol !== "tcp") return f;
  const server = f.target.split("/").at(-1);
  const byClient = { ...f, flags: "UC", summary: `${server} broke the connection off`, remedy: undefined };
  return { ...f, proxy: `${server}-5c8.default`, byClient };
}

/** @param {Mesh} mesh @param {Flow} f @param {number} time @returns {import("../src/api/types").Failure} */
function failure(mesh, f, time) {
  const source = nodeOf(mesh, f.source, "workload");
  const target = nodeOf(mesh, f.target, "workload");
  const vs = mesh.objects.find((o) => o.kind === "VirtualService");
  const refused = f.flags.includes("UF");
  return {
    time,
    source: source.id,
    target: target.id,
    protocol: f.protocol,
    proxy: `${source.name}-7d9f.${source.namespace}`,
    destination: "10.96.0.10:8020",
    flags: f.flags,
    code: f.protocol === "tcp" ? undefined : f.code,
    bytesReceived: 0,
    bytesSent: 0,
    durationMs: 3,
    summary: refused
      ? `${target.name} refused the connection on port 8020`
      : `the request to ${target.name} failed with ${f.code}`,
    steps: [
      { what: `${source.name} opened a connection to ${f.service?.name ?? target.name}` },
      ...(vs
        ? [
            {
              what: "the route of port 8020 was taken",
              object: { kind: vs.kind, group: vs.group, namespace: vs.namespace, name: vs.name },
              field: "spec.tcp[0]",
            },
          ]
        : []),
      {
        what: refused
          ? `10.0.0.12:8020 of ${target.name} answered with a reset`
          : `${target.name} answered ${f.code}`,
        failed: true,
      },
    ],
    remedy: refused
      ? `check that a program listens on port 8020 in ${target.name}`
      : "look at the workload's own log",
  };
}

/** @param {Mesh} mesh @param {string} id @param {number} now @param {number} limit @returns {import("../src/api/types").LogLine[]} */
export function logs(mesh, id, now, limit) {
  const { in: inbound, out } = flowsOf(mesh, id);
  return [...inbound, ...out]
    .flatMap((f, n) =>
      [0, 1, 2, 3].map((i) => {
        const time = now - (n * 4 + i) * 1300;
        const failed = i === 1 && f.errors(now) > 0;
        const flags = failed ? f.flags : "-";
        return {
          time,
          from: f.source.kind === "workload" ? f.source.workload.name : f.source.name,
          text: `[${new Date(time).toISOString()}] "- - -" ${f.protocol === "tcp" ? 0 : failed ? f.code : 200} ${flags} - "-" ${f.sent} ${failed ? 0 : f.received} 3 "10.0.0.12:8020" outbound|8020||${f.service?.name ?? "-"}`,
        };
      }),
    )
    .slice(0, limit)
    .sort((a, b) => a.time - b.time);
}

/** @param {Mesh} mesh @param {"applications" | "workloads" | "services"} what @param {number} now @returns {import("../src/api/types").ListItem[]} */
export function list(mesh, what, now) {
  const type = what === "applications" ? "app" : what === "workloads" ? "workload" : "service";
  const nodes = new Map(
    graph(mesh, { type, namespaces: [], duration: 60, at: now, services: true, idle: true }).nodes.map(
      (n) => [n.id, n],
    ),
  );
  const state = (/** @type {string} */ id) => nodes.get(id)?.health ?? health({});
  // Of a service that is no node because nothing that was dialled for it arrived anywhere.
  const lost = (/** @type {string} */ id) => {
    const count = nodes.has(id) ? 0 : failures(mesh, id, now, 100).length;
    if (count === 0) return undefined;
    return {
      state: /** @type {const} */ ("failing"),
      reasons: [`connections to it that led nowhere: ${count}`],
    };
  };
  const issues = (/** @type {string} */ id) => {
    const mine = mesh.objects.filter((o) => o.actsOn.includes(id)).flatMap((o) => o.validation);
    return {
      errors: mine.filter((i) => i.severity === "error").length,
      warnings: mine.filter((i) => i.severity === "warning").length,
    };
  };
  if (what === "services") {
    return mesh.services.map((s) => {
      const { id } = serviceNode(s);
      return {
        id,
        kind: "service",
        namespace: s.ns,
        name: s.name,
        labels: { app: s.name },
        type: "Service",
        health: lost(id) ?? state(id),
        issues: issues(id),
      };
    });
  }
  const seen = new Map();
  for (const w of mesh.workloads) {
    const { id, name } = nodeOf(mesh, { kind: "workload", workload: w }, type);
    const known = seen.get(id);
    if (known) {
      known.instances = { all: known.instances.all + 1, ready: known.instances.ready + 1 };
      continue;
    }
    seen.set(id, {
      id,
      kind: type,
      namespace: w.ns,
      name,
      labels: w.labels,
      type: type === "workload" ? "Deployment" : undefined,
      instances: { all: 1, ready: 1 },
      sidecars: w.sidecar ? "all" : "none",
      health: state(id),
      issues: issues(id),
    });
  }
  return [...seen.values()];
}

/** @param {Mesh} mesh @param {number} now @returns {import("../src/api/types").Namespace[]} */
export function namespaces(mesh, now) {
  const nodes = graph(mesh, {
    type: "workload",
    namespaces: [],
    duration: 60,
    at: now,
    services: false,
    idle: true,
  }).nodes;
  const order = ["idle", "healthy", "degraded", "failing"];
  return mesh.namespaces.map((name) => {
    const worst = nodes
      .filter((n) => n.namespace === name)
      .map((n) => n.health)
      .sort((a, b) => order.indexOf(b.state) - order.indexOf(a.state))[0];
    return {
      name,
      injection: name === "istio-system" ? "unset" : "enabled",
      health: worst ?? { state: "idle", reasons: [] },
    };
  });
}
