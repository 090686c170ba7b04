// Sums and shares of traffic. In: the API's Traffic. Out: the few numbers that labels, widths and tables need.
import type { Http, Node, Tcp, Traffic } from "../api/types";

export interface Totals {
  /** HTTP and gRPC requests per second. */
  requests: number;
  /** Of those, the part that failed: 0 to 1. */
  errorShare: number;
  /** TCP connections opened per second. */
  connections: number;
  /** Connections that failed per second, and their part of those opened or closed, whichever are more. */
  failed: number;
  failedShare: number;
  active: number;
  /** Bytes per second, both directions, all protocols. */
  bytes: number;
  /** Requests and connections that failed per second. */
  errors: number;
}

export function tcpFailedShare(tcp: Tcp): number {
  const all = Math.max(tcp.opened, tcp.closed, tcp.failed);
  return all > 0 ? tcp.failed / all : 0;
}

export function totals(t: Traffic): Totals {
  const http = t.http?.requests ?? 0;
  const grpc = t.grpc?.requests ?? 0;
  const requests = http + grpc;
  const requestErrors = http * (t.http?.errorShare ?? 0) + grpc * (t.grpc?.errorShare ?? 0);
  const failed = t.tcp?.failed ?? 0;
  return {
    requests,
    errorShare: requests > 0 ? requestErrors / requests : 0,
    connections: t.tcp?.opened ?? 0,
    failed,
    failedShare: t.tcp ? tcpFailedShare(t.tcp) : 0,
    active: t.tcp?.active ?? 0,
    bytes: httpBytes(t.http) + httpBytes(t.grpc) + (t.tcp ? t.tcp.sent + t.tcp.received : 0),
    errors: requestErrors + failed,
  };
}

function httpBytes(h: Http | undefined): number {
  return h ? h.requestBytes + h.responseBytes : 0;
}

/** The share of all attempts that failed, whatever the protocol. */
export function errorShare(t: Traffic): number {
  const sum = totals(t);
  return sum.requests > 0 ? sum.errorShare : sum.failedShare;
}

/** Nothing is open, and nothing began, moved or ended. */
export function isIdle(t: Traffic): boolean {
  const sum = totals(t);
  const moved = sum.requests + sum.connections + sum.bytes + sum.active;
  return moved === 0 && sum.failed === 0 && (t.tcp?.closed ?? 0) === 0;
}

/** The worst latency of the protocols that have one. */
export function latencyOf(t: Traffic): Http["latency"] {
  const both = [t.http?.latency, t.grpc?.latency].filter((l) => l !== undefined);
  if (both.length < 2) return both[0];
  const worst = (key: "p50" | "p95" | "p99") => Math.max(...both.map((l) => l[key]));
  return { p50: worst("p50"), p95: worst("p95"), p99: worst("p99") };
}

/** Adds traffic up, as for a namespace. Latencies cannot be added and are left out. */
export function sum(all: Iterable<Traffic>): Traffic {
  const out: Traffic = {};
  for (const t of all) {
    if (t.tcp) out.tcp = addTcp(out.tcp, t.tcp);
    if (t.http) out.http = addHttp(out.http, t.http);
    if (t.grpc) out.grpc = addHttp(out.grpc, t.grpc);
  }
  return out;
}

function addCounts(a: Record<string, number>, b: Record<string, number>): Record<string, number> {
  const out = { ...a };
  for (const [key, n] of Object.entries(b)) out[key] = (out[key] ?? 0) + n;
  return out;
}

function addTcp(a: Tcp | undefined, b: Tcp): Tcp {
  if (!a) return { ...b };
  return {
    sent: a.sent + b.sent,
    received: a.received + b.received,
    opened: a.opened + b.opened,
    closed: a.closed + b.closed,
    failed: a.failed + b.failed,
    active: a.active + b.active,
    flags: addCounts(a.flags, b.flags),
  };
}

function addHttp(a: Http | undefined, b: Http): Http {
  if (!a) {
    const { latency: _, ...rest } = b;
    return rest;
  }
  const requests = a.requests + b.requests;
  const failed = a.requests * a.errorShare + b.requests * b.errorShare;
  return {
    requests,
    errorShare: requests > 0 ? failed / requests : 0,
    requestBytes: a.requestBytes + b.requestBytes,
    responseBytes: a.responseBytes + b.responseBytes,
    codes: addCounts(a.codes, b.codes),
    flags: addCounts(a.flags, b.flags),
    requestMessages: (a.requestMessages ?? 0) + (b.requestMessages ?? 0),
    responseMessages: (a.responseMessages ?? 0) + (b.responseMessages ?? 0),
  };
}

/** Whether nothing leads to it: where traffic enters the graph. */
export function isSource(node: Node): boolean {
  return isIdle(node.in) && !isIdle(node.out);
}
