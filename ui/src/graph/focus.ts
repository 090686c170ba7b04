// Where the keyboard goes: into the panel's tabs when the reader asks for the details, and when what it was in is
// closed, back to the graph, whence it came.

export function focusGraph(): void {
  const graph = document.querySelector<HTMLElement>(".canvas");
  (graph ?? document.querySelector<HTMLElement>(".empty button"))?.focus();
}

/** Whether details were asked for that are not drawn yet. */
let awaited = false;

export function focusPanel(): void {
  const tab = document.querySelector<HTMLElement>(".panel [role=tab][aria-selected=true]");
  tab?.focus();
  awaited = !tab;
}

/** The panel is drawn: whoever asked for it and has stayed at the graph gets there now. */
export function panelDrawn(): void {
  if (!awaited) return;
  awaited = false;
  if (document.activeElement?.matches(".canvas")) focusPanel();
}
