// Numbers as people read them. In: rates per second, bytes, milliseconds, shares. Out: short text with a unit.

function digits(n: number): string {
  const size = Math.abs(n);
  if (size === 0) return "0";
  if (size < 0.01) return "<0.01";
  const places = size < 1 ? 2 : size < 100 ? 1 : 0;
  return n
    .toFixed(places)
    .replace(/\.0+$/, "")
    .replace(/(\.\d*?)0+$/, "$1");
}

function scaled(n: number, base: number, units: readonly string[]): string {
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= base * 0.9995 && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  return `${digits(value)} ${units[unit]}`.trimEnd();
}

const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

export function number(n: number): string {
  return scaled(n, 1000, ["", "k", "M", "G"]).replace(" ", "");
}

export function bytes(n: number): string {
  return scaled(n, 1000, BYTES);
}

export function byteRate(n: number): string {
  return `${bytes(n)}/s`;
}

export function rate(n: number, unit: string): string {
  return `${number(n)} ${unit}/s`;
}

/** In: 0 to 1. Small shares are not rounded to nothing, nor nearly all to all. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1%";
  if (value > 99.9 && value < 100) return ">99.9%";
  return `${value < 10 ? digits(Math.round(value * 10) / 10) : Math.round(value)}%`;
}

export function latency(ms: number): string {
  if (ms < 1000) return `${digits(ms)} ms`;
  return `${digits(ms / 1000)} s`;
}

/** In: seconds. Out: `30 s`, `5 min`, `1 h`. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${digits(seconds / 60)} min`;
  if (seconds < 86400 * 2) return `${digits(seconds / 3600)} h`;
  return `${digits(seconds / 86400)} d`;
}

/** How long ago, in: milliseconds. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const pad = (n: number) => String(n).padStart(2, "0");

/** The reader's local time of day. */
export function clock(ms: number): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

export function date(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)}`;
}
