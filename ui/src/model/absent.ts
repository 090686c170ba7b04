// Why what is selected is not drawn. In: the graph, what is drawn of it, the reader's choices, and the id. Out: its name, and
// each reason with the choice that would show it; undefined if it is drawn. Pure.
import type { Graph, GraphType } from "../api/types";
import { span } from "./format";
import type { GraphState } from "./graphState";
import { GRAPH_TYPES, KIND_NAMES } from "./kinds";
import { clean } from "./text";
import type { View } from "./view";

export interface Absent {
  title: string;
  what: string;
  reasons: Reason[];
  /** Nothing keeps it away but that no traffic of it was counted. */
  quiet: boolean;
}

export interface Reason {
  text: string;
  action?: { label: string; change: Partial<GraphState> };
}

/** An end of an edge, a node, or a box. */
interface Part {
  kind: string;
  namespace: string;
  name: string;
  version?: string;
}

export function absent(graph: Graph, view: View, s: GraphState, id: string): Absent | undefined {
  if (id === "mesh" || [...view.nodes, ...view.edges, ...view.boxes].some((e) => e.id === id))
    return undefined;
  const parts = (id.split("#")[0] ?? id).split(">").map(parse);
  const title = parts.map(named).join(" → ");
  const about = { title, what: whatOf(id, parts) };
  if ([...graph.nodes, ...graph.edges].some((e) => e.id === id)) return { ...about, ...because(hidden(s)) };
  const kept = [
    ...parts.flatMap((p) => ofType(graph, p)),
    ...undrawn(graph, s, parts),
    ...elsewhere(s, parts),
  ].slice(0, 3);
  return kept.length > 0 ? { ...about, ...because(...kept) } : { ...about, reasons: quiet(s), quiet: true };
}

const because = (...reasons: Reason[]) => ({ reasons, quiet: false });

function parse(id: string): Part {
  const [kind = "", namespace = "", name = "", version] = id.split("/");
  return kind === "namespace"
    ? { kind, namespace, name: namespace }
    : { kind, namespace, name: name || id, version };
}

function named({ kind, name, version }: Part): string {
  return `${clean(name, 60)}${kind === "app" && version ? ` ${clean(version, 20)}` : ""}`;
}

const WORDS = new Map<string, string>(
  Object.entries({ ...KIND_NAMES, namespace: "Namespace", appbox: "App" }),
);

function whatOf(id: string, [first, second]: Part[]): string {
  if (second) return `${clean(id.split("#")[1] ?? "", 12).toUpperCase()} traffic`.trim();
  const { kind = "", namespace = "" } = first ?? {};
  const words = WORDS.get(kind);
  if (!words) return "Not known";
  return namespace && kind !== "namespace" ? `${words} in ${clean(namespace, 60)}` : words;
}

function hidden(s: GraphState): Reason {
  const text = `The hide expression ${clean(s.hide, 120)} hides it.`;
  return { text, action: { label: "Show what is hidden", change: { hide: "" } } };
}

/** Each type of graph has nodes of its own. */
function ofType(graph: Graph, { kind, namespace, name, version }: Part): Reason[] {
  const other = (type: GraphType): Reason[] => [
    {
      text: `It is of the ${GRAPH_TYPES[type].toLowerCase()}; this is the ${GRAPH_TYPES[graph.type].toLowerCase()}.`,
      action: { label: GRAPH_TYPES[type], change: { type } },
    },
  ];
  if (kind === "workload" && graph.type !== "workload") return other("workload");
  if (kind === "app" && graph.type === "workload") return other(version ? "versionedApp" : "app");
  if (kind === "app" && version && graph.type !== "versionedApp") return other("versionedApp");
  const versions = `app/${namespace}/${name}/`;
  if (kind === "app" && !version && graph.nodes.some((n) => n.id.startsWith(versions))) return other("app");
  if (kind === "appbox" && graph.type !== "versionedApp") return other("versionedApp");
  return [];
}

/** What the reader has switched off. */
function undrawn(graph: Graph, s: GraphState, parts: Part[]): Reason[] {
  const has = (kind: string) => parts.some((p) => p.kind === kind);
  const off = (text: string, label: string, change: Partial<GraphState>) => [
    { text, action: { label, change } },
  ];
  if (has("service") && !s.services && graph.type !== "service")
    return off("Service nodes are switched off.", "Show service nodes", { services: true });
  if (has("namespace") && !s.boxNamespaces)
    return off("Namespace boxes are switched off.", "Show namespace boxes", { boxNamespaces: true });
  if (has("appbox") && !s.boxApps)
    return off("App boxes are switched off.", "Show app boxes", { boxApps: true });
  return [];
}

function elsewhere(s: GraphState, parts: Part[]): Reason[] {
  const own = [...new Set(parts.map((p) => p.namespace).filter((n) => n !== "" && n !== "-"))];
  if (s.namespaces.length === 0 || own.length === 0 || own.some((n) => s.namespaces.includes(n))) return [];
  const shown = clean(s.namespaces.join(", "), 80);
  const text = `It is in namespace ${clean(own.join(" and "), 120)}, and only what talks with ${shown} is shown.`;
  const change = { namespaces: [...s.namespaces, ...own].sort() };
  return [{ text, action: { label: `Show ${clean(own.join(", "), 40)}, too`, change } }];
}

function quiet(s: GraphState): Reason[] {
  const time = s.at === undefined ? `the last ${span(s.duration)}` : `these ${span(s.duration)}`;
  const longer = { label: "Last hour", change: { duration: 3600 } };
  const idle = { label: "Show idle nodes", change: { idle: true } };
  return [
    {
      text: `No traffic of it was counted in ${time}.`,
      action: s.duration < 3600 ? longer : s.idle ? undefined : idle,
    },
  ];
}
