// What Cytoscape cannot draw without image files: the icon in each node, its state of health as a shape, badges of
// Istio features, locks on edges, and crosses on failing edges. Redrawn whenever the graph is.
import type cytoscape from "cytoscape";
import type { Health } from "../api/types";
import { holds } from "../layout/labels";
import type { Point } from "../layout/types";
import type { ViewEdge, ViewNode } from "../model/view";
import { BADGE_SIZE, badgePlaces, HEALTH_AT, healthRadius } from "./corners";
import { type LabelRects, LINE, PADDING } from "./edgeLabels";
import { lineOf, pointAt } from "./geometry";
import { BADGE_ICONS, drawIcon, HEALTH_ICONS, KIND_ICONS, LOCK_ICON, OPEN_LOCK_ICON } from "./icons";
import type { Layer } from "./layer";
import { healthColor, type Palette } from "./palette";
import { FONT, LABEL_SIZE, LEAST_TEXT, SHAPE_SIZE } from "./style";
import { ICON_ZOOM, OVERHANG, slotOf, titleOf } from "./title";

export interface DecorationOptions {
  badges: boolean;
  security: boolean;
}

interface Frame {
  c: CanvasRenderingContext2D;
  zoom: number;
  palette: Palette;
  options: DecorationOptions;
  labels: LabelRects;
  visible(p: Point): boolean;
}

/** Below this zoom there is no room for locks. */
const EDGE_ZOOM = 0.45;
/** Shares of an edge where its lock may be: the first that its label leaves free. */
const LOCKS = [0.2, 0.5, 0.8] as const;
/** Between a lock and a text. */
const LOCK_MARGIN = 9;

export function decorate(
  cy: cytoscape.Core,
  layer: Layer,
  palette: Palette,
  options: DecorationOptions,
  labels: LabelRects,
  scale: number,
): void {
  layer.clear();
  const zoom = cy.zoom();
  const pan = cy.pan();
  const margin = SHAPE_SIZE * zoom;
  const place = (p: Point): Point => ({ x: p.x * zoom + pan.x, y: p.y * zoom + pan.y });
  const frame: Frame = {
    c: layer.context,
    zoom,
    palette,
    options,
    labels,
    visible: (p) =>
      p.x > -margin && p.y > -margin && p.x < layer.width + margin && p.y < layer.height + margin,
  };
  if (zoom >= EDGE_ZOOM && options.security) for (const e of cy.edges().toArray()) drawEdge(e, frame, place);
  for (const n of cy.nodes("[kind]").toArray()) drawNode(n, frame, place);
  for (const [id, { crossed }] of labels) if (crossed) drawLabel(cy.getElementById(id), frame, place, scale);
  for (const n of cy.nodes("[box]").toArray()) drawName(n, frame);
}

function drawNode(n: cytoscape.NodeSingular, f: Frame, place: (p: Point) => Point): void {
  const shown = n.scratch("view") as ViewNode | undefined;
  const at = place(n.position());
  if (!shown || !f.visible(at)) return;
  const { node } = shown;
  const { c, zoom, palette } = f;
  c.globalAlpha = Number(n.style("opacity"));
  if (zoom >= ICON_ZOOM) {
    const icon = KIND_ICONS[node.gateway ?? node.kind];
    drawIcon(c, icon, at.x, at.y, 21 * zoom, shown.idle ? palette.muted : palette.text, 1.8);
  }
  const radius = healthRadius(shown, zoom);
  const far = { x: at.x + HEALTH_AT.x * zoom, y: at.y + HEALTH_AT.y * zoom };
  if (radius !== undefined) healthMark(c, palette, node.health.state, far, radius);
  if (f.options.badges && zoom >= ICON_ZOOM) drawBadges(shown, at, f);
  c.globalAlpha = 1;
}

/** A state is a shape and a sign as well as a colour: a triangle for degraded, an octagon for failing. */
export function healthMark(
  c: CanvasRenderingContext2D,
  p: Palette,
  state: Health["state"],
  at: Point,
  radius: number,
): void {
  const corners = state === "degraded" ? 3 : state === "failing" ? 8 : 32;
  const turn = state === "degraded" ? -Math.PI / 2 : Math.PI / 8;
  const r = state === "degraded" ? radius * 1.25 : radius;
  c.beginPath();
  for (let i = 0; i < corners; i += 1) {
    const angle = turn + (i / corners) * 2 * Math.PI;
    c.lineTo(at.x + r * Math.cos(angle), at.y + r * Math.sin(angle));
  }
  c.closePath();
  c.lineJoin = "round";
  c.strokeStyle = p.canvas;
  c.lineWidth = 3;
  c.stroke();
  c.fillStyle = healthColor(p, state);
  c.fill();
  const lift = state === "degraded" ? radius * 0.12 : 0;
  drawIcon(c, HEALTH_ICONS[state], at.x, at.y + lift, radius * 1.5, p["on-state"], 3.2);
}

function drawBadges(n: ViewNode, at: Point, f: Frame): void {
  const size = BADGE_SIZE * f.zoom;
  badgePlaces(n).forEach((p, i) => {
    const badge = n.node.badges[i]!;
    const [x, y] = [at.x + p.x * f.zoom, at.y + p.y * f.zoom];
    const color = badge === "missingSidecar" ? f.palette.degraded : f.palette.accent;
    chip(f, { x, y }, size, color);
    drawIcon(f.c, BADGE_ICONS[badge], x, y, size * 0.72, color, 2.2);
  });
}

/** Once more, above the lines that Cytoscape drew over it. */
function drawLabel(
  e: cytoscape.EdgeSingular,
  f: Frame,
  place: (p: Point) => Point,
  scale: number /** Of the text. */,
): void {
  const [away, text] = [e.data("labelAt") as number | undefined, e.data("shown") as string | undefined];
  const line = e.nonempty() && away !== undefined && text && !e.hasClass("dim") ? lineOf(e) : undefined;
  const at = line && place(pointAt(line, away! / Math.max(1, line.length)));
  const size = LABEL_SIZE * scale * f.zoom;
  if (!at || !f.visible(at) || size < LEAST_TEXT) return;
  const { c, palette } = f;
  const rows = text!.split("\n");
  c.globalAlpha = Number(e.style("opacity"));
  c.font = `${size}px ${FONT}`;
  const pad = (PADDING - 2) * f.zoom;
  const width = Math.max(...rows.map((row) => c.measureText(row).width)) + pad;
  const high = LINE * scale * f.zoom;
  c.beginPath();
  c.roundRect(at.x - width / 2, at.y - (high * rows.length + pad) / 2, width, high * rows.length + pad, 3);
  c.fillStyle = palette.surface;
  c.fill();
  c.strokeStyle = palette.line;
  c.lineWidth = f.zoom;
  c.stroke();
  c.fillStyle = palette.text;
  c.textAlign = "center";
  c.textBaseline = "middle";
  for (const [i, row] of rows.entries()) c.fillText(row, at.x, at.y + (i - (rows.length - 1) / 2) * high);
  c.textAlign = "start";
  c.textBaseline = "alphabetic";
  c.globalAlpha = 1;
}

/** The name of a box in its corner, at a size that can be read from any distance. */
function drawName(n: cytoscape.NodeSingular, f: Frame): void {
  const box = n.renderedBoundingBox({ includeLabels: false });
  const width = box.x2 - box.x1;
  const title = titleOf(n, f.zoom);
  const slot = slotOf(n);
  if (width < 36 || !title || !slot) return;
  const { c, palette } = f;
  const { size, app, outside } = title;
  c.font = `600 ${size}px system-ui, sans-serif`;
  const text = cut(c, title.text, width * OVERHANG);
  // From far away the name stands on top of nodes.
  if (!outside && f.zoom < ICON_ZOOM) {
    c.globalAlpha = 0.92;
    c.fillStyle = palette.surface;
    c.beginPath();
    c.roundRect(box.x1 + 3, box.y1 + 3, c.measureText(text).width + 12, size + 5, 4);
    c.fill();
    c.globalAlpha = 1;
  }
  c.fillStyle = app ? palette.muted : palette.text;
  const left = outside && slot.right ? box.x2 - c.measureText(text).width - 2 : box.x1 + (outside ? 2 : 9);
  const below = !outside || slot.below;
  const base = below ? (outside ? box.y2 : box.y1) + size + (outside ? 2 : 4) : box.y1 - 4;
  // Above the lines that cross it.
  c.lineJoin = "round";
  c.lineWidth = 3;
  c.strokeStyle = outside ? palette.canvas : app ? palette["app-box"] : palette.box;
  if (f.zoom >= ICON_ZOOM || outside) c.strokeText(text, left, base);
  c.fillText(text, left, base);
}

/** A name is not squeezed: what is too long ends early. */
function cut(c: CanvasRenderingContext2D, text: string, room: number): string {
  let letters = text.length;
  while (letters > 3 && c.measureText(text.slice(0, letters)).width > room) letters -= 1;
  return letters < text.length ? `${text.slice(0, letters)}…` : text;
}

function chip(f: Frame, at: Point, size: number, color: string): void {
  const { c } = f;
  c.beginPath();
  c.roundRect(at.x - size / 2, at.y - size / 2, size, size, size * 0.28);
  c.fillStyle = f.palette.surface;
  c.fill();
  c.strokeStyle = color;
  c.lineWidth = Math.max(0.75, f.zoom);
  c.stroke();
}

function drawEdge(e: cytoscape.EdgeSingular, f: Frame, place: (p: Point) => Point): void {
  const shown = e.scratch("view") as ViewEdge | undefined;
  if (!shown || shown.idle || e.hasClass("dim")) return;
  const { mtls } = shown.edge;
  // As in Kiali a lock says that there is security; only traffic that is partly without gets an open one.
  if (mtls === "none") return;
  const line = lineOf(e);
  if (!line || line.length * f.zoom < 60) return;
  const texts = [...f.labels.values()];
  const near = Math.min(LOCKS[0], 24 / line.length);
  const free = [near, ...LOCKS]
    .map((share) => pointAt(line, share))
    .find((p) => !texts.some((rect) => holds(rect, p, LOCK_MARGIN)));
  const at = free && place(free);
  if (!at || !f.visible(at)) return;
  const size = 17 * f.zoom;
  const color = mtls === "full" ? f.palette.muted : f.palette.degraded;
  f.c.beginPath();
  f.c.arc(at.x, at.y, size / 2, 0, 2 * Math.PI);
  f.c.fillStyle = f.palette.surface;
  f.c.fill();
  f.c.strokeStyle = f.palette.line;
  f.c.lineWidth = 1;
  f.c.stroke();
  drawIcon(
    f.c,
    mtls === "full" ? LOCK_ICON : OPEN_LOCK_ICON,
    at.x,
    at.y - size * 0.02,
    size * 0.68,
    color,
    2.4,
  );
}
