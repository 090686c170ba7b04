// Keeps Cytoscape's elements equal to a view. In: views. Out: what is new is added, what has changed is changed, and what
// is gone fades away.
import type cytoscape from "cytoscape";
import { changes } from "../model/merge";
import type { View } from "../model/view";
import { type Drawn, definition, drawn, same } from "./elements";
import { Memory } from "./memory";

const FADE = 400;

export class Elements {
  readonly memory = new Memory();
  private readonly shown = new Map<string, Drawn>();
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(private readonly cy: cytoscape.Core) {}

  get count(): number {
    return this.shown.size;
  }

  has(id: string): boolean {
    return this.shown.has(id);
  }

  /** `atOnce`: what goes does not fade. */
  sync(view: View, atOnce: boolean): void {
    const next = drawn(view);
    const change = changes(this.shown, next, same);
    this.cy.batch(() => {
      this.remove(change.remove, atOnce);
      // What was there may belong into a box that is new.
      this.add(change.add);
      this.update(change.update);
      for (const d of next) this.cy.getElementById(d.id).scratch("view", d.source);
    });
    this.shown.clear();
    for (const d of next) this.shown.set(d.id, d);
  }

  stop(): void {
    for (const t of this.timers) clearTimeout(t);
  }

  /** Parents and nodes first: an edge needs its ends. What comes back while it fades is new. */
  private add(all: Drawn[]): void {
    for (const d of all) {
      const fading = this.cy.getElementById(d.id);
      if (fading.nonempty()) fading.remove();
    }
    this.cy.add(
      all.map((d) => {
        const made = definition(d);
        const { at, bend } = { at: this.memory.at(d.id), bend: this.memory.bend(d.id) };
        return { ...made, data: { ...made.data, ...bend }, ...(at && { position: { ...at } }) };
      }),
    );
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
    this.memory.keep(it);
    if (atOnce) {
      // Children are moved out first: what stays must not go with its box.
      it.filter("node[box]")
        .children()
        .forEach((c) => void (this.shown.has(c.id()) && !gone.has(c.id()) && c.move({ parent: null })));
      it.remove();
      return;
    }
    it.addClass("leaving");
    this.later(() =>
      it.filter(".leaving").forEach((e) => {
        if (e.isParent()) e.children().move({ parent: null });
        if (!this.shown.has(e.id())) e.remove();
      }),
    );
  }

  private later(work: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      work();
    }, FADE);
    this.timers.add(timer);
  }
}
