// Whether a graph to which nodes were added has become a heap. In: nodes with their places, and boxes. Out: yes if a node
// or its label covers another, or a box what is not in it.
import { holds, type Rect } from "./labels";
import { type Placed, rectOf } from "./place";
import { GAP, type LayoutBox } from "./types";

export function crowded(nodes: readonly Placed[], boxes: readonly LayoutBox[]): boolean {
  const rects = nodes.map(rectOf);
  for (let i = 0; i < rects.length; i += 1)
    for (let j = i + 1; j < rects.length; j += 1) if (cover(rects[i]!, rects[j]!)) return true;
  const parent = new Map(boxes.map((b) => [b.id, b.parent]));
  const bounds = boundsOf(nodes, rects, parent);
  const inside = (box: string | undefined, outer: string): boolean =>
    box !== undefined && (box === outer || inside(parent.get(box), outer));
  for (const [id, rect] of bounds) {
    if (nodes.some((n) => !inside(n.box, id) && holds(rect, n.at))) return true;
    for (const [other, its] of bounds)
      if (!inside(other, id) && !inside(id, other) && cover(rect, its)) return true;
  }
  return false;
}

function boundsOf(
  nodes: readonly Placed[],
  rects: readonly Rect[],
  parent: Map<string, string | undefined>,
): Map<string, Rect> {
  const out = new Map<string, Rect>();
  const pad = GAP.box * 0.7;
  nodes.forEach((n, i) => {
    const r = rects[i]!;
    for (let box = n.box; box !== undefined; box = parent.get(box)) {
      const b = out.get(box) ?? { x1: Infinity, y1: Infinity, x2: -Infinity, y2: -Infinity };
      out.set(box, {
        x1: Math.min(b.x1, r.x1 - pad),
        y1: Math.min(b.y1, r.y1 - pad),
        x2: Math.max(b.x2, r.x2 + pad),
        y2: Math.max(b.y2, r.y2 + pad),
      });
    }
  });
  return out;
}

function cover(a: Rect, b: Rect): boolean {
  return Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) > 1 && Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) > 1;
}
