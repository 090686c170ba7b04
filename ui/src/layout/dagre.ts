// The layout for graphs of ordinary size: layers from left to right, or from top to bottom, boxes that never overlap, long edges led
// around what is between. In and out: plain data, so that it can run in a worker.
import * as dagre from "@dagrejs/dagre";
import { clearWay, ways } from "./avoid";
import { around } from "./labels";
import { GAP, type LayoutInput, type LayoutOutput, type Point } from "./types";

/** So few have room for labels between them even on a small screen. */
const FEW = 12;
const COLUMNS = GAP.columns + 10;
/** What an edge's label takes, whatever it says: new numbers move nothing. From top to bottom there is no such room. */
const LABEL = { width: 80, height: 36 } as const;

/** Of a node, with some room around it. */
const SHAPE = 58;

export function dagreLayout(input: LayoutInput): LayoutOutput {
  const graph = new dagre.graphlib.Graph({ compound: true, multigraph: true });
  graph.setGraph({
    rankdir: input.down ? "TB" : "LR",
    nodesep: input.down ? GAP.rows / 2 : GAP.rows,
    ranksep: input.down ? (input.nodes.length > FEW ? 0.8 : 1) * GAP.columns : COLUMNS - LABEL.width,
    edgesep: 24,
    marginx: 20,
    marginy: 20,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of input.boxes) graph.setNode(box.id, {});
  for (const box of input.boxes) if (box.parent) graph.setParent(box.id, box.parent);
  for (const n of input.nodes) {
    graph.setNode(n.id, { width: n.width, height: n.height });
    if (n.box) graph.setParent(n.id, n.box);
  }
  for (const e of input.edges) {
    if (e.source === e.target) continue;
    graph.setEdge(e.source, e.target, input.down ? {} : { ...LABEL, labelpos: "c" }, e.id);
  }
  dagre.layout(graph);
  return read(input, graph);
}

function read(input: LayoutInput, graph: InstanceType<typeof dagre.graphlib.Graph>): LayoutOutput {
  const positions: Record<string, Point> = {};
  const bends: Record<string, Point[]> = {};
  for (const n of input.nodes) {
    const at = graph.node(n.id) as Point;
    positions[n.id] = { x: at.x, y: at.y - n.below / 2 };
  }
  const below = new Map(input.nodes.map((n) => [n.id, n.below]));
  for (const e of input.edges) {
    if (e.source === e.target) continue;
    const points = (graph.edge(e.source, e.target, e.id) as { points?: Point[] }).points ?? [];
    // The first and the last are where it meets the nodes.
    const lift = (below.get(e.source) ?? 0) / 2;
    const inner = points.slice(1, -1).map((p) => ({ x: p.x, y: p.y - lift }));
    const ends = [positions[e.source]!, positions[e.target]!] as const;
    const isBent = inner.length > 1 && inner.some((p) => aside(p, ends[0], ends[1]) > 18);
    const straight: Point[][] = isBent ? [] : [[]];
    const others = input.nodes.filter((n) => n.id !== e.source && n.id !== e.target);
    const shapes = others.map((n) => around(positions[n.id]!, SHAPE, SHAPE));
    const bent = [thin(inner), ...ways(...ends, inner, input.down === true)];
    const way = clearWay(...ends, [...straight, ...bent], shapes);
    if (way && way.length > 0) bends[e.id] = way;
  }
  return { positions, bends };
}

function aside(p: Point, a: Point, b: Point): number {
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  return Math.abs((b.x - a.x) * (a.y - p.y) - (a.x - p.x) * (b.y - a.y)) / length;
}

/** Three points make a curve as well as nine do. */
function thin(points: Point[]): Point[] {
  if (points.length <= 3) return points;
  return [points[0]!, points[Math.floor(points.length / 2)]!, points.at(-1)!];
}
