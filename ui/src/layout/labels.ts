// Places for the labels of edges. In: for each label its size and the line that it belongs to, and what else stands on
// the canvas: texts and marks, shapes, and the lines of all edges. Out: for each the share of its line where it covers
// no text, and as few lines of others as can be; those for which there is no such place are left out, as two texts on top
// of each other are none. The first in the list choose first.
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
  /** Its size when only its first row is shown, where there is no room for all. */
  short?: { width: number; height: number };
  /** Where its line is at a share from 0 to 1. */
  at(share: number): Point;
  /** Where it would like to be, and where it was. */
  first: readonly number[];
}

export interface LabelPlace {
  share: number;
  rect: Rect;
  /** How many other lines it covers. */
  crossed: number;
  /** Whether only its first row is shown. */
  short?: boolean;
}

/** What an edge is drawn as. */
export interface Drawing {
  id: string;
  points: readonly Point[];
}

const ELSEWHERE = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85] as const;
/** The part of a label that may be over shapes: a corner hides no letter. */
const COVERED = 0.04;

export function placeLabels(
  wishes: readonly LabelWish[],
  shapes: readonly Rect[],
  texts: readonly Rect[],
  drawings: readonly Drawing[] = [],
): Map<string, LabelPlace> {
  const taken = [...texts];
  const lines = drawings.map((d) => ({ ...d, bounds: boundsOf(d.points) }));
  const out = new Map<string, LabelPlace>();
  for (const wish of wishes) {
    let place = freePlace(wish, wish, shapes, taken, lines);
    if (!place && wish.short) {
      place = freePlace(wish, wish.short, shapes, taken, lines);
      if (place) place.short = true;
    }
    if (!place) continue;
    taken.push(place.rect);
    out.set(wish.id, place);
  }
  return out;
}

function freePlace(
  wish: LabelWish,
  { width, height }: { width: number; height: number },
  shapes: readonly Rect[],
  taken: readonly Rect[],
  lines: readonly (Drawing & { bounds: Rect })[],
): LabelPlace | undefined {
  const most = COVERED * width * height;
  let place: LabelPlace | undefined;
  for (const share of [...wish.first, ...ELSEWHERE]) {
    const rect = around(wish.at(share), width, height);
    if (covered(rect, taken) > 0 || covered(rect, shapes) > most) continue;
    const crossed = lines.filter(
      (l) => l.id !== wish.id && meets(l.bounds, rect) && goesThrough(l.points, rect),
    );
    if (!place || crossed.length < place.crossed) place = { share, rect, crossed: crossed.length };
    if (place.crossed === 0) break;
  }
  return place;
}

export function around(p: Point, width: number, height: number): Rect {
  return { x1: p.x - width / 2, y1: p.y - height / 2, x2: p.x + width / 2, y2: p.y + height / 2 };
}

/** `margin`: around the rectangle. */
export function holds(r: Rect, p: Point, margin = 0): boolean {
  return p.x > r.x1 - margin && p.x < r.x2 + margin && p.y > r.y1 - margin && p.y < r.y2 + margin;
}

function boundsOf(points: readonly Point[]): Rect {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)];
  return { x1: Math.min(...xs), y1: Math.min(...ys), x2: Math.max(...xs), y2: Math.max(...ys) };
}

function meets(a: Rect, b: Rect): boolean {
  return a.x1 < b.x2 && a.x2 > b.x1 && a.y1 < b.y2 && a.y2 > b.y1;
}

/** Whether a line enters a rectangle: each piece of it is cut to what is between its sides. */
export function goesThrough(points: readonly Point[], r: Rect): boolean {
  return points.slice(1).some((b, i) => {
    const a = points[i]!;
    let [from, to] = [0, 1];
    for (const [start, by, least, most] of [
      [a.x, b.x - a.x, r.x1, r.x2],
      [a.y, b.y - a.y, r.y1, r.y2],
    ] as const) {
      if (by === 0 && (start <= least || start >= most)) return false;
      if (by === 0) continue;
      const [p, q] = [(least - start) / by, (most - start) / by];
      from = Math.max(from, Math.min(p, q));
      to = Math.min(to, Math.max(p, q));
    }
    return from < to;
  });
}

/** How much of a rectangle others cover. */
export function covered(r: Rect, others: readonly Rect[]): number {
  let area = 0;
  for (const o of others) {
    const w = Math.min(r.x2, o.x2) - Math.max(r.x1, o.x1);
    const h = Math.min(r.y2, o.y2) - Math.max(r.y1, o.y1);
    if (w > 0 && h > 0) area += w * h;
  }
  return area;
}
