// Traffic and elements in words: for screen readers, tooltips and the table. In: the API's values. Out: sentences.
import type { Edge, Traffic } from "../api/types";
import { byteRate, latency, percent, rate } from "./format";
import { HEALTH_NAMES, kindOf } from "./kinds";
import { clean } from "./text";
import { latencyOf, totals } from "./traffic";
import type { ViewEdge, ViewNode } from "./view";

export function describeTraffic(t: Traffic): string {
  const s = totals(t);
  const parts: string[] = [];
  if (s.requests > 0) parts.push(rate(s.requests, "req"));
  if (s.requests > 0 && s.errorShare > 0) parts.push(`${percent(s.errorShare)} errors`);
  if (s.connections > 0) parts.push(rate(s.connections, "conn"));
  if (s.failed > 0) parts.push(`${percent(s.failedShare)} failed`);
  if (s.bytes > 0) parts.push(byteRate(s.bytes));
  const times = latencyOf(t);
  if (times) parts.push(`p95 ${latency(times.p95)}`);
  return parts.join(", ") || "no traffic";
}

export function nodeName(n: ViewNode["node"]): string {
  const version = n.version && n.kind !== "service" ? ` ${clean(n.version, 40)}` : "";
  return `${clean(n.name, 120)}${version}`;
}

export function describeNode(n: ViewNode): string {
  const { node } = n;
  const place = node.namespace ? ` in namespace ${clean(node.namespace, 80)}` : "";
  return `${kindOf(node)} ${nodeName(node)}${place}, ${HEALTH_NAMES[node.health.state].toLowerCase()}. In: ${describeTraffic(node.in)}. Out: ${describeTraffic(node.out)}.`;
}

export function describeEdge(e: ViewEdge, name: (id: string) => string): string {
  const share = describeShare(e.edge, name(e.source), e.share);
  return `${e.edge.protocol.toUpperCase()} from ${name(e.source)} to ${name(e.target)}, ${HEALTH_NAMES[e.edge.health.state].toLowerCase()}, ${mtls(e.edge)}: ${describeTraffic(e.edge.traffic)}.${share && ` ${share}.`}`;
}

/** What a share is a part of; empty for none. `share`: in words. */
export function describeShare(e: Edge, source: string, share: string | undefined): string {
  if (share === undefined) return "";
  const by = `from ${source} to ${e.service ? clean(e.service, 160) : "the same service"}`;
  const whole = {
    requests: `of the requests ${by} in this time`,
    opened: `of the connections opened ${by} in this time`,
    open: `of the connections open ${by}; none was opened in this time`,
  }[e.shareOf ?? "requests"];
  return `${share} ${whole}`;
}

export function mtls(e: Edge): string {
  return { full: "mutual TLS", partial: "partly mutual TLS", none: "no mutual TLS" }[e.mtls];
}
