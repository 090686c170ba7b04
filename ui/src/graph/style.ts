// How Cytoscape draws nodes, edges and boxes. In: colours and whether the graph is big. Out: its style sheet.
// Shapes are those that Kiali's users know: circle workload, square app, diamond service, tag ServiceEntry.
import type cytoscape from "cytoscape";
import type { NodeKind } from "../api/types";
import { edgeColor, healthColor, type Palette } from "./palette";

export const SHAPE_SIZE = 46;

export const SHAPES: Record<NodeKind, cytoscape.Css.NodeShape> = {
  workload: "ellipse",
  app: "round-rectangle",
  service: "round-diamond",
  serviceEntry: "round-tag",
  outside: "round-octagon",
  client: "round-hexagon",
  blackHole: "octagon",
};

/** Cytoscape takes no single quotes around a name. */
export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Inter, sans-serif';

/** The layouts have room for names that are enlarged so far; from farther away they stay readable, and some are left out. */
const MOST_NAME = 2.1;
const FAR_LESS = 0.45;

/** Pixels of the text on edges, before it is enlarged. */
export const LABEL_SIZE = 12;

/** Pixels: text on edges that is smaller is not drawn. */
export const LEAST_TEXT = 6.5;

/** Of a big graph each frame takes too long. */
const fade = (big: boolean) =>
  big ? {} : ({ "transition-property": "opacity", "transition-duration": 250 } as const);

/** `scale` enlarges text when the view is far away, so that it stays readable. */
export function styleSheet(p: Palette, big: boolean, scale = 1): cytoscape.StylesheetJson {
  return [
    {
      selector: "node[kind]",
      style: {
        shape: (n: cytoscape.NodeSingular) => SHAPES[n.data("kind") as NodeKind],
        width: (n: cytoscape.NodeSingular) => (n.data("kind") === "service" ? SHAPE_SIZE + 8 : SHAPE_SIZE),
        height: (n: cytoscape.NodeSingular) => (n.data("kind") === "service" ? SHAPE_SIZE + 8 : SHAPE_SIZE),
        "background-color": p.node,
        "border-width": (n: cytoscape.NodeSingular) => (n.data("health") === "failing" ? 4 : 2.5),
        "border-color": (n: cytoscape.NodeSingular) => healthColor(p, n.data("health")),
        "border-style": (n: cytoscape.NodeSingular) => (n.data("idle") ? "dashed" : "solid"),
        label: "data(label)",
        "text-wrap": "wrap",
        "text-max-width": "220px",
        "font-family": FONT,
        "font-size": 13 * Math.max(Math.min(MOST_NAME, scale), scale - FAR_LESS),
        "font-weight": 500,
        "line-height": 1.2,
        color: p.text,
        "text-valign": "bottom",
        "text-margin-y": 6,
        "text-background-color": (n: cytoscape.NodeSingular) => ground(p, n),
        "text-background-opacity": big ? 0 : 0.8,
        "text-background-padding": "2px",
        "text-background-shape": "roundrectangle",
        "min-zoomed-font-size": big ? 9 : 6,
        "overlay-opacity": 0,
        // Above all boxes: to find how deep in boxes thousands of elements are takes longer than to draw them.
        "z-compound-depth": "top",
        ...fade(big),
      } as cytoscape.Css.Node,
    },
    // Not without a label: where it would be is asked for again.
    { selector: "node[?unnamed]", style: { "text-opacity": 0, "text-background-opacity": 0 } },
    {
      selector: "node[?unnamed].hover, node[?unnamed].chosen",
      style: { "text-opacity": 1, "text-background-opacity": 0.9, "z-index": 20 },
    },
    { selector: "node[kind].outsider", style: { "background-color": p.canvas, "border-style": "solid" } },
    {
      selector: "node[box]",
      style: {
        shape: "round-rectangle",
        "corner-radius": "10",
        "background-color": (n: cytoscape.NodeSingular) => (n.data("box") === "app" ? p["app-box"] : p.box),
        "background-opacity": 1,
        "border-width": 1.5,
        "border-color": p["box-line"],
        "border-style": (n: cytoscape.NodeSingular) => (n.data("box") === "app" ? "dashed" : "solid"),
        // Its name is drawn in its corner, with the decorations.
        padding: (n: cytoscape.NodeSingular) => (n.data("box") === "app" ? "28px" : "34px"),
        "min-width": (n: cytoscape.NodeSingular) =>
          `${Math.max(0, String(n.data("name")).length * 7.4 - 30)}px`,
        "overlay-opacity": 0,
        // A heap of nested boxes would otherwise paint over the edges of its neighbours.
        "z-compound-depth": "auto",
      } as cytoscape.Css.Node,
    },
    {
      selector: "edge",
      style: {
        width: "data(width)",
        "line-color": (e: cytoscape.EdgeSingular) =>
          edgeColor(p, e.data("health"), e.data("protocol"), e.data("idle")),
        "line-style": (e: cytoscape.EdgeSingular) => (e.data("idle") ? "dashed" : "solid"),
        // Among thousands of edges those in trouble must stand out.
        "line-opacity": (e: cytoscape.EdgeSingular) =>
          !big ? 0.85 : e.data("health") === "failing" ? 1 : e.data("health") === "degraded" ? 0.85 : 0.28,
        "z-index": (e: cytoscape.EdgeSingular) =>
          ({ failing: 2, degraded: 1 })[e.data("health") as string] ?? 0,
        "curve-style": big ? "straight" : "bezier",
        "control-point-step-size": 56,
        "target-arrow-shape": big ? "none" : "triangle",
        "target-arrow-color": (e: cytoscape.EdgeSingular) =>
          edgeColor(p, e.data("health"), e.data("protocol"), e.data("idle")),
        "arrow-scale": 1.05,
        "target-distance-from-node": 3,
        "overlay-opacity": 0,
        "z-compound-depth": "top",
      } as cytoscape.Css.Edge,
    },
    {
      // Nobody reads thousands of labels at once, and they are what costs most: a big graph has those of the selection.
      selector: big ? "edge.near, edge.hover, edge.chosen" : "edge",
      style: {
        // Where there is room for it: `labelAt` is how far from the source. In a big graph those few stand in the middle.
        label: big ? "data(label)" : "",
        "source-label": (e: cytoscape.EdgeSingular) =>
          big || e.data("labelAt") === undefined ? "" : e.data("shown"),
        "source-text-offset": (e: cytoscape.EdgeSingular) => e.data("labelAt") ?? 0,
        "text-wrap": "wrap",
        "font-family": FONT,
        "font-size": LABEL_SIZE * scale,
        "line-height": 1.25,
        color: p.text,
        "text-background-color": p.surface,
        "text-background-opacity": 0.94,
        "text-background-padding": "4px",
        "text-background-shape": "roundrectangle",
        "text-border-color": p.line,
        "text-border-width": 1,
        "text-border-opacity": 1,
        "min-zoomed-font-size": big ? 8 : LEAST_TEXT,
        ...fade(big),
      } as cytoscape.Css.Edge,
    },
    {
      selector: "edge[distances]",
      style: {
        "curve-style": "unbundled-bezier",
        "control-point-distances": (e: cytoscape.EdgeSingular) => e.data("distances"),
        "control-point-weights": (e: cytoscape.EdgeSingular) => e.data("weights"),
        "edge-distances": "node-position",
      } as unknown as cytoscape.Css.Edge,
    },
    { selector: ".dim", style: { opacity: big ? 0.08 : 0.22 } },
    // Below what is not. In a big graph, of which they are not seen, to sort all would take too long.
    ...(big ? [] : [{ selector: "edge.dim", style: { "z-index": -1 } }]),
    // Thousands of them are fog, and take longest to draw.
    ...(big ? [{ selector: "edge.dim", style: { opacity: 0 } }] : []),
    {
      selector: "node.found",
      style: {
        "underlay-color": p.focus,
        "underlay-opacity": 0.35,
        "underlay-padding": 9,
        "underlay-shape": "ellipse",
      } as cytoscape.Css.Node,
    },
    {
      selector: "edge.found",
      style: {
        "underlay-color": p.focus,
        "underlay-opacity": 0.35,
        "underlay-padding": 6,
      } as cytoscape.Css.Edge,
    },
    {
      selector: "node[kind].hover",
      style: {
        "underlay-color": p.accent,
        "underlay-opacity": 0.12,
        "underlay-padding": 7,
      } as cytoscape.Css.Node,
    },
    {
      selector: "edge.hover",
      style: {
        "underlay-color": p.accent,
        "underlay-opacity": 0.14,
        "underlay-padding": 5,
      } as cytoscape.Css.Edge,
    },
    {
      selector: "node[kind].chosen",
      style: {
        "underlay-color": p.accent,
        "underlay-opacity": 0.28,
        "underlay-padding": 8,
      } as cytoscape.Css.Node,
    },
    { selector: "node[box].chosen", style: { "border-color": p.accent, "border-width": 2.5 } },
    {
      selector: "edge.chosen",
      style: {
        "underlay-color": p.accent,
        "underlay-opacity": 0.3,
        "underlay-padding": 6,
        "z-index": 10,
        "line-opacity": 1,
      } as cytoscape.Css.Edge,
    },
    { selector: ".leaving", style: { opacity: 0 } },
  ];
}

/** The colour behind a node, which its label is drawn on. */
function ground(p: Palette, n: cytoscape.NodeSingular): string {
  const box = n.parent().data("box") as string | undefined;
  return box === "app" ? p["app-box"] : box ? p.box : p.canvas;
}

/** How much larger text is drawn at a zoom: in few steps, as each is a new style for all. Labels of edges stay above nine
 * pixels as long as there is any room for them. */
export function textScale(zoom: number): number {
  const steps = [1, 1.2, 1.45, 1.6, 1.75, 1.9, 2, 2.2, 2.4, 2.8, 3.2];
  // Then it is only kept from vanishing: names on top of each other are left out.
  const far = [3.6, 4.2, 5];
  return steps.find((scale) => scale * zoom > 0.76) ?? far.find((scale) => scale * zoom > 0.52) ?? 6;
}
