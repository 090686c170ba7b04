// An HTTP mesh: Istio's bookinfo with a gRPC backend, three versions of one app, slow and failing edges, a workload
// without sidecar and names that mean harm.
import { object } from "../config.mjs";
import { at, flow, wave, workload } from "../mesh.mjs";

/** @returns {import("../mesh.mjs").Mesh} */
export function bookinfo() {
  const ns = "bookinfo";
  const gateway = workload("istio-system", "istio-ingressgateway", {
    gateway: "ingress",
    app: "istio-ingressgateway",
    version: "latest",
    badges: ["gateway"],
  });
  const productpage = workload(ns, "productpage-v1");
  const details = workload(ns, "details-v1");
  const reviews = ["v1", "v2", "v3"].map((v) => workload(ns, `reviews-${v}`));
  const ratings = workload(ns, "ratings-v1", { badges: ["circuitBreaker"] });
  const mongo = workload("databases", "mongodb-v1", { sidecar: false });
  const prices = workload("shop", "prices-v1", { badges: ["authorizationPolicy"] });
  const hostile = workload("shop", "img-v1", {
    app: '<img src=x onerror="alert(1)">',
    labels: { app: '<img src=x onerror="alert(1)">', note: "x".repeat(100_000), version: "v1\u202e<b>" },
  });
  const s = (
    /** @type {string} */ n,
    /** @type {string} */ name,
    /** @type {import("../../src/api/types").Badge[]} */ badges = [],
  ) => ({ ns: n, name, badges });
  const services = [
    s(ns, "productpage", ["virtualService"]),
    s(ns, "details"),
    s(ns, "reviews", ["virtualService", "destinationRule", "trafficShifting"]),
    s(ns, "ratings", ["faultInjection", "virtualService"]),
    s("databases", "mongodb"),
    s("shop", "prices"),
    s("shop", "img"),
  ];
  const http = { protocol: /** @type {const} */ ("http"), sent: 600, received: 5200 };
  const flows = [
    flow({
      ...http,
      source: { kind: "client", name: "outside clients" },
      target: at(gateway),
      rate: wave(42),
      mtls: "none",
      p50: 38,
    }),
    flow({
      ...http,
      source: at(gateway),
      service: services[0],
      target: at(productpage),
      rate: wave(42),
      p50: 31,
    }),
    flow({
      ...http,
      source: at(productpage),
      service: services[1],
      target: at(details),
      rate: wave(41),
      p50: 4,
    }),
    ...reviews.map((r, i) =>
      flow({
        ...http,
        source: at(productpage),
        service: services[2],
        target: at(r),
        rate: wave(41),
        weight: [0.5, 0.3, 0.2][i] ?? 1,
        p50: 14 + i * 9,
        errors: () => (i === 1 ? 0.034 : 0),
      }),
    ),
    ...reviews.slice(1).map((r, i) =>
      flow({
        ...http,
        source: at(r),
        service: services[3],
        target: at(ratings),
        rate: wave(12 - i * 4),
        p50: 640,
        errors: () => (i === 1 ? 0.31 : 0.02),
        flags: "FI",
      }),
    ),
    flow({
      source: at(ratings),
      service: services[4],
      target: at(mongo),
      rate: wave(6),
      sent: 900,
      received: 30_000,
      mtls: "none",
    }),
    flow({
      protocol: "grpc",
      source: at(productpage),
      service: services[5],
      target: at(prices),
      rate: wave(20),
      p50: 3,
      sent: 90,
      received: 140,
    }),
    flow({
      ...http,
      source: at(productpage),
      service: services[6],
      target: at(hostile),
      rate: wave(1),
      p50: 9,
    }),
    flow({
      ...http,
      source: at(prices),
      target: { kind: "outside", name: "203.0.113.7:443" },
      protocol: "tcp",
      rate: wave(0.4),
      mtls: "none",
    }),
    flow({
      source: at(details),
      target: { kind: "blackHole", name: "BlackHoleCluster" },
      rate: wave(0.2),
      errors: () => 1,
      mtls: "none",
      flags: "UH",
    }),
  ];
  return {
    name: "bookinfo",
    workloads: [
      gateway,
      productpage,
      details,
      ...reviews,
      ratings,
      mongo,
      prices,
      hostile,
      workload(ns, "curl-v1"),
    ],
    services,
    flows,
    namespaces: ["bookinfo", "databases", "istio-system", "shop"],
    objects: [
      object(
        "VirtualService",
        "networking.istio.io",
        ns,
        "reviews",
        "spec:\n  hosts:\n  - reviews\n  http:\n  - route:\n    - destination:\n        host: reviews\n        subset: v1\n      weight: 50\n    - destination:\n        host: reviews\n        subset: v2\n      weight: 30\n    - destination:\n        host: reviews\n        subset: v3\n      weight: 20\n",
        ["service/bookinfo/reviews"],
      ),
      object(
        "AuthorizationPolicy",
        "security.istio.io",
        "shop",
        "prices",
        "spec:\n  selector:\n    matchLabels:\n      app: prices\n  rules:\n  - from:\n    - source:\n        namespaces:\n        - bookinfo\n",
        ["workload/shop/prices-v1"],
      ),
    ],
  };
}
