// How much room a node takes with its label. In: the view. Out: what the layouts read.
import type { LayoutEdge, LayoutInput, LayoutNode } from "../layout/types";
import type { View, ViewNode } from "../model/view";
import { SHAPE_SIZE } from "./style";

const LETTER = 7;
const LINE = 16;
/** Letters of a name on one line. */
const LONG = 16;

export function measureNode(n: ViewNode): LayoutNode {
  const lines = label(n).split("\n");
  const letters = Math.max(...lines.map((l) => l.length));
  // Enlarged, a third line needs more than its own height.
  const below = 6 + LINE * lines.length + (lines.length > 2 ? 12 : 0);
  return {
    id: n.id,
    width: Math.max(SHAPE_SIZE + 12, letters * LETTER),
    height: SHAPE_SIZE + 8 + below,
    below,
    box: n.box,
  };
}

export function layoutInput(view: View, down = false): LayoutInput {
  return {
    down,
    // On a small screen text is larger than what it is on.
    nodes: view.nodes.map((n) => {
      const node = measureNode(n);
      return down ? { ...node, width: node.width * 2.1 } : node;
    }),
    boxes: view.boxes.map((b) => ({ id: b.id, parent: b.parent })),
    edges: layoutEdges(view),
  };
}

export function layoutEdges(view: View): LayoutEdge[] {
  return view.edges.map((e) => ({ id: e.id, source: e.source, target: e.target }));
}

/** What the canvas shows under a node. */
export function label(n: ViewNode): string {
  const title = broken(n.title);
  return n.subtitle ? `${title}\n${n.subtitle}` : title;
}

/** A long name on two lines, if it has a place to break near its middle: what is wide makes all of the graph small. */
export function broken(name: string): string {
  if (name.length <= LONG) return name;
  const places = [...name.matchAll(/[-._/ ](?=.)|[a-z](?=[A-Z])/g)].map((m) => m.index + 1);
  const off = (at: number) => Math.abs(at - name.length / 2);
  const at = places.reduce<number | undefined>(
    (a, b) => (a === undefined || off(b) < off(a) ? b : a),
    undefined,
  );
  return at === undefined ? name : `${name.slice(0, at).trimEnd()}\n${name.slice(at)}`;
}
