// The curve that Cytoscape draws through control points. In: ends and controls. Out: points along it.
import type { Point } from "./types";

const PIECES = 8;

/** Quadratic curves that meet half way between two control points. */
export function curve(points: Point[]): Point[] {
  if (points.length < 3) return points;
  const out: Point[] = [points[0]!];
  for (let i = 1; i < points.length - 1; i += 1) {
    const start = out.at(-1)!;
    const control = points[i]!;
    const last = i === points.length - 2;
    const end = last ? points[i + 1]! : between(control, points[i + 1]!, 0.5);
    for (let k = 1; k <= PIECES; k += 1) {
      const t = k / PIECES;
      out.push(between(between(start, control, t), between(control, end, t), t));
    }
  }
  return out;
}

export function between(a: Point, b: Point, t: number): Point {
  return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
}
