// What the graph page knows: the reader's choices from the address, the feeds, and the view that follows from both.
import { batch, computed, effect, signal } from "@preact/signals";
import { query } from "../api/client";
import type { Graph, Namespace, Status } from "../api/types";
import { check } from "../model/expression/evaluate";
import { formatGraphState, type GraphState, parseGraphState } from "../model/graphState";
import { Lru } from "../model/lru";
import { layoutKey, type View, type ViewOptions, view } from "../model/view";
import { feed, retryRefused } from "./live";
import { formatRoute, go, route } from "./route";
import { api, currentToken, identify } from "./session";

const graphQuery = signal(new URLSearchParams());

export const state = computed(() => parseGraphState(graphQuery.value));

/** Counts up when the reader asks for a new layout. */
export const layoutRound = signal(0);

/** While replay plays, its time is here; the address follows once it stands still. */
export const playing = signal<number | undefined>(undefined);

/** Changes the reader's choices. `replace`: without a step for the back button. */
export function choose(change: Partial<GraphState>, replace = false): void {
  const next = formatGraphState({ ...state.peek(), ...change });
  go(formatRoute("graph", [], next), replace);
}

export function graphHash(change: Partial<GraphState> = {}): string {
  return formatRoute("graph", [], formatGraphState({ ...state.value, ...change }));
}

/** Milliseconds from one graph to the next. A signal of its own: most of what the reader does changes nothing of it. */
const interval = computed(() =>
  state.value.at !== undefined || playing.value !== undefined ? 0 : state.value.refresh * 1000,
);

const isPaused = computed(() => route.value.page === "graph" && state.value.refresh === 0);

/** How often what is beside the graph is asked for, in milliseconds: what stands still can be read. Pages of their own
 * go on. */
export function unlessPaused(every: number): number {
  return isPaused.value ? 0 : every;
}

const frames = new Lru<Graph>(24);

export const graphFeed = feed<Graph>({
  // A moment in the past does not change: it is kept, so that replay can go back without asking.
  async load(key, abort) {
    const past = key.includes("at=");
    const known = past ? frames.get(key) : undefined;
    const graph = known ?? (await api.get<Graph>(`/graph${key}`, abort));
    if (past && graph.edges.length < 2000) frames.set(key, graph);
    return graph;
  },
  interval: () => interval.peek(),
});

export const statusFeed = feed<Status>({
  async load(_, abort) {
    const asked = currentToken();
    const status = await api.get<Status>("/status", abort);
    if (!abort.aborted) identify(asked, status.user ?? "");
    return status;
  },
  interval: () => 15_000,
});

export const namespacesFeed = feed<{ namespaces: Namespace[] }>({
  load: (_, abort) => api.get("/namespaces", abort),
  interval: () => 30_000,
});

export const shownTime = computed(() => playing.value ?? state.value.at);

/** One choice: what follows from it is computed anew when it changes, and not with each address. */
const choice = (key: "find" | "hide") => computed(() => state.value[key]);
const findText = choice("find");
const hideText = choice("hide");
const find = computed(() => check(findText.value));
const hide = computed(() => check(hideText.value));
export const expressions = { find, hide };

/** Of a wrong expression to hide by the last right one stays in force: nodes that come back with each letter would
 * move the graph. A wrong one to find by finds nothing, and dims nothing. */
let lastHide: ViewOptions["hide"];
function rightHide(): ViewOptions["hide"] {
  if (!hide.value.error) lastHide = hide.value.expression;
  return lastHide;
}

const drawing = computed(() => {
  const { boxNamespaces, boxApps, type, labels } = state.value;
  const choices: ViewOptions = { boxNamespaces, boxApps: boxApps && type === "versionedApp", labels };
  return JSON.stringify(choices);
});

const viewOptions = computed<ViewOptions>(() => ({
  ...(JSON.parse(drawing.value) as ViewOptions),
  find: find.value.error ? undefined : find.value.expression,
  hide: rightHide(),
}));

export const graph = computed(() => graphFeed.state.value.data);

/** The graph that is shown, as the server is told of it where an id is of one graph or another. */
export const shownGraph = computed(() => {
  const { key, data } = graphFeed.state.value;
  return { type: data?.type, services: new URLSearchParams(key).get("services") !== "false" };
});

export const currentView = computed<View | undefined>(() =>
  graph.value ? view(graph.value, viewOptions.value) : undefined,
);

export const currentKey = computed(() => {
  const s = state.value;
  return layoutKey(graph.value?.type ?? s.type, viewOptions.value, s.services, s.layout, layoutRound.value);
});

const graphKey = computed(() => {
  const s = state.value;
  return query({
    type: s.type,
    namespaces: s.namespaces,
    duration: s.duration,
    at: shownTime.value,
    services: s.services,
    idle: s.idle,
  });
});

/** Whether what is shown answers the reader's choices: only then is what it lacks not there. While replay plays it always
 * lags behind. */
export const isAnswered = computed(
  () => playing.value !== undefined || graphFeed.state.value.key === graphKey.value,
);

/** Begins to keep all of it fresh. Out: ends that. */
export function startStore(): () => void {
  const ends = [
    effect(() => {
      const { page, query: text } = route.value;
      batch(() => {
        if (page === "graph" && text.toString() !== graphQuery.peek().toString()) graphQuery.value = text;
      });
    }),
    effect(() => graphFeed.ask(route.value.page === "graph" ? graphKey.value : undefined)),
    effect(() => {
      void interval.value;
      graphFeed.reschedule();
    }),
  ];
  statusFeed.ask("status");
  namespacesFeed.ask("namespaces");
  return () => {
    for (const end of ends) end();
    graphFeed.close();
    statusFeed.close();
    namespacesFeed.close();
  };
}

/** After signing in: everything is asked for again. */
export function refreshAll(): void {
  graphFeed.refresh();
  statusFeed.refresh();
  namespacesFeed.refresh();
  retryRefused();
}
