// A shop's mesh of a wished-for size: `team-NODES-NAMESPACES`, with services, some of which fail.
import { at, flow, wave, workload } from "../mesh.mjs";

const NAMES =
  "frontend cart checkout payment catalogue search recommendation inventory shipping currency email ads accounts sessions reviews".split(
    " ",
  );
const SPACES = ["boutique", "payments-production", "data", "shared-services"];

/** @param {string} name @returns {import("../mesh.mjs").Mesh} */
export function team(name) {
  const [nodes = 9, spaces = 1] = name.split("-").slice(1).map(Number);
  const count = Math.ceil(nodes / 2);
  const all = Array.from({ length: count }, (_, i) =>
    workload(
      SPACES[(i * spaces) % count === 0 ? 0 : Math.floor((i * spaces) / count)] ?? "data",
      `${NAMES[i]}-v1`,
      {
        badges: i % 4 === 1 ? ["authorizationPolicy"] : [],
      },
    ),
  );
  /** @type {import("../mesh.mjs").Flow[]} */
  const flows = [];
  for (let i = 1; i < count; i += 1) {
    const callers = new Set([Math.floor((i - 1) / 2), i % 3 === 0 ? i - 1 : Math.floor(i / 3)]);
    callers.delete(i);
    for (const from of callers) {
      const [source, target] = [all[from], all[i]];
      if (!source || !target) continue;
      const service = {
        ns: target.ns,
        name: target.app,
        badges: /** @type {import("../../src/api/types").Badge[]} */ (
          i % 3 === 1 ? ["virtualService", "destinationRule"] : []
        ),
      };
      flows.push(
        flow({
          source: at(source),
          service,
          target: at(target),
          protocol: i % 4 === 2 ? "http" : "tcp",
          rate: wave(3 + i * 4),
          errors: () => (i % 5 === 3 ? 0.4 : 0),
        }),
      );
    }
  }
  const client = /** @type {const} */ ({ kind: "client", name: "outside clients" });
  if (all[0])
    flows.push(flow({ source: client, target: at(all[0]), protocol: "http", rate: wave(30), mtls: "none" }));
  const services = [
    ...new Map(flows.flatMap((f) => (f.service ? [[f.service.name, f.service]] : []))).values(),
  ];
  return {
    name,
    workloads: all,
    services,
    flows,
    namespaces: [...new Set(all.map((w) => w.ns))].sort(),
    objects: [],
  };
}
