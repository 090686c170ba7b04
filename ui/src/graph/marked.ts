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
    const it = selected === undefined ? cy.collection() : cy.getElementById(selected);
    only(cy, "chosen", it);
    only(cy, "near", big ? it.edges().union(it.connectedEdges()) : cy.collection());
    if (finding) return;
    const none = it.empty() || it.data("box");
    only(cy, "dim", none ? cy.collection() : cy.elements("[^box]").not(related(it)));
  });
}

/** These have a class, and no others. What has it already is not touched: each change is a new style. */
function only(cy: cytoscape.Core, name: string, these: cytoscape.CollectionReturnValue): void {
  const before = cy.elements(`.${name}`);
  before.not(these).removeClass(name);
  these.not(before).addClass(name);
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
