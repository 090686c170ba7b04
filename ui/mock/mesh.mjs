// A mesh as data: workloads, services and the flows between them. Everything that the mock sends is computed from
// this and from the time, so that the same question has the same answer.

/** @typedef {import("../src/api/types").Protocol} Protocol */
/**
 * @typedef {{ns: string, name: string, app: string, version: string, gateway?: "ingress" | "egress",
 *   sidecar: boolean, labels: Record<string, string>, badges: import("../src/api/types").Badge[]}} Workload
 * @typedef {{ns: string, name: string, badges: import("../src/api/types").Badge[]}} Service
 * @typedef {{kind: "workload", workload: Workload} | {kind: "serviceEntry" | "outside" | "client" | "blackHole",
 *   name: string, ns?: string}} End
 * `dialled`: the service that a client was on its way to and that no route led to.
 * @typedef {{source: End, service?: Service, dialled?: Service, target: End, protocol: Protocol, rate: (t: number) => number,
 *   errors: (t: number) => number, weight: number, sent: number, received: number, p50: number,
 *   mtls: "full" | "partial" | "none", flags: string, code: number}} Flow
 * @typedef {{name: string, workloads: Workload[], services: Service[], flows: Flow[],
 *   objects: import("./config.mjs").StoredObject[], namespaces: string[]}} Mesh
 */

/** Small and fast; the same seed gives the same numbers.
 * @param {number} seed */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A rate that goes up and down by `swing` over `minutes`.
 * @param {number} mean @param {number} [swing] @param {number} [minutes] @param {number} [phase] */
export function wave(mean, swing = 0.3, minutes = 9, phase = 0) {
  return (/** @type {number} */ t) =>
    mean *
    (1 +
      swing * Math.sin((t / 60_000 / minutes) * 2 * Math.PI + phase) +
      swing * 0.25 * Math.sin(t / 7000 + phase * 3));
}

/** @param {string} ns @param {string} name @param {Partial<Workload>} [more] @returns {Workload} */
export function workload(ns, name, more = {}) {
  const app = more.app ?? name.replace(/-v\d+$/, "");
  const version = more.version ?? /-(v\d+)$/.exec(name)?.[1] ?? "v1";
  return { ns, name, app, version, sidecar: true, labels: { app, version }, badges: [], ...more };
}

/** @param {Workload} w @returns {End} */
export const at = (w) => ({ kind: "workload", workload: w });

/** @param {Partial<Flow> & {source: End, target: End}} f @returns {Flow} */
export function flow(f) {
  return {
    protocol: "tcp",
    rate: wave(2),
    errors: () => 0,
    weight: 1,
    sent: 400,
    received: 400,
    p50: 12,
    mtls: "full",
    flags: "UF,URX",
    code: 503,
    ...f,
  };
}
