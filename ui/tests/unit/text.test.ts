import { describe, expect, it } from "vitest";
import * as f from "../../src/model/format";
import { Lru } from "../../src/model/lru";
import { clean, cleanLines, middle } from "../../src/model/text";
import { lineOfIssue, lineOfPath, parsePath } from "../../src/model/yamlPath";
import { words } from "../contract/graph";

describe("numbers", () => {
  it("are short and have a unit", () => {
    expect([0, 0.004, 0.25, 2, 9.96, 12.34, 123.4, 999.7, 1234, 5e6].map((n) => f.rate(n, "req"))).toEqual([
      "0 req/s",
      "<0.01 req/s",
      "0.25 req/s",
      "2 req/s",
      "10 req/s",
      "12.3 req/s",
      "123 req/s",
      "1k req/s",
      "1.2k req/s",
      "5M req/s",
    ]);
    expect([0, 900, 1400, 2.5e6, 7e13].map(f.bytes)).toEqual(["0 B", "900 B", "1.4 kB", "2.5 MB", "70 TB"]);
    expect([0, 0.0004, 0.052, 0.5, 0.9996, 1].map(f.percent)).toEqual([
      "0%",
      "<0.1%",
      "5.2%",
      "50%",
      ">99.9%",
      "100%",
    ]);
    expect([0.5, 12, 999, 2500].map(f.latency)).toEqual(["0.5 ms", "12 ms", "999 ms", "2.5 s"]);
    expect([30, 90, 3600, 172800].map(f.span)).toEqual(["30 s", "1.5 min", "1 h", "2 d"]);
    expect([-5, 5e3, 61e3, 7.2e6, 2e8].map(f.age)).toEqual(["0 s", "5 s", "1 min", "2 h", "2 d"]);
  });
});

describe("a figure of the terminal", () => {
  it.each([
    ["number", f.number],
    ["bytes", f.bytes],
    ["percent", f.percent],
  ] as const)("is the page's: %s", (kind, say) => {
    expect(words[kind].length).toBeGreaterThan(9);
    for (const [value, said] of words[kind]) expect(`${value}: ${say(value)}`).toBe(`${value}: ${said}`);
  });
});

describe("hostile text", () => {
  it("is cut and stripped of marks that hide or turn it", () => {
    expect(clean("a\u202eb\u0000c")).toBe("a\ufffdb\ufffdc");
    expect(clean("x".repeat(100_000))).toHaveLength(120);
    expect(clean("<img src=x onerror=alert(1)>")).toBe("<img src=x onerror=alert(1)>");
    expect(cleanLines("a\n\tb\u001b[31m")).toBe("a\n\tb\ufffd[31m");
  });

  it("keeps both ends when cut in the middle", () => {
    expect(middle("reviews-v1-7f8d9c-x2x9z", 14)).toBe("reviews-v…2x9z");
    expect(middle("short", 14)).toBe("short");
  });
});

describe("the cache", () => {
  it("forgets what was not used for longest", () => {
    const lru = new Lru<number>(2);
    lru.set("a", 1);
    lru.set("b", 2);
    lru.get("a");
    lru.set("c", 3);
    expect([lru.get("a"), lru.get("b"), lru.get("c"), lru.size]).toEqual([1, undefined, 3, 2]);
  });
});

describe("the line of a field", () => {
  const yaml = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: echo
  annotations:
    note: |
      spec:
        tcp: not this one
spec:
  # a comment
  hosts:
  - echo
  - "*.example.com"
  tcp:
  - match:
    - port: 8020
    route:
    - destination:
        host: echo
      weight: 80
    - destination:
        host: other
      weight: 20
`;

  it.each([
    ["spec", 9],
    ["spec.hosts[1]", 13],
    ["spec.tcp[0].match[0].port", 16],
    ["spec.tcp[0].route[1].destination.host", 22],
    ["spec.tcp[0].route[0].weight", 20],
    ["spec.tcp[0].route[7].weight", 17],
    ["spec.nothing.here", 9],
    ["nowhere", 1],
    ["", 1],
  ])("%s", (path, line) => {
    expect(lineOfPath(yaml, path)).toBe(line);
  });

  it("takes the line of what is no YAML from the message, and no other's", () => {
    const message = "the text is no YAML: line 12, column 3: there is a tab: indent with spaces";
    expect(lineOfIssue(yaml, { path: "", message })).toBe(12);
    expect(lineOfIssue(yaml, { path: "spec", message })).toBe(9);
    expect(lineOfIssue(yaml, { path: "", message: "line 12 of the plan" })).toBe(1);
  });

  it("reads keys with dots", () => {
    expect(parsePath('metadata.labels["app.kubernetes.io/name"]')).toEqual([
      "metadata",
      "labels",
      "app.kubernetes.io/name",
    ]);
    expect(
      lineOfPath(
        "metadata:\n  labels:\n    app.kubernetes.io/name: x\n",
        'metadata.labels["app.kubernetes.io/name"]',
      ),
    ).toBe(3);
  });
});
