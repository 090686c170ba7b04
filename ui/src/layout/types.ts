// What the layouts read and write. All of it can be sent to a worker.

export interface Point {
  x: number;
  y: number;
}

export interface LayoutNode {
  id: string;
  /** Of the shape with its label below it. */
  width: number;
  height: number;
  /** How much of the height is label. */
  below: number;
  /** The innermost box that it is drawn in. */
  box?: string;
}

export interface LayoutBox {
  id: string;
  parent?: string;
}

export interface LayoutEdge {
  id: string;
  source: string;
  target: string;
}

export interface LayoutInput {
  nodes: LayoutNode[];
  boxes: LayoutBox[];
  edges: LayoutEdge[];
  /** From top to bottom, where the screen is high and narrow. */
  down?: boolean;
}

export interface LayoutOutput {
  /** The centre of each node's shape. */
  positions: Record<string, Point>;
  /** Points that a long edge goes through so that it passes by what is between. */
  bends: Record<string, Point[]>;
}

export type Algorithm = "dagre" | "layered" | "force";
/** What the reader chose. */
export type LayoutChoice = "layered" | "force";

/** Between nodes of a column, between columns, and inside of a box around what it holds. */
export const GAP = { rows: 46, columns: 104, box: 38, boxTop: 42 } as const;
