// How long to wait before the next attempt. In: how many failed in a row, and a random number from 0 to 1 that
// keeps many pages from coming back at the same moment. Out: milliseconds.

const FIRST = 1000;
const LONGEST = 30_000;

export function backoff(failures: number, random: number): number {
  const full = Math.min(LONGEST, FIRST * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(full * (0.5 + random / 2));
}

/** A tab that comes back asks soon, but not in the same moment as all the others. */
export function comeback(random: number): number {
  return Math.round(50 + random * 700);
}
