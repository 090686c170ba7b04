// Decides whether and how the graph is laid out. In: what is on the screen and what comes. Out: one word.
// New numbers move nothing. New nodes take free places beside their neighbours; once they are many, or would cover
// something, the whole is laid out anew.
import type { Algorithm, LayoutChoice } from "./types";

export type Decision = "full" | "place" | "keep";

export interface LaidOut {
  /** What the reader chose: the type of graph, its boxes and so on. */
  key: string;
  /** Nodes that were laid out together, and those that found places since. */
  nodes: number;
  placed: number;
}

/** Of all nodes, those that may have come one by one before their places are a matter of chance. */
const MOST_PLACED = 1 / 3;

export function decide(before: LaidOut | undefined, key: string, added: number): Decision {
  if (!before || before.key !== key || before.nodes === 0) return "full";
  if (added === 0) return "keep";
  return before.placed + added > before.nodes * MOST_PLACED ? "full" : "place";
}

/** Dagre draws best what is small; beyond this it becomes so wide that nothing can be read. Force takes seconds. */
export function algorithm(choice: LayoutChoice, nodes: number, edges: number): Algorithm {
  const small = nodes <= 90 && edges <= 180;
  if (choice === "force") return nodes <= 600 && edges <= 1500 ? "force" : "layered";
  return small ? "dagre" : "layered";
}

/** Beyond this the canvas draws straight edges without arrows' details and hides labels while it moves. */
export function isBig(nodes: number, edges: number): boolean {
  return nodes > 400 || edges > 900;
}
