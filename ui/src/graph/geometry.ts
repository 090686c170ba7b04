// The line of an edge as a run of points, in the graph's own coordinates, as Cytoscape draws it.
import type cytoscape from "cytoscape";
import type { Point } from "../layout/types";

export interface Line {
  points: Point[];
  /** Running length up to each point. */
  lengths: number[];
  length: number;
}

const PIECES = 8;

export function lineOf(edge: cytoscape.EdgeSingular): Line | undefined {
  const from = edge.sourceEndpoint();
  const to = edge.targetEndpoint();
  if (!valid(from) || !valid(to)) return undefined;
  const controls = (edge.controlPoints() ?? []).filter(valid);
  return measure(controls.length === 0 ? [from, to] : curve([from, ...controls, to]));
}

/** Quadratic curves that meet half way between two control points. */
export function curve(points: Point[]): Point[] {
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

export function measure(points: Point[]): Line {
  const lengths = [0];
  for (let i = 1; i < points.length; i += 1) {
    lengths.push(
      lengths[i - 1]! + Math.hypot(points[i]!.x - points[i - 1]!.x, points[i]!.y - points[i - 1]!.y),
    );
  }
  return { points, lengths, length: lengths.at(-1)! };
}

/** The point at a share of the whole, from 0 to 1. */
export function pointAt(line: Line, share: number): Point {
  const wanted = line.length * share;
  let i = 1;
  while (i < line.lengths.length - 1 && line.lengths[i]! < wanted) i += 1;
  const span = line.lengths[i]! - line.lengths[i - 1]! || 1;
  return between(line.points[i - 1]!, line.points[i]!, (wanted - line.lengths[i - 1]!) / span);
}

function between(a: Point, b: Point, t: number): Point {
  return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
}

function valid(p: Point | undefined): p is Point {
  return p !== undefined && Number.isFinite(p.x) && Number.isFinite(p.y);
}
