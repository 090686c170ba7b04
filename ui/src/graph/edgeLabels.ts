// Puts the labels of edges where they cover no text and no mark. In: the canvas. Out: on each edge how far along its line
// the label stands, and the rectangles that labels take, for what is drawn above them.
import type cytoscape from "cytoscape";
import { around, type LabelWish, placeLabels, type Rect } from "../layout/labels";
import { HEALTH_ORDER } from "../model/kinds";
import type { ViewEdge, ViewNode } from "../model/view";
import { cornerRects } from "./corners";
import { lineOf, pointAt } from "./geometry";
import { SHAPE_SIZE } from "./style";
import { textWidth } from "./textWidth";
import { titleRect } from "./title";

export const LINE = 15;
export const PADDING = 10;
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
  for (const n of nodes) out.set(n.id(), textRect(n));
  const zoom = cy.zoom();
  const texts = [
    ...out.values(),
    ...boxes.flatMap((b) => titleRect(b, zoom) ?? []),
    ...nodes.flatMap((n) => cornerRects(n.scratch("view") as ViewNode | undefined, n.position(), zoom)),
  ];
  const shapes = nodes.map((n) => around(n.position(), SHAPE_SIZE + 8, SHAPE_SIZE + 8));
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
    const width = Math.max(...rows.map(textWidth)) * scale + PADDING;
    const before = e.data("labelAt") as number | undefined;
    const near = Math.min(0.5, (width / 2 + 30) / Math.max(1, line.length));
    const wish = { source: near, target: 1 - near, middle: 0.5 }[side(e)];
    return [
      {
        id: e.id(),
        width,
        height: rows.length * LINE * scale + PADDING,
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
      if (place) e.data("labelAt", Math.round(place.share * length * 10) / 10);
      else e.removeData("labelAt");
      if (place) out.set(e.id(), { ...place.rect, crossed: place.crossed });
    }
  });
  return out;
}

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
