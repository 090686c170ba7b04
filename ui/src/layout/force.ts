// The force layout: for graphs without a clear direction. Cytoscape runs without a screen here, in the worker.
import cytoscape from "cytoscape";
import fcose from "cytoscape-fcose";
import type { LayoutInput, LayoutOutput, Point } from "./types";

cytoscape.use(fcose);

export function forceLayout(input: LayoutInput): LayoutOutput {
  const cy = cytoscape({
    headless: true,
    styleEnabled: true,
    style: [{ selector: "node", style: { width: "data(w)", height: "data(h)" } }],
    elements: [
      ...input.boxes.map((b) => ({
        group: "nodes" as const,
        data: { id: b.id, parent: b.parent, w: 1, h: 1 },
      })),
      ...input.nodes.map((n) => ({
        group: "nodes" as const,
        data: { id: n.id, parent: n.box, w: n.width, h: n.height },
      })),
      ...input.edges.map((e) => ({
        group: "edges" as const,
        data: { id: e.id, source: e.source, target: e.target },
      })),
    ],
  });
  const options = {
    name: "fcose",
    animate: false,
    randomize: true,
    quality: input.nodes.length > 150 ? "draft" : "default",
    nodeSeparation: 90,
    idealEdgeLength: 150,
    packComponents: false,
    nodeDimensionsIncludeLabels: false,
  };
  cy.layout(options as cytoscape.LayoutOptions).run();
  const positions: Record<string, Point> = {};
  for (const n of input.nodes) {
    const at = cy.getElementById(n.id).position();
    positions[n.id] = { x: at.x, y: at.y - n.below / 2 };
  }
  cy.destroy();
  return { positions, bends: {} };
}
