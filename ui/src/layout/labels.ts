// Places for the labels of edges. In: for each label its size and the line that it belongs to, and what else stands on
// the canvas: texts, and shapes without. Out: for each the share of its line where it covers nothing; those for which there is no such place
// are left out, as two texts on top of each other are none. The first in the list choose first.
import type { Point } from "./types";

export interface Rect {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface LabelWish {
  id: string;
  width: number;
  height: number;
  /** Where its line is at a share from 0 to 1. */
  at(share: number): Point;
  /** Where it would like to be, and where it was. */
  first: readonly number[];
}

export interface LabelPlace {
  share: number;
  rect: Rect;
}

const ELSEWHERE = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85] as const;
/** The part of a label that may be over shapes: a corner hides no letter. */
const COVERED = 0.04;

export function placeLabels(
  wishes: readonly LabelWish[],
  shapes: readonly Rect[],
  texts: readonly Rect[],
): Map<string, LabelPlace> {
  const taken = [...texts];
  const out = new Map<string, LabelPlace>();
  for (const wish of wishes) {
    const most = COVERED * wish.width * wish.height;
    const place = [...wish.first, ...ELSEWHERE]
      .map((share) => ({ share, rect: around(wish.at(share), wish.width, wish.height) }))
      .find(({ rect }) => covered(rect, taken) === 0 && covered(rect, shapes) <= most);
    if (!place) continue;
    taken.push(place.rect);
    out.set(wish.id, place);
  }
  return out;
}

export function around(p: Point, width: number, height: number): Rect {
  return { x1: p.x - width / 2, y1: p.y - height / 2, x2: p.x + width / 2, y2: p.y + height / 2 };
}

/** `margin`: around the rectangle. */
export function holds(r: Rect, p: Point, margin = 0): boolean {
  return p.x > r.x1 - margin && p.x < r.x2 + margin && p.y > r.y1 - margin && p.y < r.y2 + margin;
}

/** How much of a rectangle others cover. */
function covered(r: Rect, others: readonly Rect[]): number {
  let area = 0;
  for (const o of others) {
    const w = Math.min(r.x2, o.x2) - Math.max(r.x1, o.x1);
    const h = Math.min(r.y2, o.y2) - Math.max(r.y1, o.y1);
    if (w > 0 && h > 0) area += w * h;
  }
  return area;
}
