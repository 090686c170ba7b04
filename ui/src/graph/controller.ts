// The canvas: keeps Cytoscape in step with the view. In: views, selections, commands. Out: calls back with what the
// reader points at. Live updates change numbers and colours; nothing that is there moves.
import cytoscape from "cytoscape";
import { control } from "../layout/bends";
import { LayoutClient } from "../layout/client";
import { place } from "../layout/place";
import { algorithm, decide, isBig } from "../layout/policy";
import type { LayoutChoice, LayoutOutput, Point } from "../layout/types";
import { changes } from "../model/merge";
import type { View } from "../model/view";
import { Animation } from "./animation";
import { type DecorationOptions, decorate } from "./decorations";
import { type Drawn, definition, drawn, same } from "./elements";
import { Layer } from "./layer";
import { layoutEdges, layoutInput, measureNode } from "./measure";
import { type Palette, readPalette } from "./palette";
import { styleSheet, textScale } from "./style";

export interface CanvasEvents {
  select(id: string | undefined): void;
  hover(id: string | undefined, at: Point): void;
  open(id: string): void;
  /** A layout began or ended. */
  busy(on: boolean): void;
}

const FADE = 400;
/** A graph of two nodes is not blown up to fill the screen. */
/** How often the fit is made anew with the text as large as it then is. */
const FIT_PASSES = 3;
const MAX_FIT_ZOOM = 1.25;

export class GraphCanvas {
  private readonly cy: cytoscape.Core;
  private readonly layouts = new LayoutClient();
  private readonly decorations: Layer;
  private readonly animation: Animation;
  private readonly marks: Layer;
  private readonly shown = new Map<string, Drawn>();
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private palette: Palette = readPalette();
  private options: DecorationOptions = { badges: true, security: true };
  private laidOut: { key: string; nodes: number } | undefined;
  private big = false;
  /** The key whose layout is being computed. */
  private pending: string | undefined;
  private scaled = 1;
  private selected: string | undefined;
  private view: View | undefined;

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
    this.layouts.warm();
    this.marks = new Layer(host, "traffic", () => this.animation?.invalidate());
    this.decorations = new Layer(host, "decorations", () => this.cy.forceRender());
    this.animation = new Animation(this.cy, this.marks, () => this.palette);
    this.cy.on("render", () => decorate(this.cy, this.decorations, this.palette, this.options));
    this.cy.on("viewport position", () => this.animation.invalidate());
    this.cy.on("zoom", () => this.rescale());
    this.listen(host);
  }

  async show(view: View, key: string, choice: LayoutChoice): Promise<void> {
    this.view = view;
    // While a layout is being computed the graph of before stays; then the newest view is shown in it.
    if (this.pending === key) return;
    const fresh = view.nodes.filter((n) => !this.shown.has(n.id));
    const decision = decide(this.laidOut, key, fresh.length);
    if (decision === "full") return this.layOut(view, key, choice);
    this.abandon();
    this.sync(view, false);
    if (decision === "place")
      this.place(
        view,
        fresh.map((n) => n.id),
      );
    this.laidOut = { key, nodes: view.nodes.length };
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

  fit(): void {
    if (this.cy.elements().empty()) return;
    this.cy.resize();
    // Text is drawn larger the smaller the graph is, so the bounds depend on the zoom.
    for (let pass = 0; pass < (this.big ? 1 : FIT_PASSES); pass += 1) this.fitOnce();
  }

  private fitOnce(): void {
    const narrow = this.cy.width() < 500;
    const [side, top, bottom] = narrow ? [10, 40, 58] : [36, 48, 64];
    const box = this.big ? this.roughBounds() : this.cy.elements().boundingBox({ includeLabels: true });
    const room = {
      w: Math.max(50, this.cy.width() - side * 2),
      h: Math.max(50, this.cy.height() - top - bottom),
    };
    const zoom = Math.min(MAX_FIT_ZOOM, room.w / Math.max(1, box.w), room.h / Math.max(1, box.h));
    const pan = {
      x: side + (room.w - box.w * zoom) / 2 - box.x1 * zoom,
      y: top + (room.h - box.h * zoom) / 2 - box.y1 * zoom,
    };
    this.cy.viewport({ zoom, pan });
    this.rescale();
  }

  /** Of the nodes' centres: the exact bounds of thousands of edges take longer than all else. */
  private roughBounds(): { x1: number; y1: number; w: number; h: number } {
    let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const n of this.cy.nodes("[kind]").toArray()) {
      const { x, y } = (n as cytoscape.NodeSingular).position();
      [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x), Math.max(y2, y)];
    }
    const margin = 100;
    return { x1: x1 - margin, y1: y1 - margin, w: x2 - x1 + margin * 2, h: y2 - y1 + margin * 2 };
  }

  zoom(factor: number): void {
    const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: middle });
  }

  pan(x: number, y: number): void {
    this.cy.panBy({ x, y });
  }

  /** Brings an element onto the screen if it is not there. */
  reveal(id: string): void {
    const it = this.cy.getElementById(id);
    if (it.empty()) return;
    const box = it.renderedBoundingBox({ includeLabels: false });
    const inside = box.x1 > 0 && box.y1 > 0 && box.x2 < this.cy.width() && box.y2 < this.cy.height();
    if (!inside) this.cy.center(it);
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

  destroy(): void {
    for (const t of this.timers) clearTimeout(t);
    this.animation.stop();
    this.layouts.close();
    this.marks.remove();
    this.decorations.remove();
    this.cy.destroy();
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
    if (scale === this.scaled) return;
    this.scaled = scale;
    this.restyle();
  }

  private add(all: Drawn[]): void {
    const waiting = all.filter((d) => {
      const leaving = this.cy.getElementById(d.id);
      if (leaving.nonempty()) leaving.remove();
      return true;
    });
    // Parents and nodes first: an edge needs its ends.
    this.cy.add(waiting.map(definition));
  }

  private update(all: Drawn[]): void {
    for (const d of all) {
      const it = this.cy.getElementById(d.id);
      it.data(d.data);
      it.classes(d.classes);
      if (d.group === "nodes" && (it.data("parent") ?? undefined) !== d.parent)
        it.move({ parent: d.parent ?? null });
    }
  }

  private remove(ids: string[], atOnce: boolean): void {
    if (ids.length === 0) return;
    const gone = new Set(ids);
    const it = this.cy.elements().filter((e) => gone.has(e.id()));
    if (atOnce) {
      // Children are moved out first: what stays must not go with its box.
      it.filter("node[box]")
        .children()
        .forEach((c) => void (this.shown.has(c.id()) && c.move({ parent: null })));
      it.remove();
      return;
    }
    it.addClass("leaving");
    this.later(
      () =>
        it.filter(".leaving").forEach((e) => {
          if (e.isParent()) e.children().move({ parent: null });
          if (!this.shown.has(e.id())) e.remove();
        }),
      FADE,
    );
  }

  private place(view: View, fresh: string[]): void {
    const isNew = new Set(fresh);
    const there = view.nodes
      .filter((n) => !isNew.has(n.id))
      .map((n) => ({ ...measureNode(n), at: this.cy.getElementById(n.id).position() }));
    const added = view.nodes.filter((n) => isNew.has(n.id)).map(measureNode);
    const positions = place(added, layoutEdges(view), there);
    this.cy.batch(() => {
      for (const [id, at] of Object.entries(positions)) this.cy.getElementById(id).position(at);
    });
  }

  private async layOut(view: View, key: string, choice: LayoutChoice): Promise<void> {
    this.events.busy(true);
    this.pending = key;
    const output = await this.layouts.run(
      algorithm(choice, view.nodes.length, view.edges.length),
      layoutInput(view),
    );
    if (!output || this.cy.destroyed() || this.pending !== key) return;
    this.pending = undefined;
    this.cy.batch(() => {
      this.sync(view, true);
      this.apply(output);
    });
    this.laidOut = { key, nodes: view.nodes.length };
    this.fit();
    this.after();
    this.events.busy(false);
    performance.clearMarks("graph laid out");
    performance.mark("graph laid out");
    if (this.view && this.view !== view) await this.show(this.view, key, choice);
  }

  /** The reader went back to the view that is laid out already. */
  private abandon(): void {
    if (this.pending === undefined) return;
    this.pending = undefined;
    this.events.busy(false);
  }

  /** Makes what is drawn equal to the view. `atOnce`: what goes does not fade. */
  private sync(view: View, atOnce: boolean): void {
    const next = drawn(view);
    const change = changes(this.shown, next, same);
    this.scale(view);
    this.cy.batch(() => {
      this.remove(change.remove, atOnce);
      this.update(change.update);
      this.add(change.add);
      for (const d of next) this.cy.getElementById(d.id).scratch("view", d.source);
    });
    this.shown.clear();
    for (const d of next) this.shown.set(d.id, d);
  }

  private after(): void {
    this.mark();
    this.animation.invalidate();
    this.cy.forceRender();
  }

  private apply(output: LayoutOutput): void {
    this.cy.batch(() => {
      this.cy
        .nodes("[kind]")
        .positions((n) => output.positions[(n as unknown as cytoscape.NodeSingular).id()] ?? { x: 0, y: 0 });
      this.cy.edges().forEach((e) => {
        const points = output.bends[e.id()];
        const bend =
          points && control(output.positions[e.data("source")]!, output.positions[e.data("target")]!, points);
        if (bend) e.data(bend);
        else if (e.data("distances")) e.removeData("distances weights");
      });
    });
  }

  /** Shows what is selected, and what belongs to it more strongly than the rest. */
  private mark(): void {
    this.cy.batch(() => {
      this.cy.elements(".chosen").removeClass("chosen");
      this.cy.edges(".near").removeClass("near");
      const it = this.selected === undefined ? this.cy.collection() : this.cy.getElementById(this.selected);
      it.addClass("chosen");
      if (this.big) it.edges().union(it.connectedEdges()).addClass("near");
      const finding =
        this.view && [...this.view.nodes, ...this.view.edges].some((e) => e.found !== undefined);
      if (finding) return;
      this.cy.elements(".dim").removeClass("dim");
      if (it.empty() || it.data("box")) return;
      const near = related(it);
      this.cy.elements().not(near).filter("[^box]").addClass("dim");
    });
    this.animation.invalidate();
  }

  private listen(host: HTMLElement): void {
    this.cy.on("tap", (e) =>
      this.events.select(
        e.target === this.cy ? undefined : (e.target as cytoscape.SingularElementReturnValue).id(),
      ),
    );
    this.cy.on("dbltap", "node[kind]", (e) => this.events.open((e.target as cytoscape.NodeSingular).id()));
    this.cy.on("mouseover", "node, edge", (e) => {
      const it = e.target as cytoscape.SingularElementReturnValue;
      it.addClass("hover");
      host.style.cursor = "pointer";
      this.events.hover(it.id(), { ...e.renderedPosition });
    });
    this.cy.on("mouseout", "node, edge", (e) => {
      (e.target as cytoscape.SingularElementReturnValue).removeClass("hover");
      host.style.cursor = "";
      this.events.hover(undefined, { x: 0, y: 0 });
    });
    this.cy.on("grab pan zoom", () => this.events.hover(undefined, { x: 0, y: 0 }));
  }

  private later(work: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      work();
    }, ms);
    this.timers.add(timer);
  }
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
