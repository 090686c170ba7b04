// Words for the kinds of things, in Istio's and Kubernetes' terms. In: values of the API. Out: text for people.
import type { Badge, GraphType, Health, Node, NodeKind, ObjectRef } from "../api/types";

export const GRAPH_TYPES: Record<GraphType, string> = {
  workload: "Workload graph",
  app: "App graph",
  versionedApp: "Versioned app graph",
  service: "Service graph",
};

export const KIND_NAMES: Record<NodeKind, string> = {
  workload: "Workload",
  app: "App",
  service: "Service",
  serviceEntry: "ServiceEntry",
  outside: "Outside the mesh",
  client: "Client outside the mesh",
  blackHole: "Refused: nothing leads on",
};

export const BADGE_NAMES: Record<Badge, string> = {
  virtualService: "VirtualService",
  destinationRule: "DestinationRule",
  gateway: "Gateway",
  serviceEntry: "ServiceEntry",
  sidecar: "Sidecar",
  peerAuthentication: "PeerAuthentication",
  authorizationPolicy: "AuthorizationPolicy",
  requestAuthentication: "RequestAuthentication",
  faultInjection: "Fault injection",
  mirroring: "Mirroring",
  trafficShifting: "Traffic shifting",
  timeout: "Request timeout",
  circuitBreaker: "Circuit breaker",
  missingSidecar: "Missing sidecar",
};

export const HEALTH_NAMES: Record<Health["state"], string> = {
  healthy: "Healthy",
  degraded: "Degraded",
  failing: "Failing",
  idle: "Idle",
};

/** Worse is higher. */
export const HEALTH_ORDER: Record<Health["state"], number> = { idle: 0, healthy: 1, degraded: 2, failing: 3 };

export function worst(all: Iterable<Health>): Health["state"] {
  let state: Health["state"] = "idle";
  for (const h of all) if (HEALTH_ORDER[h.state] > HEALTH_ORDER[state]) state = h.state;
  return state;
}

export function kindOf(node: Node): string {
  if (node.gateway === "ingress") return "Ingress gateway";
  if (node.gateway === "egress") return "Egress gateway";
  return KIND_NAMES[node.kind];
}

/** `KIND.GROUP/NAMESPACE/NAME`; an object without a namespace has `_` there. */
export function configPath(ref: ObjectRef): string {
  const kind = ref.group ? `${ref.kind}.${ref.group}` : ref.kind;
  return [kind, ref.namespace || "_", ref.name].map(encodeURIComponent).join("/");
}

export function parseConfigPath(kindGroup: string, namespace: string, name: string): ObjectRef {
  const dot = kindGroup.indexOf(".");
  return {
    kind: dot < 0 ? kindGroup : kindGroup.slice(0, dot),
    group: dot < 0 ? "" : kindGroup.slice(dot + 1),
    namespace: namespace === "_" ? "" : namespace,
    name,
  };
}

/** What Envoy's response flags say, for those that a reader meets. */
const FLAGS = new Map([
  ["UF", "connection to the workload failed"],
  ["UH", "no healthy workload"],
  ["UC", "the workload closed the connection"],
  ["URX", "gave up after retries or connection attempts"],
  ["UO", "circuit breaker open"],
  ["NR", "no route"],
  ["NC", "cluster not found"],
  ["DC", "the client closed the connection"],
  ["UT", "timeout of the workload"],
  ["UAEX", "refused by external authorization"],
  ["RBAC", "refused by an AuthorizationPolicy"],
  ["RL", "rate limited"],
  ["FI", "aborted by fault injection"],
  ["DI", "delayed by fault injection"],
  ["LR", "reset on this side"],
  ["UR", "reset by the workload"],
  ["SI", "idle timeout of the stream"],
  ["DPE", "protocol error of the client"],
  ["UPE", "protocol error of the workload"],
  ["UMSDR", "the request took too long to arrive"],
  ["OM", "the proxy is short of memory"],
  ["DF", "DNS resolution failed"],
]);

export function explainFlags(flags: string): string {
  return flags
    .split(",")
    .map((f) => FLAGS.get(f.trim()))
    .filter((t) => t !== undefined)
    .join("; ");
}
