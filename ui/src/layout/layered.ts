// The layout for big graphs: what is in a box is laid out first, then the boxes among each other, each time in
// layers from left to right. Linear but for the sorting, so that thousands of nodes take a fraction of a second.
import { GAP, type LayoutInput, type LayoutOutput, type Point } from "./types";

interface Item {
  id: string;
  width: number;
  height: number;
  /** The top left corner within its box. */
  x: number;
  y: number;
}

interface Link {
  source: string;
  target: string;
}

const ROOT = "";
/** Wider than that, or higher, is folded into columns. */
const WIDEST = 2.6;
const NARROWEST = 0.7;

export function layeredLayout(input: LayoutInput): LayoutOutput {
  const parentOf = parents(input);
  const children = groups(input);
  const links = linksByGroup(input, parentOf);
  const items = new Map<string, Item>();
  for (const n of input.nodes) items.set(n.id, { id: n.id, width: n.width, height: n.height, x: 0, y: 0 });
  layOut(ROOT, children, links, items);
  return { positions: absolute(input, parentOf, items), bends: {} };
}

/** Lays out what is in `group`, the inner boxes first, and records the size of the group. */
function layOut(
  group: string,
  children: Map<string, string[]>,
  links: Map<string, Link[]>,
  items: Map<string, Item>,
): void {
  const ids = children.get(group) ?? [];
  for (const id of ids) if (children.has(id)) layOut(id, children, links, items);
  const members = ids.map((id) => items.get(id)!);
  const dense = group === ROOT && ids.some((id) => children.has(id));
  arrange(members, links.get(group) ?? [], dense ? GAP.rows : GAP.columns * 0.7);
  const pad = group === ROOT ? 0 : GAP.box;
  const top = group === ROOT ? 0 : GAP.boxTop;
  for (const m of members) {
    m.x += pad;
    m.y += top;
  }
  const width = Math.max(0, ...members.map((m) => m.x + m.width)) + pad;
  const height = Math.max(0, ...members.map((m) => m.y + m.height)) + pad;
  items.set(group, { id: group, width, height, x: 0, y: 0 });
}

function parents(input: LayoutInput): Map<string, string> {
  const out = new Map<string, string>();
  for (const b of input.boxes) out.set(b.id, b.parent ?? ROOT);
  for (const n of input.nodes) out.set(n.id, n.box ?? ROOT);
  return out;
}

function groups(input: LayoutInput): Map<string, string[]> {
  const out = new Map<string, string[]>([[ROOT, []]]);
  for (const b of input.boxes) out.set(b.id, []);
  for (const b of input.boxes) out.get(b.parent ?? ROOT)!.push(b.id);
  for (const n of input.nodes) out.get(n.box ?? ROOT)!.push(n.id);
  return out;
}

/** An edge counts in the innermost group that holds both of its ends, between the members that lead to them. */
function linksByGroup(input: LayoutInput, parentOf: Map<string, string>): Map<string, Link[]> {
  const out = new Map<string, Link[]>();
  const seen = new Set<string>();
  for (const e of input.edges) {
    const meeting = meet(path(e.source, parentOf), path(e.target, parentOf));
    if (!meeting) continue;
    const key = `${meeting.source}\n${meeting.target}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const list = out.get(meeting.group);
    if (list) list.push(meeting);
    else out.set(meeting.group, [meeting]);
  }
  return out;
}

/** From the outermost group to the node itself. */
function path(id: string, parentOf: Map<string, string>): string[] {
  const out = [id];
  for (let at = id; at !== ROOT; ) {
    at = parentOf.get(at) ?? ROOT;
    out.unshift(at);
  }
  return out;
}

function meet(a: string[], b: string[]): (Link & { group: string }) | undefined {
  let depth = 0;
  while (depth < a.length && depth < b.length && a[depth] === b[depth]) depth += 1;
  const [source, target, group] = [a[depth], b[depth], a[depth - 1]];
  if (source === undefined || target === undefined || group === undefined) return undefined;
  return { source, target, group };
}

function arrange(members: Item[], links: Link[], gap: number): void {
  if (members.length === 0) return;
  const linked = new Set(links.flatMap((l) => [l.source, l.target]));
  const flow = members.filter((m) => linked.has(m.id));
  const alone = members.filter((m) => !linked.has(m.id));
  const columns = order(ranked(flow, links), links);
  if (alone.length > 0) columns.push(alone);
  stack(columns, gap);
  const width = Math.max(...members.map((m) => m.x + m.width));
  const height = Math.max(...members.map((m) => m.y + m.height));
  const ratio = width / Math.max(1, height);
  if (members.length > 4 && (ratio > WIDEST || ratio < NARROWEST)) stack(fold(columns.flat(), gap), gap);
}

/** Columns by the longest way from a source; edges that close a circle are not counted. */
function ranked(members: Item[], links: Link[]): Item[][] {
  const next = new Map<string, string[]>(members.map((m) => [m.id, []]));
  const incoming = new Map<string, number>();
  for (const l of links) {
    next.get(l.source)?.push(l.target);
    incoming.set(l.target, (incoming.get(l.target) ?? 0) + 1);
  }
  const starts = [...members].sort((a, b) => (incoming.get(a.id) ?? 0) - (incoming.get(b.id) ?? 0));
  const finished = finishOrder(starts, next);
  const rank = new Map<string, number>();
  const place = new Map(finished.map((id, i) => [id, i]));
  for (const id of finished) {
    const own = rank.get(id) ?? 0;
    rank.set(id, own);
    for (const to of next.get(id)!) {
      if (place.get(to)! > place.get(id)!) rank.set(to, Math.max(rank.get(to) ?? 0, own + 1));
    }
  }
  const columns: Item[][] = [];
  for (const m of members) {
    const r = rank.get(m.id)!;
    columns[r] ??= [];
    columns[r].push(m);
  }
  return columns.filter((c) => c !== undefined);
}

/** Topological order of what remains of the graph without its back edges; no recursion, chains may be long. */
function finishOrder(starts: Item[], next: Map<string, string[]>): string[] {
  const seen = new Set<string>();
  const out: string[] = [];
  for (const start of starts) {
    if (seen.has(start.id)) continue;
    seen.add(start.id);
    const walk = [{ id: start.id, at: 0 }];
    while (walk.length > 0) {
      const top = walk.at(-1)!;
      const to = next.get(top.id)![top.at];
      top.at += 1;
      if (to === undefined) {
        out.push(top.id);
        walk.pop();
      } else if (!seen.has(to)) {
        seen.add(to);
        walk.push({ id: to, at: 0 });
      }
    }
  }
  return out.reverse();
}

/** Sorts each column by where its neighbours are, forth and back, so that fewer edges cross. */
function order(columns: Item[][], links: Link[]): Item[][] {
  const near = new Map<string, string[]>();
  const add = (a: string, b: string) => {
    const list = near.get(a);
    if (list) list.push(b);
    else near.set(a, [b]);
  };
  for (const l of links) {
    add(l.source, l.target);
    add(l.target, l.source);
  }
  const row = new Map<string, number>();
  const number = (c: Item[]) => {
    c.forEach((m, i) => {
      row.set(m.id, i / c.length);
    });
  };
  columns.forEach(number);
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const turn = sweep % 2 === 0 ? columns : [...columns].reverse();
    for (const column of turn) {
      const centre = new Map(
        column.map((m) => [m.id, mean((near.get(m.id) ?? []).map((id) => row.get(id)!))]),
      );
      column.sort((a, b) => centre.get(a.id)! - centre.get(b.id)!);
      number(column);
    }
  }
  return columns;
}

function mean(values: number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}

function stack(columns: Item[][], gap: number): void {
  const height = (c: Item[]) => c.reduce((sum, m) => sum + m.height + GAP.rows, -GAP.rows);
  const tallest = Math.max(...columns.map(height));
  let x = 0;
  for (const column of columns) {
    const width = Math.max(...column.map((m) => m.width));
    let y = (tallest - height(column)) / 2;
    for (const m of column) {
      m.x = x + (width - m.width) / 2;
      m.y = y;
      y += m.height + GAP.rows;
    }
    x += width + gap;
  }
}

/** Fills columns one after the other so that the whole is about as wide as a screen. */
function fold(members: Item[], gap: number): Item[][] {
  const area = members.reduce((sum, m) => sum + (m.width + gap) * (m.height + GAP.rows), 0);
  const limit = Math.max(Math.sqrt(area / 1.5), ...members.map((m) => m.height));
  const columns: Item[][] = [[]];
  let filled = 0;
  for (const m of members) {
    if (filled > 0 && filled + m.height > limit) {
      columns.push([]);
      filled = 0;
    }
    columns.at(-1)!.push(m);
    filled += m.height + GAP.rows;
  }
  return columns;
}

function absolute(
  input: LayoutInput,
  parentOf: Map<string, string>,
  items: Map<string, Item>,
): Record<string, Point> {
  const corner = new Map<string, Point>([[ROOT, { x: 0, y: 0 }]]);
  const find = (id: string): Point => {
    const known = corner.get(id);
    if (known) return known;
    const outer = find(parentOf.get(id) ?? ROOT);
    const item = items.get(id)!;
    const at = { x: outer.x + item.x, y: outer.y + item.y };
    corner.set(id, at);
    return at;
  };
  const out: Record<string, Point> = {};
  for (const n of input.nodes) {
    const at = find(n.id);
    out[n.id] = { x: at.x + n.width / 2, y: at.y + (n.height - n.below) / 2 };
  }
  return out;
}
