// Where the keyboard goes when what it was in is closed: to the graph, whence it came.

export function focusGraph(): void {
  document.querySelector<HTMLElement>(".canvas")?.focus();
}
