// What the reader points at on the canvas. In: Cytoscape's events. Out: what is selected, hovered and opened.
import type cytoscape from "cytoscape";
import type { Point } from "../layout/types";

export interface PointerEvents {
  select(id: string | undefined): void;
  hover(id: string | undefined, at: Point): void;
  open(id: string): void;
}

const NOWHERE: Point = { x: 0, y: 0 };

export function listen(cy: cytoscape.Core, host: HTMLElement, events: PointerEvents): void {
  cy.on("tap", (e) =>
    events.select(e.target === cy ? undefined : (e.target as cytoscape.SingularElementReturnValue).id()),
  );
  cy.on("dbltap", "node[kind]", (e) => events.open((e.target as cytoscape.NodeSingular).id()));
  cy.on("mouseover", "node, edge", (e) => {
    const it = e.target as cytoscape.SingularElementReturnValue;
    it.addClass("hover");
    host.style.cursor = "pointer";
    events.hover(it.id(), { ...e.renderedPosition });
  });
  cy.on("mouseout", "node, edge", (e) => {
    (e.target as cytoscape.SingularElementReturnValue).removeClass("hover");
    host.style.cursor = "";
    events.hover(undefined, NOWHERE);
  });
  cy.on("grab viewport", () => events.hover(undefined, NOWHERE));
  host.addEventListener("mouseleave", () => events.hover(undefined, NOWHERE));
}
