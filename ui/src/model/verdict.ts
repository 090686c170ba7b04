// What is known of the text of an object while it is edited. In: the text, what is saved, and what the last check found.
// Out: which of the two the text is, what was found, and words for that.
import type { Foreseen, Issue } from "../api/types";
import { count } from "./text";

/** What was found, and in which text. */
export interface Found {
  text: string;
  issues: Issue[];
  /** What the mesh would say if it were saved. */
  foreseen?: Foreseen;
}

export interface Known {
  /** Which text this is. `unchecked`: neither of the two, so that nothing is known of it. */
  is: "saved" | "checked" | "unchecked";
  /** Of an unchecked text: what was found in the one before it, and where that came from. */
  found: Found;
  from: "saved" | "checked";
}

export function known(text: string, saved: Found, checked: Found | undefined): Known {
  if (text === saved.text) return { is: "saved", found: saved, from: "saved" };
  if (!checked) return { is: "unchecked", found: saved, from: "saved" };
  return { is: text === checked.text ? "checked" : "unchecked", found: checked, from: "checked" };
}

/** Of a text that was checked. */
export function verdict({ issues, foreseen }: Found): string {
  const found = issues.length + (foreseen?.issues.length ?? 0);
  if (found > 0) return `Checked: ${count(found, "issue")}`;
  return foreseen?.missing ? "Checked: the text has no issues" : "Checked: no issues";
}
