// Keeps what is being read in its place. In: a list that grows at its beginning, before and after it is drawn anew.
// Out: its scroll position, so that an open item in sight, or else the first one that was scrolled to, stays where it is.
import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

interface Held {
  item: Element;
  top: number;
  scroller: Element;
}

/** To be called when the list is drawn: what is there of it then is what was drawn before. */
export function useHeld(list: RefObject<HTMLElement | null>): void {
  const held = list.current ? inSight(list.current) : undefined;
  useLayoutEffect(() => {
    if (!held?.item.isConnected) return;
    held.scroller.scrollTop += held.item.getBoundingClientRect().top - held.top;
  });
}

function inSight(list: HTMLElement): Held | undefined {
  const scroller = scrollerOf(list);
  const { top, bottom } = scroller.getBoundingClientRect();
  const [from, to] = [Math.max(top, 0), Math.min(bottom, innerHeight)];
  const shown = [...list.querySelectorAll(":scope > li")].filter((li) => {
    const box = li.getBoundingClientRect();
    return box.bottom > from && box.top < to;
  });
  const read = shown.find((li) => li.querySelector(":scope > details[open]"));
  const item = read ?? (scroller.scrollTop > 0 ? shown[0] : undefined);
  return item && { item, top: item.getBoundingClientRect().top, scroller };
}

function scrollerOf(element: HTMLElement): Element {
  for (let it = element.parentElement; it; it = it.parentElement)
    if (/auto|scroll/.test(getComputedStyle(it).overflowY)) return it;
  return document.scrollingElement ?? document.documentElement;
}
