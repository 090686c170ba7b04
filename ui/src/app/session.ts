// Who is asking: the token, and whether the server wants another one.
//
// The token is kept for this tab only (`sessionStorage`), and handed to other tabs of this page by a channel while this
// one is open. Both belong to the origin, which is host and port: a cookie would be sent to whatever else serves on a
// port of this host, which may be another user's. Nothing outlives the last tab: `localStorage` would leave the token
// on the disk, for whoever serves on the same port later.
import { signal } from "@preact/signals";
import { Client } from "../api/client";
import { takeToken } from "../api/token";
import { drafts, dropDrafts } from "./drafts";

const KEY = "lateen.token";
/** Milliseconds that a new tab waits for the others. */
const PATIENCE = 250;

/** What tabs say to each other. */
type Word = { what: "ask" } | { what: "token"; token: string } | { what: "end" };

const channel = new BroadcastChannel(KEY);
const say = (word: Word) => channel.postMessage(word);

const token = signal<string | undefined>(undefined);

/** Set while the server refuses the token; its text says why. */
export const refused = signal<string | undefined>(undefined);

export const api = new Client(new URL("api/v1", document.baseURI).href, () => token.value);

/** Takes the token out of the address bar, before anything else looks at it, or else from another tab. `again` is
 * called when one comes later, as when the reader signs in there. Out: when it is known whether there is one. */
export async function startSession(again: () => void): Promise<void> {
  const { token: found, clean } = takeToken(location.href);
  if (clean !== undefined) history.replaceState(null, "", clean);
  const own = found || sessionStorage.getItem(KEY) || undefined;
  if (own) store(own);
  const given = new Promise<void>((done) => {
    channel.onmessage = ({ data }: MessageEvent<Word>) => {
      hear(data, again);
      if (token.value) done();
    };
  });
  if (found) say({ what: "token", token: found });
  if (own) return;
  say({ what: "ask" });
  await Promise.race([given, new Promise((done) => setTimeout(done, PATIENCE))]);
}

function hear(word: Word, again: () => void): void {
  const isGood = token.value !== undefined && refused.value === undefined;
  if (word.what === "ask" && isGood) say({ what: "token", token: token.value ?? "" });
  // Text that is not saved here stays for whoever signs in again: the other tab asked nobody about it.
  if (word.what === "end") end();
  if (word.what !== "token" || isGood) return;
  const waits = refused.value !== undefined;
  store(word.token);
  refused.value = undefined;
  if (waits) again();
}

export function signIn(text: string): void {
  store(text);
  refused.value = undefined;
  say({ what: "token", token: text });
}

/** In all tabs: any other one would sign this one in again. */
export function signOut(): void {
  const lost = [...drafts.peek().values()].map((d) => d.title).join(", ");
  if (lost && !confirm(`What you wrote in ${lost} is not saved. Sign out and drop it?`)) return;
  dropDrafts();
  end();
  say({ what: "end" });
}

function end(): void {
  sessionStorage.removeItem(KEY);
  token.value = undefined;
  refused.value = "you have signed out";
}

export function hasToken(): boolean {
  return token.value !== undefined;
}

function store(text: string): void {
  sessionStorage.setItem(KEY, text);
  token.value = text;
}
