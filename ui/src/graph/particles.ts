// Where the marks of the traffic are at a moment. In: a rate and the time. Out: places along the edge from 0 to 1.
// There is no state per mark: a place follows from the time alone, so that nothing can pile up.

export interface Flow {
  /** Requests or connections per second. */
  rate: number;
  errorShare: number;
  /** Of the edge on the screen, in pixels. */
  length: number;
  /** Differs from edge to edge so that they do not beat as one. */
  phase: number;
}

export interface Mark {
  at: number;
  error: boolean;
}

/** Pixels per second, and the most marks that one edge carries. */
const SPEED = 70;
const MOST = 14;

/** Seconds between two marks: a busy edge has many, but never so many that they touch. */
export function interval(rate: number, length: number): number {
  if (rate <= 0) return Number.POSITIVE_INFINITY;
  // 0.01 per second is one mark each 4 s, 1 each 1.6 s, 100 each 0.65 s, 10,000 each 0.26 s.
  const wanted = 1.6 * (rate + 0.001) ** -0.198;
  const densest = Math.max(0.2, length / SPEED / MOST);
  return Math.min(6, Math.max(densest, wanted));
}

export function marks(flow: Flow, seconds: number): Mark[] {
  const every = interval(flow.rate, flow.length);
  if (!Number.isFinite(every) || flow.length < 8) return [];
  const travel = flow.length / SPEED;
  const shifted = seconds + flow.phase * every;
  const newest = Math.floor(shifted / every);
  const out: Mark[] = [];
  for (let n = newest; n >= 0; n -= 1) {
    const at = (shifted - n * every) / travel;
    if (at > 1) break;
    out.push({ at, error: isError(n, flow.errorShare) });
  }
  return out;
}

/** Spreads errors evenly: of any run of marks about that share are errors, and a mark never changes its mind. */
export function isError(n: number, share: number): boolean {
  if (share <= 0) return false;
  // Rare errors would never be seen: one mark in twenty shows that there are some.
  const seen = Math.max(0.05, Math.min(1, share));
  return Math.floor((n + 1) * seen) > Math.floor(n * seen);
}

/** From 0 to 1, from a text. */
export function phase(id: string): number {
  let hash = 2166136261;
  for (let i = 0; i < id.length; i += 1) hash = Math.imul(hash ^ id.charCodeAt(i), 16777619);
  return (hash >>> 0) / 4294967296;
}
