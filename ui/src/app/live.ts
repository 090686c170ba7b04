// The feeds' view of the browser and of the server's health. Out: `away`, set while the server does not answer.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Feed, type FeedEnvironment, type FeedOptions, type FeedState } from "../api/feed";
import { refused } from "./session";

export interface Away {
  since: number;
  message: string;
  retryAt?: number;
  retry(): void;
}

export const away = signal<Away | undefined>(undefined);

/** What is said while the reader's token for the cluster has ended, behind `lateen dashboard`. */
export const ended = signal<string | undefined>(undefined);

const failing = new Set<{ refresh(): void }>();

export const environment: FeedEnvironment = {
  hidden: () => document.hidden,
  onVisibility(change) {
    document.addEventListener("visibilitychange", change);
    return () => document.removeEventListener("visibilitychange", change);
  },
  random: Math.random,
  now: Date.now,
  report({ error, retryAt, feed }) {
    if (error?.status === 401) refused.value = error.message;
    ended.value = error?.status === 424 ? error.message : undefined;
    if (error?.away) failing.add(feed);
    else failing.delete(feed);
    if (failing.size === 0) {
      away.value = undefined;
      return;
    }
    if (!error?.away) return;
    const since = away.peek()?.since ?? Date.now();
    away.value = {
      since,
      message: error.message,
      retryAt,
      retry: () =>
        [...failing].forEach((f) => {
          f.refresh();
        }),
    };
  },
};

export function feed<T>(options: FeedOptions<T>): Feed<T> {
  return new Feed(options, environment);
}

export function endFeed(it: Feed<unknown>): void {
  it.close();
  failing.delete(it);
  if (failing.size === 0) away.value = undefined;
}

/** A feed that lives as long as the component. Out: what is known of `key`, and nothing of another one. */
export function useFeed<T>(
  key: string | undefined,
  options: FeedOptions<T>,
): FeedState<T> & { refresh(): void } {
  // The options of the first call hold: they only lead to functions that do not change.
  const it = useMemo(() => feed(options), []);
  useEffect(() => () => endFeed(it as Feed<unknown>), [it]);
  useEffect(() => it.ask(key), [it, key]);
  const state = it.state.value;
  const refresh = () => it.refresh();
  if (state.key !== undefined && state.key !== key)
    return { at: 0, loading: true, error: state.error, refresh };
  return { ...state, refresh };
}
