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

/** What has the keyboard may go with what it led to. Then it comes to the panel's tabs if it was there, or else to the
 * graph, or else to the content, and not to the beginning of the page. Out: ends that. */
export function keepFocus(): () => void {
  let last: { element: Element; inPanel: boolean } | undefined;
  const remember = (e: FocusEvent) => {
    const element = e.target as Element;
    last = { element, inPanel: element.closest(".panel") !== null };
  };
  // Who leaves it for nothing wants nothing; what goes while it has the keyboard is gone by then.
  const forget = ({ target }: FocusEvent) =>
    queueMicrotask(() => {
      const isLeft = (target as Element).isConnected && document.activeElement === document.body;
      if (isLeft && last?.element === target) last = undefined;
    });
  const observer = new MutationObserver(() => {
    if (!last || last.element.isConnected || document.activeElement !== document.body) return;
    const places = [last.inPanel ? ".panel [role=tab][aria-selected=true]" : ".canvas", ".canvas", "#main"];
    const next = places.map((p) => document.querySelector<HTMLElement>(p)).find((e) => e !== null);
    if (next?.id === "main") next.tabIndex = -1;
    next?.focus({ preventScroll: true });
  });
  document.addEventListener("focusin", remember);
  document.addEventListener("focusout", forget);
  observer.observe(document.body, { childList: true, subtree: true });
  return () => {
    document.removeEventListener("focusin", remember);
    document.removeEventListener("focusout", forget);
    observer.disconnect();
  };
}
