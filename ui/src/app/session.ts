// Who is asking: the token, kept for this tab only, and whether the server wants another one.
import { signal } from "@preact/signals";
import { Client } from "../api/client";
import { takeToken } from "../api/token";
import { dropDrafts } from "./drafts";

const KEY = "lateen.token";

const token = signal<string | undefined>(undefined);

/** Set while the server refuses the token; its text says why. */
export const refused = signal<string | undefined>(undefined);

export const api = new Client(new URL("api/v1", document.baseURI).href, () => token.value);

/** Takes the token out of the address bar, before anything else looks at it. */
export function startSession(): void {
  const { token: found, clean } = takeToken(location.href);
  if (clean !== undefined) history.replaceState(null, "", clean);
  if (found) store(found);
  token.value = found || sessionStorage.getItem(KEY) || undefined;
}

export function signIn(text: string): void {
  store(text);
  token.value = text;
  refused.value = undefined;
}

export function signOut(): void {
  sessionStorage.removeItem(KEY);
  dropDrafts();
  token.value = undefined;
  refused.value = "you have signed out";
}

export function hasToken(): boolean {
  return token.value !== undefined;
}

function store(text: string): void {
  sessionStorage.setItem(KEY, text);
}
