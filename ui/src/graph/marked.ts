// Shows what is selected, and what belongs to it more strongly than the rest. In: the canvas and the selection.
import type cytoscape from "cytoscape";

export function mark(
  cy: cytoscape.Core,
  {
    selected,
    big,
    finding,
  }: {
    selected: string | undefined;
    big: boolean /** Then what is found is what stands out. */;
    finding: boolean;
  },
): void {
  cy.batch(() => {
    cy.elements(".chosen").removeClass("chosen");
    cy.edges(".near").removeClass("near");
    const it = selected === undefined ? cy.collection() : cy.getElementById(selected);
    it.addClass("chosen");
    if (big) it.edges().union(it.connectedEdges()).addClass("near");
    if (finding) return;
    cy.elements(".dim").removeClass("dim");
    if (it.empty() || it.data("box")) return;
    cy.elements().not(related(it)).filter("[^box]").addClass("dim");
  });
}

/** An edge with its ends; a node with its edges, and through services with what is on their other side. */
function related(it: cytoscape.CollectionReturnValue): cytoscape.CollectionReturnValue {
  if (it.edges().nonempty()) {
    const ends = it.edges().connectedNodes();
    return it.union(ends).union(ends.ancestors());
  }
  const out = it.nodes().outgoers();
  const into = it.nodes().incomers();
  const onward = out.nodes('[kind = "service"]').outgoers();
  const back = into.nodes('[kind = "service"]').incomers();
  const all = it.union(out).union(into).union(onward).union(back);
  return all.union(all.nodes().ancestors());
}
