// What stands on the corners of a node's shape: badges in a row along the upper left, its state of health at the upper
// right. In: the node. Out: centres and sizes, in the graph's own coordinates from the middle of the shape.
import type { Rect } from "../layout/labels";
import { around } from "../layout/labels";
import type { Point } from "../layout/types";
import type { ViewNode } from "../model/view";
import { SHAPE_SIZE } from "./style";

const MOST_BADGES = 3;
export const BADGE_SIZE = 15;
const PITCH = BADGE_SIZE * 1.1;
export const HEALTH_AT: Point = { x: SHAPE_SIZE * 0.42, y: SHAPE_SIZE * -0.42 };

/** Of a diamond the row ends where its side is. */
export function badgePlaces({ node }: ViewNode): Point[] {
  const diamond = node.kind === "service";
  const shown = Math.min(MOST_BADGES, node.badges.length);
  const first = diamond ? -SHAPE_SIZE * 0.34 - (shown - 1) * PITCH : -SHAPE_SIZE * 0.5;
  const y = -SHAPE_SIZE * (diamond ? 0.42 : 0.54);
  return Array.from({ length: shown }, (_, i) => ({ x: first + i * PITCH, y }));
}

/** In pixels: it does not vanish from far away. Undefined where all is well. */
export function healthRadius({ node }: ViewNode, zoom: number): number | undefined {
  const { state } = node.health;
  if (state !== "failing" && state !== "degraded") return undefined;
  return Math.max(state === "failing" ? 5 : 4, 9 * zoom);
}

export function cornerRects(n: ViewNode | undefined, at: Point, zoom: number): Rect[] {
  if (!n) return [];
  const moved = (p: Point) => ({ x: p.x + at.x, y: p.y + at.y });
  const size = BADGE_SIZE + 2;
  const badges = badgePlaces(n).map((p) => around(moved(p), size, size));
  const radius = healthRadius(n, zoom);
  const health = radius === undefined ? 0 : (2 * radius) / zoom + 4;
  return health ? [...badges, around(moved(HEALTH_AT), health, health)] : badges;
}
