// Shares of one split in whole numbers that add up to 100 %, which each rounded alone do not. In: edges of a graph. Out:
// for each with a share its text. Pure.
import type { Edge } from "../api/types";
import { percent } from "./format";

/** How far the shares of a whole split may be from 1: the server rounds them, too. */
const NEAR = 0.002;
/** A share below it is told to a tenth, and so are those beside it. */
const SMALL = 0.01;

export function shareTexts(edges: readonly Edge[]): Map<string, string> {
  const splits = new Map<string, Edge[]>();
  for (const e of edges) {
    if (e.share === undefined) continue;
    const key = JSON.stringify([e.source, e.service, e.protocol === "tcp", e.shareOf]);
    splits.set(key, [...(splits.get(key) ?? []), e]);
  }
  return new Map([...splits.values()].flatMap(together));
}

/** By largest remainder: what is left goes to those that lost most. Where a part of the split is not known each is
 * rounded alone. */
function together(split: Edge[]): [string, string][] {
  const shares = split.map((e) => e.share!);
  const whole = shares.reduce((a, b) => a + b, 0);
  if (Math.abs(whole - 1) > NEAR) return split.map((e) => [e.id, percent(e.share!)]);
  const parts = shares.some((s) => s > 0 && s < SMALL) ? 10 : 1;
  const exact = shares.map((s) => (s / whole) * 100 * parts);
  const units = exact.map(Math.floor);
  const left = Math.round(100 * parts - units.reduce((a, b) => a + b, 0));
  const order = exact
    .map((_, i) => i)
    .sort((a, b) => exact[b]! - units[b]! - (exact[a]! - units[a]!) || a - b);
  for (const i of order.slice(0, left)) units[i]! += 1;
  return split.map((e, i) => [e.id, text(units[i]!, 100 * parts, e.share!)]);
}

/** Little is not told as nothing, nor nearly all as all. */
function text(units: number, all: number, share: number): string {
  if (units === 0 || units === all) return percent(share);
  return `${(units * 100) / all}%`;
}
