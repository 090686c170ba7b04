// Who is asking: the token, and whether the server wants another one.
//
// The token is kept for this tab only (`sessionStorage`), and handed to other tabs of this page by a channel while this
// one is open. Both belong to the origin, which is host and port: a cookie would be sent to whatever else serves on a
// port of this host, which may be another user's. Nothing outlives the last tab: `localStorage` would leave the token
// on the disk, for whoever serves on the same port later.
//
// What readers expect of several tabs, and get:
// - A new tab is signed in as the tab that they were in last.
// - A token from an address or typed in is this tab's. Tabs that are signed in keep theirs, whosever it is. A tab that
//   waits, because its own was refused, takes it if the server says that it is the same user's; another user's it only
//   offers: it may have text that is not theirs.
// - When the user of a tab changes, the page is loaded anew: nothing of what the one before saw or wrote is left.
// - Signing out means all tabs, and drops what was not saved in any of them: who signs out leaves the machine to others.
//   They are asked first, with the names of all that would be lost. Whoever signs in next is followed by all tabs.
import { signal } from "@preact/signals";
import { Client } from "../api/client";
import { takeToken } from "../api/token";
import { draftTitles, dropDrafts } from "./drafts";

const KEY = "lateen.token";
const USER = "lateen.user";
/** Milliseconds that a new tab waits for the others, that these leave to the one that the reader was in last, and that
 * they are given to say what they have not saved. */
const PATIENCE = 250;
const LATER = 60;
const MOMENT = 100;
/** Titles that a tab tells of, and that are named. */
const MOST_TITLES = 20;

/** What tabs say to each other. `here`: the reader is in this one now. `unsaved`: what is, and who knows. */
type Word =
  | { what: "ask" | "here" | "end" | "unsaved" }
  | ({ what: "token" } & Identity)
  | { what: "titles"; titles: string[] };

/** A token, and the user whose it is, as the server says; "" is the owner of a mesh on one machine. */
interface Identity {
  token: string;
  user: string;
}

const channel = new BroadcastChannel(KEY);
const say = (word: Word) => channel.postMessage(word);

const token = signal<string | undefined>(undefined);
/** Of the token; unknown until the server has said it. */
let user: string | undefined;
/** Whether the reader was in this tab last. */
let leads = false;
/** Tokens that other tabs told of. */
let heard = 0;
/** Whether the reader signed out since this page was loaded. */
let left = false;
let elsewhere: string[] = [];
let refreshAll = () => {};

/** Set while the server refuses the token; its text says why. */
export const refused = signal<string | undefined>(undefined);

/** Another user's session in another tab, which this one could take up. */
export const offer = signal<Identity | undefined>(undefined);

export const api = new Client(new URL("api/v1", document.baseURI).href, () => token.value);

const hasGood = () => token.value !== undefined && refused.value === undefined;

/** Takes the token out of the address bar, before anything else looks at it, or else from another tab. `again` is
 * called when one comes later, as when the reader signs in there. Out: when it is known whether there is one. */
export async function startSession(again: () => void): Promise<void> {
  refreshAll = again;
  const found = fromAddress();
  if (found) sessionStorage.removeItem(USER);
  user = sessionStorage.getItem(USER) ?? undefined;
  const own = found || sessionStorage.getItem(KEY) || undefined;
  if (own) store(own);
  window.addEventListener("focus", lead);
  // An address that differs in its hash alone loads no page.
  window.addEventListener("hashchange", signInByAddress);
  const given = new Promise<void>((done) => {
    channel.onmessage = ({ data }: MessageEvent<Word>) => {
      hear(data);
      if (token.value) done();
    };
  });
  if (!own) say({ what: "ask" });
  // After the question: it is for the tab where the reader was before.
  if (document.hasFocus()) lead();
  if (own) return;
  await Promise.race([given, new Promise((done) => setTimeout(done, PATIENCE))]);
}

/** The server has said whose the token is that it was asked with. */
export function identify(asked: string | undefined, name: string): void {
  if (asked === undefined || asked !== token.peek()) return;
  const before = user;
  user = name;
  sessionStorage.setItem(USER, name);
  tell();
  if (before === undefined || before === name) return;
  dropDrafts();
  location.reload();
}

export function currentToken(): string | undefined {
  return token.peek();
}

export function signIn(text: string): void {
  offer.value = undefined;
  store(text);
  if (left) {
    location.reload();
    return;
  }
  refused.value = undefined;
  refreshAll();
}

/** The server wants a token, or another one. Whoever has signed out knows why. */
export function refuse(why: string): void {
  if (!left) refused.value = why;
}

/** Takes up another user's session: what this tab holds is not theirs. */
export function acceptOffer(): void {
  const it = offer.peek();
  if (!it) return;
  dropDrafts();
  sessionStorage.removeItem(USER);
  store(it.token);
  location.reload();
}

/** In all tabs: any other one would sign this one in again. */
export async function signOut(): Promise<void> {
  elsewhere = [];
  say({ what: "unsaved" });
  await new Promise((done) => setTimeout(done, MOMENT));
  const lost = [...new Set([...draftTitles(), ...elsewhere])].slice(0, MOST_TITLES).join(", ");
  if (lost && !confirm(`What you wrote in ${lost} is not saved. Sign out in all tabs and drop it?`)) return;
  say({ what: "end" });
  end();
}

export function hasToken(): boolean {
  return token.value !== undefined;
}

function hear(word: Word): void {
  if (word.what === "ask") answer();
  else if (word.what === "here") leads = false;
  else if (word.what === "end") end();
  else if (word.what === "unsaved") say({ what: "titles", titles: draftTitles().slice(0, MOST_TITLES) });
  else if (word.what === "titles") elsewhere.push(...word.titles);
  else if (word.what === "token") {
    heard += 1;
    if (hasGood()) return;
    if (user === undefined || user === word.user) signIn(word.token);
    else offer.value = { token: word.token, user: word.user };
  }
}

function answer(): void {
  const before = heard;
  setTimeout(
    () => {
      if (heard === before) tell();
    },
    leads ? 0 : LATER,
  );
}

function tell(): void {
  if (hasGood() && user !== undefined) say({ what: "token", token: token.peek() ?? "", user });
}

function lead(): void {
  leads = true;
  say({ what: "here" });
}

function fromAddress(): string | undefined {
  const { token: found, clean } = takeToken(location.href);
  if (clean !== undefined) history.replaceState(null, "", clean);
  return found || undefined;
}

function signInByAddress(): void {
  const found = fromAddress();
  if (!found || (found === token.peek() && hasGood())) return;
  const lost = draftTitles().slice(0, MOST_TITLES).join(", ");
  const question = `What you wrote in ${lost} is not saved, and is dropped if this token is another user's. Sign in?`;
  if (lost && !confirm(question)) return;
  signIn(found);
}

function end(): void {
  dropDrafts();
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(USER);
  token.value = undefined;
  user = undefined;
  offer.value = undefined;
  left = true;
  refused.value = "you have signed out";
}

function store(text: string): void {
  sessionStorage.setItem(KEY, text);
  token.value = text;
}
