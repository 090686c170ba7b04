// What a find or hide expression can ask about. One table drives parsing, evaluation, completion and the help.
import type { Badge, Edge, Node } from "../../api/types";
import { errorShare, isIdle, isSource, latencyOf, totals } from "../traffic";

export type Element =
  /** `rank`: its place by the edges that lead to it; 1 has most. */
  | { node: Node; rank?: number; edge?: undefined }
  | { edge: Edge; source?: Node; target?: Node; node?: undefined };

export type Value = string | string[] | number | boolean | undefined;

export interface Subject {
  names: readonly [string, ...string[]];
  type: "text" | "number" | "yes";
  of: "node" | "edge" | "both";
  help: string;
  /** All that it can be, to offer, and others that are taken but not offered; none for what can be anything. */
  values?: readonly string[];
  silent?: readonly string[];
  /** Of a text: whether it can be asked for without a comparison, as whether there is any. */
  bare?: boolean;
  /** Undefined: the question makes no sense for this element. */
  get(element: Element): Value;
}

type Get<T> = (it: T) => Value;

const ofNode = (
  type: Subject["type"],
  names: Subject["names"],
  help: string,
  get: Get<Node>,
  values?: string[],
): Subject => ({
  names,
  type,
  of: "node",
  help,
  values,
  get: (e) => (e.node ? get(e.node) : undefined),
});

const ofEdge = (
  type: Subject["type"],
  names: Subject["names"],
  help: string,
  get: Get<Edge>,
  values?: string[],
): Subject => ({
  names,
  type,
  of: "edge",
  help,
  values,
  get: (e) => (e.edge ? get(e.edge) : undefined),
});

const badge = (names: Subject["names"], which: Badge[], help: string): Subject =>
  ofNode("yes", names, help, (n) => which.some((b) => n.badges.includes(b)));

const healthOf = (e: Element) => (e.node ?? e.edge)!.health.state;
const percent = (share: number) => share * 100;
const names = (n: Node | undefined) =>
  n ? [n.name, n.workload, n.app, n.service].filter((t) => t !== undefined) : undefined;

/** Of a workload's labels the traffic tells two, each under Istio's name and its canonical one. */
const LABELS: Record<string, (n: Node) => string> = {
  app: (n) => n.app ?? "",
  version: (n) => n.version ?? "",
  "service.istio.io/canonical-name": (n) => n.app ?? "",
  "service.istio.io/canonical-revision": (n) => n.version ?? "",
};
const LABEL = "label:";

export const SUBJECTS: readonly Subject[] = [
  ofNode("text", ["name"], "name of the node, its workload, app or service", names),
  {
    ...ofNode("text", ["node"], "kind of node", nodeKinds, [
      "workload",
      "app",
      "service",
      "serviceentry",
      "outside",
    ]),
    // The last two are Kiali's, for what is no node here.
    silent: "wl svc se client blackhole unknown gateway ingress egress box aggregate".split(" "),
  },
  ofNode("text", ["namespace", "ns"], "namespace of the node", (n) => n.namespace ?? ""),
  ofNode("text", ["workload", "wl"], "workload name", (n) => n.workload ?? ""),
  ofNode("text", ["app"], "app label", (n) => n.app ?? ""),
  ofNode("text", ["service", "svc"], "service name", (n) => n.service ?? ""),
  ofNode("text", ["version"], "version label", (n) => n.version ?? ""),
  { ...ofNode("text", ["label:app"], "a label: app or version", LABELS.app!), bare: true },
  ofNode("text", ["cluster"], "Istio's cluster name", (n) => n.cluster ?? ""),
  ofNode("text", ["principal"], "SPIFFE identity", (n) => n.principal ?? ""),
  ofNode("number", ["httpin"], "HTTP requests per second, inbound", (n) => n.in.http?.requests ?? 0),
  ofNode("number", ["httpout"], "HTTP requests per second, outbound", (n) => n.out.http?.requests ?? 0),
  ofNode("number", ["grpcin"], "gRPC requests per second, inbound", (n) => n.in.grpc?.requests ?? 0),
  ofNode("number", ["grpcout"], "gRPC requests per second, outbound", (n) => n.out.grpc?.requests ?? 0),
  ofNode("number", ["tcpin"], "TCP bytes per second, inbound", (n) => tcpBytes(n.in.tcp)),
  ofNode("number", ["tcpout"], "TCP bytes per second, outbound", (n) => tcpBytes(n.out.tcp)),
  {
    names: ["rank"],
    type: "number",
    of: "node",
    help: "place by the edges that lead to it: 1 has most",
    get: (e) => (e.node ? e.rank : undefined),
  },
  ofNode("yes", ["idle"], "no traffic in this time", (n) => isIdle(n.in) && isIdle(n.out)),
  ofNode("yes", ["gateway", "gw"], "ingress or egress gateway", (n) => n.gateway !== undefined),
  ofNode("yes", ["outofmesh", "om"], "without a sidecar", (n) => n.outOfMesh === true),
  ofNode("yes", ["serviceentry", "se"], "named by a ServiceEntry", (n) => n.kind === "serviceEntry"),
  ofNode(
    "yes",
    ["outside", "outsider"],
    "outside the mesh",
    (n) => n.namespace === undefined || n.kind === "serviceEntry",
  ),
  ofNode("yes", ["trafficsource", "root"], "where traffic enters the graph", isSource),
  ofNode(
    "yes",
    ["issues"],
    "its configuration has errors or warnings",
    (n) => !!n.issues && n.issues.errors + n.issues.warnings > 0,
  ),
  ofNode(
    "yes",
    ["sidecar", "sc"],
    "not missing a sidecar",
    (n) => !n.outOfMesh && !n.badges.includes("missingSidecar"),
  ),
  badge(["virtualservice", "vs"], ["virtualService"], "a VirtualService acts on it"),
  badge(["circuitbreaker", "cb"], ["circuitBreaker"], "a circuit breaker is set"),
  badge(["faultinjection", "fi"], ["faultInjection"], "faults are injected"),
  badge(["mirroring"], ["mirroring"], "traffic is mirrored"),
  badge(
    ["trafficshifting", "ts", "tcptrafficshifting", "tcpts"],
    ["trafficShifting"],
    "traffic is split by weight",
  ),
  badge(["requesttimeout", "rto"], ["timeout"], "a request timeout is set"),
  ofEdge("text", ["protocol"], "protocol of the edge", (e) => e.protocol, ["tcp", "http", "grpc"]),
  ofEdge("yes", ["mtls"], "some of it is mutual TLS", (e) => e.mtls !== "none"),
  ofEdge("number", ["http"], "HTTP requests per second", (e) => e.traffic.http?.requests ?? 0),
  ofEdge("number", ["grpc"], "gRPC requests per second", (e) => e.traffic.grpc?.requests ?? 0),
  ofEdge("number", ["tcp"], "TCP bytes per second", (e) => tcpBytes(e.traffic.tcp)),
  ofEdge(
    "number",
    ["connections", "conn"],
    "TCP connections opened per second",
    (e) => e.traffic.tcp?.opened ?? 0,
  ),
  ofEdge("number", ["%error", "%err"], "part that failed, in percent", (e) => percent(errorShare(e.traffic))),
  ofEdge("number", ["%httperror", "%httperr"], "HTTP requests that failed, in percent", (e) =>
    failedPart(e.traffic.http),
  ),
  ofEdge("number", ["%grpcerror", "%grpcerr"], "gRPC requests that failed, in percent", (e) =>
    failedPart(e.traffic.grpc),
  ),
  ofEdge(
    "number",
    ["%traffic", "%httptraffic", "%grpctraffic"],
    "part of what its source sent to that service, in percent",
    (e) => (e.share === undefined ? undefined : percent(e.share)),
  ),
  ofEdge(
    "number",
    ["rt", "responsetime", "p95"],
    "95th percentile of the latency, in ms",
    (e) => latencyOf(e.traffic)?.p95,
  ),
  ofEdge("number", ["p50"], "median latency, in ms", (e) => latencyOf(e.traffic)?.p50),
  ofEdge("number", ["p99"], "99th percentile of the latency, in ms", (e) => latencyOf(e.traffic)?.p99),
  ofEdge("number", ["throughput"], "bytes per second, both directions", (e) => totals(e.traffic).bytes),
  {
    names: ["source"],
    type: "text",
    of: "edge",
    help: "name of where the edge starts",
    get: (e) => (e.edge ? names(e.source) : undefined),
  },
  {
    names: ["target", "destination"],
    type: "text",
    of: "edge",
    help: "name of where the edge ends",
    get: (e) => (e.edge ? names(e.target) : undefined),
  },
  {
    names: ["sourceprincipal"],
    type: "text",
    of: "edge",
    help: "identity of the source",
    get: (e) => (e.edge ? (e.source?.principal ?? "") : undefined),
  },
  {
    names: ["destprincipal"],
    type: "text",
    of: "edge",
    help: "identity of the target",
    get: (e) => (e.edge ? (e.target?.principal ?? "") : undefined),
  },
  {
    names: ["healthy"],
    type: "yes",
    of: "both",
    help: "neither degraded nor failing",
    get: (e) => healthOf(e) === "healthy" || healthOf(e) === "idle",
  },
  {
    names: ["health"],
    type: "text",
    of: "both",
    help: "state of health",
    values: ["healthy", "degraded", "failing", "idle"],
    get: healthOf,
  },
  {
    names: ["traffic"],
    type: "yes",
    of: "both",
    help: "has traffic in this time",
    get: (e) => (e.node ? !(isIdle(e.node.in) && isIdle(e.node.out)) : !isIdle(e.edge.traffic)),
  },
];

const BY_NAME = new Map(SUBJECTS.flatMap((s) => s.names.map((name) => [name, s] as const)));

export function subject(name: string): Subject | undefined {
  return BY_NAME.get(name.toLowerCase()) ?? label(name);
}

function label(name: string): Subject | undefined {
  const key = name.toLowerCase();
  const get = key.startsWith(LABEL) ? LABELS[key.slice(LABEL.length)] : undefined;
  return get && { ...ofNode("text", [key], "a label", get), bare: true };
}

/** What Kiali's users may ask and this graph cannot answer. In: a name. Out: why. */
export function unanswered(name: string): string | undefined {
  const key = name.toLowerCase();
  if (key.startsWith(LABEL))
    return `the graph knows the labels app and version: ${Object.keys(LABELS).join(", ")}`;
  return UNANSWERED.find(([names]) => names.includes(key))?.[1];
}

const UNANSWERED: [names: string[], why: string][] = [
  [["operation", "op"], "requests are not sorted by operations here"],
  [["dead"], "a workload without instances has no traffic: “idle” finds what has none"],
  [["inaccessible"], "what you may not see is not in the graph: a notice above it says so"],
  [["requestrouting", "rr"], "“virtualservice” finds what routes act on"],
  [["workloadentry", "we"], "a WorkloadEntry is listed under Istio config and in the panel's Config tab"],
  [["waypoint", "ambient"], "this mesh has sidecars and gateways only"],
];

function failedPart(http: { errorShare: number } | undefined): number | undefined {
  return http && percent(http.errorShare);
}

function tcpBytes(tcp: { sent: number; received: number } | undefined): number {
  return tcp ? tcp.sent + tcp.received : 0;
}

/** A workload of a versioned app graph is a workload and an app to whoever asks. */
function nodeKinds(n: Node): string[] {
  const kinds = [n.kind.toLowerCase()];
  if (n.kind === "serviceEntry") kinds.push("se", "service", "svc", "outside");
  if (n.kind === "outside" || n.kind === "client" || n.kind === "blackHole") kinds.push("unknown");
  if (n.kind === "workload") kinds.push("wl");
  if (n.kind === "service") kinds.push("svc");
  if (n.gateway) kinds.push("gateway", n.gateway);
  return kinds;
}
