// Where what left the graph was: what was hidden comes back to its place, and nothing is laid out for it. Of one layout,
// and bounded.
import type cytoscape from "cytoscape";
import type { Point } from "../layout/types";

interface Left {
  at?: Point;
  /** Of an edge that is bent. */
  bend?: { distances: unknown; weights: unknown };
}

const MOST = 20_000;

export class Memory {
  private readonly all = new Map<string, Left>();

  keep(gone: cytoscape.CollectionReturnValue): void {
    if (this.all.size + gone.length > MOST) this.all.clear();
    for (const e of gone.slice(0, MOST).toArray() as (cytoscape.EdgeSingular & cytoscape.NodeSingular)[]) {
      if (e.group() === "edges") {
        const { distances, weights } = e.data();
        if (distances) this.all.set(e.id(), { bend: { distances, weights } });
      } else if (!e.data("box"))
        this.all.set(e.id(), { at: { ...(e as cytoscape.NodeSingular).position() } });
    }
  }

  at(id: string): Point | undefined {
    return this.all.get(id)?.at;
  }

  bend(id: string): Left["bend"] {
    return this.all.get(id)?.bend;
  }

  /** The graph is laid out anew. */
  clear(): void {
    this.all.clear();
  }
}
