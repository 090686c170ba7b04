// The times that replay can go to. In: what the server keeps. Out: bounds on whole steps. Pure.
import type { Status } from "../api/types";

const HOUR = 3_600_000;

export function range(
  status: Pick<Status, "oldest" | "now" | "step"> | undefined,
  now: number,
): { oldest: number; newest: number; step: number } {
  const step = Math.max(1000, status?.step ?? 5000);
  const newest = Math.floor((status?.now ?? now) / step) * step;
  const oldest = Math.ceil(Math.max(status?.oldest ?? newest - HOUR, newest - HOUR) / step) * step;
  return { oldest: Math.min(oldest, newest - step), newest, step };
}

export function advance(at: number, by: number, step: number, newest: number): number {
  return Math.min(newest, Math.round((at + by) / step) * step);
}
