// Which charts are drawn of a series, and their data. In: a Series. Out: charts as columns for uPlot. Pure.
import type { Lines, Series } from "../api/types";
import { byteRate, latency, number } from "../model/format";

export interface Chart {
  id: string;
  title: string;
  lines: { name: string; color: string; values: (number | null)[]; dash?: boolean }[];
  format(n: number): string;
}

/** Colours are names of custom properties. */
const CHARTS: {
  id: string;
  title: string;
  lines: [string, string, string, boolean?][];
  format(n: number): string;
}[] = [
  {
    id: "http",
    title: "HTTP requests per second",
    lines: [
      ["http.requests", "requests", "tcp"],
      ["http.errors", "errors", "failing", true],
    ],
    format: number,
  },
  {
    id: "httpTime",
    title: "HTTP latency",
    lines: [
      ["http.p50", "p50", "healthy"],
      ["http.p95", "p95", "degraded"],
      ["http.p99", "p99", "failing", true],
    ],
    format: latency,
  },
  {
    id: "grpc",
    title: "gRPC requests per second",
    lines: [
      ["grpc.requests", "requests", "tcp"],
      ["grpc.errors", "errors", "failing", true],
    ],
    format: number,
  },
  {
    id: "grpcTime",
    title: "gRPC latency",
    lines: [
      ["grpc.p50", "p50", "healthy"],
      ["grpc.p95", "p95", "degraded"],
      ["grpc.p99", "p99", "failing", true],
    ],
    format: latency,
  },
  {
    id: "tcp",
    title: "TCP connections per second",
    lines: [
      ["tcp.opened", "opened", "tcp"],
      ["tcp.failed", "failed", "failing", true],
    ],
    format: number,
  },
  {
    id: "tcpOpen",
    title: "TCP connections open",
    lines: [["tcp.active", "open", "tcp"]],
    format: number,
  },
  {
    id: "tcpBytes",
    title: "TCP bytes per second",
    lines: [
      ["tcp.sent", "sent", "tcp"],
      ["tcp.received", "received", "healthy", true],
    ],
    format: byteRate,
  },
];

export function charts(lines: Lines): Chart[] {
  return CHARTS.flatMap((c) => {
    const found = c.lines.flatMap(([key, name, color, dash]) => {
      const values = lines[key];
      return values ? [{ name, color, values, dash }] : [];
    });
    return found.length > 0 && found.some((l) => l.values.some((v) => v !== null))
      ? [{ ...c, lines: found }]
      : [];
  });
}

/** Seconds since 1970, one per sample. */
export function times(series: Series, samples: number): number[] {
  return Array.from({ length: samples }, (_, i) => (series.start + i * series.step) / 1000);
}
