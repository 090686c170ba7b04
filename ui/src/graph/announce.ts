// What screen readers are told of the selection. In: the reader's choice, and what is drawn. Out: `announcement`: what
// is selected, once it is drawn; that it is not there, once the graph that was asked for has come without it.
import { computed, effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { currentView, isAnswered, state } from "../app/store";
import { clean } from "../model/text";
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
