// The echo demo: a gateway and a client speak TCP to an echo server. Variants: `echo`; `echo-split` with a second
// version and weights 80/20; `echo-refused` where connections are refused; `echo-outside` that also calls a
// ServiceEntry outside of the mesh; `echo-all` with all of it; `echo-nine` with another client, both of which call what
// nobody knows, too; `echo-two` with two nodes; `echo-lost` with a service that nothing leads to; `empty` without any traffic.

import { object } from "../config.mjs";
import { at, flow, wave, workload } from "../mesh.mjs";

/** @param {string} name @returns {import("../mesh.mjs").Mesh} */
export function echo(name) {
  const nine = name === "echo-nine";
  const all = nine || name === "echo-all";
  const split = all || name === "echo-split";
  const refused = all || name === "echo-refused";
  const gateway = workload("istio-system", "istio-ingressgateway", {
    gateway: "ingress",
    app: "istio-ingressgateway",
    version: "latest",
    badges: ["gateway"],
  });
  const client = workload("default", "echo-client", { version: "v1", app: "echo-client" });
  const v1 = workload("default", "echo-server", {
    version: "v1",
    app: "echo-server",
    badges: ["peerAuthentication"],
  });
  const v2 = workload("default", "echo-server-v2", { version: "v2", app: "echo-server" });
  const service = {
    ns: "default",
    name: "tcp-echo-server",
    badges: /** @type {import("../../src/api/types").Badge[]} */ (
      split ? ["virtualService", "destinationRule", "trafficShifting"] : ["virtualService"]
    ),
  };
  /** @type {import("../mesh.mjs").Flow[]} */
  const flows = [];
  const refuse = refused ? () => 0.62 : () => 0;
  for (const [source, rate] of /** @type {const} */ ([
    [gateway, wave(3, 0.3, 8)],
    [client, wave(2, 0.2, 5, 1)],
  ])) {
    flows.push(
      flow({
        source: at(source),
        service,
        target: at(v1),
        rate,
        weight: split ? 0.8 : 1,
        sent: 320,
        received: 320,
      }),
    );
    if (split)
      flows.push(
        flow({
          source: at(source),
          service,
          target: at(v2),
          rate,
          weight: 0.2,
          sent: 320,
          received: 320,
          errors: refuse,
        }),
      );
  }
  if (refused && !split) for (const f of flows) f.errors = () => 0.62;
  flows.push(
    flow({
      source: { kind: "client", name: "outside clients" },
      target: at(gateway),
      rate: wave(3, 0.3, 8),
      mtls: "none",
      sent: 320,
      received: 320,
    }),
  );
  if (all || name === "echo-outside") {
    flows.push(
      flow({
        source: at(client),
        target: { kind: "serviceEntry", ns: "default", name: "mysql.example.com" },
        rate: wave(0.5),
        sent: 900,
        received: 14_000,
        mtls: "none",
      }),
    );
  }
  const probe = workload("default", "echo-probe", { version: "v1", app: "echo-probe" });
  if (nine) {
    const outside = /** @type {const} */ ({ kind: "outside", name: "PassthroughCluster" });
    const database = /** @type {const} */ ({
      kind: "serviceEntry",
      ns: "default",
      name: "mysql.example.com",
    });
    flows.push(
      flow({ source: at(probe), service, target: at(v1), rate: wave(1), weight: 0.8 }),
      flow({ source: at(probe), service, target: at(v2), rate: wave(1), weight: 0.2, errors: refuse }),
      flow({ source: at(probe), target: database, rate: wave(0.2), mtls: "none" }),
      flow({ source: at(probe), target: outside, rate: wave(0.3), mtls: "none" }),
      flow({ source: at(client), target: outside, rate: wave(0.4), mtls: "none" }),
      flow({ source: at(v1), target: database, rate: wave(0.6), mtls: "none" }),
    );
  }
  const lost = { ns: "shop", name: "orders", badges: [] };
  if (name === "echo-lost")
    flows.push(
      flow({
        source: at(client),
        dialled: lost,
        target: { kind: "blackHole", name: "BlackHoleCluster" },
        flags: "UH",
        errors: () => 1,
      }),
    );
  if (name === "echo-two") flows.splice(0, flows.length, flow({ source: at(client), target: at(v1) }));
  return {
    name,
    workloads: split ? [gateway, client, v1, v2] : [gateway, client, v1],
    services: name === "echo-lost" ? [service, lost] : [service],
    flows: name === "empty" ? [] : flows,
    namespaces: name === "echo-lost" ? ["default", "istio-system", "shop"] : ["default", "istio-system"],
    objects: objects(split, all || name === "echo-outside"),
  };
}

/** @param {boolean} split @param {boolean} outside */
function objects(split, outside) {
  const route = split
    ? `    route:
    - destination:
        host: tcp-echo-server
        subset: v1
      weight: 80
    - destination:
        host: tcp-echo-server
        subset: v2
      weight: 20`
    : `    route:
    - destination:
        host: tcp-echo-server
        port:
          number: 8020`;
  const on = ["service/default/tcp-echo-server", "workload/default/echo-server"];
  const out = [
    object(
      "VirtualService",
      "networking.istio.io",
      "default",
      "tcp-echo-server",
      `spec:
  hosts:
  - "*"
  gateways:
  - tcp-echo-gateway
  - mesh
  tcp:
  - match:
    - port: 8020
${route}
`,
      on,
    ),
    object(
      "Gateway",
      "networking.istio.io",
      "default",
      "tcp-echo-gateway",
      `spec:
  selector:
    istio: ingressgateway
  servers:
  - port:
      number: 8020
      name: tcp
      protocol: TCP
    hosts:
    - "*"
`,
      ["workload/istio-system/istio-ingressgateway"],
    ),
    object(
      "PeerAuthentication",
      "security.istio.io",
      "default",
      "default",
      `spec:
  mtls:
    mode: STRICT
`,
      ["workload/default/echo-server"],
    ),
  ];
  if (split) {
    out.push(
      object(
        "DestinationRule",
        "networking.istio.io",
        "default",
        "tcp-echo-server",
        `spec:
  host: tcp-echo-server
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v3
    labels:
      version: v3
`,
        on,
        [
          {
            code: "LT0107",
            severity: "error",
            message: "no workload has the labels version=v3: check the subset's labels",
            path: "spec.subsets[1].labels",
          },
        ],
      ),
    );
  }
  if (outside) {
    out.push(
      object(
        "ServiceEntry",
        "networking.istio.io",
        "default",
        "mysql",
        `spec:
  hosts:
  - mysql.example.com
  location: MESH_EXTERNAL
  ports:
  - number: 3306
    name: tcp-mysql
    protocol: TCP
  resolution: DNS
`,
        ["serviceEntry/default/mysql.example.com"],
      ),
    );
  }
  return out;
}
