// What is said of something of which no traffic was counted. In: its id and the time. Out: in words how many attempts to
// reach it failed, which is not the same as that nobody tried.
import { query } from "../api/client";
import type { Failure, GraphType } from "../api/types";
import { useFeed } from "../app/live";
import { api } from "../app/session";
import { clock, span } from "../model/format";
import { clean, count } from "../model/text";

const MOST = 500;

interface Time {
  /** Undefined: nothing is asked. */
  id?: string;
  at?: number;
  graph?: { type?: GraphType; services: boolean };
  /** Milliseconds since 1970, and seconds. */
  until: number;
  duration: number;
}

/** Attempts of that time that failed, the newest first; undefined: not known yet. */
export function useAttempts(of: Time): Failure[] | undefined {
  return useTold(of).attempts;
}

/** `isUnknown`: the server knows of nothing with this id; undefined: it was not heard yet. */
export function useTold({ id, at, graph, until, duration }: Time) {
  const { data, error } = useFeed<{ failures: Failure[] }>(
    id && query({ id, ...graph, limit: MOST, at }),
    {
      load: (key, abort) => api.get(`/failures${key}`, abort),
      interval: () => 10_000,
    },
    id,
  );
  const attempts = data?.failures.filter((f) => f.time > until - duration * 1000);
  return { attempts, isUnknown: data || error ? error?.status === 404 : undefined };
}

export function Unreached({ attempts, duration }: { attempts: Failure[] | undefined; duration: number }) {
  if (!attempts || attempts.length === 0) return null;
  const [newest] = attempts;
  const many = attempts.length < MOST ? count(attempts.length, "attempt") : `${MOST} or more attempts`;
  return (
    <ul class="reasons reasons-failing">
      <li>
        {many} to reach it failed in {span(duration)}, and none connected. The newest: {clock(newest!.time)},{" "}
        {clean(newest!.summary, 300)}. Failures tell why.
      </li>
    </ul>
  );
}
