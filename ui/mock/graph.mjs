// Computes what /graph answers from a mesh: nodes and edges of each graph type, their traffic and health.

/** @typedef {import("./mesh.mjs").Mesh} Mesh */
/** @typedef {import("./mesh.mjs").Flow} Flow */
/** @typedef {import("./mesh.mjs").End} End */
/** @typedef {import("../src/api/types").Graph} Graph */
/** @typedef {import("../src/api/types").Node} Node */
/** @typedef {import("../src/api/types").Edge} Edge */
/** @typedef {import("../src/api/types").Traffic} Traffic */
/** @typedef {import("../src/api/types").GraphType} GraphType */
/** @typedef {{type: GraphType, namespaces: string[], duration: number, at: number, services: boolean, idle: boolean, past?: boolean}} Query */

/** @param {Mesh} mesh @param {Query} q @returns {Graph} */
export function graph(mesh, q) {
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  /** @type {Map<string, Edge>} */
  const edges = new Map();
  const wanted = new Set(q.namespaces);
  for (const f of mesh.flows) {
    const traffic = trafficOf(f, q.at);
    const idle = isIdle(traffic);
    if (idle && !q.idle) continue;
    const source = nodeOf(mesh, f.source, q.type);
    const target =
      q.type === "service" && f.service ? serviceNode(f.service) : nodeOf(mesh, f.target, q.type);
    const seen = [source, target].some((n) => wanted.size === 0 || wanted.has(n.namespace ?? ""));
    if (!seen) continue;
    const between = f.service && q.services && q.type !== "service" ? serviceNode(f.service) : undefined;
    const from = put(nodes, source);
    const to = put(nodes, target);
    from.out = add(from.out, traffic);
    to.in = add(to.in, traffic);
    if (between) {
      const middle = put(nodes, between);
      middle.in = add(middle.in, traffic);
      middle.out = add(middle.out, traffic);
      join(edges, f, from, middle, traffic, 1);
      join(edges, f, middle, to, traffic, f.weight);
    } else {
      join(edges, f, from, to, traffic, f.weight);
    }
  }
  if (q.idle && q.type !== "service") putIdle(mesh, nodes, wanted, q.type);
  for (const n of nodes.values()) n.health = health(isIdle(n.in) ? n.out : n.in);
  // What acted then is not known.
  if (q.past) for (const n of nodes.values()) n.badges = [];
  for (const e of edges.values()) e.health = health(e.traffic);
  const byId = (/** @type {{id: string}} */ a, /** @type {{id: string}} */ b) => (a.id < b.id ? -1 : 1);
  return {
    apiVersion: "graph.lateen.io/v1",
    type: q.type,
    at: q.at,
    duration: q.duration,
    nodes: [...nodes.values()].sort(byId),
    edges: [...edges.values()].sort(byId),
    notices: [],
  };
}

/** @param {Mesh} mesh @param {Map<string, Node>} nodes @param {Set<string>} wanted @param {GraphType} type */
function putIdle(mesh, nodes, wanted, type) {
  for (const workload of mesh.workloads) {
    if (wanted.size === 0 || wanted.has(workload.ns))
      put(nodes, nodeOf(mesh, { kind: "workload", workload }, type));
  }
}

/** @param {Map<string, Node>} nodes @param {Node} node */
function put(nodes, node) {
  const known = nodes.get(node.id);
  if (known) return known;
  nodes.set(node.id, node);
  return node;
}

/** @param {Map<string, Edge>} edges @param {Flow} f @param {Node} from @param {Node} to @param {Traffic} traffic @param {number} share */
function join(edges, f, from, to, traffic, share) {
  const id = `${from.id}>${to.id}#${f.protocol}`;
  const known = edges.get(id);
  if (known) {
    known.traffic = add(known.traffic, traffic);
    return;
  }
  edges.set(id, {
    id,
    source: from.id,
    target: to.id,
    protocol: f.protocol,
    mtls: f.mtls,
    traffic,
    service: f.service ? `${f.service.name}.${f.service.ns}.svc.cluster.local` : undefined,
    share: Math.min(share, 1),
    shareOf: f.protocol === "tcp" ? (traffic.tcp?.opened ? "opened" : "open") : "requests",
    health: { state: "healthy", reasons: [] },
  });
}

/** @param {Mesh} mesh @param {End} end @param {GraphType} type @returns {Node} */
export function nodeOf(mesh, end, type) {
  if (end.kind !== "workload") {
    const id = `${end.kind}/${end.ns ?? "-"}/${end.name}`;
    return {
      ...blank(id, end.kind, end.name),
      namespace: end.ns,
      service: end.kind === "serviceEntry" ? end.name : undefined,
      badges: end.kind === "serviceEntry" ? ["serviceEntry"] : [],
    };
  }
  const w = end.workload;
  if (type === "service") {
    const own = mesh.flows.find(
      (f) => f.target.kind === "workload" && f.target.workload.app === w.app && f.target.workload.ns === w.ns,
    )?.service;
    if (own) return serviceNode(own);
  }
  const common = {
    cluster: "Kubernetes",
    namespace: w.ns,
    app: w.app,
    gateway: w.gateway,
    badges: [...w.badges],
    principal: `spiffe://cluster.local/ns/${w.ns}/sa/${w.app}`,
    outOfMesh: w.sidecar ? undefined : true,
  };
  if (!w.sidecar) common.badges.push("missingSidecar");
  if (type === "app") return { ...blank(`app/${w.ns}/${w.app}`, "app", w.app), ...common };
  if (type === "versionedApp") {
    return {
      ...blank(`app/${w.ns}/${w.app}/${w.version}`, "app", w.app),
      ...common,
      version: w.version,
      workload: w.name,
      box: w.app,
    };
  }
  return {
    ...blank(`workload/${w.ns}/${w.name}`, "workload", w.name),
    ...common,
    version: w.version,
    workload: w.name,
  };
}

/** @param {import("./mesh.mjs").Service} s @returns {Node} */
export function serviceNode(s) {
  return {
    ...blank(`service/${s.ns}/${s.name}`, "service", s.name),
    cluster: "Kubernetes",
    namespace: s.ns,
    service: s.name,
    badges: s.badges,
  };
}

/** @param {string} id @param {import("../src/api/types").NodeKind} kind @param {string} name @returns {Node} */
function blank(id, kind, name) {
  return { id, kind, name, health: { state: "idle", reasons: [] }, in: {}, out: {}, badges: [] };
}

/** @param {Flow} f @param {number} t @returns {Traffic} */
export function trafficOf(f, t) {
  const rate = Math.max(0, f.rate(t)) * f.weight;
  if (rate === 0) return {};
  const share = Math.min(1, Math.max(0, f.errors(t)));
  if (f.protocol === "tcp") {
    const failed = rate * share;
    return {
      tcp: {
        sent: (rate - failed) * f.sent,
        received: (rate - failed) * f.received,
        opened: rate,
        closed: rate,
        failed,
        active: Math.round((rate - failed) * 3),
        flags: failed > 0 ? { [f.flags]: failed } : {},
      },
    };
  }
  const http = {
    requests: rate,
    errorShare: share,
    latency: { p50: f.p50, p95: f.p50 * 3.1, p99: f.p50 * 7.5 },
    requestBytes: rate * f.sent,
    responseBytes: rate * f.received,
    codes: share > 0 ? { 200: rate * (1 - share), [f.code]: rate * share } : { 200: rate },
    flags: share > 0 ? { [f.flags]: rate * share } : {},
  };
  return f.protocol === "http"
    ? { http }
    : { grpc: { ...http, requestMessages: rate, responseMessages: rate } };
}

/** @param {Traffic} t */
function isIdle(t) {
  return !t.tcp && !t.http && !t.grpc;
}

/** @param {Record<string, number>} a @param {Record<string, number>} b */
function counts(a, b) {
  const out = { ...a };
  for (const [k, n] of Object.entries(b)) out[k] = (out[k] ?? 0) + n;
  return out;
}

/** @param {Traffic} a @param {Traffic} b @returns {Traffic} */
export function add(a, b) {
  /** @type {Traffic} */
  const out = { ...a };
  if (b.tcp) {
    const x = a.tcp ?? { sent: 0, received: 0, opened: 0, closed: 0, failed: 0, active: 0, flags: {} };
    out.tcp = {
      sent: x.sent + b.tcp.sent,
      received: x.received + b.tcp.received,
      opened: x.opened + b.tcp.opened,
      closed: x.closed + b.tcp.closed,
      failed: x.failed + b.tcp.failed,
      active: x.active + b.tcp.active,
      flags: counts(x.flags, b.tcp.flags),
    };
  }
  for (const p of /** @type {const} */ (["http", "grpc"])) {
    const [x, y] = [a[p], b[p]];
    if (!y) continue;
    if (!x) {
      out[p] = y;
      continue;
    }
    const requests = x.requests + y.requests;
    const max = (/** @type {"p50" | "p95" | "p99"} */ k) =>
      Math.max(x.latency?.[k] ?? 0, y.latency?.[k] ?? 0);
    out[p] = {
      requests,
      errorShare: (x.requests * x.errorShare + y.requests * y.errorShare) / requests,
      latency: { p50: max("p50"), p95: max("p95"), p99: max("p99") },
      requestBytes: x.requestBytes + y.requestBytes,
      responseBytes: x.responseBytes + y.responseBytes,
      codes: counts(x.codes, y.codes),
      flags: counts(x.flags, y.flags),
      requestMessages: (x.requestMessages ?? 0) + (y.requestMessages ?? 0),
      responseMessages: (x.responseMessages ?? 0) + (y.responseMessages ?? 0),
    };
  }
  return out;
}

/** @param {Traffic} t @returns {import("../src/api/types").Health} */
export function health(t) {
  if (isIdle(t)) return { state: "idle", reasons: [] };
  /** @type {string[]} */
  const reasons = [];
  let worst = 0;
  for (const [p, h] of /** @type {const} */ ([
    ["HTTP", t.http],
    ["gRPC", t.grpc],
  ])) {
    if (!h || h.errorShare < 0.01) continue;
    worst = Math.max(worst, h.errorShare);
    reasons.push(
      `${(h.errorShare * 100).toFixed(1)}% of ${p} requests failed (${Object.keys(h.flags).join("; ") || "5xx"})`,
    );
  }
  if (t.tcp && t.tcp.failed > 0) {
    const share = t.tcp.failed / t.tcp.closed;
    worst = Math.max(worst, share);
    reasons.push(
      `${(share * 100).toFixed(1)}% of TCP connections failed (${Object.keys(t.tcp.flags).join("; ")})`,
    );
  }
  return { state: worst > 0.1 ? "failing" : worst > 0.01 ? "degraded" : "healthy", reasons };
}
