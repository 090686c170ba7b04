// The canvas: keeps Cytoscape in step with the view. In: views, selections, commands. Out: calls back with what the
// reader points at. New numbers move nothing.
import cytoscape from "cytoscape";
import { apart } from "../layout/apart";
import { LayoutClient } from "../layout/client";
import { crowded } from "../layout/crowded";
import type { Rect } from "../layout/labels";
import { place } from "../layout/place";
import { algorithm, decide, isBig, type LaidOut } from "../layout/policy";
import { stretch } from "../layout/stretch";
import type { LayoutChoice, LayoutOutput, Point } from "../layout/types";
import type { View } from "../model/view";
import { aim } from "./aim";
import { Animation } from "./animation";
import { type DecorationOptions, decorate } from "./decorations";
import { type LabelRects, putLabels } from "./edgeLabels";
import { Layer } from "./layer";
import { makeLean } from "./lean";
import { mark } from "./marked";
import { layoutEdges, layoutInput, measureNode } from "./measure";
import { arrange, blocks, move, places } from "./moves";
import { type Palette, readPalette } from "./palette";
import { listen, type PointerEvents } from "./pointer";
import { LABEL_SIZE, LEAST_TEXT, styleSheet, textScale } from "./style";
import { Elements } from "./sync";
import { titleOf, titleRect } from "./title";
import { type Covered, Viewport } from "./viewport";

export interface CanvasEvents extends PointerEvents {
  /** A layout began or ended. */
  busy(on: boolean): void;
  covered(): Covered;
}

/** Pixels; on a canvas that is narrower, and higher than wide, traffic goes from top to bottom. */
const NARROW = 500;
/** Between two boxes. */
const BETWEEN_BOXES = 8;
const SPREAD_PASSES = 4;
const NONE: LabelRects = new Map();

export class GraphCanvas {
  private readonly cy: cytoscape.Core;
  private readonly elements: Elements;
  private readonly viewport: Viewport;
  private readonly layouts = new LayoutClient();
  private readonly decorations: Layer;
  private readonly animation: Animation;
  private readonly marks: Layer;
  private palette: Palette = readPalette();
  private options: DecorationOptions = { badges: true, security: true };
  private laidOut: LaidOut | undefined;
  /** Whether the reader has moved nodes: those are not moved for new ones. */
  private arranged = false;
  private labels = NONE;
  private big = false;
  /** The key whose layout is being computed. */
  private pending: string | undefined;
  private scaled = 1;
  /** The zoom that labels were put at. */
  private labelled = 1;
  private selected: string | undefined;
  private view: View | undefined;
  /** What the reader wants of the layout. */
  private wanted: { chosen: string; choice: LayoutChoice } | undefined;

  constructor(
    host: HTMLElement,
    private readonly events: CanvasEvents,
  ) {
    this.cy = cytoscape({
      container: host,
      minZoom: 0.03,
      maxZoom: 3,
      boxSelectionEnabled: false,
      selectionType: "single",
      autounselectify: true,
      style: styleSheet(this.palette, false),
      hideEdgesOnViewport: false,
      textureOnViewport: false,
      pixelRatio: Math.min(2, window.devicePixelRatio || 1),
    });
    makeLean(this.cy);
    aim(this.cy, () => (LABEL_SIZE * this.scaled * this.cy.zoom() < LEAST_TEXT ? NONE : this.labels));
    this.layouts.warm();
    this.marks = new Layer(host, "traffic", () => this.animation?.invalidate());
    this.elements = new Elements(this.cy);
    this.viewport = new Viewport(this.cy, {
      big: () => this.big,
      rescale: () => this.rescale(),
      covered: () => events.covered(),
    });
    this.decorations = new Layer(host, "decorations", () => this.resized());
    this.animation = new Animation(
      this.cy,
      this.marks,
      () => this.palette,
      () => this.labels,
    );
    this.cy.on("render", () =>
      decorate(this.cy, this.decorations, this.palette, this.options, this.labels, this.scaled),
    );
    this.cy.on("viewport position", () => this.animation.invalidate());
    this.cy.on("zoom", () => this.rescale());
    listen(this.cy, host, events);
    this.cy.on("dragfree", () => {
      this.arranged = true;
      this.relabel();
    });
  }

  async show(view: View, chosen: string, choice: LayoutChoice): Promise<void> {
    this.view = view;
    this.wanted = { chosen, choice };
    const key = this.key(chosen);
    // While a layout is being computed the graph of before stays; then the newest view is shown in it.
    if (this.pending === key) return;
    const fresh = view.nodes.filter((n) => !this.elements.has(n.id)).map((n) => n.id);
    const strange = fresh.filter((id) => !this.elements.memory.at(id));
    const decision = decide(this.laidOut, key, strange.length);
    const found = decision === "full" ? undefined : this.room(view, strange);
    if (!found) return this.layOut(view, chosen, choice);
    this.abandon();
    const before = this.elements.count;
    this.sync(view, false);
    this.cy.batch(() => {
      for (const [id, at] of Object.entries(found)) this.cy.getElementById(id).position(at);
    });
    const { nodes = 0, placed = 0 } = this.laidOut ?? {};
    this.laidOut = { key, nodes, placed: placed + strange.length };
    if (fresh.length > 0 || this.elements.count !== before) this.viewport.follow();
    this.after();
  }

  select(id: string | undefined): void {
    this.selected = id;
    this.mark();
  }

  configure(options: DecorationOptions & { animation: boolean }): void {
    this.options = options;
    this.animation.want(options.animation);
    this.cy.forceRender();
  }

  recolor(): void {
    this.palette = readPalette();
    this.restyle();
    this.animation.invalidate();
    this.cy.forceRender();
  }

  /** The whole graph, and from then on whatever it becomes. */
  fit(): void {
    this.viewport.whole();
    this.relabel();
  }

  /** The room for the graph has changed. */
  resized(): void {
    if (this.cy.destroyed()) return;
    this.cy.resize();
    const turned = this.wanted && this.laidOut && this.laidOut.key !== this.key(this.wanted.chosen);
    if (turned && this.view) void this.show(this.view, this.wanted!.chosen, this.wanted!.choice);
    this.viewport.follow();
    this.cy.forceRender();
  }

  zoom(factor: number): void {
    this.viewport.zoom(factor);
  }

  pan(x: number, y: number): void {
    this.viewport.pan(x, y);
  }

  reveal(id: string): void {
    this.viewport.reveal(id);
  }

  position(id: string): Point | undefined {
    const it = this.cy.getElementById(id);
    return it.empty() || !it.isNode() ? undefined : { ...it.position() };
  }

  /** For tests and for the tooltip: where an element is on the canvas, in pixels. */
  rendered(id: string): Point | undefined {
    const it = this.cy.getElementById(id);
    if (it.empty()) return undefined;
    if (it.isNode()) return { ...it.renderedPosition() };
    return { ...(it as unknown as cytoscape.EdgeSingular).renderedMidpoint() };
  }

  /** For tests: names of boxes, and the room on the canvas that they take, in pixels. */
  titles(): { id: string; text: string; size: number; rect: Rect }[] {
    const [zoom, pan] = [this.cy.zoom(), this.cy.pan()];
    return (this.cy.nodes("[box]").toArray() as cytoscape.NodeSingular[]).flatMap((box) => {
      const [title, r] = [titleOf(box, zoom), titleRect(box, zoom)];
      if (!title || !r) return [];
      const [x1, x2] = [r.x1, r.x2].map((x) => x * zoom + pan.x) as [number, number];
      const [y1, y2] = [r.y1, r.y2].map((y) => y * zoom + pan.y) as [number, number];
      return [{ id: box.id(), text: title.text, size: title.size, rect: { x1, y1, x2, y2 } }];
    });
  }

  destroy(): void {
    this.elements.stop();
    this.animation.stop();
    this.layouts.close();
    this.marks.remove();
    this.decorations.remove();
    this.cy.destroy();
  }

  private get down(): boolean {
    return this.cy.width() < NARROW && this.cy.height() > this.cy.width();
  }

  /** What the layout depends on. */
  private key(chosen: string): string {
    return `${chosen} ${this.down}`;
  }

  private scale(view: View): void {
    const big = isBig(view.nodes.length, view.edges.length);
    if (big === this.big) return;
    this.big = big;
    // Cytoscape has no setter for these two: while the view moves a picture of it is moved instead.
    const renderer = (this.cy as unknown as { renderer(): Record<string, unknown> }).renderer();
    renderer.textureOnViewport = big;
    renderer.hideEdgesOnViewport = false;
    this.restyle();
  }

  private restyle(): void {
    this.cy.style(styleSheet(this.palette, this.big, this.scaled));
  }

  /** Text grows in steps while the view moves away. */
  private rescale(): void {
    const scale = this.big ? 1 : textScale(this.cy.zoom());
    // Names of boxes are as large from afar: what they cover changes with the zoom.
    const isFar = Math.abs(Math.log(this.cy.zoom() / this.labelled)) > 0.08;
    if (scale === this.scaled && (this.big || !isFar)) return;
    if (scale !== this.scaled) {
      this.scaled = scale;
      this.restyle();
    }
    this.relabel();
  }

  private relabel(): void {
    this.labelled = this.cy.zoom();
    this.labels = this.big ? new Map() : putLabels(this.cy, this.scaled);
  }

  /** Places for what is new, and was never there; undefined if there is no room. */
  private room(view: View, fresh: string[]): Record<string, Point> | undefined {
    const comesBack = view.nodes.some((n) => !this.elements.has(n.id) && this.elements.memory.at(n.id));
    if (fresh.length === 0 && (this.big || !comesBack)) return {};
    // Places beside neighbours are sought from left to right.
    if (fresh.length > 0 && this.down && !this.big) return undefined;
    const isNew = new Set(fresh);
    const was = (id: string) =>
      this.elements.has(id) ? this.cy.getElementById(id).position() : this.elements.memory.at(id)!;
    const there = view.nodes
      .filter((n) => !isNew.has(n.id))
      .map((n) => ({ ...measureNode(n), at: was(n.id) }));
    const added = view.nodes.filter((n) => isNew.has(n.id)).map(measureNode);
    const found = place(added, layoutEdges(view), there);
    const all = [...there, ...added.map((n) => ({ ...n, at: found[n.id]! }))];
    return !this.big && !this.arranged && crowded(all, view.boxes) ? undefined : found;
  }

  private async layOut(view: View, chosen: string, choice: LayoutChoice): Promise<void> {
    const key = this.key(chosen);
    this.events.busy(true);
    this.pending = key;
    const input = layoutInput(view, this.down);
    const drawn = await this.layouts.run(algorithm(choice, view.nodes.length, view.edges.length), input);
    if (!drawn || this.cy.destroyed() || this.pending !== key) return;
    this.pending = undefined;
    const big = isBig(view.nodes.length, view.edges.length);
    const output = big ? drawn : stretch(drawn, input.nodes, this.viewport.room());
    const live = this.laidOut?.key === key && !this.big;
    const before = live ? places(this.cy) : undefined;
    const seen = this.viewport.seen();
    this.elements.memory.clear();
    this.cy.batch(() => {
      this.sync(view, true);
      arrange(this.cy, output);
    });
    this.elements.memory.clear();
    this.laidOut = { key, nodes: view.nodes.length, placed: 0 };
    this.arranged = false;
    this.fitTo(output, live);
    this.after();
    if (before) await move(this.cy, before, seen);
    if (this.cy.destroyed()) return;
    this.animation.invalidate();
    this.events.busy(false);
    performance.clearMarks("graph laid out");
    performance.mark("graph laid out");
    if (this.view && this.view !== view) await this.show(this.view, chosen, choice);
  }

  /** How large text and boxes are depends on the zoom, and that on what there is to be seen. */
  private fitTo(output: LayoutOutput, live: boolean): void {
    let drawn: LayoutOutput | undefined = output;
    for (let pass = 0; drawn && pass < SPREAD_PASSES; pass += 1) {
      if (pass > 0) arrange(this.cy, drawn);
      if (live) this.viewport.follow();
      else this.viewport.whole();
      drawn = this.big ? undefined : apart(drawn, blocks(this.cy), BETWEEN_BOXES / this.cy.zoom());
    }
  }

  /** The reader went back to the view that is laid out already. */
  private abandon(): void {
    if (this.pending === undefined) return;
    this.pending = undefined;
    this.events.busy(false);
  }

  /** Makes what is drawn equal to the view. `atOnce`: what goes does not fade, nor does it where it is much. The style of
   * another size is set while there is the least. */
  private sync(view: View, atOnce: boolean): void {
    const grows = view.nodes.length + view.edges.length > this.elements.count;
    if (grows) this.scale(view);
    this.elements.sync(view, atOnce || this.big);
    if (!grows) this.scale(view);
  }

  private after(): void {
    this.relabel();
    this.mark();
    this.animation.invalidate();
    this.cy.forceRender();
  }

  private mark(): void {
    const all = this.view ? [...this.view.nodes, ...this.view.edges] : [];
    const finding = all.some((e) => e.found !== undefined);
    mark(this.cy, { selected: this.selected, big: this.big, finding });
    this.animation.invalidate();
  }
}
