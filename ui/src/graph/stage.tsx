// The canvas in the page: creates it, keeps it in step with the store, and makes it work with the keyboard and for
// screen readers.
import { computed, effect, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { choose, currentKey, currentView, layoutRound, state } from "../app/store";
import { themeVersion } from "../app/theme";
import { describeEdge, describeNode, nodeName } from "../model/describe";
import { clean, count } from "../model/text";
import type { View } from "../model/view";
import { IconButton } from "../ui/widgets";
import { GraphCanvas } from "./controller";
import { focusPanel } from "./focus";
import { UI_ICONS } from "./icons";
import { Legend } from "./legend";
import { type Direction, next } from "./navigate";
import { closeTip, placeTip, tip, watchTip } from "./tip";
import type { Covered } from "./viewport";

const ARROWS: Record<string, Direction> = {
  ArrowRight: "right",
  ArrowLeft: "left",
  ArrowUp: "up",
  ArrowDown: "down",
};

export function Stage({ openDetails }: { openDetails(id: string): void }) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | undefined>(undefined);
  const busy = useSignal(false);
  useEffect(() => {
    const it = new GraphCanvas(host.current!, {
      select: (id) => choose({ selected: id }),
      hover: (id, at) => {
        tip.value = id === undefined ? undefined : { id, at };
      },
      open: openDetails,
      busy: (on) => {
        busy.value = on;
      },
      covered: () => covered(host.current),
    });
    canvas.current = it;
    let legend = state.peek().legend;
    const selected = computed(() => state.value.selected);
    const options = computed(() => {
      const { badges, security, animation } = state.value;
      return JSON.stringify({ badges, security, animation });
    });
    const ends = [
      watchTip(),
      effect(() => {
        void selected.value;
        closeTip();
      }),
      effect(() => {
        const v = currentView.value;
        if (v) void it.show(v, currentKey.value, state.peek().layout);
      }),
      effect(() => it.select(selected.value)),
      effect(() => it.configure(JSON.parse(options.value))),
      effect(() => {
        if (themeVersion.value > 0) it.recolor();
      }),
      effect(() => {
        if (state.value.legend !== legend) requestAnimationFrame(() => it.resized());
        legend = state.value.legend;
      }),
    ];
    // For people at the console and for tests, which cannot see where things are on a canvas.
    (window as unknown as { lateenGraph?: GraphCanvas }).lateenGraph = it;
    return () => {
      for (const end of ends) end();
      it.destroy();
    };
  }, []);
  const keys = (e: TargetedKeyboardEvent<HTMLDivElement>) => {
    const it = canvas.current;
    if (it && !e.ctrlKey && !e.metaKey && !e.altKey && onKey(e.key, e.shiftKey, it)) e.preventDefault();
  };
  const v = currentView.value;
  const told = tip.value && describe(v, tip.value.id);
  return (
    <div class="stage">
      <div
        class="canvas"
        ref={host}
        tabIndex={0}
        role="application"
        aria-label={`Traffic graph with ${count(v?.nodes.length ?? 0, "node")} and ${count(v?.edges.length ?? 0, "edge")}`}
        aria-describedby="graph-keys"
        onKeyDown={keys}
      />
      <p id="graph-keys" class="sr-only">
        Arrow keys go along the traffic: right and left from node to edge to node, up and down between
        neighbours. Enter reads details. Escape clears the selection. The same content is in the table.
      </p>
      {told && (
        <div class="tooltip" aria-hidden="true" ref={(e) => placeTip(e, tip.value?.at)}>
          {told}
        </div>
      )}
      {busy.value && (
        <div class="busy">
          <span class="spinner" aria-hidden="true" /> Laying out…
        </div>
      )}
      {state.value.legend && <Legend />}
      <div class="zoom" role="group" aria-label="View of the graph">
        <IconButton icon={UI_ICONS.plus} label="Zoom in" onClick={() => canvas.current?.zoom(1.3)} />
        <IconButton icon={UI_ICONS.minus} label="Zoom out" onClick={() => canvas.current?.zoom(1 / 1.3)} />
        <IconButton icon={UI_ICONS.fit} label="Fit the graph" onClick={() => canvas.current?.fit()} />
        <IconButton
          icon={UI_ICONS.layout}
          label="Lay out again"
          onClick={() => {
            layoutRound.value += 1;
          }}
        />
        <IconButton
          icon={UI_ICONS.legend}
          label="Legend"
          pressed={state.value.legend}
          onClick={() => choose({ legend: !state.value.legend }, true)}
        />
        <IconButton
          icon={UI_ICONS.table}
          label="Table"
          pressed={state.value.table}
          onClick={() => choose({ table: !state.value.table }, true)}
        />
      </div>
    </div>
  );
}

function covered(host: HTMLElement | null): Covered {
  const all = (what: string) => [...(host?.closest(".graph-column")?.querySelectorAll(what) ?? [])];
  const above = all(".status-line, .show-panel").map((e) => e.getBoundingClientRect().bottom);
  const top = host?.getBoundingClientRect().top ?? 0;
  return {
    left: Math.max(0, ...all(".legend").map((e) => (e as HTMLElement).offsetWidth)),
    top: Math.max(0, ...above.map((bottom) => bottom - top)),
  };
}

function onKey(key: string, shift: boolean, it: GraphCanvas): boolean {
  const arrow = ARROWS[key];
  const v = currentView.peek();
  if (arrow && shift) {
    it.pan(
      arrow === "left" ? 60 : arrow === "right" ? -60 : 0,
      arrow === "up" ? 60 : arrow === "down" ? -60 : 0,
    );
    return true;
  }
  if (arrow && v) {
    const id = next(v, (n) => it.position(n), state.peek().selected, arrow);
    if (id) {
      choose({ selected: id }, true);
      it.reveal(id);
    }
    return true;
  }
  if (key === "+" || key === "=") it.zoom(1.25);
  else if (key === "-") it.zoom(0.8);
  else if (key === "0" || key === "f") it.fit();
  else if (key === "Enter") focusPanel();
  else return false;
  return true;
}

export function describe(v: View | undefined, id: string): string | undefined {
  if (!v) return undefined;
  const node = v.nodes.find((n) => n.id === id);
  if (node) return describeNode(node);
  const name = (of: string) => {
    const n = v.nodes.find((x) => x.id === of);
    return n ? nodeName(n.node) : of;
  };
  const edge = v.edges.find((e) => e.id === id);
  if (edge) return describeEdge(edge, name);
  const box = v.boxes.find((b) => b.id === id);
  return (
    box &&
    `${box.kind === "namespace" ? "Namespace" : "App"} ${clean(box.name, 80)}, ${count(box.members, "node")}, ${box.health}`
  );
}
