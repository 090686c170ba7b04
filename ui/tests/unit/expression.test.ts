import { describe, expect, it } from "vitest";
import type { Edge, Node } from "../../src/api/types";
import { complete } from "../../src/model/expression/complete";
import { check, matches } from "../../src/model/expression/evaluate";
import { parse } from "../../src/model/expression/parser";

const node = (over: Partial<Node> = {}): Node => ({
  id: "workload/default/echo-server/v1",
  kind: "workload",
  namespace: "default",
  name: "echo-server",
  workload: "echo-server",
  app: "echo",
  version: "v1",
  health: { state: "healthy", reasons: [] },
  in: {},
  out: {},
  badges: [],
  ...over,
});

const edge = (over: Partial<Edge> = {}): Edge => ({
  id: "a>b#tcp",
  source: "a",
  target: "b",
  protocol: "tcp",
  mtls: "full",
  traffic: { tcp: { sent: 10, received: 5, opened: 2, closed: 2, failed: 1, active: 0, flags: {} } },
  health: { state: "failing", reasons: [] },
  ...over,
});

const onNode = (text: string, over?: Partial<Node>) => matches(parse(text)!, { node: node(over) });
const onEdge = (text: string, over?: Partial<Edge>) =>
  matches(parse(text)!, { edge: edge(over), source: node({ name: "client" }), target: node() });

describe("matching", () => {
  it.each([
    ["node = workload", true],
    ["node = service", false],
    ["name contains echo", true],
    ["name contains ECHO", true],
    ["name *= client", false],
    ["name !*= client", true],
    ["name not contains client", true],
    ["name startswith echo and name endswith server", true],
    ["namespace = default", true],
    ["namespace != default", false],
    ["healthy", true],
    ["!healthy", false],
    ["is healthy", true],
    ["has vs", false],
    ["version = v2 or version = v1", true],
    ["version = v2 and version = v1 or app = echo", true],
    ["version = v2 and (version = v1 or app = echo)", false],
    ["not (version = v2)", true],
    ["healthy = false", false],
    ['name = "echo-server"', true],
    ["idle", true],
    ["sidecar", true],
    ["!sc", false],
    ["om or se or outsider or tcpts", false],
  ])("%s on a node is %s", (text, expected) => {
    expect(onNode(text)).toBe(expected);
  });

  it.each([
    ["%error > 5", true],
    ["%error > 50", false],
    ["%error >= 50%", true],
    ["tcp > 0", true],
    ["tcp > 1k", false],
    ["http > 0", false],
    ["mtls", true],
    ["!mtls", false],
    ["!healthy", true],
    ["protocol = tcp && target contains echo", true],
    ["source = client", true],
  ])("%s on an edge is %s", (text, expected) => {
    expect(onEdge(text)).toBe(expected);
  });

  it("reads Kiali's words for sidecars, ServiceEntries and shares of failures", () => {
    expect(onNode("!sidecar", { badges: ["missingSidecar"] })).toBe(true);
    expect(onNode("om and !sidecar", { outOfMesh: true })).toBe(true);
    expect(onNode("se and outsider", { kind: "serviceEntry" })).toBe(true);
    expect(onNode("tcptrafficshifting", { badges: ["trafficShifting"] })).toBe(true);
    expect(onEdge("%traffic > 30 and %httptraffic < 50", { share: 0.4 })).toBe(true);
    expect(onEdge("%httperr > 1")).toBe(false);
    expect(onEdge("!(%httperr > 1)")).toBe(false);
  });

  it("takes words of the language it is written in as any others", () => {
    expect(onNode("name contains constructor", { workload: "constructor" })).toBe(true);
    expect(onNode("name = __proto__")).toBe(false);
  });

  it("reads Kiali's labels and ranks", () => {
    expect(onNode("label:app = echo and label:version startswith v")).toBe(true);
    expect(onNode("label:version and !label:app", { app: undefined })).toBe(true);
    expect(onNode("label:service.istio.io/canonical-revision != v1")).toBe(false);
    expect(onNode("node = unknown", { kind: "client" })).toBe(true);
    const rank = (text: string) => matches(parse(text)!, { node: node(), rank: 3 });
    expect([rank("rank <= 3"), rank("rank = 1"), onEdge("rank = 1")]).toEqual([true, false, false]);
  });

  it("does not match what a question makes no sense for, nor its opposite", () => {
    expect(onNode("mtls")).toBe(false);
    expect(onNode("!mtls")).toBe(false);
    expect(onEdge("rt > 500")).toBe(false);
    expect(onEdge("!(rt > 500)")).toBe(false);
    expect(onNode("name = x or !mtls")).toBe(false);
    expect(onNode("name = echo-server or mtls")).toBe(true);
  });
});

describe("errors point at the place", () => {
  it.each([
    ["name contians x", 5, /needs a comparison, such as name contains x: “contians” is none/],
    ["name and healthy", 4, /needs a comparison/],
    ["health = failng", 9, /“health” is never “failng”: it is healthy, degraded, failing, idle/],
    ["node != wrkload", 8, /is never/],
    ["protocol = htp", 11, /is never/],
    ["foo = 1", 0, /“foo” is not something/],
    ["name =", 6, /a value is missing/],
    ["(name = a", 0, /never closed/],
    ["name = a)", 8, /never opened/],
    ["rt > fast", 5, /a number is missing/],
    ["rt > 5constructor", 5, /a number is missing/],
    ["rt contains 5", 3, /is a number/],
    ["name > 5", 5, /has no order/],
    ["healthy idle", 8, /“and” or “or” is missing/],
    ['name = "a', 7, /never closed/],
    ["and", 0, /is missing here/],
    ["%error > 5 & x", 11, /does not belong/],
    ["label:team = a", 0, /cannot be asked here: the graph knows the labels app and version/],
    ["vs or dead", 6, /“dead” cannot be asked here: .*“idle”/],
    ["operation = x", 0, /cannot be asked here/],
    ["has we", 4, /cannot be asked here/],
  ])("%s", (text, start, message) => {
    const { error } = check(text);
    expect(error?.message).toMatch(message);
    expect(error?.start).toBe(start);
  });

  it("takes all kinds that a node can have, and parts of a word", () => {
    const kinds = ["WL", "svc", "se", "client", "blackhole", "unknown", "gateway", "ingress", "box"];
    for (const text of [...kinds.map((k) => `node = ${k}`), "health contains fail", "protocol ^= h"])
      expect(check(text).error, text).toBeUndefined();
  });

  it("takes nothing as nothing", () => {
    expect(check("  ")).toEqual({ expression: undefined });
  });

  it("survives a megabyte", () => {
    expect(check("x".repeat(1 << 20)).error).toBeDefined();
  });
});

describe("completion", () => {
  const words = {
    names: ["echo-client", "echo server"],
    namespaces: ["default"],
    versions: ["v1"],
    apps: [],
  };
  const texts = (input: string) => complete(input, input.length, words).map((s) => s.text);

  it("offers subjects, operators, values and joints in turn", () => {
    expect(texts("")).toContain("name");
    expect(texts("na")[0]).toBe("name");
    expect(texts("name ")).toContain("contains");
    expect(texts("name = ")).toEqual(["echo-client", '"echo server"']);
    expect(texts("namespace = d")).toEqual(["default"]);
    expect(texts("namespace = default ")).toEqual(["and", "or"]);
    expect(texts("healthy ")).toEqual(["and", "or"]);
    expect(texts("rt ")).toContain(">=");
    expect(texts("!")).toContain("healthy");
  });

  it("replaces the word that is being written", () => {
    const [first] = complete("healthy and na", 14, words);
    expect(first).toMatchObject({ text: "name", start: 12, end: 14 });
  });

  it("says nothing within an open quotation", () => {
    expect(texts('name = "ec')).toEqual([]);
  });
});
