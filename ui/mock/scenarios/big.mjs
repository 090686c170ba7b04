// A thousand workloads in forty namespaces and five thousand ways between them.
import { at, flow, random, wave, workload } from "../mesh.mjs";

/** @returns {import("../mesh.mjs").Mesh} */
export function big(workloads = 1000, edges = 5000, spaces = 40) {
  const next = random(7);
  const all = Array.from({ length: workloads }, (_, i) =>
    workload(`team-${String(i % spaces).padStart(2, "0")}`, `svc-${String(i).padStart(4, "0")}-v1`),
  );
  const services = all.map((w) => ({ ns: w.ns, name: w.app, badges: [] }));
  const seen = new Set();
  const flows = [];
  while (flows.length < edges) {
    const a = Math.floor(next() * workloads);
    // Most calls stay within the namespace, and go from the front to the back.
    const near = next() < 0.75;
    const span = Math.max(1, Math.floor((workloads - a - 1) * next()));
    const b = near ? (a + spaces * (1 + Math.floor(next() * 12))) % workloads : (a + span) % workloads;
    const key = a * workloads + b;
    if (a === b || seen.has(key)) continue;
    seen.add(key);
    const bad = next();
    const protocol = /** @type {const} */ (["http", "http", "grpc", "tcp"])[Math.floor(next() * 4)] ?? "http";
    flows.push(
      flow({
        source: at(/** @type {any} */ (all[a])),
        service: services[b],
        target: at(/** @type {any} */ (all[b])),
        protocol,
        rate: wave(0.2 + next() * next() * 200, 0.3, 4 + next() * 9, next() * 6),
        errors: () => (bad < 0.01 ? 0.25 : bad < 0.03 ? 0.03 : 0),
        p50: 1 + next() * 80,
        sent: 200 + next() * 900,
        received: 200 + next() * 9000,
      }),
    );
  }
  return {
    name: "big",
    workloads: all,
    services,
    flows,
    namespaces: [...new Set(all.map((w) => w.ns))].sort(),
    objects: [],
  };
}
