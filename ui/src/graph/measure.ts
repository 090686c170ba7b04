// How much room a node takes with its label. In: the view. Out: what the layouts read.
import type { LayoutEdge, LayoutInput, LayoutNode } from "../layout/types";
import type { View, ViewNode } from "../model/view";
import { SHAPE_SIZE } from "./style";

const LETTER = 7;
const LINE = 16;

export function measureNode(n: ViewNode): LayoutNode {
  const letters = Math.max(n.title.length, n.subtitle.length);
  const below = 6 + LINE * (n.subtitle ? 2 : 1);
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
      return down ? { ...node, width: node.width * 1.65 } : node;
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
  return n.subtitle ? `${n.title}\n${n.subtitle}` : n.title;
}
