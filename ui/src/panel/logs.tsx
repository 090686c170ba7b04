// The log lines of one selection. In: its id, and a time that is past. Out: the newest lines, at whose end the reader
// stays until they scroll up; from then on they are told when there are newer ones.
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { query } from "../api/client";
import type { LogLine } from "../api/types";
import { useFeed } from "../app/live";
import { api } from "../app/session";
import { unlessPaused } from "../app/store";
import { clock } from "../model/format";
import { clean, cleanLines } from "../model/text";
import { Loading, Trouble } from "../ui/widgets";
import { Gone } from "./gone";
import type { OfGraph } from "./tabs";

const LIMIT = 200;
/** Pixels above the end that still count as the end. */
const NEAR = 24;

export function LogsTab({ id, at, graph }: OfGraph) {
  const { data, error, refresh } = useFeed<{ lines: LogLine[] }>(query({ id, ...graph, limit: LIMIT, at }), {
    load: (key, abort) => api.get(`/logs${key}`, abort),
    interval: () => unlessPaused(5000),
  });
  if (error?.status === 404) return <Gone />;
  if (error && !data) return <Trouble error={error} retry={refresh} />;
  if (!data) return <Loading what="logs" />;
  if (data.lines.length === 0) return <p class="muted">No line was logged lately.</p>;
  return <Lines lines={data.lines.slice(-LIMIT)} />;
}

function Lines({ lines }: { lines: LogLine[] }) {
  const list = useRef<HTMLDivElement>(null);
  const follows = useSignal(true);
  const keys = lineKeys(lines);
  const newest = keys.at(-1);
  /** The newest line that was in sight. */
  const seen = useSignal(newest);
  const toEnd = () => {
    const element = list.current;
    if (element) element.scrollTop = element.scrollHeight;
    follows.value = true;
    seen.value = newest;
  };
  useLayoutEffect(() => {
    if (follows.peek()) toEnd();
  }, [newest]);
  return (
    <div class="logs-frame">
      <div
        class="logs"
        ref={list}
        tabIndex={0}
        role="log"
        aria-label="Log lines"
        aria-live="off"
        onScroll={(e) => {
          const { scrollHeight, scrollTop, clientHeight } = e.currentTarget;
          follows.value = scrollHeight - scrollTop - clientHeight <= NEAR;
          if (follows.value) seen.value = newest;
        }}
      >
        {lines.map((l, i) => (
          <div key={keys[i]} class="log-line">
            <span class="log-head">
              <time>{clock(l.time)}</time> {clean(l.from, 60)}
            </span>
            <span class="log-text">{cleanLines(l.text, 2000)}</span>
          </div>
        ))}
      </div>
      {!follows.value && seen.value !== newest && (
        <button type="button" class="button logs-more" onClick={toEnd}>
          Newer lines below
        </button>
      )}
    </div>
  );
}

/** A line keeps its key when older ones fall out, so that what is being read stays in its place. */
function lineKeys(lines: readonly LogLine[]): string[] {
  const alike = new Map<string, number>();
  return lines.map((l) => {
    const key = `${l.time} ${l.from} ${l.text}`;
    const n = alike.get(key) ?? 0;
    alike.set(key, n + 1);
    return `${key} ${n}`;
  });
}
