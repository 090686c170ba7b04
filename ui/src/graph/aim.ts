// Finds what the reader points at. Cytoscape takes the line that is nearest, through a text that lies on it, and what is
// dimmed like anything else. In: the canvas, and where texts stand. Out: its search, replaced: a text is of its own edge,
// and what is dimmed is found only where there is nothing else.
import type cytoscape from "cytoscape";
import { holds } from "../layout/labels";
import type { LabelRects } from "./edgeLabels";

type One = cytoscape.SingularElementReturnValue;
type Sorted = One[] & { interactive?: One[] };
interface Renderer {
  getCachedZSortedEles(): Sorted;
  findNearestElements(x: number, y: number, interactive: boolean, touch: boolean): One[];
}

/** `labels`: those that can be read. */
export function aim(cy: cytoscape.Core, labels: () => LabelRects): void {
  const it = (cy as unknown as { renderer(): Renderer }).renderer();
  const [find, sorted] = [it.findNearestElements, it.getCachedZSortedEles];
  it.findNearestElements = (x, y, interactive, touch) => {
    for (const [id, rect] of labels()) {
      const e = holds(rect, { x, y }) ? cy.getElementById(id) : undefined;
      if (e?.isEdge() && e.data("labelAt") !== undefined && isBright(e)) return [e];
    }
    const all = sorted.call(it);
    const bright = all.filter(isBright) as Sorted;
    if (bright.length < all.length) {
      bright.interactive = all.interactive?.filter(isBright);
      it.getCachedZSortedEles = () => bright;
      const found = find.call(it, x, y, interactive, touch);
      it.getCachedZSortedEles = sorted;
      // A box is behind all that is in it.
      if (found[0] && !found[0].data("box")) return found;
    }
    return find.call(it, x, y, interactive, touch);
  };
}

const isBright = (e: One) => !e.hasClass("dim");
