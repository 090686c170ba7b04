import cytoscape from "cytoscape";
import { describe, expect, it } from "vitest";
import { graph as compute } from "../../mock/graph.mjs";
import { scenario } from "../../mock/server.mjs";
import type { Graph, GraphType } from "../../src/api/types";
import { drawn, same } from "../../src/graph/elements";
import { makeLean } from "../../src/graph/lean";
import { next } from "../../src/graph/navigate";
import { Elements } from "../../src/graph/sync";
import { advance, range } from "../../src/graph/timeline";
import { rowsInView, sorted } from "../../src/lists/window";
import { describeShare } from "../../src/model/describe";
import { check } from "../../src/model/expression/evaluate";
import { changes } from "../../src/model/merge";
import { ranks } from "../../src/model/rank";
import { shareTexts } from "../../src/model/shares";
import { type ViewOptions, view } from "../../src/model/view";
import { select } from "../../src/panel/selection";

const at = 1_790_000_000_000;
const of = (name: string, type: GraphType = "versionedApp", when = at): Graph =>
  compute(scenario(name), { type, namespaces: [], duration: 60, at: when, services: true, idle: false });
const options = (over: Partial<ViewOptions> = {}): ViewOptions => ({
  boxNamespaces: true,
  boxApps: true,
  labels: ["rate", "share"],
  ...over,
});
const ids = (list: { id: string }[]) => list.map((x) => x.id).sort();
const expression = (text: string) => check(text).expression;

describe("the canvas's elements", () => {
  it("move into a box that comes with what is new, and out of it again", () => {
    const cy = cytoscape({ headless: true, styleEnabled: false });
    const elements = new Elements(cy);
    const server = "app/default/echo-server/v1";
    const box = () => cy.getElementById(server).data("parent");
    for (const round of [1, 2]) {
      elements.sync(view(of("echo"), options()), true);
      expect(box(), `round ${round}`).toBe("namespace/default");
      elements.sync(view(of("echo-split"), options()), round === 1);
      expect(box(), `round ${round}`).toBe("appbox/default/echo-server");
    }
    elements.stop();
  });
});

describe("what was hidden", () => {
  it("comes back to its place", () => {
    const cy = cytoscape({ headless: true, styleEnabled: false });
    const elements = new Elements(cy);
    const all = view(of("echo-all"), options());
    elements.sync(all, true);
    const edge = all.edges[0]!.id;
    cy.nodes("[kind]").positions((n) => ({ x: n.data("label").length, y: 7 }));
    cy.getElementById(edge).data({ distances: [9], weights: [0.5] });
    const places = () => cy.nodes("[kind]").map((n) => ({ id: n.id(), ...n.position() }));
    const before = places().sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const atOnce of [true, false]) {
      elements.sync(view(of("echo-all"), options({ hide: expression("namespace = default") })), atOnce);
      expect(elements.has(all.nodes.find((n) => n.node.namespace === "default")!.id)).toBe(false);
      elements.sync(all, atOnce);
      expect(places().sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(before);
      expect(cy.getElementById(edge).data("distances")).toEqual([9]);
    }
    elements.memory.clear();
    expect(elements.memory.at(before[0]!.id)).toBeUndefined();
    elements.stop();
  });
});

describe("lean Cytoscape", () => {
  it("knows what is seen through a box that is faint, and forgets no box for what is in it", () => {
    const cy = cytoscape({
      headless: true,
      styleEnabled: true,
      elements: [
        { data: { id: "box" } },
        { data: { id: "a", parent: "box" } },
        { data: { id: "b" } },
        { data: { id: "e", source: "a", target: "b" } },
      ],
      style: [{ selector: ".faint", style: { opacity: 0.5 } }],
    });
    makeLean(cy);
    makeLean(cy);
    const [box, a] = [cy.$id("box"), cy.$id("a")];
    const opacity = () => [a.effectiveOpacity(), box.effectiveOpacity()];
    expect(opacity()).toEqual([1, 1]);
    box.addClass("faint");
    expect(opacity()).toEqual([0.5, 0.5]);
    a.addClass("faint");
    expect(opacity()).toEqual([0.25, 0.5]);
    box.removeClass("faint");
    expect(opacity()).toEqual([0.5, 1]);
    const kept = (box as unknown as { 0: { _private: { styleCache: unknown } } })[0]._private;
    const before = {};
    kept.styleCache = before;
    a.style("width", 77);
    expect(kept.styleCache).toBe(before);
  });
});

describe("the view", () => {
  it("boxes namespaces, and apps of more than one version", () => {
    expect(ids(view(of("echo"), options()).boxes)).toEqual(["namespace/default", "namespace/istio-system"]);
    expect(ids(view(of("echo-split"), options()).boxes)).toEqual([
      "appbox/default/echo-server",
      "namespace/default",
      "namespace/istio-system",
    ]);
    expect(view(of("echo-split"), options({ boxNamespaces: false, boxApps: false })).boxes).toEqual([]);
  });

  it("labels edges with rates, shares of a split and failures", () => {
    const v = view(of("echo-all"), options());
    const labels = v.edges.filter((e) => e.source === "service/default/tcp-echo-server").map((e) => e.label);
    expect(labels).toHaveLength(2);
    expect(labels[0]).toMatch(/conn\/s\n.*B\/s\n80% of new$/);
    expect(labels[1]).toMatch(/conn\/s\n.*failed\/s\n20% of new$/);
    expect(v.edges.find((e) => e.target.endsWith("/v2"))?.edge.health.state).toBe("failing");
  });

  it("says what a share is a part of", () => {
    const [first] = of("echo").edges;
    const said = (shareOf: "requests" | "opened" | "open") =>
      describeShare({ ...first!, share: 0.9, shareOf, service: "echo.shop" }, "client", "90%");
    expect(said("requests")).toBe("90% of the requests from client to echo.shop in this time");
    expect(said("opened")).toBe("90% of the connections opened from client to echo.shop in this time");
    expect(said("open")).toBe(
      "90% of the connections open from client to echo.shop; none was opened in this time",
    );
    expect(describeShare({ ...first!, share: undefined }, "client", undefined)).toBe("");
  });

  it.each([
    [
      [0.805, 0.195],
      ["81%", "19%"],
    ],
    [
      [0.3333, 0.3333, 0.3334],
      ["33%", "33%", "34%"],
    ],
    [
      [0.945, 0.055],
      ["95%", "5%"],
    ],
    [
      [0.004, 0.2965, 0.6995],
      ["0.4%", "29.7%", "69.9%"],
    ],
    [
      [0.0004, 0.9996],
      ["<0.1%", ">99.9%"],
    ],
    [[1], ["100%"]],
    // A part of the split is not in this graph.
    [
      [0.805, 0.1],
      ["81%", "10%"],
    ],
  ])("tells the shares %j of one split as %j, which add up", (shares, texts) => {
    const [first] = of("echo").edges;
    const edges = shares.map((share, i) => ({ ...first!, id: `${i}`, service: "echo.shop", share }));
    const other = { ...first!, id: "other", service: "cart.shop", share: 0.6 };
    expect([...shareTexts([other, ...edges])]).toEqual([
      ["other", "60%"],
      ...texts.map((t, i) => [`${i}`, t]),
    ]);
  });

  it("ranks nodes by the edges that lead to them", () => {
    const g = of("echo-all");
    const rank = ranks(g);
    expect(rank.get("service/default/tcp-echo-server")).toBe(1);
    expect(rank.get("app/default/echo-client/v1")).toBe(3);
    const v = view(g, options({ find: expression("rank = 1") }));
    expect(v.nodes.filter((n) => n.found).map((n) => n.id)).toEqual(["service/default/tcp-echo-server"]);
  });

  it("labels an edge on which bytes go although nobody counts its connections", () => {
    const g = of("echo");
    const [first] = g.edges;
    const tcp = { ...first!.traffic.tcp!, opened: 0, active: 0, failed: 0, sent: 3, received: 4 };
    const edges = [{ ...first!, traffic: { tcp } }];
    expect(view({ ...g, edges }, options()).edges[0]!.label).toMatch(/^7 B\/s/);
  });

  it("names what is outside by its ServiceEntry, and nothing unknown", () => {
    const v = view(of("echo-all"), options());
    expect(v.nodes.map((n) => n.title)).toContain("mysql.example.com");
    expect(v.nodes.filter((n) => /unknown/i.test(n.title))).toEqual([]);
  });

  it("hides nodes with their edges, and what hung on hidden edges alone", () => {
    const v = view(of("echo-all"), options({ hide: expression("name = mysql.example.com") }));
    expect(v.nodes.some((n) => n.id.startsWith("serviceEntry"))).toBe(false);
    expect(v.edges.some((e) => e.target.startsWith("serviceEntry"))).toBe(false);
    expect(v.hidden).toBe(2);
    expect(view(of("echo-all"), options({ hide: expression("tcp >= 0") })).nodes).toEqual([]);
  });

  it("marks what is found", () => {
    const v = view(of("echo-all"), options({ find: expression("!healthy") }));
    expect(v.found).toBeGreaterThan(2);
    expect(v.nodes.find((n) => n.id.endsWith("/v1") && n.id.includes("echo-server"))?.found).toBe(false);
    const classes = new Map(drawn(v).map((d) => [d.id, d.classes]));
    expect(classes.get("app/default/echo-server/v2")).toContain("found");
    expect(classes.get("serviceEntry/default/mysql.example.com")).toContain("dim");
  });

  it("drops edges whose ends are not there", () => {
    const g = of("echo");
    expect(view({ ...g, nodes: g.nodes.slice(1) }, options()).edges.length).toBeLessThan(g.edges.length);
  });
});

describe("successive graphs", () => {
  const elements = (g: Graph) => drawn(view(g, options()));
  const map = (g: Graph) => new Map(elements(g).map((d) => [d.id, d]));

  it("touch nothing when nothing changed", () => {
    expect(changes(map(of("echo")), elements(of("echo")), same)).toEqual({ add: [], update: [], remove: [] });
  });

  it("change numbers, add what is new and remove what is gone", () => {
    const later = changes(map(of("echo")), elements(of("echo", "versionedApp", at + 120_000)), same);
    expect([later.add, later.remove]).toEqual([[], []]);
    expect(later.update.every((u) => u.group === "edges")).toBe(true);
    expect(later.update.length).toBeGreaterThan(0);
    const more = changes(map(of("echo")), elements(of("echo-split")), same);
    expect(ids(more.add)).toContain("app/default/echo-server/v2");
    expect(changes(map(of("echo-split")), elements(of("echo")), same).remove).toContain(
      "app/default/echo-server/v2",
    );
  });
});

describe("the selection", () => {
  const g = of("echo-all");
  const v = view(g, options());

  it("sums up nodes, edges, boxes and the whole", () => {
    const service = select(g, v, "service/default/tcp-echo-server");
    expect([service.kind, service.inbound.length, service.outbound.length]).toEqual(["node", 2, 2]);
    const edge = select(g, v, v.edges[0]!.id);
    expect(edge.kind).toBe("edge");
    const box = select(g, v, "namespace/default");
    expect([box.kind, box.health.state, box.inbound.length]).toEqual(["namespace", "failing", 1]);
    const all = select(g, v, undefined);
    expect([all.id, all.health.state]).toEqual(["mesh", "failing"]);
    const health = { state: "degraded" as const, reasons: ["1% failed"] };
    const nodes = g.nodes.map((n) => (n.id === "app/default/echo-client/v1" ? { ...n, health } : n));
    const changed = { ...g, nodes };
    const { reasons } = select(changed, view(changed, options()), undefined);
    expect(reasons.at(-1)).toEqual({ state: "degraded", text: "App echo-client v1: 1% failed" });
    expect(reasons.slice(0, -1).map((r) => r.state)).not.toContain("degraded");
    expect(reasons[0]!.text).toMatch(/^App echo-server v2: /);
    expect(select(g, v, "gone").id).toBe("mesh");
  });

  it("counts a connection of the whole once, also one that ends at a service", () => {
    const tcp = (opened: number) => ({
      tcp: { sent: 0, received: 0, opened, closed: 0, failed: 0, active: 0, flags: {} },
    });
    const [first] = g.edges;
    const edges = [
      ["app/a/x/v1", "service/a/s", 3],
      ["service/a/s", "app/a/y/v1", 3],
      ["app/a/x/v1", "service/a/nobody", 2],
      ["app/a/x/v1", "outside/out", 1],
    ].map(([source, target, opened]) => ({
      ...first!,
      id: `${source}>${target}#tcp`,
      source: String(source),
      target: String(target),
      traffic: tcp(Number(opened)),
    }));
    const named = (id: string) => ({ ...g.nodes[0]!, id, namespace: "a" });
    const nodes = ["app/a/x/v1", "service/a/s", "app/a/y/v1", "service/a/nobody"].map(named);
    const inside = { ...v, boxes: [{ ...v.boxes[0]!, id: "namespace/a", namespace: "a", name: "a" }] };
    const box = select({ ...g, nodes, edges }, inside, "namespace/a");
    expect([box.in, box.out]).toEqual([tcp(5), tcp(6)]);
    const whole = (type: GraphType) => {
      const it = { ...g, type, edges };
      return select(it, { ...v, edges: edges.map((edge) => ({ ...v.edges[0]!, edge })) }, undefined).in;
    };
    expect(whole("versionedApp")).toEqual(tcp(6));
    expect(whole("service")).toEqual(tcp(9));
  });
});

describe("the arrow keys", () => {
  const v = view(of("echo-split"), options());
  const y = new Map(
    v.nodes.map((n, i) => [
      n.id,
      { x: n.id.startsWith("service") ? 100 : n.id.includes("server") ? 200 : 0, y: i * 50 },
    ]),
  );
  const go = (from: string | undefined, to: "left" | "right" | "up" | "down") =>
    next(v, (id) => y.get(id), from, to);

  it("walk along the traffic and back", () => {
    const edge = go("app/default/echo-client/v1", "right")!;
    expect(edge).toBe("app/default/echo-client/v1>service/default/tcp-echo-server#tcp");
    expect(go(edge, "right")).toBe("service/default/tcp-echo-server");
    const first = go("service/default/tcp-echo-server", "right")!;
    const second = go(first, "down")!;
    expect(new Set([first, second]).size).toBe(2);
    expect(go(second, "up")).toBe(first);
    expect(go(edge, "left")).toBe("app/default/echo-client/v1");
    expect(go(undefined, "right")).toBeDefined();
    expect(go("app/default/echo-server/v2", "right")).toBeUndefined();
  });
});

describe("long lists", () => {
  it("keep only the rows in view", () => {
    expect(rowsInView(5000, 44, 0, 600)).toEqual({ from: 0, to: 22 });
    expect(rowsInView(5000, 44, 44_000, 600)).toEqual({ from: 992, to: 1022 });
    expect(rowsInView(3, 44, 9000, 600)).toEqual({ from: 0, to: 3 });
    expect(rowsInView(0, 44, 0, 600)).toEqual({ from: 0, to: 0 });
  });

  it("sort numbers as numbers and text as people do", () => {
    expect(sorted([3, 10, 2], (n) => n, false)).toEqual([2, 3, 10]);
    expect(sorted(["v10", "v2"], (t) => t, false)).toEqual(["v2", "v10"]);
    expect(sorted(["a", "b"], (t) => t, true)).toEqual(["b", "a"]);
  });
});

describe("replay", () => {
  it("goes over what the server keeps, an hour at most, in whole steps", () => {
    const r = range({ oldest: at - 7_200_000, now: at + 1234, step: 5000 }, 0);
    expect([r.newest % 5000, r.newest - r.oldest]).toEqual([0, 3_600_000]);
    expect(range(undefined, at).newest).toBe(at);
    expect(advance(r.oldest, 15_000, 5000, r.newest)).toBe(r.oldest + 15_000);
    expect(advance(r.newest - 5000, 60_000, 5000, r.newest)).toBe(r.newest);
  });
});
