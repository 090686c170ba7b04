// Leads an edge past the nodes that it does not belong to. In: its ends, the ways it may take, and the shapes of other
// nodes. Out: the first way whose curve meets none of them, or else the one that meets the fewest.
import { curve } from "./curve";
import { goesThrough, type Rect } from "./labels";
import type { Point } from "./types";

export function clearWay(
  from: Point,
  to: Point,
  ways: readonly Point[][],
  shapes: readonly Rect[],
): Point[] | undefined {
  let best: { way: Point[]; hits: number } | undefined;
  for (const way of ways) {
    const points = curve([from, ...way, to]);
    const hits = shapes.filter((s) => goesThrough(points, s)).length;
    if (!best || hits < best.hits) best = { way, hits };
    if (best.hits === 0) break;
  }
  return best?.way;
}

/** The ways that an edge may take, the plainest first. `inner`: what the layout found; `down`: from top to bottom. */
export function ways(from: Point, to: Point, inner: readonly Point[], down: boolean): Point[][] {
  const [first, last] = [inner[0], inner.at(-1)];
  if (!first || !last) return [];
  // Along the gap between two columns, and into them straight.
  const corner = (gap: Point, end: Point) => (down ? { x: end.x, y: gap.y } : { x: gap.x, y: end.y });
  const [out, into] = [corner(first, from), corner(last, to)];
  const twice = inner.flatMap((p) => [p, p]);
  return [
    [...inner],
    [...inner, into],
    [out, ...inner],
    [out, ...inner, into],
    twice,
    [...twice, into, into],
    [out, out, ...twice],
  ];
}
