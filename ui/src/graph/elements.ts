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
          label: e.label,
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
