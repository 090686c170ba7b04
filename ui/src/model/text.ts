// Names and labels come from whoever may write to the cluster. In: any string. Out: text that is safe to
// show in one line: without control characters or marks that turn the direction of writing, and cut.

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** One line of at most `max` characters; what is cut off is shown as an ellipsis. */
export function clean(text: string | undefined, max = 120): string {
  if (!text) return "";
  // The slice comes first: replacing in 100 KB of which 120 characters are shown would be waste.
  const head = text.length > max * 2 ? text.slice(0, max * 2) : text;
  const safe = head.replace(UNSAFE, "\ufffd");
  return safe.length > max || head.length < text.length ? `${safe.slice(0, max - 1)}…` : safe;
}

/** Several lines, as in a log; line breaks and tabs stay. */
export function cleanLines(text: string, max = 4000): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return cut.replace(/[^\n\t]/g, (c) => c.replace(UNSAFE, "\ufffd"));
}

/** Cuts in the middle, so that `reviews-v1-7f8d…-x2x` keeps both of its telling ends. */
export function middle(text: string | undefined, max: number): string {
  const safe = clean(text, 400);
  if (safe.length <= max) return safe;
  const tail = Math.floor((max - 1) / 3);
  return `${safe.slice(0, max - 1 - tail)}…${safe.slice(safe.length - tail)}`;
}

/** `1 node`, `2 nodes`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** Messages of the server begin small and end without a full stop. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
