// How much depends on a node: its place by the edges that lead to it. In: a graph. Out: 1 for those with most, 2 for
// those with the next number, and so on; as in Kiali no more than 100.
import type { Graph } from "../api/types";

const LAST = 100;

export function ranks(graph: Pick<Graph, "nodes" | "edges">): Map<string, number> {
  const into = new Map(graph.nodes.map((n) => [n.id, 0]));
  for (const e of graph.edges) into.set(e.target, (into.get(e.target) ?? 0) + 1);
  const numbers = [...new Set(into.values())].sort((a, b) => b - a);
  const place = new Map(numbers.map((n, i) => [n, Math.min(LAST, i + 1)]));
  return new Map([...into].map(([id, n]) => [id, place.get(n)!]));
}
