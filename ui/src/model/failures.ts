// Tells failures from one another. Pure. In: those of an answer, the newest first. Out: a key for each, and with them
// those that a reader has open, which newer ones would push out.
import type { Failure } from "../api/types";

/** The same for the same failure in every answer, so that what the reader opened stays open, and where it is. */
export function keyed(failures: Failure[]): [key: string, failure: Failure][] {
  const seen = new Map<string, number>();
  // From the oldest on: newer ones come before those that are alike.
  const keys = [...failures].reverse().map((f): [string, Failure] => {
    const what = [f.time, f.proxy, f.source, f.target, f.destination, f.flags, f.durationMs].join(" ");
    const count = seen.get(what) ?? 0;
    seen.set(what, count + 1);
    return [`${what} ${count}`, f];
  });
  return keys.reverse();
}

/** Those that are open and not among the newest any more come last. */
export function withOpen(
  newest: [string, Failure][],
  open: ReadonlyMap<string, Failure>,
): [string, Failure][] {
  const there = new Set(newest.map(([key]) => key));
  return [...newest, ...[...open].filter(([key]) => !there.has(key))];
}
