// What is told of what the pointer is on. It goes with whatever the reader does next: Escape, a selection, a scroll, a zoom,
// another window.
import { signal } from "@preact/signals";
import type { Point } from "../layout/types";

export const tip = signal<{ id: string; at: Point } | undefined>(undefined);

/** Out: whether there was one. */
export function closeTip(): boolean {
  const was = tip.peek() !== undefined;
  tip.value = undefined;
  return was;
}

/** Out: ends that. */
export function watchTip(): () => void {
  const close = () => void closeTip();
  const all = ["scroll", "wheel", "blur", "visibilitychange", "pointerdown"];
  for (const what of all) window.addEventListener(what, close, { capture: true, passive: true });
  return () => {
    close();
    for (const what of all) window.removeEventListener(what, close, { capture: true });
  };
}

const AWAY = 14;

/** Beside the pointer, on the side where there is room. The policy forbids style attributes; the properties may be set. */
export function placeTip(e: HTMLElement | null, at: Point | undefined): void {
  const room = e?.parentElement;
  if (!e || !at || !room) return;
  const beside = (from: number, size: number, whole: number) =>
    from + AWAY + size <= whole ? from + AWAY : Math.max(0, from - AWAY - size);
  e.style.left = "0";
  e.style.top = "0";
  const { offsetWidth, offsetHeight } = e;
  e.style.left = `${beside(at.x, offsetWidth, room.clientWidth)}px`;
  e.style.top = `${beside(at.y, offsetHeight, room.clientHeight)}px`;
}
