// From a view to what Cytoscape keeps: plain data that its style sheet reads. Two equal pieces of data look alike.
import type cytoscape from "cytoscape";
import { middle } from "../model/text";
import type { View, ViewBox, ViewEdge, ViewNode } from "../model/view";
import { label } from "./measure";

export interface Drawn {
  id: string;
  group: "nodes" | "edges";
  data: Record<string, unknown>;
  parent?: string;
  classes: string[];
  source?: ViewNode | ViewEdge | ViewBox;
}

export function drawn(view: View): Drawn[] {
  const finding = [...view.nodes, ...view.edges].some((e) => e.found !== undefined);
  const near = new Set(view.edges.filter((e) => e.found).flatMap((e) => [e.source, e.target]));
  const state = (found: boolean | undefined, beside: boolean) =>
    !finding ? [] : found ? ["found"] : beside ? [] : ["dim"];
  const side = labelSides(view.edges);
  return [
    ...view.boxes.map(
      (b): Drawn => ({
        id: b.id,
        group: "nodes",
        parent: b.parent,
        classes: [],
        source: b,
        data: {
          box: b.kind,
          name: b.kind === "namespace" ? middle(b.name, 40) : `app ${middle(b.name, 34)}`,
        },
      }),
    ),
    ...view.nodes.map(
      (n): Drawn => ({
        id: n.id,
        group: "nodes",
        parent: n.box,
        source: n,
        classes: [
          ...(n.node.namespace === undefined || n.node.kind === "serviceEntry" ? ["outsider"] : []),
          ...state(n.found, near.has(n.id)),
        ],
        data: { kind: n.node.kind, label: label(n), health: n.node.health.state, idle: n.idle },
      }),
    ),
    ...view.edges.map(
      (e): Drawn => ({
        id: e.id,
        group: "edges",
        source: e,
        classes: state(e.found, false),
        data: {
          ...labels(e.label, side(e)),
          health: e.edge.health.state,
          idle: e.idle,
          width: e.width,
          protocol: e.edge.protocol,
          source: e.source,
          target: e.target,
        },
      }),
    ),
  ];
}

/** Where edges fan out their labels stand near their targets, where they fan in near their sources: there is room. */
function labelSides(edges: readonly ViewEdge[]): (e: ViewEdge) => "source" | "target" | "middle" {
  const out = new Map<string, number>();
  const into = new Map<string, number>();
  for (const e of edges) {
    out.set(e.source, (out.get(e.source) ?? 0) + 1);
    into.set(e.target, (into.get(e.target) ?? 0) + 1);
  }
  return (e) => {
    const [fanOut, fanIn] = [out.get(e.source)! > 1, into.get(e.target)! > 1];
    if (fanOut === fanIn) return "middle";
    return fanOut ? "target" : "source";
  };
}

function labels(text: string, side: "source" | "target" | "middle") {
  const on = (s: typeof side) => (s === side ? text : "");
  return { label: on("middle"), sourceLabel: on("source"), targetLabel: on("target") };
}

export function same(a: Drawn, b: Drawn): boolean {
  if (a.source !== b.source && a.group === "nodes" && a.parent !== b.parent) return false;
  return a.classes.join(" ") === b.classes.join(" ") && sameData(a.data, b.data);
}

function sameData(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  return Object.keys(a).every((k) => a[k] === b[k]);
}

export function definition(d: Drawn): cytoscape.ElementDefinition {
  return { group: d.group, data: { ...d.data, id: d.id, parent: d.parent }, classes: d.classes.join(" ") };
}
