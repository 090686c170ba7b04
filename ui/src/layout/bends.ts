// Turns the points that an edge goes through into what Cytoscape draws: distances from the straight line and
// places along it. These stay sensible when a node is moved.
import type { Point } from "./types";

export interface Control {
  distances: number[];
  weights: number[];
}

export function control(source: Point, target: Point, points: Point[]): Control | undefined {
  const dx = target.x - source.x;
  const dy = target.y - source.y;
  const length = Math.hypot(dx, dy);
  if (length < 1 || points.length === 0) return undefined;
  const distances: number[] = [];
  const weights: number[] = [];
  for (const p of points) {
    const px = p.x - source.x;
    const py = p.y - source.y;
    weights.push(round((px * dx + py * dy) / (length * length)));
    distances.push(round((py * dx - px * dy) / length));
  }
  return { distances, weights };
}

const round = (n: number) => Math.round(n * 1000) / 1000;

/** The middle of a run of points, for what is drawn there. */
export function along(points: Point[], share: number): Point {
  const lengths = points.slice(1).map((p, i) => Math.hypot(p.x - points[i]!.x, p.y - points[i]!.y));
  let left = lengths.reduce((a, b) => a + b, 0) * share;
  for (let i = 0; i < lengths.length; i += 1) {
    if (left <= lengths[i]!) {
      const t = lengths[i]! === 0 ? 0 : left / lengths[i]!;
      const [a, b] = [points[i]!, points[i + 1]!];
      return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
    }
    left -= lengths[i]!;
  }
  return points.at(-1) ?? { x: 0, y: 0 };
}
