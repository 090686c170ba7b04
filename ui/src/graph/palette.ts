// The colours of the canvas, read from the style sheet's custom properties so that they are written down once.
import type { Health } from "../api/types";

const NAMES = [
  "surface",
  "canvas",
  "text",
  "muted",
  "line",
  "accent",
  "box",
  "box-line",
  "app-box",
  "node",
  "healthy",
  "degraded",
  "failing",
  "idle",
  "tcp",
  "focus",
  "on-state",
] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((n) => [n, style.getPropertyValue(`--${n}`).trim()])) as Palette;
}

export function healthColor(p: Palette, state: Health["state"]): string {
  return p[state];
}

/** TCP is blue while it is well, as there is no response code that could be green. */
export function edgeColor(p: Palette, state: Health["state"], protocol: string, idle: boolean): string {
  if (state === "failing") return p.failing;
  if (state === "degraded") return p.degraded;
  if (idle) return p.idle;
  return protocol === "tcp" ? p.tcp : p.healthy;
}
