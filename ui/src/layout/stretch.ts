// Draws a layout apart where the screen has room for it. In: a layout, the nodes it is of, and the room in pixels. Out: the
// same layout, wider or higher: whatever keeps the graph small in one direction leaves room for names and labels in the
// other. Nothing comes to lie on anything.
import { GAP, type LayoutNode, type LayoutOutput, type Point } from "./types";

/** Graphs that fill the room at this zoom have room enough. */
const SMALL = 0.76;
const MOST = 1.8;

export function stretch(
  output: LayoutOutput,
  nodes: readonly LayoutNode[],
  room: { width: number; height: number },
): LayoutOutput {
  if (nodes.length < 2 || room.width <= 0 || room.height <= 0) return output;
  const bends = Object.values(output.bends).flat();
  const x = extent([
    ...nodes.map((n) => at(output.positions[n.id]!.x, n.width)),
    ...bends.map((p) => at(p.x, 0)),
  ]);
  const y = extent([
    ...nodes.map((n) => at(output.positions[n.id]!.y, n.height)),
    ...bends.map((p) => at(p.y, 0)),
  ]);
  const [across, along] = [room.width / x.size, room.height / y.size];
  if (Math.min(across, along) >= SMALL) return output;
  const fx = factor(x, room.width / along);
  const fy = factor(y, room.height / across);
  if (fx === 1 && fy === 1) return output;
  const to = (p: Point) => ({ x: p.x * fx, y: p.y * fy });
  const all = <T, U>(of: Record<string, T>, change: (one: T) => U) =>
    Object.fromEntries(Object.entries(of).map(([id, one]) => [id, change(one)]));
  return { positions: all(output.positions, to), bends: all(output.bends, (points) => points.map(to)) };
}

const at = (middle: number, size: number) => ({ middle, from: middle - size / 2, to: middle + size / 2 });

interface Extent {
  /** Between the outermost middles. */
  span: number;
  /** With all of what is there and the boxes around it. */
  size: number;
}

function extent(all: readonly ReturnType<typeof at>[]): Extent {
  const middles = all.map((one) => one.middle);
  const whole = Math.max(...all.map((one) => one.to)) - Math.min(...all.map((one) => one.from));
  return { span: Math.max(...middles) - Math.min(...middles), size: whole + 2 * GAP.box };
}

function factor({ span, size }: Extent, wanted: number): number {
  return span <= 0 ? 1 : Math.max(1, Math.min(MOST, (wanted - (size - span)) / span));
}
