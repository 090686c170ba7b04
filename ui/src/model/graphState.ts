// What the reader chose on the graph page, as it stands in the address. Only what differs from the default is
// written, so that links stay short; what makes no sense is read as the default, and said.
import type { GraphType } from "../api/types";
import type { LayoutChoice } from "../layout/types";
import { EDGE_LABELS, type EdgeLabel } from "./labels";

export interface GraphState {
  type: GraphType;
  namespaces: string[];
  /** Seconds. */
  duration: number;
  /** Seconds; 0: paused. */
  refresh: number;
  /** The end of the time that is shown; undefined: now. */
  at?: number;
  /** Whether the replay bar is open. */
  replay: boolean;
  services: boolean;
  idle: boolean;
  boxNamespaces: boolean;
  boxApps: boolean;
  security: boolean;
  badges: boolean;
  animation: boolean;
  labels: EdgeLabel[];
  layout: LayoutChoice;
  find: string;
  hide: string;
  selected?: string;
  tab: PanelTab;
  table: boolean;
  legend: boolean;
}

export type PanelTab = "traffic" | "config" | "failures" | "logs";

export const DURATIONS = [10, 30, 60, 300, 600, 1800, 3600] as const;
export const INTERVALS = [5, 10, 15, 30, 60] as const;
const TYPES: readonly GraphType[] = ["versionedApp", "workload", "app", "service"];
const TABS: readonly PanelTab[] = ["traffic", "config", "failures", "logs"];
const LONGEST = 2000;

export const DEFAULTS: GraphState = {
  type: "versionedApp",
  namespaces: [],
  duration: 60,
  refresh: 5,
  replay: false,
  services: true,
  idle: false,
  boxNamespaces: true,
  boxApps: true,
  security: true,
  badges: true,
  animation: true,
  labels: ["rate", "share"],
  layout: "layered",
  find: "",
  hide: "",
  tab: "traffic",
  table: false,
  legend: false,
};

const YES_NO = [
  "replay",
  "services",
  "idle",
  "boxNamespaces",
  "boxApps",
  "security",
  "badges",
  "animation",
  "table",
  "legend",
] as const;

export function parseGraphState(query: URLSearchParams): GraphState {
  const state: GraphState = { ...DEFAULTS };
  state.type = oneOf(TYPES, query.get("type")) ?? DEFAULTS.type;
  state.namespaces = list(query.get("namespaces"));
  state.duration = duration(query.get("duration"));
  state.refresh = wholeNumber(query.get("refresh"), 0, 3600) ?? DEFAULTS.refresh;
  state.at = wholeNumber(query.get("at"), 1, Number.MAX_SAFE_INTEGER);
  state.layout = oneOf(["layered", "force"] as const, query.get("layout")) ?? DEFAULTS.layout;
  state.find = (query.get("find") ?? "").slice(0, LONGEST);
  state.hide = (query.get("hide") ?? "").slice(0, LONGEST);
  state.selected = query.get("selected")?.slice(0, LONGEST) || undefined;
  state.tab = oneOf(TABS, query.get("tab")) ?? DEFAULTS.tab;
  if (query.has("labels"))
    state.labels = list(query.get("labels")).filter((l): l is EdgeLabel => Object.hasOwn(EDGE_LABELS, l));
  for (const key of YES_NO) {
    const text = query.get(key);
    if (text === "true" || text === "false") state[key] = text === "true";
  }
  // Whoever is in the past sees when that is, and the way back.
  if (state.at !== undefined) state.replay = true;
  return state;
}

export function formatGraphState(state: GraphState): URLSearchParams {
  const out = new URLSearchParams();
  const put = (key: keyof GraphState, value: string, usual: string) => {
    if (value !== usual) out.set(key, value);
  };
  put("type", state.type, DEFAULTS.type);
  put("namespaces", state.namespaces.join(","), "");
  put("duration", String(state.duration), String(DEFAULTS.duration));
  put("refresh", String(state.refresh), String(DEFAULTS.refresh));
  put("at", state.at === undefined ? "" : String(state.at), "");
  put("layout", state.layout, DEFAULTS.layout);
  put("labels", state.labels.join(","), DEFAULTS.labels.join(","));
  put("find", state.find, "");
  put("hide", state.hide, "");
  put("selected", state.selected ?? "", "");
  put("tab", state.tab, DEFAULTS.tab);
  for (const key of YES_NO) put(key, String(state[key]), String(DEFAULTS[key]));
  return out;
}

/** What a link says that is not shown as it says. */
export function misread(query: URLSearchParams): string[] {
  const usual = new Map(
    Object.entries({ at: "", selected: "", ...DEFAULTS }).map(([k, v]) => [k, String(v)]),
  );
  const quoted = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return [...query].flatMap(([key, text]) => {
    if (!usual.has(key)) return [`this page knows no ${quoted(key)}, which the link has`];
    const read = formatGraphState(parseGraphState(new URLSearchParams([[key, text]])));
    const shown = read.get(key) ?? usual.get(key);
    if (text === shown) return [];
    return [`the link's ${key} ${quoted(text)} cannot be shown${shown ? `: ${quoted(shown)} is` : ""}`];
  });
}

function list(text: string | null): string[] {
  return (text ?? "")
    .split(",")
    .filter((t) => t !== "")
    .slice(0, 1000);
}

function oneOf<T extends string>(all: readonly T[], text: string | null): T | undefined {
  return all.find((t) => t === text);
}

function wholeNumber(text: string | null, least: number, most: number): number | undefined {
  if (text === null || !/^\d+$/.test(text)) return undefined;
  const n = Number(text);
  return n >= least && n <= most ? n : undefined;
}

/** The server takes 5 s to an hour, in steps of 5 s. */
function duration(text: string | null): number {
  const n = wholeNumber(text, 5, 3600);
  return n === undefined ? DEFAULTS.duration : Math.round(n / 5) * 5;
}
