import { describe, expect, it } from "vitest";
import { graph } from "../../mock/graph.mjs";
import { scenario } from "../../mock/server.mjs";
import { broken, layoutInput } from "../../src/graph/measure";
import { control } from "../../src/layout/bends";
import { crowded } from "../../src/layout/crowded";
import { dagreLayout } from "../../src/layout/dagre";
import { goesThrough, placeLabels } from "../../src/layout/labels";
import { layeredLayout } from "../../src/layout/layered";
import { place, rectOf } from "../../src/layout/place";
import { algorithm, decide } from "../../src/layout/policy";
import type { LayoutInput, LayoutOutput, Point } from "../../src/layout/types";
import { view } from "../../src/model/view";

function input(name: string): LayoutInput {
  const g = graph(scenario(name), {
    type: "versionedApp",
    namespaces: [],
    duration: 60,
    at: 1_790_000_000_000,
    services: true,
    idle: false,
  });
  return layoutInput(view(g, { boxNamespaces: true, boxApps: true, labels: [] }));
}

/** Pairs of nodes whose shapes or labels cover each other. */
function overlaps(i: LayoutInput, o: LayoutOutput): string[] {
  const out: string[] = [];
  i.nodes.forEach((a, n) => {
    for (const b of i.nodes.slice(n + 1)) {
      const [p, q] = [o.positions[a.id]!, o.positions[b.id]!];
      const x = Math.abs(p.x - q.x) < (a.width + b.width) / 2 - 1;
      const y = Math.abs(p.y + a.below / 2 - (q.y + b.below / 2)) < (a.height + b.height) / 2 - 1;
      if (x && y) out.push(`${a.id} ${b.id}`);
    }
  });
  return out;
}

/** Nodes that lie within the bounds of a box that is not theirs. */
function strangers(i: LayoutInput, o: LayoutOutput): string[] {
  const spaces = i.boxes.filter((b) => b.parent === undefined);
  const root = new Map(i.boxes.map((b) => [b.id, b.parent ?? b.id]));
  return spaces.flatMap((s) => {
    const inside = i.nodes.filter((n) => n.box && root.get(n.box) === s.id).map((n) => o.positions[n.id]!);
    const [left, right] = [Math.min(...inside.map((p) => p.x)), Math.max(...inside.map((p) => p.x))];
    const [top, bottom] = [Math.min(...inside.map((p) => p.y)), Math.max(...inside.map((p) => p.y))];
    return i.nodes
      .filter((n) => {
        const p = o.positions[n.id]!;
        const mine = n.box !== undefined && root.get(n.box) === s.id;
        return !mine && p.x > left && p.x < right && p.y > top && p.y < bottom;
      })
      .map((n) => `${n.id} in ${s.id}`);
  });
}

describe.each([
  ["dagre", dagreLayout],
  ["layered", layeredLayout],
] as const)("the %s layout", (_, layout) => {
  it.each(["echo-all", "bookinfo"])("places all of %s without overlaps, boxes apart", (name) => {
    const i = input(name);
    const o = layout(i);
    expect(Object.keys(o.positions).sort()).toEqual(i.nodes.map((n) => n.id).sort());
    expect(overlaps(i, o)).toEqual([]);
    expect(strangers(i, o)).toEqual([]);
  });

  it("goes from left to right", () => {
    const { positions } = layout(input("echo"));
    const x = (id: string) => positions[id]!.x;
    expect(x("app/default/echo-client/v1")).toBeLessThan(x("service/default/tcp-echo-server"));
    expect(x("service/default/tcp-echo-server")).toBeLessThan(x("app/default/echo-server/v1"));
  });

  it("takes circles, self-calls and nothing at all", () => {
    const n = (id: string) => ({ id, width: 50, height: 60, below: 14 });
    const e = (source: string, target: string) => ({ id: `${source}>${target}`, source, target });
    const o = layout({
      nodes: [n("a"), n("b"), n("c")],
      boxes: [],
      edges: [e("a", "b"), e("b", "a"), e("b", "c"), e("c", "c")],
    });
    expect(Object.keys(o.positions)).toHaveLength(3);
    expect(layout({ nodes: [], boxes: [], edges: [] }).positions).toEqual({});
  });
});

describe("a big mesh", () => {
  it("is laid out well within two seconds, without overlaps", () => {
    const i = input("big");
    const start = performance.now();
    const o = layeredLayout(i);
    const took = performance.now() - start;
    expect(i.nodes.length).toBeGreaterThan(1900);
    expect(overlaps(i, o)).toEqual([]);
    expect(took).toBeLessThan(1500);
  });

  it("survives a chain of ten thousand", () => {
    const nodes = Array.from({ length: 10_000 }, (_, k) => ({
      id: `n${k}`,
      width: 50,
      height: 60,
      below: 14,
    }));
    const edges = nodes.slice(1).map((n, k) => ({ id: `e${k}`, source: `n${k}`, target: n.id }));
    expect(Object.keys(layeredLayout({ nodes, boxes: [], edges }).positions)).toHaveLength(10_000);
  });
});

describe("live changes", () => {
  it("lay out anew when the reader changed the view, or a third of it came later", () => {
    const before = { key: "k", nodes: 6, placed: 0 };
    expect(decide(undefined, "k", 5)).toBe("full");
    expect(decide(before, "k", 0)).toBe("keep");
    expect(decide(before, "k", 2)).toBe("place");
    expect(decide(before, "k", 3)).toBe("full");
    expect(decide({ ...before, placed: 2 }, "k", 1)).toBe("full");
    expect(decide(before, "other", 0)).toBe("full");
    expect([
      algorithm("layered", 20, 30),
      algorithm("layered", 1000, 5000),
      algorithm("force", 20, 30),
      algorithm("force", 1000, 5000),
    ]).toEqual(["dagre", "layered", "force", "layered"]);
  });

  it("place new nodes beside their neighbours and on nothing else", () => {
    const size = { width: 60, height: 70, below: 16 };
    const there = [
      { ...size, id: "a", at: { x: 0, y: 0 } },
      { ...size, id: "b", at: { x: 200, y: 0 } },
    ];
    const edge = (source: string, target: string) => ({ id: `${source}>${target}`, source, target });
    const at = place(
      [
        { ...size, id: "d" },
        { ...size, id: "c" },
        { ...size, id: "e" },
      ],
      [edge("a", "b"), edge("a", "c"), edge("c", "d")],
      there,
    );
    expect(at.c!.x).toBe(200);
    expect(Math.abs(at.c!.y)).toBeGreaterThanOrEqual(size.height);
    expect(at.d!.x).toBeGreaterThan(at.c!.x);
    expect(at.e!.y).toBeGreaterThan(0);
  });
});

describe("a new node", () => {
  const size = { width: 60, height: 70, below: 16 };
  const at = (id: string, x: number, y: number) => ({ ...size, id, at: { x, y } });
  const edge = (source: string, target: string) => ({ id: `${source}>${target}`, source, target });

  it("is placed on no edge between others", () => {
    const there = [at("web", 0, 0), at("cart", 400, 0), at("far", 800, 0)];
    const edges = [edge("web", "cart"), edge("cart", "far"), edge("new", "cart"), edge("cart", "late")];
    const found = place(
      [
        { ...size, id: "new" },
        { ...size, id: "late" },
      ],
      edges,
      there,
    );
    expect(found.new!.x, "where the others are that call it").toBe(0);
    const isOn = (where: Point, from: number, to: number) =>
      goesThrough([there[from]!.at, there[to]!.at], rectOf({ ...size, id: "", at: where }));
    expect(isOn(found.new!, 0, 1) || isOn(found.late!, 1, 2)).toBe(false);
    // One in the column that an edge skips.
    const skipping = [edge("web", "far"), edge("web", "cart"), edge("cart", "db")];
    const { db } = place([{ ...size, id: "db" }], skipping, there);
    expect(isOn(db!, 0, 2)).toBe(false);
  });

  it("has no edge through others where there is room beside them", () => {
    const there = [at("a", 0, 0), at("b", 200, 0), at("c", 400, 0)];
    const found = place(
      [{ ...size, id: "d" }],
      [edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("c", "d")],
      there,
    );
    const lines = [there[0]!, there[2]!].map((end) => [found.d!, end.at]);
    for (const line of lines) expect(goesThrough(line, rectOf(there[1]!))).toBe(false);
  });

  it("is placed where there is no room off the edges, too", () => {
    const fan = Array.from({ length: 400 }, (_, k) => at(`n${k}`, 400, (k - 200) * 100));
    const there = [at("a", -400, 0), ...fan];
    const edges = [...fan.map((n) => edge("a", n.id)), edge("x", "a"), edge("x", "n0")];
    expect(place([{ ...size, id: "x" }], edges, there).x).toBeDefined();
  });
});

describe("a graph that has grown", () => {
  const size = { width: 60, height: 70, below: 16 };
  const at = (id: string, x: number, y: number, box?: string) => ({ ...size, id, at: { x, y }, box });

  it("is crowded when a node covers another, or a box covers what is not in it", () => {
    const apart = [at("a", 0, 0, "one"), at("b", 0, 200, "one"), at("c", 300, 100)];
    const boxes = [{ id: "one" }, { id: "in", parent: "one" }];
    expect(crowded(apart, boxes)).toBe(false);
    expect(crowded([...apart, at("d", 20, 30, "one")], boxes)).toBe(true);
    expect(crowded([...apart, at("d", 0, 100)], boxes)).toBe(true);
    expect(crowded([...apart, at("d", 0, 100, "in")], boxes)).toBe(false);
    expect(crowded([...apart, at("d", 70, 100, "two")], [...boxes, { id: "two" }])).toBe(true);
  });

  it.each(["echo-all", "bookinfo"])("is not, as %s is laid out", (name) => {
    const i = input(name);
    const { positions } = dagreLayout(i);
    expect(
      crowded(
        i.nodes.map((n) => ({ ...n, at: positions[n.id]! })),
        i.boxes,
      ),
    ).toBe(false);
  });
});

describe("names of nodes", () => {
  it("that are long are broken near the middle where they may be", () => {
    expect(["istio-ingressgateway", "mysql.example.com", "PassthroughCluster"].map(broken)).toEqual([
      "istio-\ningressgateway",
      "mysql.\nexample.com",
      "Passthrough\nCluster",
    ]);
    expect(["tcp-echo-server", "averyverylongname1234"].map(broken)).toEqual([
      "tcp-echo-server",
      "averyverylongname1234",
    ]);
    expect(broken("some words and more")).toBe("some words\nand more");
  });
});

describe("labels of edges", () => {
  const line = (y: number) => (share: number) => ({ x: share * 300, y });
  const wish = (id: string, y: number, first = [0.5]) => ({ id, width: 60, height: 20, at: line(y), first });

  it("stand where they wish, unless something is there", () => {
    const placed = placeLabels([wish("a", 0), wish("b", 5), wish("c", 100)], [], []);
    expect([placed.get("a")!.share, placed.get("c")!.share]).toEqual([0.5, 0.5]);
    expect(placed.get("b")!.share).not.toBe(0.5);
    const [a, b] = [placed.get("a")!.rect, placed.get("b")!.rect];
    expect(Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1)).toBeLessThan(5);
  });

  it("are left out where there is no room", () => {
    const wall = { x1: -50, y1: -50, x2: 400, y2: 50 };
    expect([...placeLabels([wish("a", 0), wish("c", 100)], [wall], []).keys()]).toEqual(["c"]);
  });

  it("touch a corner of a shape, but of no text", () => {
    const corner = { x1: 0, y1: 5, x2: 400, y2: 90 };
    const [over, beside] = [[corner], [{ ...corner, y1: 9.5 }]];
    expect(placeLabels([wish("a", 0)], over, []).size).toBe(0);
    expect(placeLabels([wish("a", 0)], beside, []).size).toBe(1);
    expect(placeLabels([wish("a", 0)], [], beside).size).toBe(0);
  });

  it("leave the lines of others free, or else cover as few as can be", () => {
    const across = (x: number) => ({
      id: `x${x}`,
      points: [
        { x, y: -50 },
        { x, y: 50 },
      ],
    });
    const place = (lines: ReturnType<typeof across>[]) => {
      const own = { id: "a", points: [line(0)(0), line(0)(1)] };
      return placeLabels([wish("a", 0)], [], [], [own, ...lines]).get("a")!;
    };
    expect(place([])).toMatchObject({ share: 0.5, crossed: 0 });
    const aside = place([across(150)]);
    expect(aside.crossed).toBe(0);
    expect(Math.abs(aside.share * 300 - 150)).toBeGreaterThanOrEqual(30);
    const slanting = { id: "s", points: [line(0)(0.45), { x: 165, y: 40 }] };
    expect(place([slanting]).crossed).toBe(0);
    const fence = Array.from({ length: 30 }, (_, i) => across(i * 10));
    expect(place(fence).crossed).toBe(5);
    expect(place([...fence.slice(0, 15), ...fence.slice(20)]).crossed).toBeLessThan(5);
  });

  it("stay where they were", () => {
    expect(placeLabels([wish("a", 0, [0.63, 0.5])], [], []).get("a")!.share).toBe(0.63);
  });
});

describe("bends", () => {
  it("are relative to the straight line, as Cytoscape wants them", () => {
    expect(control({ x: 0, y: 0 }, { x: 100, y: 0 }, [{ x: 50, y: 20 }])).toEqual({
      distances: [20],
      weights: [0.5],
    });
    expect(control({ x: 0, y: 0 }, { x: 0, y: 0 }, [{ x: 50, y: 20 }])).toBeUndefined();
  });
});
