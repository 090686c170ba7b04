// What lies on each other is moved apart, and edges lead past nodes.
import { describe, expect, it } from "vitest";
import { graph } from "../../mock/graph.mjs";
import { scenario } from "../../mock/server.mjs";
import { layoutInput } from "../../src/graph/measure";
import { apart, type Block } from "../../src/layout/apart";
import { clearWay, ways } from "../../src/layout/avoid";
import { curve } from "../../src/layout/curve";
import { dagreLayout } from "../../src/layout/dagre";
import { around, goesThrough } from "../../src/layout/labels";
import { view } from "../../src/model/view";

const block = (x: number, y: number, width: number, height: number): Block => ({
  rect: around({ x, y }, width, height),
  middles: [{ x, y }],
});

describe("blocks on the canvas", () => {
  const output = {
    positions: { a: { x: 0, y: 0 }, b: { x: 95, y: 30 }, c: { x: 300, y: 0 } },
    bends: { "a>c": [{ x: 200, y: 50 }] },
  };

  it("stay where they are when there is room", () => {
    expect(apart(output, [block(0, 0, 80, 80), block(95, 30, 80, 80)], 8)).toBeUndefined();
  });

  it("go apart by the least that is needed, with all that is behind them", () => {
    const moved = apart(output, [block(0, 0, 100, 100), block(95, 30, 100, 100), block(300, 0, 100, 100)], 8);
    expect(moved).toEqual({
      positions: { a: { x: 0, y: 0 }, b: { x: 108, y: 30 }, c: { x: 313, y: 0 } },
      bends: { "a>c": [{ x: 213, y: 50 }] },
    });
  });

  it("stay where neither is before the other", () => {
    const wide: Block = { ...block(0, 0, 400, 400), middles: [-150, 150].map((at) => ({ x: at, y: at })) };
    expect(apart(output, [wide, block(0, 0, 50, 50)], 8)).toBeUndefined();
  });
});

describe("an edge", () => {
  it("takes the first way that is clear, or else that with the fewest nodes on it", () => {
    const [from, to] = [
      { x: 0, y: 0 },
      { x: 200, y: 0 },
    ];
    const shape = around({ x: 100, y: 0 }, 40, 40);
    const aside = [{ x: 100, y: 120 }];
    expect(clearWay(from, to, [[], aside], [shape])).toBe(aside);
    expect(clearWay(from, to, [[]], [shape])).toEqual([]);
    expect(ways(from, to, [], false)).toEqual([]);
  });

  it.each([
    ["bookinfo", false],
    ["bookinfo", true],
    ["versions", false],
    ["versions", true],
    ["team-14-3", false],
    ["team-14-3", true],
    ["echo-nine", false],
  ])("runs through no node of %s, top to bottom: %s", (name, down) => {
    const choices = { namespaces: [], duration: 60, at: 1_790_000_000_000, services: true, idle: false };
    const shown = graph(scenario(name), { ...choices, type: "versionedApp" });
    const input = layoutInput(view(shown, { boxNamespaces: true, boxApps: true, labels: [] }), down);
    const { positions, bends } = dagreLayout(input);
    const through = input.edges.flatMap((e) => {
      const line = curve([positions[e.source]!, ...(bends[e.id] ?? []), positions[e.target]!]);
      const met = input.nodes.filter((n) => goesThrough(line, around(positions[n.id]!, 48, 48)));
      return met.filter((n) => n.id !== e.source && n.id !== e.target).map((n) => `${e.id} through ${n.id}`);
    });
    expect(through).toEqual([]);
  });
});
