// The text on edges and nodes. In: traffic and what the reader wants to see. Out: lines of short text.
import type { Edge, Node } from "../api/types";
import { byteRate, latency, percent, rate } from "./format";
import { middle } from "./text";
import { latencyOf, totals } from "./traffic";

export const EDGE_LABELS = {
  rate: "Traffic rate",
  share: "Share of traffic",
  throughput: "Throughput",
  p50: "Latency p50",
  p95: "Latency p95",
  p99: "Latency p99",
} as const;

export type EdgeLabel = keyof typeof EDGE_LABELS;

/** `share`: in words. */
export function edgeLabel(edge: Edge, wanted: readonly EdgeLabel[], share?: string): string {
  const lines: string[] = [];
  const sum = totals(edge.traffic);
  if (wanted.includes("rate")) lines.push(...rates(edge));
  if (wanted.includes("share") && share !== undefined && (edge.share ?? 1) < 0.9995)
    lines.push(shareLabel(share, edge.shareOf));
  if (wanted.includes("throughput") && sum.bytes > 0) lines.push(byteRate(sum.bytes));
  const times = latencyOf(edge.traffic);
  if (times) {
    for (const p of ["p50", "p95", "p99"] as const)
      if (wanted.includes(p)) lines.push(`${p} ${latency(times[p])}`);
  }
  return lines.join("\n");
}

/** Of connections it is said of which: those opened now tell of a split, those that are open of its past, too. */
function shareLabel(share: string, of: Edge["shareOf"]): string {
  const whole = { requests: "", opened: " of new", open: " of open" }[of ?? "requests"];
  return share + whole;
}

function rates(edge: Edge): string[] {
  const out: string[] = [];
  const { http, grpc, tcp } = edge.traffic;
  for (const [h, unit] of [
    [http, "req"],
    [grpc, "rpc"],
  ] as const) {
    if (!h || h.requests === 0) continue;
    out.push(rate(h.requests, unit));
    if (h.errorShare > 0) out.push(`${percent(h.errorShare)} err`);
  }
  if (tcp) {
    if (tcp.opened > 0) out.push(rate(tcp.opened, "conn"));
    else if (tcp.active > 0) out.push(`${tcp.active} open`);
    if (tcp.failed > 0) out.push(`${rate(tcp.failed, "failed")}`);
    else if (tcp.sent + tcp.received > 0) out.push(byteRate(tcp.sent + tcp.received));
  }
  return out;
}

export interface NodeText {
  title: string;
  /** The version, or what kind of outsider it is. */
  subtitle: string;
}

export const TITLE_LENGTH = 26;

export function nodeText(node: Node, type: string, inNamespaceBox: boolean, inAppBox: boolean): NodeText {
  const name = type === "versionedApp" && inAppBox && node.version ? node.version : node.name;
  const version = type === "versionedApp" && node.version && name !== node.version ? node.version : "";
  const place = !inNamespaceBox && node.namespace ? node.namespace : "";
  return {
    title: middle(name, TITLE_LENGTH),
    subtitle: [version, place]
      .filter((t) => t !== "")
      .map((t) => middle(t, TITLE_LENGTH))
      .join(" · "),
  };
}
