// Why something is not on the graph, of graphs of the mock.
import { describe, expect, it } from "vitest";
import { graph } from "../../mock/graph.mjs";
import { scenario } from "../../mock/server.mjs";
import { absent } from "../../src/model/absent";
import { check } from "../../src/model/expression/evaluate";
import { DEFAULTS, type GraphState } from "../../src/model/graphState";
import { view } from "../../src/model/view";

const SERVICE = "service/default/tcp-echo-server";

function why(id: string, change: Partial<GraphState> = {}) {
  const s = { ...DEFAULTS, ...change };
  const shown = graph(scenario("echo-all"), { ...s, at: 1_800_000_000_000 });
  const hide = s.hide ? check(s.hide).expression : undefined;
  return absent(shown, view(shown, { ...s, hide, find: undefined }), s, id);
}

describe("what is selected and not drawn", () => {
  it.each(["mesh", SERVICE, "namespace/default", "appbox/default/echo-server", "app/default/echo-server/v1"])(
    "is none: %s",
    (id) => {
      expect(why(id)).toBeUndefined();
    },
  );

  const CASES: [string, Partial<GraphState>, RegExp, Partial<GraphState> | undefined][] = [
    ["service/shop/orders", {}, /^No traffic of it was counted in the last 1 min\.$/, { duration: 3600 }],
    ["service/shop/orders", { duration: 3600 }, /last 1 h/, { idle: true }],
    ["service/shop/orders", { duration: 3600, idle: true, at: 5 }, /in these 1 h/, undefined],
    [
      "service/shop/orders",
      { namespaces: ["default"] },
      /namespace shop.*default/,
      { namespaces: ["default", "shop"] },
    ],
    [SERVICE, { services: false }, /Service nodes/, { services: true }],
    [SERVICE, { hide: "name = tcp-echo-server" }, /hide expression name = tcp-echo-server/, { hide: "" }],
    ["workload/default/echo-server", {}, /of the workload graph/, { type: "workload" }],
    ["app/default/echo-server", {}, /of the app graph/, { type: "app" }],
    ["app/default/echo-server/v1", { type: "app" }, /of the versioned app graph/, { type: "versionedApp" }],
    ["app/default/echo-server/v1", { type: "workload" }, /versioned app graph/, { type: "versionedApp" }],
    ["app/default/echo-server", { type: "workload" }, /of the app graph/, { type: "app" }],
    ["namespace/default", { boxNamespaces: false }, /Namespace boxes/, { boxNamespaces: true }],
    ["appbox/default/echo-server", { boxApps: false }, /App boxes/, { boxApps: true }],
    [`${SERVICE}>workload/default/echo-server#tcp`, {}, /workload graph/, { type: "workload" }],
  ];
  it.each(CASES)("is told of: %s with %j", (id, change, text, action) => {
    const [first] = why(id, change)!.reasons;
    expect(first!.text).toMatch(text);
    expect(first!.action?.change).toEqual(action);
  });

  it.each(["x", "//", ">", ">>#", "toString/a/b", `${"é".repeat(900)}`, "service/\u202e/x", "a>b>c#tcp#tcp"])(
    "is named whatever it is: %j",
    (id) => {
      const it = why(id)!;
      expect(it.title.length).toBeLessThan(200);
      expect(it.title + it.what).not.toMatch(/\u202e|undefined|function/);
      expect(it.reasons.length).toBeGreaterThan(0);
    },
  );
});
