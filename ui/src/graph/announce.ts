// What screen readers are told of the selection, and of what is found and hidden. In: the reader's choices, and what is
// drawn. Out: `announcement`: what is selected, once it is drawn; that it is not there, once the graph that was asked for
// has come without it; and, of `useMatches`, how much the expressions match, once for each change of them.
import { computed, effect, type ReadonlySignal, signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { currentView, expressions, isAnswered, state } from "../app/store";
import { clean, count } from "../model/text";
import { describe } from "./stage";

export const announcement = signal("");

export function useAnnouncement(): void {
  useEffect(() => {
    const selected = computed(() => state.value.selected);
    const isThere = computed(() => {
      const { value: id } = selected;
      if (id === undefined || describe(currentView.value, id) !== undefined) return true;
      return isAnswered.value ? false : undefined;
    });
    let told: string | undefined;
    return effect(() => {
      const { value: id } = selected;
      if (isThere.value === undefined && id === told) return;
      told = id;
      announcement.value = words(id, isThere.value);
    });
  }, []);
}

/** `isThere`: undefined while that is not known. New numbers are not told: nobody asked for them. */
function words(id: string | undefined, isThere: boolean | undefined): string {
  if (id === undefined) return "Nothing is selected";
  if (isThere === undefined) return "";
  const text = isThere
    ? describe(currentView.peek(), id)
    : `${clean(id, 120)}, which is not on the graph now`;
  return `Selected: ${text}`;
}

/** Out: words for both expressions, set when one of them has changed and is answered. New numbers change nothing. */
export function useMatches(): ReadonlySignal<string> {
  const told = useSignal("");
  useEffect(() => {
    const asked = computed(() => JSON.stringify([state.value.find, state.value.hide]));
    const isThere = computed(() => isAnswered.value && currentView.value !== undefined);
    let last = JSON.stringify(["", ""]);
    return effect(() => {
      if (asked.value === last) return;
      if (isThere.value) last = asked.value;
      told.value = isThere.value ? matches() : "";
    });
  }, []);
  return told;
}

/** The expressions are repeated: of two changes with one number, the second would not be told. What is wrong with one is
 * told by its field. */
function matches(): string {
  const { find, hide } = state.peek();
  if (!find && !hide) return "Nothing is found or hidden by expressions";
  const view = currentView.peek();
  const found = count(view?.found ?? 0, "match", "matches");
  return [
    find && !expressions.find.peek().error ? `${found}: ${clean(find, 120)}` : "",
    hide && !expressions.hide.peek().error ? `${view?.hidden ?? 0} hidden: ${clean(hide, 120)}` : "",
  ]
    .filter((part) => part !== "")
    .join(". ");
}
