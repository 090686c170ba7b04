// What changes on the screen from one graph to the next. In: what is drawn and what should be. Out: what to add,
// to change and to remove, so that nothing else is touched.

export interface Change<T> {
  add: T[];
  update: T[];
  remove: string[];
}

/** `same` says whether two versions of one element look alike. */
export function changes<T extends { id: string }>(
  before: ReadonlyMap<string, T>,
  after: readonly T[],
  same: (a: T, b: T) => boolean,
): Change<T> {
  const add: T[] = [];
  const update: T[] = [];
  const stays = new Set<string>();
  for (const item of after) {
    stays.add(item.id);
    const old = before.get(item.id);
    if (!old) add.push(item);
    else if (!same(old, item)) update.push(item);
  }
  const remove = [...before.keys()].filter((id) => !stays.has(id));
  return { add, update, remove };
}
