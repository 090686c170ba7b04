// The graph API, version 1: what the server sends. `crates/graph` and `crates/control` serialize the same
// shapes. All rates are per second over that part of `duration` of which something is known, and a notice says if that is
// not all of it; times are milliseconds since 1970; bytes are bytes;
// latencies are milliseconds. A field that is absent was not observed, which is not the same as zero.
//
// GET  /api/v1/status                          → Status
// GET  /api/v1/graph?GraphQuery                → Graph   (ETag; 304 while nothing has changed)
// GET  /api/v1/series?id=…&duration=…&at=…     → Series  (id: SelectionId; of an edge only `outbound` is filled)
// GET  /api/v1/failures?id=…&limit=…&at=…      → { failures: Failure[] }
// GET  /api/v1/logs?id=…&limit=…&at=…          → { lines: LogLine[] }
// GET  /api/v1/namespaces                      → { namespaces: Namespace[] }
// GET  /api/v1/applications|workloads|services?namespaces=…&search=… → List<ListItem>
// GET  /api/v1/config?namespaces=…&search=…&kind=…&actsOn=ID        → List<ConfigItem>
// GET  /api/v1/config/KIND.GROUP/NAMESPACE/NAME   → ConfigObject
// POST /api/v1/config/KIND.GROUP/NAMESPACE/NAME?dryRun=true|false  ConfigUpdate → ConfigObject, or 409/422 Problem
// An object without a namespace has `_` in its place, one of Kubernetes' core group no `.GROUP`. There are Istio's
// kinds, and by their own address the Gateway API's and Services, which the list has not. A dry run answers 200 with
// `validation` filled even if there are errors, unless the text is no such object at all (422), and without errors with
// `foreseen`.
//
// SelectionId, for series, failures, logs and actsOn: the id of a node or an edge, `namespace/NAME`,
// `appbox/NAMESPACE/APP` (of a versionedApp graph), or `mesh` for all that the reader may see.
// actsOn gives, besides, what led connections of the selection nowhere in the last hour.
// Every answer that is not 2xx is a Problem. A missing or refused token is 401, a missing right 403; a parameter that
// is not known, or a value that is not allowed, is 400; an id that nothing in the mesh has, and no traffic of the last
// hour, is 404. Behind `lateen dashboard`, 424 says that the reader's token for the cluster has ended.
//
// `/graph?format=text` is what `lateen graph` prints. `format=kiali` is Kiali's graph JSON, and takes Kiali's names:
// `graphType`, `includeIdleEdges`, `injectServiceNodes`, `queryTime` (in seconds) and `rateTcp` (`sent`, the default:
// Istio's `istio_tcp_sent_bytes_total`, what servers send; `received`; `total`; `none`). What Kiali's clients always
// send besides is taken without effect: `ambientTraffic`, `appenders`, `boxBy`, `cluster`, `clusterName`,
// `configVendor`, `includeHealth`, `includeLabels`, `rateGrpc`, `rateHttp`, `responseTime`, `telemetryVendor`,
// `throughputType`, `waypoints`.

/** Query parameters of `/graph`. Lists are comma separated. */
export interface GraphQuery {
  type: GraphType;
  /** Empty or absent: all that the reader may see. */
  namespaces?: string[];
  /** Seconds that the rates are over: 5 to 3600, a multiple of 5. */
  duration: number;
  /** The end of that time; absent: now. One that is to come is refused. */
  at?: number;
  /** Whether services stand between a client and its workloads. Default true. */
  services?: boolean;
  /** Whether nodes and edges without traffic in that time are shown. Default false. */
  idle?: boolean;
}

export type GraphType = "workload" | "app" | "versionedApp" | "service";

export interface Status {
  version: string;
  /** Istio's cluster name. */
  cluster: string;
  /** `memory`: kept by the control plane; `prometheus`: read from there. */
  source: "memory" | "prometheus";
  now: number;
  /** The oldest time that can be asked for. */
  oldest: number;
  /** Milliseconds between two samples. */
  step: number;
  /** Who is asking, as Kubernetes knows them. */
  user?: string;
  /** Proxies that send their traffic at the moment. */
  proxies: number;
  store: { bytes: number; limit: number; edges: number; edgesDropped: number };
  /** What the reader should know, such as telemetry that was dropped. */
  notices: string[];
}

export interface Graph {
  apiVersion: "graph.lateen.io/v1";
  type: GraphType;
  at: number;
  duration: number;
  /** In a stable order. */
  nodes: Node[];
  edges: Edge[];
  /** What could not be shown, such as namespaces that the reader may not see, or that are none. */
  notices: string[];
}

export type NodeKind =
  | "workload"
  | "app"
  | "service"
  /** A host outside the mesh that a ServiceEntry names. */
  | "serviceEntry"
  /** Destinations outside the mesh that nothing names, all of them: `PassthroughCluster`. */
  | "outside"
  /** A client outside the mesh that reaches a workload's own proxy; those of an ingress gateway are on no edge. */
  | "client"
  /** Where a connection was refused because nothing leads on. */
  | "blackHole";

export interface Node {
  /** Stable across queries of one type: `KIND/NAMESPACE/NAME[/VERSION]`. */
  id: string;
  kind: NodeKind;
  cluster?: string;
  /** Absent outside the mesh. */
  namespace?: string;
  /** What to show. */
  name: string;
  workload?: string;
  app?: string;
  version?: string;
  /** Of a service node, and of a ServiceEntry: its host. */
  service?: string;
  /** SPIFFE identity, once it was proved. */
  principal?: string;
  gateway?: "ingress" | "egress";
  /** Without a sidecar, as far as is known. */
  outOfMesh?: boolean;
  /** The box it is drawn in besides its namespace: of the app, in versionedApp graphs. */
  box?: string;
  health: Health;
  in: Traffic;
  out: Traffic;
  /** How many errors and warnings the configuration that acts on it has; absent for a time that is past. */
  issues?: { errors: number; warnings: number };
  /** Istio features that act on it, for badges. What acted on it in the past is not known: then there are none. */
  badges: Badge[];
}

export type Badge =
  | "virtualService"
  | "destinationRule"
  | "gateway"
  | "serviceEntry"
  | "sidecar"
  | "peerAuthentication"
  | "authorizationPolicy"
  | "requestAuthentication"
  | "faultInjection"
  | "mirroring"
  | "trafficShifting"
  | "timeout"
  | "circuitBreaker"
  | "missingSidecar";

export interface Edge {
  /** `SOURCE>TARGET#PROTOCOL` */
  id: string;
  source: string;
  target: string;
  protocol: Protocol;
  /** The service that was asked for. */
  service?: string;
  /** `full`: all of it was mutual TLS; `partial`; `none`. */
  mtls: "full" | "partial" | "none";
  traffic: Traffic;
  /** Of all that its source sent to the same service, the part that went here: 0 to 1. */
  share?: number;
  /** What that is a part of. */
  shareOf?: ShareOf;
  health: Health;
}

/** Requests; connections opened in this time; or, where none was opened, connections that are open. */
export type ShareOf = "requests" | "opened" | "open";

export type Protocol = "tcp" | "http" | "grpc";

/** What went over an edge, or into or out of a node. */
export interface Traffic {
  tcp?: Tcp;
  http?: Http;
  grpc?: Http;
}

export interface Tcp {
  /** Bytes from the client to the server, and back. */
  sent: number;
  received: number;
  /** Connections opened, closed, and of those closed the ones that failed. */
  opened: number;
  closed: number;
  failed: number;
  /** Connections open at the end of the time. */
  active: number;
  /** Failed connections by Envoy's response flags, such as `{"UF,URX": 0.4}`. */
  flags: Record<string, number>;
}

export interface Http {
  requests: number;
  /** Share of the requests that failed, 0 to 1. */
  errorShare: number;
  latency?: { p50: number; p95: number; p99: number };
  requestBytes: number;
  responseBytes: number;
  /** Requests by response code (gRPC: by status). */
  codes: Record<string, number>;
  flags: Record<string, number>;
  /** gRPC messages. */
  requestMessages?: number;
  responseMessages?: number;
}

export interface Health {
  state: "healthy" | "degraded" | "failing" | "idle";
  /** Why it is not healthy, most telling first. */
  reasons: string[];
}

export interface Series {
  id: string;
  /** Of the first sample, and between two. */
  start: number;
  step: number;
  /** `null`: not observed, or not all of what the line sums up. Each has as many samples as there are steps. */
  inbound: Lines;
  outbound: Lines;
}

/** Names such as `tcp.sent`, `tcp.received`, `tcp.opened`, `tcp.failed`, `tcp.active`, `http.requests`,
 *  `http.errors`, `http.p50`, `http.p95`, `http.p99`, `grpc.…`. */
export type Lines = Record<string, (number | null)[]>;

/** A connection or request that failed, and why. */
export interface Failure {
  time: number;
  source: string;
  target: string;
  protocol: Protocol;
  /** The proxy that tells it. */
  proxy: string;
  /** Where the client wanted to go, by address, and the host that its TLS asked for. */
  destination: string;
  serverName?: string;
  /** Envoy's response flags. */
  flags: string;
  code?: number;
  bytesReceived: number;
  bytesSent: number;
  durationMs: number;
  /** One sentence for people. */
  summary: string;
  /** The way it took, each with the object and the field that decided. */
  steps: { what: string; object?: ObjectRef; field?: string; failed?: boolean }[];
  /** What to check. */
  remedy?: string;
  /** The same connection as the client's proxy tells it, where the server's told it, too. */
  byClient?: Failure;
}

export interface LogLine {
  time: number;
  /** The proxy that wrote it. */
  from: string;
  text: string;
}

export interface ObjectRef {
  kind: string;
  group: string;
  namespace: string;
  name: string;
}

export interface Namespace {
  name: string;
  injection: "enabled" | "disabled" | "unset";
  revision?: string;
  health: Health;
}

export interface List<T> {
  items: T[];
  /** Rows that found no room: a search or a namespace brings them in. */
  leftOut?: number;
}

export interface ListItem {
  /** The node's id in the graph of the matching type. */
  id: string;
  kind: "app" | "workload" | "service";
  namespace: string;
  name: string;
  /** Of several workloads those that all have. */
  labels: Record<string, string>;
  /** Such as Deployment or ServiceEntry. */
  type?: string;
  /** Instances, and of those the ready ones. */
  instances?: { all: number; ready: number };
  /** Whether it has sidecars: all, some, none. */
  sidecars?: "all" | "some" | "none";
  health: Health;
  issues: { errors: number; warnings: number };
}

export interface ConfigItem extends ObjectRef {
  version: string;
  created: number;
  issues: { errors: number; warnings: number };
}

export interface ConfigObject extends ConfigItem {
  /** Without what nobody edits: managed fields, what kubectl applied, versions, a status that is a subresource. */
  yaml: string;
  /** Of that text, and not of the API: a status that is written makes no other one. Opaque. */
  resourceVersion: string;
  validation: Issue[];
  /** What the mesh would say if this were saved; it keeps nobody from saving it. */
  foreseen?: Foreseen;
  /** Whether the reader's own rights in Kubernetes allow an update. */
  editable: boolean;
  /** Nodes of the workload graph that it acts on. */
  actsOn: string[];
}

export interface Foreseen {
  /** Of the object first, then what would newly be wrong with others. */
  issues: Issue[];
  /** Issues that found no room. */
  leftOut?: number;
  /** Why the mesh could not be asked. */
  missing?: string;
}

/** What the reader wrote, and the version that it was made from: 409 when the object has changed since. No version, "",
 *  is that of an object that is not there: it is created. */
export interface ConfigUpdate {
  yaml: string;
  resourceVersion: string;
}

export interface Issue {
  code: string;
  severity: "error" | "warning" | "info";
  message: string;
  /** Such as `spec.tcp[0].route[0].destination.host`. */
  path: string;
  /** If it is another one than that which is looked at. */
  object?: ObjectRef;
}

export interface Problem {
  status: number;
  /** Lower case, says what to check. */
  message: string;
  issues?: Issue[];
}
