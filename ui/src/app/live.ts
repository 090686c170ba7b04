// The feeds' view of the browser and of the server's health. Out: `away`, set while the server does not answer, and
// `ended`, while the reader's token for the cluster has ended. Trouble belongs to the feed that met it: only that
// feed's next answer, or its end, takes it away.
import { computed, effect, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { ApiError } from "../api/client";
import { Feed, type FeedEnvironment, type FeedOptions, type FeedState } from "../api/feed";
import { refuse } from "./session";

type AnyFeed = { refresh(): void };

export interface Away {
  message: string;
  retryAt?: number;
  retry(): void;
}

interface Trouble {
  error: ApiError;
  retryAt?: number;
}

/** The last one to fail comes last. */
const troubles = signal<ReadonlyMap<AnyFeed, Trouble>>(new Map());

const withError = (is: (error: ApiError) => boolean) =>
  [...troubles.value].filter(([, { error }]) => is(error));

export const away = computed<Away | undefined>(() => {
  const failing = withError((e) => e.away);
  const last = failing.at(-1)?.[1];
  return last && { message: last.error.message, retryAt: last.retryAt, retry: () => again(failing) };
});

/** What is said while the reader's token for the cluster has ended, behind `lateen dashboard`. */
export const ended = computed(() => withError((e) => e.status === 424).at(-1)?.[1].error.message);

/** Whoever was refused for want of a token asks again. */
export function retryRefused(): void {
  again(withError((e) => e.status === 401));
}

function again(all: readonly [AnyFeed, Trouble][]): void {
  for (const [it] of all) it.refresh();
}

/** Out: what the feed was in trouble with. */
function settle(feed: AnyFeed, trouble: Trouble | undefined): Trouble | undefined {
  const before = troubles.peek().get(feed);
  if (!before && !trouble) return undefined;
  const next = new Map(troubles.peek());
  next.delete(feed);
  if (trouble) next.set(feed, trouble);
  troubles.value = next;
  return before;
}

export const environment: FeedEnvironment = {
  hidden: () => document.hidden,
  onVisibility(change) {
    document.addEventListener("visibilitychange", change);
    return () => document.removeEventListener("visibilitychange", change);
  },
  random: Math.random,
  now: Date.now,
  report({ error, retryAt, feed }) {
    if (error?.status === 401) refuse(error.message);
    const isTrouble = error && (error.away || error.status === 401 || error.status === 424);
    const before = settle(feed, isTrouble ? { error, retryAt } : undefined);
    // What one found mended is likely to be so for those that met the same: they need not wait for their time.
    if (!error && before)
      again(withError((e) => e.status === before.error.status || (e.away && before.error.away)));
  },
  forget(feed) {
    settle(feed, undefined);
  },
};

export function feed<T>(options: FeedOptions<T>): Feed<T> {
  return new Feed(options, environment);
}

/** A feed that lives as long as the component, or as `of` stays the same. Out: what is known of `key`, and nothing of
 * another one but its error, which is left behind with another `of`. */
export function useFeed<T>(
  key: string | undefined,
  options: FeedOptions<T>,
  of?: string,
): FeedState<T> & { refresh(): void } {
  // The options of the first call hold: they only lead to functions that do not change.
  const it = useMemo(() => feed(options), [of]);
  useEffect(() => () => it.close(), [it]);
  useEffect(() => it.ask(key), [it, key]);
  // It may change with what the reader chooses.
  useEffect(() => {
    const follow = () => {
      options.interval();
      it.reschedule();
    };
    return effect(follow);
  }, [it]);
  const state = it.state.value;
  const refresh = () => it.refresh();
  if (state.key !== undefined && state.key !== key)
    return { at: 0, loading: true, error: state.error, refresh };
  return { ...state, refresh };
}
