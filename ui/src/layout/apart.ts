// Moves apart what comes to lie on each other once it is drawn: text that is enlarged makes boxes larger than they were
// laid out. In: a layout, and what stands where on the canvas. Out: the layout with room put in between, undefined if
// there is room already. All that was left of, or above, anything still is.
import type { Rect } from "./labels";
import type { LayoutOutput, Point } from "./types";

/** A box, or a node in none: as it is drawn, and the middles of what is in it. */
export interface Block {
  rect: Rect;
  middles: readonly Point[];
}

const MOST_PASSES = 12;

type Axis = "x" | "y";

/** Room of a size, put in at a place along an axis. */
interface Insertion {
  axis: Axis;
  at: number;
  size: number;
}

export function apart(output: LayoutOutput, blocks: readonly Block[], gap: number): LayoutOutput | undefined {
  let now = blocks;
  const all: Insertion[] = [];
  for (let pass = 0; pass < MOST_PASSES; pass += 1) {
    const next = needed(now, gap);
    if (!next) break;
    all.push(next);
    now = now.map((b) => widened(b, next));
  }
  if (all.length === 0) return undefined;
  const moved = (p: Point) => all.reduce(shifted, p);
  const each = <T, U>(of: Record<string, T>, change: (one: T) => U) =>
    Object.fromEntries(Object.entries(of).map(([id, one]) => [id, change(one)]));
  return { positions: each(output.positions, moved), bends: each(output.bends, (ps) => ps.map(moved)) };
}

/** The least that brings the first two that are too near apart. */
function needed(blocks: readonly Block[], gap: number): Insertion | undefined {
  for (const [i, a] of blocks.entries())
    for (const b of blocks.slice(i + 1)) {
      const found = (["x", "y"] as const).map((axis) => between(a, b, axis, gap));
      if (found.some((f) => f === "free")) continue;
      const ways = found.filter((f) => f !== "mixed" && f !== "free");
      const [least] = ways.sort((p, q) => p.size - q.size);
      if (least) return least;
    }
  return undefined;
}

/** `mixed`: neither is before the other. */
function between(a: Block, b: Block, axis: Axis, gap: number): Insertion | "free" | "mixed" {
  const [from, to] = axis === "x" ? (["x1", "x2"] as const) : (["y1", "y2"] as const);
  const size = Math.min(a.rect[to], b.rect[to]) - Math.max(a.rect[from], b.rect[from]) + gap;
  if (size <= 0.5) return "free";
  const least = (of: Block) => Math.min(...of.middles.map((p) => p[axis]));
  const most = (of: Block) => Math.max(...of.middles.map((p) => p[axis]));
  if (most(a) < least(b)) return { axis, at: least(b), size: a.rect[to] + gap - b.rect[from] };
  if (most(b) < least(a)) return { axis, at: least(a), size: b.rect[to] + gap - a.rect[from] };
  return "mixed";
}

function shifted(p: Point, { axis, at, size }: Insertion): Point {
  return p[axis] < at ? p : { ...p, [axis]: p[axis] + size };
}

function widened({ rect, middles }: Block, by: Insertion): Block {
  const next = middles.map((p) => shifted(p, by));
  const [first, last] = [middles.every((p) => p[by.axis] >= by.at), middles.some((p) => p[by.axis] >= by.at)];
  const [dx, dy] = by.axis === "x" ? [by.size, 0] : [0, by.size];
  return {
    middles: next,
    rect: {
      x1: rect.x1 + (first ? dx : 0),
      y1: rect.y1 + (first ? dy : 0),
      x2: rect.x2 + (last ? dx : 0),
      y2: rect.y2 + (last ? dy : 0),
    },
  };
}
