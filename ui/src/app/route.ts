// The page's address. All that a reader may want to share is in the hash: `#/graph?find=…`. Pure, but for the
// two functions at the end that the address bar is read and written with.
import { signal } from "@preact/signals";

export type Page = "graph" | "applications" | "workloads" | "services" | "config";

export interface Route {
  page: Page;
  /** What follows the page, decoded: namespace and name, or kind, namespace and name. */
  path: string[];
  query: URLSearchParams;
}

const PAGES: readonly Page[] = ["graph", "applications", "workloads", "services", "config"];

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = splitOnce(hash.replace(/^#\/?/, ""), "?");
  const [first = "", ...rest] = path
    .split("/")
    .filter((p) => p !== "")
    .map(decode);
  const page = PAGES.find((p) => p === first) ?? "graph";
  return { page, path: page === first ? rest : [], query: new URLSearchParams(query) };
}

export function formatRoute(page: Page, path: readonly string[] = [], query?: URLSearchParams): string {
  const text = query?.toString() ?? "";
  return `#/${[page, ...path.map(encodeURIComponent)].join("/")}${text ? `?${text}` : ""}`;
}

function splitOnce(text: string, at: string): [string, string?] {
  const index = text.indexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(parseRoute(""));

export function startRouting(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  window.addEventListener("hashchange", read);
  window.addEventListener("popstate", read);
  read();
}

/** `replace` leaves no step for the back button, as for each letter of a search. */
export function go(hash: string, replace = false): void {
  if (hash === location.hash) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  route.value = parseRoute(hash);
}
