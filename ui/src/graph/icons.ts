// Drawings for the canvas and for the page, as SVG paths in a square of 24. One table, so that the legend shows
// what the graph shows. Strokes only, but for those in `FILLED`.
import type { Badge, Health, NodeKind } from "../api/types";

export const KIND_ICONS: Record<NodeKind | "ingress" | "egress", string> = {
  workload: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  app: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  service: "M12 9a3 3 0 100 6 3 3 0 000-6zM12 3v6M12 15v6M3 12h6M15 12h6",
  serviceEntry:
    "M12 3a9 9 0 100 18 9 9 0 000-18zM3 12h18M12 3c3 2.5 4 6 4 9s-1 6.500-4 9c-3-2.500-4-6-4-9s1-6.500 4-9z",
  outside: "M12 3a9 9 0 100 18 9 9 0 000-18zM9.500 9.500a2.500 2.500 0 115 0c0 2-2.500 2-2.500 4M12 17v.2",
  client: "M12 4a4 4 0 100 8 4 4 0 000-8zM4 21c0-4.500 3.500-7 8-7s8 2.500 8 7",
  blackHole: "M12 3a9 9 0 100 18 9 9 0 000-18zM6 6l12 12",
  ingress: "M14 4h6v16h-6M3 12h11M10 8l4 4-4 4",
  egress: "M10 4H4v16h6M10 12h11M17 8l4 4-4 4",
};

export const HEALTH_ICONS: Record<Health["state"], string> = {
  healthy: "M5 12.500l4.500 4.500L19 7.500",
  degraded: "M12 6v8M12 18v.3",
  failing: "M7 7l10 10M17 7L7 17",
  idle: "M6 12h12",
};

export const LOCK_ICON = "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 017 0v3";
export const OPEN_LOCK_ICON = "M6 11h12v9H6zM8.500 11V7.500a3.500 3.500 0 016.600-1.600";

export const BADGE_ICONS: Record<Badge, string> = {
  virtualService: "M4 12h5l4-6h7M13 18h7M9 12l4 6M17 3l3 3-3 3M17 15l3 3-3 3",
  destinationRule: "M12 4a8 8 0 100 16 8 8 0 000-16zM12 9a3 3 0 100 6 3 3 0 000-6z",
  gateway: "M14 4h6v16h-6M3 12h11M10 8l4 4-4 4",
  serviceEntry: "M4 12h11M11 8l4 4-4 4M19 4v16",
  sidecar: "M4 6h9v12H4zM16 9h4v6h-4",
  peerAuthentication: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 017 0v3",
  authorizationPolicy: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z",
  requestAuthentication: "M8 12a4 4 0 108 0 4 4 0 00-8 0zM12 16v5M12 19h3",
  faultInjection: "M13 3L5 14h6l-1 7 8-11h-6z",
  mirroring: "M12 3v18M9 8L4 12l5 4M15 8l5 4-5 4",
  trafficShifting: "M4 12h6M10 12l7-6M10 12l7 6M13 6h4v4M13 18h4v-4",
  timeout: "M12 4a8 8 0 100 16 8 8 0 000-16zM12 8v4l3 2",
  circuitBreaker: "M3 12h5M16 12h5M8 12l7-5",
  missingSidecar: "M4 6h9v12H4zM16 8l5 8M21 8l-5 8",
};

export const UI_ICONS = {
  search: "M10.500 4a6.500 6.500 0 100 13 6.500 6.500 0 000-13zM15.500 15.500L20 20",
  close: "M6 6l12 12M18 6L6 18",
  chevron: "M6 9l6 6 6-6",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  layout: "M4 10h5v4H4zM15 4h5v4h-5zM15 16h5v4h-5zM9 12h3M15 6h-3v12h3",
  table: "M4 5h16v14H4zM4 10h16M4 14.500h16M10 5v14",
  help: "M12 3a9 9 0 100 18 9 9 0 000-18zM9.500 9.500a2.500 2.500 0 115 0c0 2-2.500 2-2.500 4M12 17v.2",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300L19 19M19 5l-1.700 1.700M6.700 17.300L5 19",
  moon: "M20 14.500A8.500 8.500 0 019.500 4 8.500 8.500 0 1020 14.500z",
  system: "M3 5h18v11H3zM9 20h6M12 16v4",
  replay: "M4 12a8 8 0 108-8c-2.500 0-4.700 1.200-6 3M5 3v5h5M12 8v4l3 2",
  refresh: "M20 12a8 8 0 11-2.300-5.600M20 4v5h-5",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  arrow: "M4 12h15M13 6l6 6-6 6",
  legend: "M4 6h3v3H4zM4 15h3v3H4zM11 7.500h9M11 16.500h9",
  live: "M12 9a3 3 0 100 6 3 3 0 000-6zM6 6a8.500 8.500 0 000 12M18 6a8.500 8.500 0 010 12",
  warning: "M12 4l9.500 16h-19zM12 10v4.500M12 17.200v.2",
  info: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 11v6M12 7.500v.2",
  more: "M5 12v.1M12 12v.1M19 12v.1",
} as const;

const cache = new Map<string, Path2D>();

/** Draws an icon of `size` with its centre at x, y. */
export function drawIcon(
  c: CanvasRenderingContext2D,
  path: string,
  x: number,
  y: number,
  size: number,
  color: string,
  width = 2,
): void {
  let shape = cache.get(path);
  if (!shape) {
    shape = new Path2D(path);
    cache.set(path, shape);
  }
  const scale = size / 24;
  c.save();
  c.translate(x - size / 2, y - size / 2);
  c.scale(scale, scale);
  c.strokeStyle = color;
  c.lineWidth = width;
  c.lineCap = "round";
  c.lineJoin = "round";
  c.stroke(shape);
  c.restore();
}
