// Which rows of a long list need to exist. In: its length and where it is scrolled to. Out: first and last. Pure.
export function rowsInView(
  total: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
  extra = 8,
): { from: number; to: number } {
  // A list that became shorter may still be scrolled to where it ended before.
  const top = Math.max(0, Math.min(scrollTop, total * rowHeight - height));
  const from = Math.max(0, Math.floor(top / rowHeight) - extra);
  return { from, to: Math.min(total, Math.ceil((top + height) / rowHeight) + extra) };
}

export interface Order {
  column: string;
  down: boolean;
}

/** Sorts by a column; what is equal keeps its order. */
export function sorted<T>(items: readonly T[], key: (item: T) => string | number, down: boolean): T[] {
  const sign = down ? -1 : 1;
  return [...items].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (typeof x === "number" && typeof y === "number") return (x - y) * sign;
    return String(x).localeCompare(String(y), "en", { numeric: true }) * sign;
  });
}
