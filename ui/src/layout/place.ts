// Places nodes that appear while the graph is live. In: what is there and where, and what is new. Out: a free
// place for each, right of what calls it or left of what it calls, and on no edge between others; nothing that was there
// moves.
import { goesThrough, type Rect } from "./labels";
import { GAP, type LayoutEdge, type LayoutNode, type Point } from "./types";

export interface Placed extends LayoutNode {
  at: Point;
}

export function place(added: LayoutNode[], edges: LayoutEdge[], there: Placed[]): Record<string, Point> {
  const known = new Map(there.map((p) => [p.id, p]));
  const out: Record<string, Point> = {};
  // What is next to something known comes first, so that chains of new nodes grow from there.
  const waiting = [...added];
  while (waiting.length > 0) {
    const index = Math.max(
      0,
      waiting.findIndex((n) => wish(n, edges, known) !== undefined),
    );
    const [node] = waiting.splice(index, 1);
    const want = wish(node!, edges, known) ?? inBox(node!, known) ?? corner(known);
    const at = free(node!, want, known, edges);
    known.set(node!.id, { ...node!, at });
    out[node!.id] = at;
  }
  return out;
}

function wish(node: LayoutNode, edges: LayoutEdge[], known: Map<string, Placed>): Point | undefined {
  const sources = ends(edges, "target", "source", node.id, known);
  const targets = ends(edges, "source", "target", node.id, known);
  if (sources.length + targets.length === 0) return undefined;
  const y = average([...sources, ...targets].map((p) => p.at.y));
  const siblings = sources.flatMap((s) => ends(edges, "source", "target", s.id, known));
  if (siblings.length > 0) return { x: average(siblings.map((s) => s.at.x)), y };
  const fellows =
    sources.length > 0 ? [] : targets.flatMap((t) => ends(edges, "target", "source", t.id, known));
  if (fellows.length > 0) return { x: average(fellows.map((f) => f.at.x)), y };
  if (sources.length > 0)
    return { x: Math.max(...sources.map((s) => s.at.x + s.width / 2)) + GAP.columns + node.width / 2, y };
  return { x: Math.min(...targets.map((t) => t.at.x - t.width / 2)) - GAP.columns - node.width / 2, y };
}

function ends(
  edges: LayoutEdge[],
  mine: "source" | "target",
  other: "source" | "target",
  id: string,
  known: Map<string, Placed>,
): Placed[] {
  return edges
    .filter((e) => e[mine] === id && e[other] !== id)
    .map((e) => known.get(e[other]))
    .filter((p) => p !== undefined);
}

function inBox(node: LayoutNode, known: Map<string, Placed>): Point | undefined {
  const mates = [...known.values()].filter((p) => p.box !== undefined && p.box === node.box);
  if (mates.length === 0) return undefined;
  return { x: average(mates.map((m) => m.at.x)), y: Math.max(...mates.map((m) => m.at.y)) };
}

function corner(known: Map<string, Placed>): Point {
  const all = [...known.values()];
  if (all.length === 0) return { x: 0, y: 0 };
  return {
    x: Math.min(...all.map((p) => p.at.x)),
    y: Math.max(...all.map((p) => p.at.y + p.height)) + GAP.rows * 2,
  };
}

/** The place next to the one wished for, below and above it in turn, where nothing is; best, where it is on no edge of
 * others and none of its own goes through others. */
function free(node: LayoutNode, want: Point, known: Map<string, Placed>, edges: LayoutEdge[]): Point {
  const there = [...known.values()];
  const own = edges.filter((e) => (e.source === node.id) !== (e.target === node.id));
  const neighbours = own
    .map((e) => known.get(e.source === node.id ? e.target : e.source))
    .filter((p) => p !== undefined);
  const others = edges
    .filter((e) => e.source !== e.target)
    .map((e) => [known.get(e.source)?.at, known.get(e.target)?.at])
    .filter((line): line is [Point, Point] => line.every((end) => end !== undefined));
  const step = node.height / 2 + GAP.rows / 2;
  let empty: Point | undefined;
  for (let i = 0; i < 400; i += 1) {
    const at = { x: want.x, y: want.y + Math.ceil(i / 2) * step * (i % 2 === 0 ? 1 : -1) };
    const placed = { ...node, at };
    if (there.some((p) => overlaps(node, at, p))) continue;
    empty ??= at;
    const shape = rectOf(placed);
    const isOn = others.some((line) => goesThrough(line, shape));
    const isBehind = neighbours.some((end) =>
      there.some((p) => p !== end && goesThrough([at, end.at], rectOf(p))),
    );
    if (!isOn && !isBehind) return at;
  }
  return empty ?? want;
}

/** Of the shape and of the label below it. */
export function rectOf(n: Placed): Rect {
  const top = n.at.y - (n.height - n.below) / 2;
  return { x1: n.at.x - n.width / 2, x2: n.at.x + n.width / 2, y1: top, y2: top + n.height };
}

function overlaps(node: LayoutNode, at: Point, other: Placed): boolean {
  // Boxes have a border and a title that must not cover a stranger.
  const extra = node.box === other.box ? GAP.rows / 2 : GAP.box + GAP.rows;
  return (
    Math.abs(at.x - other.at.x) < (node.width + other.width) / 2 + extra &&
    Math.abs(at.y + node.below / 2 - (other.at.y + other.below / 2)) <
      (node.height + other.height) / 2 + extra
  );
}

function average(values: number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
