// The graph page: controls, the graph, its table, the side panel, replay, and what to do when there is nothing.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ApiError } from "../api/client";
import { away, environment } from "../app/live";
import { formatRoute, go } from "../app/route";
import {
  choose,
  currentView,
  graph,
  graphFeed,
  namespacesFeed,
  playing,
  shownTime,
  state,
} from "../app/store";
import { age, clock } from "../model/format";
import { clean, count } from "../model/text";
import { Panel } from "../panel/panel";
import { CommandLine, IconButton, Loading, Trouble } from "../ui/widgets";
import { announcement, useAnnouncement, useMatches } from "./announce";
import { UI_ICONS } from "./icons";
import { Replay } from "./replay";
import { Stage } from "./stage";
import { GraphTable } from "./table";
import { Toolbar } from "./toolbar";

/** Milliseconds after two intervals from which on a graph is not live any more, whatever keeps the next one away. */
const LATE = 2000;

export default function GraphPage() {
  const s = state.value;
  const feed = graphFeed.state.value;
  const view = currentView.value;
  const narrow = matchMedia("(max-width: 760px)").matches;
  const wholePanel = useSignal(!narrow);
  useAnnouncement();
  const matches = useMatches();
  const empty = view !== undefined && view.nodes.length === 0;
  const shown = s.selected !== undefined || (!empty && wholePanel.value);
  return (
    <main class="graph-page" id="main">
      <h1 class="sr-only">Traffic graph</h1>
      <Toolbar />
      {s.replay && <Replay />}
      <div class={`graph-area ${shown ? "with-panel" : ""}`}>
        <div class="graph-column">
          {feed.error && !feed.error.away && ![401, 424].includes(feed.error.status) && (
            <GraphTrouble error={feed.error} />
          )}
          {!view && !feed.error && <Loading what="the graph" />}
          {view && view.nodes.length === 0 ? <Empty /> : <Stage openDetails={openDetails} />}
          {view && view.nodes.length > 0 && <StatusLine />}
          <GraphTable />
          {!shown && view && view.nodes.length > 0 && (
            <IconButton
              class="show-panel"
              icon={UI_ICONS.info}
              label="Summary"
              text
              onClick={() => {
                wholePanel.value = true;
              }}
            />
          )}
        </div>
        {shown && view && (
          <Panel
            close={() => {
              wholePanel.value = false;
            }}
          />
        )}
      </div>
      <div class="sr-only" role="status" aria-live="polite">
        {announcement.value}
      </div>
      <div class="sr-only" id="graph-matches" role="status">
        {matches.value}
      </div>
    </main>
  );
}

function openDetails(id: string): void {
  const n = graph.peek()?.nodes.find((x) => x.id === id);
  if (!n?.namespace) return;
  if (n.kind === "service") go(formatRoute("services", [n.namespace, n.name]));
  else if (n.workload) go(formatRoute("workloads", [n.namespace, n.workload]));
  else if (n.app) go(formatRoute("applications", [n.namespace, n.app]));
}

/** A time that is not kept any more comes with a link that was shared. */
function GraphTrouble({ error }: { error: ApiError }) {
  if (shownTime.value === undefined) return <Trouble error={error} retry={() => graphFeed.refresh()} />;
  const back = () => choose({ at: undefined, replay: false });
  const future = shownTime.value > Date.now() ? "That time is yet to come" : undefined;
  return <Trouble error={error} title={future} retry={back} action="Back to now" />;
}

function StatusLine() {
  const feed = graphFeed.state.value;
  const view = currentView.value;
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      if (!environment.hidden()) now.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }, [now]);
  const past = shownTime.value;
  const passed = now.value - feed.at;
  const mode = liveness(passed);
  const when = past === undefined ? age(passed) + (mode === "Stale," ? " old" : " ago") : clock(past);
  return (
    <p class="status-line">
      <span class={`live-dot ${mode === "Live," ? "on" : ""}`} aria-hidden="true" />
      {mode} {when} · {count(view?.nodes.length ?? 0, "node")} · {count(view?.edges.length ?? 0, "edge")}
    </p>
  );
}

/** In: milliseconds since the last answer. */
function liveness(passed: number): string {
  const { refresh } = state.value;
  if (playing.value !== undefined) return "Replaying";
  if (shownTime.value !== undefined) return "As of";
  if (refresh === 0) return "Paused, as of";
  if (away.value) return "Not connected,";
  return passed > refresh * 2000 + LATE ? "Stale," : "Live,";
}

function Empty() {
  const s = state.value;
  const hidden = (graph.value?.nodes.length ?? 0) > 0;
  if (hidden) {
    return (
      <div class="empty">
        <h2>Everything is hidden</h2>
        <p>
          The hide expression <code>{clean(s.hide, 120)}</code> leaves nothing of the graph.
        </p>
        <button type="button" class="button" onClick={() => choose({ hide: "" })}>
          Clear it
        </button>
      </div>
    );
  }
  const spaces = namespacesFeed.state.value.data?.namespaces ?? [];
  const without =
    spaces.find((n) => n.injection === "unset" && !n.name.startsWith("istio-") && !n.name.startsWith("kube-"))
      ?.name ?? "default";
  return (
    <div class="empty">
      <h2>No traffic was seen{s.namespaces.length > 0 ? ` in ${clean(s.namespaces.join(", "), 80)}` : ""}</h2>
      <p>
        In this time no workload with a sidecar sent or received anything. Traffic appears here within seconds
        of its first byte.
      </p>
      <div class="actions">
        {!s.idle && (
          <button type="button" class="button primary" onClick={() => choose({ idle: true })}>
            Show idle nodes
          </button>
        )}
        {s.namespaces.length > 0 && (
          <button type="button" class="button" onClick={() => choose({ namespaces: [] })}>
            All namespaces
          </button>
        )}
        {s.duration < 600 && (
          <button type="button" class="button" onClick={() => choose({ duration: 600 })}>
            Last 10 min
          </button>
        )}
      </div>
      <h3>On this machine</h3>
      <CommandLine text="lateen run --home DIR --name echo-server --labels app=echo-server,version=v1 -- ./any-echo-server 8020" />
      <CommandLine text="lateen run --home DIR --name echo-client --labels app=echo-client,version=v1 -- ./any-client tcp-echo-server 8020" />
      <h3>On a cluster</h3>
      <CommandLine text={`kubectl label namespace ${clean(without, 63)} istio-injection=enabled`} />
      <CommandLine text={`kubectl rollout restart deployment -n ${clean(without, 63)}`} />
    </div>
  );
}
