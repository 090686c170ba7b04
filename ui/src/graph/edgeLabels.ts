// Puts the labels of edges where they cover no text and no mark. In: the canvas. Out: on each edge how far along its line
// the label stands, and the rectangles that labels take, for what is drawn above them.
import type cytoscape from "cytoscape";
import { around, covered, type LabelWish, placeLabels, type Rect } from "../layout/labels";
import { HEALTH_ORDER } from "../model/kinds";
import type { ViewEdge, ViewNode } from "../model/view";
import { cornerRects } from "./corners";
import { lineOf, pointAt } from "./geometry";
import { SHAPE_SIZE } from "./style";
import { textWidth } from "./textWidth";
import { placeTitles, titleRect } from "./title";

export const LINE = 15;
export const PADDING = 10;
/** Pixels. */
const BETWEEN = 2;
/** Pixels above and below a name that are no letters, those that must be free beside it, and the part of it that may be over shapes. */
const GROUND = 1.4;
const APART = 2;
const OVERLAID = 0.12;
/** Of what Cytoscape tells of a node that is about its name alone. */
const NAME = {
  includeNodes: false,
  includeOverlays: false,
  includeUnderlays: false,
  includeLabels: true,
} as const;

/** Of edges and of nodes; `crossed`: by how many lines of others. */
export type LabelRects = ReadonlyMap<string, Rect & { crossed?: number }>;

/** `scale`: of the text. */
export function putLabels(cy: cytoscape.Core, scale: number): LabelRects {
  const out = new Map<string, Rect & { crossed?: number }>();
  const nodes = cy.nodes("[kind]").toArray() as cytoscape.NodeSingular[];
  const boxes = cy.nodes("[box]").toArray() as cytoscape.NodeSingular[];
  const zoom = cy.zoom();
  const shapes = nodes.map((n) => around(n.position(), SHAPE_SIZE + 8, SHAPE_SIZE + 8));
  const marks = nodes.flatMap((n) =>
    cornerRects(n.scratch("view") as ViewNode | undefined, n.position(), zoom),
  );
  for (const [id, rect] of putNames(cy, nodes, boxes, shapes, marks)) out.set(id, rect);
  const texts = [...out.values(), ...boxes.flatMap((b) => titleRect(b, zoom) ?? []), ...marks];
  const side = sides(cy.edges());
  const all = cy.edges().not(".leaving").toArray() as cytoscape.EdgeSingular[];
  const lines = new Map(all.map((e) => [e.id(), lineOf(e)]));
  const edges = all
    .filter((e) => e.data("label"))
    .sort((a, b) => urgency(b) - urgency(a) || (a.id() < b.id() ? -1 : 1));
  const wishes = edges.flatMap((e): LabelWish[] => {
    const line = lines.get(e.id());
    if (!line) return [];
    const rows = String(e.data("label")).split("\n");
    // Small letters are drawn a little wider than large ones are.
    const pad = PADDING + BETWEEN / cy.zoom();
    const size = (some: readonly string[]) => ({
      width: Math.max(...some.map(textWidth)) * scale + pad,
      height: some.length * LINE * scale + pad,
    });
    const { width, height } = size(rows);
    const before = e.data("labelAt") as number | undefined;
    const near = Math.min(0.5, (width / 2 + 30) / Math.max(1, line.length));
    const wish = { source: near, target: 1 - near, middle: 0.5 }[side(e)];
    return [
      {
        id: e.id(),
        width,
        height,
        short: rows.length > 1 ? size(rows.slice(0, 1)) : undefined,
        at: (share) => pointAt(line, share),
        first: before === undefined ? [wish] : [before / Math.max(1, line.length), wish],
      },
    ];
  });
  const drawings = [...lines].flatMap(([id, line]) => (line ? { id, points: line.points } : []));
  const places = placeLabels(wishes, shapes, texts, drawings);
  cy.batch(() => {
    for (const e of edges) {
      const place = places.get(e.id());
      const length = lines.get(e.id())?.length ?? 0;
      const text = String(e.data("label"));
      const shown = place?.short ? text.slice(0, text.indexOf("\n")) : text;
      if (place) e.data({ labelAt: Math.round(place.share * length * 10) / 10, shown });
      // Not `removeData`, which leaves the style as it was.
      else if (e.data("labelAt") !== undefined) e.data({ labelAt: undefined, shown: undefined });
      if (place) out.set(e.id(), { ...place.rect, crossed: place.crossed });
    }
  });
  return out;
}

/** Names of boxes, then of nodes: what is in trouble first. A name that would cover another, or another's shape, is left
 * out until it is pointed at. */
function putNames(
  cy: cytoscape.Core,
  nodes: readonly cytoscape.NodeSingular[],
  boxes: readonly cytoscape.NodeSingular[],
  shapes: readonly Rect[],
  marks: readonly Rect[],
): Map<string, Rect> {
  const out = new Map<string, Rect>();
  const rects = new Map(nodes.map((n, i) => [n, { name: textRect(n), shape: shapes[i]! }]));
  const zoom = cy.zoom();
  placeTitles(
    boxes,
    zoom,
    [...shapes, ...marks],
    [...rects.values()].map((r) => r.name),
  );
  const taken = boxes.flatMap((b) => titleRect(b, zoom) ?? []);
  const trouble = (n: cytoscape.NodeSingular) => HEALTH_ORDER[n.data("health") as keyof typeof HEALTH_ORDER];
  const sorted = [...nodes].sort((a, b) => trouble(b) - trouble(a) || (a.id() < b.id() ? -1 : 1));
  const unnamed = new Set<cytoscape.NodeSingular>();
  for (const n of sorted) {
    const { name, shape } = rects.get(n)!;
    const area = (name.x2 - name.x1) * (name.y2 - name.y1);
    const others = shapes.filter((s) => s !== shape);
    const isFree = covered(read(name, zoom), taken) === 0 && covered(name, others) <= OVERLAID * area;
    if (isFree) {
      taken.push(name);
      out.set(n.id(), name);
    } else unnamed.add(n);
  }
  cy.batch(() => {
    for (const n of nodes)
      if (unnamed.has(n) !== (n.data("unnamed") === true)) n.data("unnamed", unnamed.has(n));
  });
  return out;
}

/** What must be free for a name to be read: what is behind it may be covered above and below, but at its sides it would
 * become one word with another. */
const read = (r: Rect, zoom: number): Rect => ({
  x1: r.x1 - APART / zoom,
  y1: r.y1 + GROUND / zoom,
  x2: r.x2 + APART / zoom,
  y2: r.y2 - GROUND / zoom,
});

/** The label below the shape. */
function textRect(n: cytoscape.NodeSingular): Rect {
  const { x1, y1, x2, y2 } = n.boundingBox(NAME);
  return { x1, y1, x2, y2 };
}

/** What is in trouble is labelled first, then what is busiest. */
function urgency(e: cytoscape.EdgeSingular): number {
  const shown = e.scratch("view") as ViewEdge | undefined;
  return shown ? HEALTH_ORDER[shown.edge.health.state] * 100 + shown.width : 0;
}

/** Where edges fan out their labels stand near their targets, where they fan in near their sources: there is room. */
function sides(all: cytoscape.EdgeCollection): (e: cytoscape.EdgeSingular) => "source" | "target" | "middle" {
  const out = new Map<string, number>();
  const into = new Map<string, number>();
  for (const e of all.toArray() as cytoscape.EdgeSingular[]) {
    const { source, target } = e.data();
    out.set(source, (out.get(source) ?? 0) + 1);
    into.set(target, (into.get(target) ?? 0) + 1);
  }
  return (e) => {
    const [fanOut, fanIn] = [out.get(e.data("source"))! > 1, into.get(e.data("target"))! > 1];
    if (fanOut === fanIn) return "middle";
    return fanOut ? "target" : "source";
  };
}
