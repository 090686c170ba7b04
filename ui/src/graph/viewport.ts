// Which part of the graph is seen, and how large. In: commands. It follows the graph, and fits it whenever it changes,
// until the reader moves it; from then on it stays where they put it, until they ask for the whole.
import type cytoscape from "cytoscape";
import type { Rect } from "../layout/labels";
import type { Point } from "../layout/types";
import { titleRect } from "./title";

/** How often the fit is made anew with the text as large as it then is. */
const FIT_PASSES = 3;
/** A graph of two nodes is not blown up to fill the screen. */
const MAX_FIT_ZOOM = 1.25;
const NARROW = 500;
/** Pixels between what stands on the canvas and the graph: the name of a box is above it. */
const NAME = 16;

export interface Seen {
  zoom: number;
  pan: Point;
}

/** What stands on the canvas: how far it comes from the left and from above. */
export interface Covered {
  left: number;
  top: number;
}

export class Viewport {
  /** Whether the reader has chosen what they see. */
  private chosen = false;

  constructor(
    private readonly cy: cytoscape.Core,
    private readonly is: { big(): boolean; rescale(): void; covered(): Covered },
  ) {
    this.cy.on("dragpan scrollzoom pinchzoom boxzoom dragfree", () => {
      this.chosen = true;
    });
  }

  /** The graph, or the room for it, has changed. */
  follow(): void {
    if (!this.chosen) this.fit();
  }

  /** As the reader wishes: the whole, from now on. */
  whole(): void {
    this.chosen = false;
    this.fit();
  }

  zoom(factor: number): void {
    this.chosen = true;
    const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: middle });
  }

  pan(x: number, y: number): void {
    this.chosen = true;
    this.cy.panBy({ x, y });
  }

  /** Brings an element onto the screen if it is not there. */
  reveal(id: string): void {
    const it = this.cy.getElementById(id);
    if (it.empty()) return;
    const box = it.renderedBoundingBox({ includeLabels: false });
    const inside = box.x1 > 0 && box.y1 > 0 && box.x2 < this.cy.width() && box.y2 < this.cy.height();
    if (inside) return;
    this.chosen = true;
    this.cy.center(it);
  }

  seen(): Seen {
    return { zoom: this.cy.zoom(), pan: { ...this.cy.pan() } };
  }

  private fit(): void {
    if (this.cy.elements().empty()) return;
    this.cy.resize();
    // Text is drawn larger the smaller the graph is, so the bounds depend on the zoom.
    for (let pass = 0; pass < (this.is.big() ? 1 : FIT_PASSES); pass += 1) this.fitOnce();
  }

  /** Pixels that a graph may take. */
  room(): { left: number; top: number; width: number; height: number } {
    const narrow = this.cy.width() < NARROW;
    const covered = this.is.covered();
    const [side, bottom] = narrow ? [10, 58] : [36, 64];
    const top = Math.max(48, covered.top + NAME);
    const left = side + (narrow ? 0 : covered.left);
    return {
      left,
      top,
      width: Math.max(50, this.cy.width() - left - side),
      height: Math.max(50, this.cy.height() - top - bottom),
    };
  }

  private fitOnce(): void {
    const room = this.room();
    const box = this.is.big() ? this.rough() : this.exact();
    const width = Math.max(1, box.x2 - box.x1);
    const height = Math.max(1, box.y2 - box.y1);
    const zoom = Math.min(MAX_FIT_ZOOM, room.width / width, room.height / height);
    const pan = {
      x: room.left + (room.width - width * zoom) / 2 - box.x1 * zoom,
      y: room.top + (room.height - height * zoom) / 2 - box.y1 * zoom,
    };
    this.cy.viewport({ zoom, pan });
    this.is.rescale();
  }

  private exact(): Rect {
    const all = this.cy.elements().not(".leaving");
    const { x1, y1, x2, y2 } = all.boundingBox({ includeLabels: true });
    const boxes = all.filter("[box]").toArray() as cytoscape.NodeSingular[];
    // A name may be wider than its box, or stand below it; that it stands above it there is room for.
    const names = boxes.flatMap((b) => titleRect(b, this.cy.zoom()) ?? []);
    return {
      x1: Math.min(x1, ...names.map((n) => n.x1)),
      y1,
      x2: Math.max(x2, ...names.map((n) => n.x2)),
      y2: Math.max(y2, ...names.map((n) => n.y2)),
    };
  }

  /** Of the nodes' centres: the exact bounds of thousands of edges take longer than all else. */
  private rough(): Rect {
    let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const n of this.cy.nodes("[kind]").toArray()) {
      const { x, y } = (n as cytoscape.NodeSingular).position();
      [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x), Math.max(y2, y)];
    }
    const margin = 100;
    return { x1: x1 - margin, y1: y1 - margin, x2: x2 + margin, y2: y2 + margin };
  }
}
