// Apps with two versions each in three namespaces, which a gateway and each other call: many boxes near each other.
import { at, flow, wave, workload } from "../mesh.mjs";

/** @returns {import("../mesh.mjs").Mesh} */
export function versions() {
  const gateway = workload("istio-system", "istio-ingressgateway", {
    gateway: "ingress",
    version: "latest",
    badges: ["gateway"],
  });
  const client = workload("default", "echo-client-v1");
  const of = (/** @type {string} */ ns, /** @type {string} */ app) =>
    ["v1", "v2"].map((version) => workload(ns, `${app}-${version}`));
  const echo = of("default", "echo-server");
  const multi = of("default", "multi");
  const orders = of("shop", "orders");
  /** @type {import("../mesh.mjs").Service[]} */
  const services = [
    {
      ns: "default",
      name: "tcp-echo-server",
      badges: ["virtualService", "destinationRule", "trafficShifting"],
    },
    ...["multi-a", "multi-b", "multi-c"].map((name) => ({ ns: "default", name, badges: [] })),
    { ns: "shop", name: "orders", badges: ["virtualService"] },
  ];
  const split = (
    /** @type {import("../mesh.mjs").Workload} */ from,
    /** @type {number} */ to,
    /** @type {import("../mesh.mjs").Workload[]} */ targets,
    /** @type {number} */ rate,
  ) =>
    targets.map((target, i) =>
      flow({
        source: at(from),
        service: services[to],
        target: at(target),
        protocol: to === 4 ? "http" : "tcp",
        rate: wave(i === 0 ? rate * 0.805 : rate * 0.195),
        errors: () => (i === 1 && to !== 4 ? 0.5 : 0),
      }),
    );
  /** @type {import("../mesh.mjs").End} */
  const outside = { kind: "client", name: "outside clients" };
  return {
    name: "versions",
    workloads: [gateway, client, ...echo, ...multi, ...orders],
    services,
    flows: [
      flow({ source: outside, target: at(gateway), protocol: "http", rate: wave(20), mtls: "none" }),
      ...split(gateway, 0, echo, 4),
      ...split(gateway, 4, orders, 20),
      ...split(client, 0, echo, 6),
      ...split(client, 1, multi, 2),
      ...split(client, 2, multi.slice(0, 1), 3),
      ...split(client, 3, multi.slice(1), 3),
      ...split(/** @type {import("../mesh.mjs").Workload} */ (orders[0]), 0, echo, 2),
      ...split(/** @type {import("../mesh.mjs").Workload} */ (orders[1]), 1, multi, 2),
    ],
    namespaces: ["default", "istio-system", "shop"],
    objects: [],
  };
}
