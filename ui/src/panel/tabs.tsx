// The tabs of the side panel and of the detail pages that ask the server about one selection: charts over time,
// Istio objects, failed requests; the logs are in `logs.tsx`.
import { useRef } from "preact/hooks";
import { query } from "../api/client";
import type { ConfigItem, Failure, GraphType, List, ObjectRef, Series } from "../api/types";
import { useFeed } from "../app/live";
import { formatRoute } from "../app/route";
import { api } from "../app/session";
import { unlessPaused } from "../app/store";
import { UI_ICONS } from "../graph/icons";
import { keyed, withOpen } from "../model/failures";
import { bytes, clock, latency } from "../model/format";
import { configPath, explainFlags } from "../model/kinds";
import { clean } from "../model/text";
import { useHeld } from "../ui/held";
import { lazy } from "../ui/lazy";
import { Icon, IssueCount, Loading, Trouble } from "../ui/widgets";
import { Gone } from "./gone";

const Charts = lazy("charts", () => import("./charts"));
const EVERY = 10_000;
const LIMIT = 50;

export interface OfGraph {
  id: string;
  at?: number;
  /** The graph that the id is of; without it the server takes one that has such an id. */
  graph?: { type?: GraphType; services: boolean };
}

export function SeriesTab({ id, at, graph, duration }: OfGraph & { duration: number }) {
  const span = Math.max(duration, 300);
  const { data, error } = useFeed<Series>(query({ id, ...graph, duration: span, at }), {
    load: (key, abort) => api.get(`/series${key}`, abort),
    interval: () => unlessPaused(EVERY),
  });
  if (error?.status === 404) return <Gone />;
  if (error && !data) return <p class="muted">No history: {error.message}</p>;
  return data ? <Charts series={data} /> : <Loading what="history" />;
}

export function ConfigTab({ id, at }: OfGraph) {
  const { data, error, refresh } = useFeed<List<ConfigItem>>(query({ actsOn: id }), {
    load: (key, abort) => api.get(`/config${key}`, abort),
    interval: () => 30_000,
  });
  if (error?.status === 404) return <Gone />;
  if (error && !data) return <Trouble error={error} retry={refresh} />;
  if (!data) return <Loading what="configuration" />;
  if (data.items.length === 0) return <p class="muted">No Istio object acts on this.</p>;
  return (
    <>
      {at !== undefined && <p class="muted">What acts on it now: what did at that time is not known.</p>}
      <ul class="objects">
        {data.items.slice(0, 200).map((o) => (
          <li key={configPath(o)}>
            <a href={configHref(o)}>
              <span class="kind">{o.kind}</span>
              <span class="grow">{clean(o.name, 80)}</span>
              <small class="muted">{clean(o.namespace, 60)}</small>
            </a>
            {o.issues.errors + o.issues.warnings > 0 && <IssueCount issues={o.issues} />}
          </li>
        ))}
      </ul>
    </>
  );
}

export function configHref(o: ObjectRef): string {
  return formatRoute("config", configPath(o).split("/").map(decodeURIComponent));
}

export function FailuresTab({ id, at, graph }: OfGraph) {
  const first = useRef<{ id: string; key: string } | undefined>(undefined);
  const open = useRef(new Map<string, Failure>());
  const list = useRef<HTMLOListElement>(null);
  useHeld(list);
  const { data, error, refresh } = useFeed<{ failures: Failure[] }>(
    query({ id, ...graph, limit: LIMIT, at }),
    {
      load: (key, abort) => api.get(`/failures${key}`, abort),
      interval: () => unlessPaused(EVERY),
    },
  );
  if (error?.status === 404) return <Gone />;
  if (error && !data) return <Trouble error={error} retry={refresh} />;
  if (!data) return <Loading what="failed requests" />;
  if (data.failures.length === 0) return <p class="muted">No connection or request failed lately.</p>;
  const newest = keyed(data.failures.slice(0, LIMIT));
  // One is open from the start; which are later is the reader's to say.
  if (first.current?.id !== id) {
    first.current = { id, key: newest[0]![0] };
    open.current = new Map([newest[0]!]);
  }
  const failures = withOpen(newest, open.current);
  return (
    <ol class="failures" ref={list}>
      {failures.map(([key, f]) => (
        <li key={key}>
          <details
            open={key === first.current?.key}
            onToggle={(e) => {
              if (e.currentTarget.open) open.current.set(key, f);
              else open.current.delete(key);
            }}
          >
            <summary>
              <time>{clock(f.time)}</time>{" "}
              <span class="tag tag-failing">{clean(f.flags || String(f.code ?? ""), 20)}</span>{" "}
              {clean(f.summary, 300)}
            </summary>
            {f.byClient && <h3>As the server's proxy tells it</h3>}
            <Explanation failure={f} />
            {f.byClient && (
              <>
                <h3>
                  As the client's proxy tells it:{" "}
                  <span class="tag tag-failing">{clean(f.byClient.flags, 20)}</span>
                </h3>
                <p>{clean(f.byClient.summary, 300)}</p>
                <Explanation failure={f.byClient} />
              </>
            )}
          </details>
        </li>
      ))}
    </ol>
  );
}

function Explanation({ failure: f }: { failure: Failure }) {
  const meaning = explainFlags(f.flags);
  return (
    <div class="explanation">
      <ol class="steps">
        {f.steps.slice(0, 30).map((s, i) => (
          <li key={`${i} ${s.what}`} class={s.failed ? "failed" : ""}>
            {clean(s.what, 300)}
            {s.failed && <strong> (failed here)</strong>}
            {s.object && (
              <small>
                <a href={configHref(s.object)}>
                  {clean(`${s.object.kind} ${s.object.namespace}/${s.object.name}`, 160)}
                </a>
                {s.field && <code>{clean(s.field, 120)}</code>}
              </small>
            )}
          </li>
        ))}
      </ol>
      {f.remedy && (
        <p class="remedy">
          <Icon path={UI_ICONS.info} size={16} /> {clean(f.remedy, 400)}
        </p>
      )}
      <p class="muted">
        {meaning && `${clean(f.flags, 20)}: ${meaning}. `}
        To {clean(f.serverName ? `${f.serverName} (${f.destination})` : f.destination, 300)}, told by{" "}
        {clean(f.proxy, 160)}. {bytes(f.bytesSent)} sent, {bytes(f.bytesReceived)} received,{" "}
        {latency(f.durationMs)}
      </p>
    </div>
  );
}
