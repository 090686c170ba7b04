// Text that the reader typed into an object and has not saved. It outlives the page it was typed on: whoever comes
// back to the object finds it again, and whoever would leave for good, as by a reload, is asked by the browser.
import { effect, signal } from "@preact/signals";

export interface Draft {
  yaml: string;
  /** The version that it was made from: what others saved since must not be overwritten unseen. */
  resourceVersion: string;
  /** Of the object, for people. */
  title: string;
}

/** By the address of the object's page. Each was typed by hand, so that there are few. */
export const drafts = signal<ReadonlyMap<string, Draft>>(new Map());

/** Keeps the draft of a page, or drops it. */
export function keepDraft(hash: string, draft: Draft | undefined): void {
  const before = drafts.peek().get(hash);
  if (before?.yaml === draft?.yaml && before?.resourceVersion === draft?.resourceVersion) return;
  const next = new Map(drafts.peek());
  if (draft) next.set(hash, draft);
  else next.delete(hash);
  drafts.value = next;
}

export function draftTitles(): string[] {
  return [...drafts.peek().values()].map((d) => d.title);
}

/** As when the reader signs out, here or in another tab: the text is nobody else's to see. */
export function dropDrafts(): void {
  drafts.value = new Map();
}

/** Lets the browser ask before the page goes, while there is a draft. */
export function startDrafts(): void {
  const ask = (e: BeforeUnloadEvent) => e.preventDefault();
  effect(() => {
    if (drafts.value.size > 0) window.addEventListener("beforeunload", ask);
    else window.removeEventListener("beforeunload", ask);
  });
}
