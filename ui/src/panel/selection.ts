// What a selection stands for. In: the graph and the id that is selected. Out: its name, traffic, neighbours and
// health, for the side panel and for what is read aloud.
import type { Edge, Graph, Health, Node, Traffic } from "../api/types";
import { kindOf, worst } from "../model/kinds";
import { shareTexts } from "../model/shares";
import { clean, count } from "../model/text";
import { sum } from "../model/traffic";
import type { View } from "../model/view";

export interface Selection {
  /** As the API knows it. */
  id: string;
  kind: "node" | "edge" | "namespace" | "app" | "mesh" | "absent";
  title: string;
  what: string;
  health: Health;
  /** Why it is not healthy, each with how bad that is; of many nodes the worst first. */
  reasons: Reason[];
  in: Traffic;
  out: Traffic;
  node?: Node;
  edge?: Edge;
  /** Of an edge, in words. */
  share?: string;
  source?: Node;
  target?: Node;
  /** Edges that lead in and out, with the node at their other end. */
  inbound: Neighbour[];
  outbound: Neighbour[];
}

export interface Reason {
  state: Health["state"];
  text: string;
}

export interface Neighbour {
  edge: Edge;
  node?: Node;
}

/** `absent`: how it is called if it is not in the graph; nothing is known of it then but what the server tells. */
export function select(
  graph: Graph,
  view: View,
  id: string | undefined,
  absent?: { title: string; what: string },
): Selection {
  const nodes = new Map(graph.nodes.map((n) => [n.id, n]));
  const node = id === undefined ? undefined : nodes.get(id);
  if (node) return ofNode(graph, nodes, node);
  const edge = graph.edges.find((e) => e.id === id);
  if (edge) return ofEdge(graph, nodes, edge);
  const box = view.boxes.find((b) => b.id === id);
  if (!box && absent && id !== undefined) return ofAbsent(id, absent);
  if (!box) return ofAll(graph, view);
  const inside = (n: Node | undefined) =>
    n !== undefined && n.namespace === box.namespace && (box.kind === "namespace" || n.box === box.name);
  const members = graph.nodes.filter(inside);
  return {
    ...around(graph, nodes, inside),
    id: box.id,
    kind: box.kind,
    title: box.name,
    what: box.kind === "namespace" ? "Namespace" : `App in ${box.namespace}`,
    ...together(members),
  };
}

function ofNode(graph: Graph, nodes: Map<string, Node>, node: Node): Selection {
  const place = node.namespace ? ` in ${clean(node.namespace, 60)}` : "";
  return {
    ...around(graph, nodes, (n) => n?.id === node.id),
    id: node.id,
    kind: "node",
    title: node.version && node.kind !== "service" ? `${node.name} ${node.version}` : node.name,
    what: kindOf(node) + place,
    health: node.health,
    reasons: own(node.health),
    in: node.in,
    out: node.out,
    node,
  };
}

function ofEdge(graph: Graph, nodes: Map<string, Node>, edge: Edge): Selection {
  const source = nodes.get(edge.source);
  const target = nodes.get(edge.target);
  return {
    id: edge.id,
    kind: "edge",
    title: `${named(source)} → ${named(target)}`,
    what: `${edge.protocol.toUpperCase()} traffic`,
    health: edge.health,
    reasons: own(edge.health),
    in: {},
    out: edge.traffic,
    edge,
    share: shareTexts(graph.edges).get(edge.id),
    source,
    target,
    inbound: [],
    outbound: [],
  };
}

function ofAbsent(id: string, { title, what }: { title: string; what: string }): Selection {
  const health: Health = { state: "idle", reasons: [] };
  return { id, kind: "absent", title, what, health, reasons: [], in: {}, out: {}, inbound: [], outbound: [] };
}

function ofAll(graph: Graph, view: View): Selection {
  const whole = view.edges.map((e) => e.edge);
  // Through a service the same traffic passes twice: it counts where it begins.
  const targets = new Set(whole.map((e) => e.target));
  const passesOn = (e: Edge) => e.source.startsWith("service/") && targets.has(e.source);
  const beginning = graph.type === "service" ? whole : whole.filter((e) => !passesOn(e));
  return {
    id: "mesh",
    kind: "mesh",
    title: "Whole graph",
    what: `${count(view.nodes.length, "node")}, ${count(view.edges.length, "edge")}`,
    ...together(view.nodes.map((n) => n.node)),
    in: sum(beginning.map((e) => e.traffic)),
    out: {},
    inbound: [],
    outbound: [],
  };
}

function around(graph: Graph, nodes: Map<string, Node>, inside: (n: Node | undefined) => boolean) {
  const crossing = graph.edges.map((edge) => ({
    edge,
    from: inside(nodes.get(edge.source)),
    to: inside(nodes.get(edge.target)),
  }));
  const inbound = crossing
    .filter((c) => c.to && !c.from)
    .map(({ edge }) => ({ edge, node: nodes.get(edge.source) }));
  const outbound = crossing
    .filter((c) => c.from && !c.to)
    .map(({ edge }) => ({ edge, node: nodes.get(edge.target) }));
  // Within a box something comes in and goes out, too, as in its charts; through a service inside it counts once.
  const begins = crossing.filter(
    (c) => !c.from || graph.type === "service" || !c.edge.source.startsWith("service/"),
  );
  return {
    inbound,
    outbound,
    in: sum(begins.filter((c) => c.to).map((c) => c.edge.traffic)),
    out: sum(begins.filter((c) => c.from).map((c) => c.edge.traffic)),
  };
}

const MOST_REASONS = 8;
/** Kinds that are said before a name; those of other nodes are sentences of their own. */
const INSIDE: readonly Node["kind"][] = ["workload", "app", "service", "serviceEntry"];

function own(health: Health): Reason[] {
  return health.reasons.map((text) => ({ state: health.state, text }));
}

function together(all: Node[]): Pick<Selection, "health" | "reasons"> {
  const of = (state: Health["state"]) => all.filter((a) => a.health.state === state);
  const reasons = [...of("failing"), ...of("degraded")].slice(0, MOST_REASONS).map((a) => ({
    state: a.health.state,
    text: `${INSIDE.includes(a.kind) ? `${kindOf(a)} ` : ""}${named(a)}: ${a.health.reasons[0] ?? a.health.state}`,
  }));
  const health = { state: worst(all.map((a) => a.health)), reasons: reasons.map((r) => r.text) };
  return { health, reasons };
}

export function named(node: Node | undefined): string {
  if (!node) return "?";
  return node.version && node.kind === "app"
    ? `${clean(node.name, 60)} ${clean(node.version, 20)}`
    : clean(node.name, 60);
}
