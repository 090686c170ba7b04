// Moves a graph from one layout to the next, so that the reader can follow what goes where. In: places and the part that
// is seen, before and after. Out: a promise of the end. Whoever asked for less motion sees the end at once.
import type cytoscape from "cytoscape";
import type { Block } from "../layout/apart";
import { control } from "../layout/bends";
import type { LayoutOutput, Point } from "../layout/types";
import type { Seen } from "./viewport";

const DURATION = 350;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Puts everything where a layout wants it. */
export function arrange(cy: cytoscape.Core, output: LayoutOutput): void {
  cy.batch(() => {
    cy.nodes("[kind]").positions(
      (n) => output.positions[(n as unknown as cytoscape.NodeSingular).id()] ?? { x: 0, y: 0 },
    );
    cy.edges().forEach((e) => {
      const points = output.bends[e.id()];
      const bend =
        points && control(output.positions[e.data("source")]!, output.positions[e.data("target")]!, points);
      if (bend) e.data(bend);
      else if (e.data("distances")) e.data({ distances: undefined, weights: undefined });
    });
  });
}

export function places(cy: cytoscape.Core): Map<string, Point> {
  const all = cy.nodes("[kind]").toArray() as cytoscape.NodeSingular[];
  return new Map(all.map((n) => [n.id(), { ...n.position() }]));
}

/** What is on the top level. */
export function blocks(cy: cytoscape.Core): Block[] {
  const top = cy.nodes().orphans().not(".leaving").toArray() as cytoscape.NodeSingular[];
  return top.map((n) => {
    const inside = n.isParent() ? n.descendants("[kind]") : n;
    const middles = (inside.toArray() as cytoscape.NodeSingular[]).map((m) => ({ ...m.position() }));
    return { rect: n.boundingBox({ includeLabels: !n.isParent() }), middles };
  });
}

/** The graph stands as it will be; it is shown as it was, and goes. */
export async function move(cy: cytoscape.Core, from: ReadonlyMap<string, Point>, seen: Seen): Promise<void> {
  if (calm.matches || document.hidden) return;
  const goal = { zoom: cy.zoom(), pan: { ...cy.pan() } };
  const runs: Promise<unknown>[] = [];
  cy.viewport(seen);
  for (const n of cy.nodes("[kind]").toArray() as cytoscape.NodeSingular[]) {
    const start = from.get(n.id());
    if (!start) continue;
    const end = { ...n.position() };
    n.position(start);
    runs.push(
      n
        .animation({ position: end, duration: DURATION, easing: "ease-in-out" } as never)
        .play()
        .promise(),
    );
  }
  const whole = cy.animation({ ...goal, duration: DURATION, easing: "ease-in-out" } as never);
  runs.push(whole.play().promise());
  await Promise.all(runs);
}
