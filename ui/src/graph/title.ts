// Where the name of a box stands. In: the box and the zoom. Out: a font size, and a place.
import type cytoscape from "cytoscape";
import type { Rect } from "../layout/labels";

/** Below this zoom there is no room for details. */
export const ICON_ZOOM = 0.3;
/** While the room above the nodes is too small for it, it stands on top of the box; from far away there is none. */
const INSIDE_ZOOM = 0.75;
const FAR_ZOOM = 0.2;
const LETTER = 0.58;
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

/** In the graph's own coordinates. */
export function titleRect(box: cytoscape.NodeSingular, zoom: number): Rect | undefined {
  const title = titleOf(box, zoom);
  if (!title) return undefined;
  const { x1, y1, x2 } = box.boundingBox({ includeLabels: false });
  const whole = (title.text.length * title.size * LETTER + 12) / zoom;
  const [width, height] = [Math.min(whole, (x2 - x1) * OVERHANG + 12 / zoom), (title.size + 6) / zoom];
  const top = title.outside ? y1 - height : y1;
  return { x1, y1: top, x2: x1 + width, y2: top + height };
}
