// Where the name of a box stands. In: the box and the zoom. Out: a font size, and a place.
import type cytoscape from "cytoscape";
import { covered, type Rect } from "../layout/labels";
import { LABEL_SIZE } from "./style";
import { textWidth } from "./textWidth";

/** Below this zoom there is no room for details. */
export const ICON_ZOOM = 0.3;
/** While the room above the nodes is too small for it, it stands on top of the box; from far away there is none. */
const INSIDE_ZOOM = 0.75;
const FAR_ZOOM = 0.08;
const LETTER = 0.58;
/** How much wider bold letters are. */
const BOLD = 1.12;
/** How much wider than its box a name may be. */
export const OVERHANG = 2.2;

export interface Title {
  text: string;
  size: number;
  app: boolean;
  outside: boolean;
}

export function titleOf(box: cytoscape.NodeSingular, zoom: number): Title | undefined {
  const app = box.data("box") === "app";
  if (app && zoom < ICON_ZOOM) return undefined;
  const size = Math.max(app ? 9.5 : 11, Math.min(16, (app ? 12 : 13.5) * zoom));
  const outside = zoom >= FAR_ZOOM && zoom < INSIDE_ZOOM;
  return { text: String(box.data("name")), size, app, outside };
}

/** Where it stands while it is outside: at which side of the box, and at which of its corners. */
export interface Slot {
  below: boolean;
  right: boolean;
}

const SLOTS: readonly Slot[] = [
  { below: false, right: false },
  { below: false, right: true },
  // Below it may be taken for the name of what is there.
  { below: true, right: false },
  { below: true, right: true },
];
/** How much more of a name must be free elsewhere for it to leave its corner. */
const BETTER = 0.1;
const BELOW = 1.5;
/** The part of an app's name that may be over shapes and marks. */
const HIDDEN = 0.02;

/** The place that was chosen; undefined: there is no room for it. */
export function slotOf(box: cytoscape.NodeSingular): Slot | undefined {
  const slot = box.scratch("slot") as Slot | "none" | undefined;
  return slot === "none" ? undefined : (slot ?? SLOTS[0]);
}

/** In the graph's own coordinates. */
export function titleRect(box: cytoscape.NodeSingular, zoom: number): Rect | undefined {
  const slot = slotOf(box);
  return slot && rectAt(box, zoom, slot);
}

/** Chooses places: first where a name covers no other one, then no mark or shape, no name of a node, no other box. */
export function placeTitles(
  boxes: readonly cytoscape.NodeSingular[],
  zoom: number,
  shapes: readonly Rect[],
  names: readonly Rect[],
): void {
  const taken: Rect[] = [];
  const bounds = new Map(boxes.map((b) => [b, b.boundingBox({ includeLabels: false })]));
  for (const box of boxes) {
    const isKin = (other: cytoscape.NodeSingular) =>
      other === box || other.id() === box.data("parent") || other.data("parent") === box.id();
    const strangers = boxes.filter((b) => !isKin(b)).map((b) => bounds.get(b)!);
    let best: { slot: Slot | "none"; cost: number; rect?: Rect } = { slot: "none", cost: Infinity };
    for (const slot of titleOf(box, zoom)?.outside ? SLOTS : SLOTS.slice(0, 1)) {
      const rect = rectAt(box, zoom, slot);
      if (!rect || covered(rect, taken) > 0) continue;
      const area = (rect.x2 - rect.x1) * (rect.y2 - rect.y1);
      // An app is told by its nodes, too.
      if (box.data("box") === "app" && covered(rect, shapes) > HIDDEN * area) continue;
      const cost =
        (slot.below ? BELOW : 0) +
        (8 * covered(rect, shapes) + 4 * covered(rect, names) + covered(rect, strangers)) / area;
      if (cost < best.cost - BETTER) best = { slot, cost, rect };
    }
    box.scratch("slot", best.slot);
    if (best.rect) taken.push(best.rect);
  }
}

function rectAt(box: cytoscape.NodeSingular, zoom: number, slot: Slot): Rect | undefined {
  const title = titleOf(box, zoom);
  if (!title) return undefined;
  const { x1, y1, x2, y2 } = box.boundingBox({ includeLabels: false });
  const letters = Math.max(title.text.length * LETTER, (textWidth(title.text) / LABEL_SIZE) * BOLD);
  const whole = (letters * title.size + 12) / zoom;
  const [width, height] = [Math.min(whole, (x2 - x1) * OVERHANG + 12 / zoom), (title.size + 6) / zoom];
  const top = !title.outside ? y1 : slot.below ? y2 : y1 - height;
  const left = title.outside && slot.right ? x2 - width : x1;
  return { x1: left, y1: top, x2: left + width, y2: top + height };
}
