// What is drawn. In: a graph from the server and what the reader chose (boxes, labels, find, hide). Out: boxes,
// nodes and edges with all that the canvas and the table show. Pure: the same input gives the same output.
import type { Edge, Graph, Health, Node } from "../api/types";
import { matches } from "./expression/evaluate";
import type { Expression } from "./expression/parser";
import { worst } from "./kinds";
import { type EdgeLabel, edgeLabel, nodeText } from "./labels";
import { ranks } from "./rank";
import { shareTexts } from "./shares";
import { isIdle, totals } from "./traffic";

export interface ViewOptions {
  boxNamespaces: boolean;
  boxApps: boolean;
  labels: readonly EdgeLabel[];
  find?: Expression;
  hide?: Expression;
}

export interface ViewBox {
  id: string;
  kind: "namespace" | "app";
  parent?: string;
  namespace: string;
  name: string;
  health: Health["state"];
  members: number;
}

export interface ViewNode {
  id: string;
  box?: string;
  title: string;
  subtitle: string;
  idle: boolean;
  /** With a find expression: whether it is found. Without one: undefined. */
  found?: boolean;
  node: Node;
}

export interface ViewEdge {
  id: string;
  source: string;
  target: string;
  label: string;
  /** Its share of a split, in words. */
  share?: string;
  idle: boolean;
  /** Of the line, in pixels. */
  width: number;
  found?: boolean;
  edge: Edge;
}

export interface View {
  boxes: ViewBox[];
  nodes: ViewNode[];
  edges: ViewEdge[];
  found: number;
  hidden: number;
}

export function view(graph: Graph, options: ViewOptions): View {
  const byId = new Map(graph.nodes.map((n) => [n.id, n]));
  const rank = ranks(graph);
  const kept = keep(graph, byId, rank, options.hide);
  const apps = options.boxApps ? appBoxes(kept.nodes, options.boxNamespaces) : new Map<string, ViewBox>();
  const spaces = options.boxNamespaces ? namespaceBoxes(kept.nodes) : new Map<string, ViewBox>();
  const found = (node?: Node, edge?: Edge) => {
    if (!options.find) return undefined;
    if (node) return matches(options.find, { node, rank: rank.get(node.id) });
    return matches(options.find, {
      edge: edge!,
      source: byId.get(edge!.source),
      target: byId.get(edge!.target),
    });
  };
  const nodes = kept.nodes.map((node): ViewNode => {
    const app = apps.get(appKey(node));
    const space = node.namespace === undefined ? undefined : spaces.get(node.namespace);
    return {
      id: node.id,
      box: app?.id ?? space?.id,
      ...nodeText(node, graph.type, space !== undefined, app !== undefined),
      idle: isIdle(node.in) && isIdle(node.out),
      found: found(node),
      node,
    };
  });
  const shares = shareTexts(graph.edges);
  const edges = kept.edges.map(
    (edge): ViewEdge => ({
      id: edge.id,
      source: edge.source,
      target: edge.target,
      label: edgeLabel(edge, options.labels, shares.get(edge.id)),
      share: shares.get(edge.id),
      idle: isIdle(edge.traffic),
      width: lineWidth(edge),
      found: found(undefined, edge),
      edge,
    }),
  );
  const hits = [...nodes, ...edges].filter((e) => e.found).length;
  const hidden = graph.nodes.length - nodes.length + graph.edges.length - edges.length;
  return { boxes: [...spaces.values(), ...apps.values()], nodes, edges, found: hits, hidden };
}

function keep(
  graph: Graph,
  byId: Map<string, Node>,
  rank: Map<string, number>,
  hide: Expression | undefined,
): { nodes: Node[]; edges: Edge[] } {
  const whole = graph.edges.filter((e) => byId.has(e.source) && byId.has(e.target));
  if (!hide) return { nodes: graph.nodes, edges: whole };
  const gone = new Set(
    graph.nodes.filter((node) => matches(hide, { node, rank: rank.get(node.id) })).map((n) => n.id),
  );
  const edges = whole.filter((edge) => {
    if (gone.has(edge.source) || gone.has(edge.target)) return false;
    return !matches(hide, { edge, source: byId.get(edge.source), target: byId.get(edge.target) });
  });
  // What hangs on hidden edges alone goes with them; what never had an edge stays.
  const had = new Set(whole.flatMap((e) => [e.source, e.target]));
  const has = new Set(edges.flatMap((e) => [e.source, e.target]));
  return { nodes: graph.nodes.filter((n) => !gone.has(n.id) && (has.has(n.id) || !had.has(n.id))), edges };
}

function namespaceBoxes(nodes: Node[]): Map<string, ViewBox> {
  const out = new Map<string, ViewBox>();
  for (const [name, members] of group(nodes, (n) => n.namespace)) {
    const health = worst(members.map((m) => m.health));
    out.set(name, {
      id: `namespace/${name}`,
      kind: "namespace",
      namespace: name,
      name,
      health,
      members: members.length,
    });
  }
  return out;
}

const appKey = (n: Node) =>
  n.box !== undefined && n.namespace !== undefined ? `${n.namespace}\n${n.box}` : "";

/** An app of which one version is seen needs no box. */
function appBoxes(nodes: Node[], inNamespaces: boolean): Map<string, ViewBox> {
  const out = new Map<string, ViewBox>();
  for (const [key, members] of group(nodes, (n) => appKey(n) || undefined)) {
    if (members.filter((m) => m.kind !== "service").length < 2) continue;
    const [namespace, name] = key.split("\n") as [string, string];
    const parent = inNamespaces ? `namespace/${namespace}` : undefined;
    const health = worst(members.map((m) => m.health));
    out.set(key, {
      id: `appbox/${namespace}/${name}`,
      kind: "app",
      parent,
      namespace,
      name,
      health,
      members: members.length,
    });
  }
  return out;
}

function group<T>(items: T[], key: (item: T) => string | undefined): Map<string, T[]> {
  const out = new Map<string, T[]>();
  for (const item of items) {
    const k = key(item);
    if (k === undefined) continue;
    const list = out.get(k);
    if (list) list.push(item);
    else out.set(k, [item]);
  }
  return out;
}

/** Grows with the logarithm: a thousand times the traffic is a line three times as wide. */
function lineWidth(edge: Edge): number {
  const sum = totals(edge.traffic);
  const amount = Math.max(sum.requests, sum.connections, sum.bytes / 10_000);
  return Math.round(Math.min(5, 1.6 + Math.log10(1 + amount) * 0.9) * 10) / 10;
}

/** Changes when the reader changes what is drawn, and not when traffic does. */
export function layoutKey(
  type: string,
  options: ViewOptions,
  services: boolean,
  choice: string,
  round: number,
): string {
  return [type, options.boxNamespaces, options.boxApps, services, choice, round].join(" ");
}
