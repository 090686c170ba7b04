// The line of an edge as a run of points, in the graph's own coordinates, as Cytoscape draws it.
import type cytoscape from "cytoscape";
import { between, curve } from "../layout/curve";
import type { Point } from "../layout/types";

export interface Line {
  points: Point[];
  /** Running length up to each point. */
  lengths: number[];
  length: number;
}

export function lineOf(edge: cytoscape.EdgeSingular): Line | undefined {
  const from = edge.sourceEndpoint();
  const to = edge.targetEndpoint();
  if (!valid(from) || !valid(to)) return undefined;
  const controls = (edge.controlPoints() ?? []).filter(valid);
  return measure(curve([from, ...controls, to]));
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

function valid(p: Point | undefined): p is Point {
  return p !== undefined && Number.isFinite(p.x) && Number.isFinite(p.y);
}
