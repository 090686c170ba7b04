// Decides whether and how the graph is laid out. In: what is on the screen and what comes. Out: one word.
// Live updates never move what is there: only the reader's own change of the view does.
import type { Algorithm, LayoutChoice } from "./types";

export type Decision = "full" | "place" | "keep";

/** `key` stands for what the reader chose: the type of graph, its boxes and so on. */
export function decide(
  before: { key: string; nodes: number } | undefined,
  key: string,
  added: number,
): Decision {
  if (!before || before.key !== key || before.nodes === 0) return "full";
  if (added === 0) return "keep";
  // When most of it is new there is nothing to keep: placing near neighbours would make a heap.
  return added > before.nodes ? "full" : "place";
}

/** Dagre draws best but takes seconds beyond this; the force layout takes seconds too. */
export function algorithm(choice: LayoutChoice, nodes: number, edges: number): Algorithm {
  const small = nodes <= 220 && edges <= 420;
  if (choice === "force") return nodes <= 600 && edges <= 1500 ? "force" : "layered";
  return small ? "dagre" : "layered";
}

/** Beyond this the canvas draws straight edges without arrows' details and hides labels while it moves. */
export function isBig(nodes: number, edges: number): boolean {
  return nodes > 400 || edges > 900;
}
