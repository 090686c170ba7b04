// Layouts drawn apart where there is room.
import { describe, expect, it } from "vitest";
import { placeLabels } from "../../src/layout/labels";
import { stretch } from "../../src/layout/stretch";

const node = (id: string) => ({ id, width: 60, height: 80, below: 20 });
const column = Array.from({ length: 20 }, (_, i) => node(`n${i}`));
const output = {
  positions: Object.fromEntries(column.map((n, i) => [n.id, { x: (i % 2) * 200, y: i * 120 }])),
  bends: { e: [{ x: 100, y: 50 }] },
};

describe("a layout", () => {
  it("that is high becomes wider in a wide room, and bends go along", () => {
    const out = stretch(output, column, { width: 1200, height: 800 });
    expect(out.positions.n1).toEqual({ x: 360, y: 120 });
    expect(out.bends.e).toEqual([{ x: 180, y: 50 }]);
  });

  it("becomes no larger than the room", () => {
    const out = stretch(output, column, { width: 180, height: 900 });
    const width = Math.max(...Object.values(out.positions).map((p) => p.x)) + 60 + 76;
    const height = 19 * 120 + 80 + 76;
    expect(width / height).toBeLessThanOrEqual(180 / 900 + 0.001);
    expect(out.positions.n1!.x).toBeGreaterThan(200);
  });

  it("that can be read as it is, or has one node, stays as it is", () => {
    expect(stretch(output, column, { width: 2000, height: 2400 })).toBe(output);
    const one = { positions: { n0: { x: 3, y: 4 } }, bends: {} };
    expect(stretch(one, column.slice(0, 1), { width: 10, height: 10 })).toBe(one);
  });
});

it("a label without room for all of its rows keeps the first", () => {
  const wish = (height: number) => ({
    id: "a",
    width: 40,
    height,
    short: { width: 30, height: 14 },
    at: () => ({ x: 0, y: 0 }),
    first: [0.5],
  });
  const text = { x1: -50, y1: 10, x2: 50, y2: 30 };
  expect(placeLabels([wish(28)], [], [text]).get("a")).toMatchObject({
    short: true,
    rect: { y1: -7, y2: 7 },
  });
  expect(placeLabels([wish(18)], [], [text]).get("a")!.short).toBeUndefined();
  expect(placeLabels([wish(28)], [], [{ ...text, y1: -5 }]).has("a")).toBe(false);
});
