// Makes Cytoscape fast where there are boxes. With each property of each element that is set it forgets what it has
// computed of the element, of its boxes, of what is in it and of all their edges, and makes five collections for that. What
// it has computed of a box does not depend on the style of what is in it: of most elements it is enough to forget their
// own, and that of their edges.
import type cytoscape from "cytoscape";

interface Inner {
  styleCache: unknown;
  children: unknown[];
  edges?: { _private: Inner }[];
}

interface Elements {
  length: number;
  [index: number]: { _private: Inner };
}

type Forget = (this: Elements) => Elements;

export function makeLean(cy: cytoscape.Core): void {
  const all = Object.getPrototypeOf(cy.collection()) as { dirtyStyleCache: Forget & { lean?: boolean } };
  const whole = all.dirtyStyleCache;
  if (whole.lean) return;
  const forget: typeof whole = function (this: Elements) {
    const it = this.length === 1 ? this[0]?._private : undefined;
    if (!it || it.children.length > 0) return whole.call(this);
    it.styleCache = null;
    for (const edge of it.edges ?? []) edge._private.styleCache = null;
    return this;
  };
  forget.lean = true;
  all.dirtyStyleCache = forget;
}
