// Moving through the graph with the arrow keys. In: what is drawn, where, and what is selected. Out: what is next.
// Right goes along the traffic, from node to edge to node; left against it; up and down between what is beside it.
import type { Point } from "../layout/types";
import type { View, ViewEdge } from "../model/view";

export type Direction = "right" | "left" | "up" | "down";

export function next(
  view: View,
  at: (id: string) => Point | undefined,
  selected: string | undefined,
  to: Direction,
): string | undefined {
  const edge = view.edges.find((e) => e.id === selected);
  if (edge) return fromEdge(view, at, edge, to);
  const node = view.nodes.find((n) => n.id === selected);
  if (!node) return first(view, at);
  if (to === "right")
    return highest(
      view.edges.filter((e) => e.source === node.id),
      (e) => at(e.target),
    )?.id;
  if (to === "left")
    return highest(
      view.edges.filter((e) => e.target === node.id),
      (e) => at(e.source),
    )?.id;
  return beside(view, at, node.id, to);
}

/** Among edges up and down go to the next one of the same node; at its ends to the nodes. */
function fromEdge(
  view: View,
  at: (id: string) => Point | undefined,
  edge: ViewEdge,
  to: Direction,
): string | undefined {
  if (to === "right") return edge.target;
  if (to === "left") return edge.source;
  const out = view.edges.filter((e) => e.source === edge.source);
  const group = out.length > 1 ? out : view.edges.filter((e) => e.target === edge.target);
  const end = out.length > 1 ? (e: ViewEdge) => at(e.target) : (e: ViewEdge) => at(e.source);
  const sorted = [...group].sort((a, b) => (end(a)?.y ?? 0) - (end(b)?.y ?? 0));
  const index = sorted.findIndex((e) => e.id === edge.id) + (to === "down" ? 1 : -1);
  return sorted[index]?.id;
}

function first(view: View, at: (id: string) => Point | undefined): string | undefined {
  const sorted = [...view.nodes].sort((a, b) => {
    const [p, q] = [at(a.id), at(b.id)];
    return (p?.x ?? 0) - (q?.x ?? 0) || (p?.y ?? 0) - (q?.y ?? 0);
  });
  return sorted[0]?.id;
}

function highest(edges: ViewEdge[], end: (e: ViewEdge) => Point | undefined): ViewEdge | undefined {
  return [...edges].sort((a, b) => (end(a)?.y ?? 0) - (end(b)?.y ?? 0))[0];
}

/** The nearest node above or below; one that is far to the side counts as further away. */
function beside(
  view: View,
  at: (id: string) => Point | undefined,
  id: string,
  to: "up" | "down",
): string | undefined {
  const from = at(id);
  if (!from) return undefined;
  const sign = to === "down" ? 1 : -1;
  let best: { id: string; far: number } | undefined;
  for (const n of view.nodes) {
    const p = at(n.id);
    if (n.id === id || !p) continue;
    const dy = (p.y - from.y) * sign;
    if (dy <= 1) continue;
    const far = dy + Math.abs(p.x - from.x) * 2;
    if (!best || far < best.far) best = { id: n.id, far };
  }
  return best?.id;
}
