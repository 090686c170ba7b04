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
    const all = cy.elements().toArray();
    const it = selected === undefined ? cy.collection() : cy.getElementById(selected);
    only(cy, all, "chosen", (e) => e.id() === selected);
    const near = idsOf(big ? it.edges().union(it.connectedEdges()) : cy.collection());
    only(cy, all, "near", (e) => near.has(e.id()));
    if (finding) return;
    const none = it.empty() || it.data("box");
    const bright = idsOf(none ? cy.collection() : related(it));
    only(cy, all, "dim", (e) => !none && !e.data("box") && !bright.has(e.id()));
  });
}

function idsOf(these: cytoscape.CollectionReturnValue): Set<string> {
  return new Set(these.map((e) => e.id()));
}

type One = cytoscape.SingularElementArgument;

/** These have a class, and no others. What has it already is not touched: each change is a new style. */
function only(cy: cytoscape.Core, all: One[], name: string, these: (e: One) => boolean): void {
  const others = all.filter((e) => e.hasClass(name) !== these(e));
  cy.collection(others as unknown as cytoscape.ElementDefinition[]).toggleClass(name);
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
