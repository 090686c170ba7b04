// The page in a real browser, against the mock. What is on the canvas is asserted through its accessible equivalent.
import type cytoscape from "cytoscape";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { GraphCanvas } from "../../src/graph/controller";
import { launch, open, settled } from "../browser.mjs";

let browser: Browser;
let opened: Awaited<ReturnType<typeof open>> | undefined;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
afterEach(async () => {
  await opened?.close();
  opened = undefined;
});

async function start(options: Parameters<typeof open>[1] = {}, graph = true): Promise<Page> {
  opened = await open(browser, options);
  if (graph) await settled(opened.page);
  return opened.page;
}

const rows = (page: Page, table: "graph-nodes" | "graph-edges") =>
  page.$$eval(`#${table} tbody tr`, (all) =>
    all.map((tr) => [...tr.children].map((td) => td.textContent ?? "").join(" | ")),
  );
const ids = (page: Page, table: "graph-nodes" | "graph-edges") =>
  page.$$eval(`#${table} tbody tr`, (all) => all.map((tr) => (tr as HTMLElement).dataset.id ?? ""));
const position = (page: Page, id: string) =>
  page.evaluate(
    (i) =>
      (
        window as unknown as { lateenGraph: { position(i: string): { x: number; y: number } } }
      ).lateenGraph.position(i),
    id,
  );
const rendered = (page: Page, id: string) =>
  page.evaluate(
    (i) =>
      (
        window as unknown as { lateenGraph: { rendered(i: string): { x: number; y: number } } }
      ).lateenGraph.rendered(i),
    id,
  );
const clean = () => expect(opened?.problems).toEqual([]);
/** Of what is polled: a slow machine needs longer than a second. */
const PATIENT = { timeout: 20_000 };
const SERVICE = "service/default/tcp-echo-server";
const SERVER = "app/default/echo-server/v1";

describe("the graph of the echo demo", () => {
  it("shows client, gateway, service and server with their rates, and no unknown", async () => {
    const page = await start({ scenario: "echo" });
    const edges = await rows(page, "graph-edges");
    expect(edges).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^echo-client v1 \| tcp-echo-server \| tcp \| Healthy \| .*conn\/s, .*B\/s/),
        expect.stringMatching(/^istio-ingressgateway latest \| tcp-echo-server \| tcp \| Healthy/),
        expect.stringMatching(/^tcp-echo-server \| echo-server v1 \| tcp \| Healthy [\s\S]*mutual TLS$/),
      ]),
    );
    expect([...edges, ...(await rows(page, "graph-nodes"))].filter((r) => /unknown/i.test(r))).toEqual([]);
    clean();
  });

  it("shows the shares of a split, a red edge for refused connections, and the ServiceEntry's name", async () => {
    const page = await start({ scenario: "echo-all" });
    const edges = await rows(page, "graph-edges");
    expect(edges.find((e) => e.startsWith("tcp-echo-server | echo-server v1"))).toMatch(/Healthy.*80%/s);
    expect(edges.find((e) => e.startsWith("tcp-echo-server | echo-server v2"))).toMatch(/Failing.*20%/s);
    expect(edges.some((e) => e.startsWith("echo-client v1 | mysql.example.com"))).toBe(true);
    clean();
  });

  it("keeps positions while it is live, places what is new and removes what is gone", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?refresh=5" });
    const before = await position(page, SERVICE);
    opened!.mock.state.mesh = (await import("../../mock/server.mjs")).scenario("echo-split");
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector('#graph-nodes tr[data-id="app/default/echo-server/v2"]', {
      state: "attached",
    });
    expect(await position(page, SERVICE)).toEqual(before);
    const [v1, v2] = [await position(page, SERVER), await position(page, "app/default/echo-server/v2")];
    expect(Math.abs(v1.y - v2.y)).toBeGreaterThan(50);
    opened!.mock.state.mesh = (await import("../../mock/server.mjs")).scenario("echo");
    await page.click("[aria-label='Refresh now']");
    await page.waitForFunction(
      () =>
        !(window as unknown as { lateenGraph: { position(i: string): unknown } }).lateenGraph.position(
          "app/default/echo-server/v2",
        ),
    );
    expect(await position(page, SERVICE)).toEqual(before);
    clean();
  });

  it("shows all of a graph that grows, nothing on top of anything, until the reader has moved it", async () => {
    const page = await start({ scenario: "echo", context: { viewport: { width: 1280, height: 720 } } });
    const { scenario } = await import("../../mock/server.mjs");
    const grow = async (name: string, node: string) => {
      opened!.mock.state.mesh = scenario(name);
      await page.click("[aria-label='Refresh now']");
      await page.waitForSelector(`#graph-nodes tr[data-id="${node}"]`, { state: "attached" });
      await settled(page);
    };
    const stage = (await (await page.$(".stage"))!.boundingBox())!;
    const growth = [
      ["echo-split", "app/default/echo-server/v2"],
      ["echo-all", "serviceEntry/default/mysql.example.com"],
      ["bookinfo", "app/bookinfo/reviews/v1"],
    ] as const;
    for (const [name, node] of growth) {
      await grow(name, node);
      const nodes = await ids(page, "graph-nodes");
      const at = await Promise.all(nodes.map((id) => rendered(page, id)));
      at.forEach((p, i) => {
        const seen = p.x > 0 && p.x < stage.width && p.y > 0 && p.y < stage.height;
        expect(seen, `${nodes[i]} of ${name} is out of sight`).toBe(true);
        for (const [k, q] of at.slice(i + 1).entries())
          expect(Math.hypot(p.x - q.x, p.y - q.y), `${nodes[i]} ${nodes[i + 1 + k]}`).toBeGreaterThan(20);
      });
    }
    await page.click("[aria-label='Zoom in']");
    const before = await rendered(page, "service/bookinfo/reviews");
    opened!.mock.state.mesh = { ...scenario("bookinfo"), flows: scenario("bookinfo").flows.slice(1) };
    await page.click("[aria-label='Refresh now']");
    await page.waitForFunction((n) => document.querySelectorAll("#graph-edges tbody tr").length < n, 20);
    expect(await rendered(page, "service/bookinfo/reviews")).toEqual(before);
    clean();
  });

  it("shows its legend beside the table and not on it", async () => {
    const page = await start({ scenario: "bookinfo", hash: "#/graph?table=true&legend=true" });
    const [legend, table] = await Promise.all(
      [".legend", ".graph-table"].map(async (s) => (await (await page.$(s))!.boundingBox())!),
    );
    expect(legend!.y + legend!.height).toBeLessThanOrEqual(table!.y);
    const first = await rendered(page, "app/istio-system/istio-ingressgateway/latest");
    expect(first.x).toBeGreaterThan(legend!.x + legend!.width);
    clean();
  });

  const SIZES = [
    ["echo-two", 1440, 860, 1],
    ["echo-nine", 1440, 860, 10],
    ["echo-nine", 1000, 700, 6],
    ["echo-nine", 360, 740, 4],
    ["echo-all", 360, 740, 2],
    ["bookinfo", 1440, 860, 15],
    ["team-9-2", 360, 740, 6],
    ["team-16-3", 360, 740, 9],
    ["team-16-3", 768, 1024, 15],
    ["team-16-3", 1400, 860, 16],
    ["team-30-2", 360, 740, 9],
    ["team-30-4", 360, 740, 10],
    ["team-30-2", 768, 1024, 18],
    ["team-30-4", 768, 1024, 22],
    ["team-30-2", 1400, 860, 25],
    ["team-30-4", 1400, 860, 28],
  ] as const;
  for (const [scenario, width, height, least] of SIZES)
    it(`puts no text of ${scenario} over another or over a mark at ${width} pixels, and all can be read`, async () => {
      const page = await start({
        scenario,
        // The same numbers each time.
        now: () => 1_800_000_000_000,
        hash: "#/graph?animation=false",
        context: { viewport: { width, height } },
      });
      const { texts, marks, sizes, titles, named } = await page.evaluate(() => {
        const graph = (window as unknown as { lateenGraph: Pick<GraphCanvas, "titles"> }).lateenGraph;
        const { cy } = graph as unknown as { cy: cytoscape.Core };
        const of = { includeNodes: false, includeEdges: false, includeOverlays: false } as const;
        const named = cy.nodes("[kind]").filter((n) => Number(n.style("text-opacity")) > 0);
        const labelled = cy.edges().filter((e) => e.style("source-label") !== "");
        const all = [...named.toArray(), ...labelled.toArray()];
        const box = (p: { x: number; y: number }, r: number) => {
          const [x, y] = [p.x * cy.zoom() + cy.pan().x, p.y * cy.zoom() + cy.pan().y];
          return { x1: x - r, y1: y - r, x2: x + r, y2: y + r };
        };
        // Three badges at most from the upper left, of a diamond to the left of it, and health at the upper right.
        const marks = cy.nodes("[kind]").map((n) => {
          const { node } = n.scratch("view");
          const count = Math.min(3, node.badges.length);
          const [x, y] = node.kind === "service" ? [-15.6 - (count - 1) * 16.5, -19.3] : [-23, -24.8];
          const at = n.position();
          const badges = Array.from({ length: count }, (_, i) =>
            box({ x: at.x + x + i * 16.5, y: at.y + y }, 7 * cy.zoom()),
          );
          const bad = ["failing", "degraded"].includes(node.health.state);
          return bad
            ? [...badges, box({ x: at.x + 19.3, y: at.y - 19.3 }, Math.max(4, 9 * cy.zoom()))]
            : badges;
        });
        const c = document.createElement("canvas").getContext("2d")!;
        return {
          titles: graph.titles().map((t) => {
            c.font = `600 ${t.size}px system-ui, sans-serif`;
            return { ...t, ...t.rect, width: c.measureText(t.text).width };
          }),
          named: named.length / cy.nodes("[kind]").length,
          texts: all.map((e) => ({
            id: e.id(),
            ...e.renderedBoundingBox({ ...of, includeUnderlays: false }),
          })),
          marks: marks.flat(),
          sizes: all.map((e) => Number.parseFloat(e.style("font-size")) * cy.zoom()),
        };
      });
      expect(texts.filter((t) => t.id.includes(">")).length).toBeGreaterThanOrEqual(least);
      // What is behind a text is a little larger than the text.
      const room = 3;
      const meet = (a: Record<"x1" | "x2" | "y1" | "y2", number>, b: typeof a) =>
        Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) > room &&
        Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) > room;
      expect(Math.min(...sizes)).toBeGreaterThan(7.4);
      expect(named).toBeGreaterThan(0.6);
      expect(titles.length).toBeGreaterThan(0);
      titles.forEach((t, i) => {
        expect(t.x1 + t.width, `${t.text} is as wide as it was taken to be`).toBeLessThan(t.x2);
        for (const b of titles.slice(i + 1)) expect(meet(t, b), `${t.id} and ${b.id}`).toBe(false);
        for (const b of texts) expect(meet(t, b), `${t.id} and ${b.id}`).toBe(false);
      });
      texts.forEach((a, i) => {
        for (const b of texts.slice(i + 1)) expect(meet(a, b), `${a.id} and ${b.id}`).toBe(false);
        if (a.id.includes(">"))
          expect(
            marks.some((m) => meet(a, m)),
            `${a.id} and a mark`,
          ).toBe(false);
      });
      clean();
    });

  it.each([
    ["versions", 1400, 860, ""],
    ["versions", 900, 860, ""],
    ["versions", 768, 1024, ""],
    ["versions", 360, 740, "&table=true"],
    ["versions", 360, 740, `&selected=${encodeURIComponent("service/default/multi-a")}`],
    ["bookinfo", 1400, 860, ""],
    ["bookinfo", 768, 1024, ""],
    ["echo-all", 1400, 860, ""],
  ])("keeps boxes of %s apart, names apart and apps' names off marks at %i x %i%s", async (...size) => {
    const [scenario, width, height, more] = size;
    const page = await start({
      scenario,
      now: () => 1_800_000_000_000,
      hash: `#/graph?animation=false${more}`,
      context: { viewport: { width, height } },
    });
    const { boxes, names, apps, marks, share } = await page.evaluate(() => {
      const graph = (window as unknown as { lateenGraph: Pick<GraphCanvas, "titles"> }).lateenGraph;
      const { cy } = graph as unknown as { cy: cytoscape.Core };
      const named = cy.nodes("[kind]").filter((n) => n.style("text-opacity") > 0);
      const of = { includeNodes: false, includeEdges: false, includeOverlays: false } as const;
      const around = (x: number, y: number, r: number) => ({ x1: x - r, x2: x + r, y1: y - r, y2: y + r });
      return {
        boxes: cy
          .nodes("[box]")
          .orphans()
          .map((b) => ({ id: b.id(), ...b.renderedBoundingBox({ includeLabels: false }) })),
        names: named.map((n) => ({
          id: n.id(),
          ...n.renderedBoundingBox({ ...of, includeUnderlays: false }),
        })),
        apps: graph.titles().flatMap((t) => (t.id.startsWith("appbox/") ? { id: t.id, ...t.rect } : [])),
        marks: cy.nodes("[kind]").map((n) => {
          const { x, y } = n.renderedPosition();
          return { id: n.id(), ...around(x, y, 23 * cy.zoom()) };
        }),
        share:
          named.filter((n) => Number.parseFloat(n.style("font-size")) * cy.zoom() >= 6).length / named.length,
      };
    });
    type Box = { id: string; x1: number; x2: number; y1: number; y2: number };
    const meet = (a: Box, b: Box, x: number, y: number) =>
      Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) > x && Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) > y;
    const pairs = (all: readonly Box[], x: number, y: number) =>
      all.flatMap((a, i) => all.slice(i + 1).flatMap((b) => (meet(a, b, x, y) ? `${a.id} ${b.id}` : [])));
    expect(boxes.length).toBeGreaterThan(1);
    expect(pairs(boxes, -4, -4)).toEqual([]);
    expect(pairs(names, -0.5, 3)).toEqual([]);
    const on = apps.flatMap((a) => marks.flatMap((m) => (meet(a, m, 2, 2) ? `${a.id} on ${m.id}` : [])));
    expect(on).toEqual([]);
    expect(names.length).toBeGreaterThan(0.6 * marks.length);
    expect(share).toBe(1);
    clean();
  });

  it.each([768, 900])("shows all of its pages' names beside the cluster's at %i pixels", async (width) => {
    const page = await start({ token: "t0k3n", context: { viewport: { width, height: 800 } } });
    await page.waitForSelector(".cluster");
    const right = (what: string) =>
      page.$$eval(what, (all) => Math.max(...all.map((e) => e.getBoundingClientRect().right)));
    expect(await right(".masthead nav a")).toBeLessThanOrEqual(await right(".masthead nav"));
    expect(await right(".masthead > *")).toBeLessThanOrEqual(width);
    const cluster = (await (await page.$(".cluster"))!.boundingBox())!;
    expect(await right(".masthead nav")).toBeLessThanOrEqual(cluster.x);
    clean();
  });

  it("selects what is not dimmed where both are near, and of a label its own edge", async () => {
    const client = "app/default/echo-client/v1";
    const page = await start({
      scenario: "echo-nine",
      hash: `#/graph?animation=false&selected=${encodeURIComponent(client)}`,
    });
    const stage = (await (await page.$(".canvas"))!.boundingBox())!;
    await page.waitForFunction(() => {
      const { cy } = (window as unknown as { lateenGraph: { cy: cytoscape.Core } }).lateenGraph;
      return cy.edges(".dim").length > 0;
    });
    const { between, labels } = await page.evaluate(() => {
      const { cy } = (window as unknown as { lateenGraph: { cy: cytoscape.Core } }).lateenGraph;
      const to = "outside/-/PassthroughCluster";
      const shown = (p: { x: number; y: number }) => ({
        x: p.x * cy.zoom() + cy.pan().x,
        y: p.y * cy.zoom() + cy.pan().y,
      });
      const end = (source: string) =>
        shown(cy.getElementById(`app/default/${source}/v1>${to}#tcp`).targetEndpoint());
      const [bright, dim] = [end("echo-client"), end("echo-probe")];
      const of = { includeNodes: false, includeEdges: false, includeOverlays: false } as const;
      return {
        // Nearer to the dimmed one.
        between: { x: dim.x + (bright.x - dim.x) / 4, y: dim.y + (bright.y - dim.y) / 4 - 4 },
        labels: cy.edges("[labelAt]").map((e) => {
          const { x1, y1, x2, y2 } = e.renderedBoundingBox({ ...of, includeUnderlays: false });
          return { id: e.id(), x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
        }),
      };
    });
    const selected = () => new URLSearchParams(page.url().split("?")[1]).get("selected");
    await page.mouse.click(stage.x + between.x, stage.y + between.y);
    await expect.poll(selected).toBe(`${client}>outside/-/PassthroughCluster#tcp`);
    await page.keyboard.press("Escape");
    for (const { id, x, y } of labels) {
      await page.mouse.click(stage.x + x, stage.y + y);
      await expect.poll(selected).toBe(id);
      await page.keyboard.press("Escape");
      await expect.poll(selected).toBeNull();
    }
    clean();
  });

  it("puts no box's name under what stands on a low canvas", async () => {
    const page = await start({
      scenario: "echo-split",
      hash: "#/graph?replay=true",
      context: { viewport: { width: 360, height: 640 } },
    });
    const { free, names } = await page.evaluate(() => {
      const { cy } = (window as unknown as { lateenGraph: { cy: cytoscape.Core } }).lateenGraph;
      const edge = (what: string) => document.querySelector(what)!.getBoundingClientRect();
      const boxes = cy.nodes("[box]").map((b) => b.renderedBoundingBox({ includeLabels: false }).y1);
      // A name of 11 pixels stands 4 above its box.
      return { free: edge(".show-panel").bottom - edge(".canvas").top, names: boxes.map((y) => y - 15) };
    });
    expect(free).toBeGreaterThan(30);
    expect(Math.min(...names)).toBeGreaterThanOrEqual(free);
    clean();
  });

  it("shows on a small screen what it was opened to find", async () => {
    const hash = "#/graph?find=foo%20%3D%201";
    const page = await start({ hash, context: { viewport: { width: 360, height: 740 } } });
    await page.waitForSelector("[data-field=find]:visible");
    await page.waitForSelector(".expression-error:visible >> text=not something that can be asked about");
    await page.click("[aria-label='Find and hide']");
    await page.waitForSelector("[data-field=find]", { state: "hidden" });
    clean();
  });

  it("cuts no box's name off at the side of a small screen with details open", async () => {
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?animation=false&selected=${encodeURIComponent(SERVER)}`,
      context: { viewport: { width: 360, height: 740 } },
    });
    const { width, titles } = await page.evaluate(() => {
      const graph = (window as unknown as { lateenGraph: Pick<GraphCanvas, "titles"> }).lateenGraph;
      const c = document.createElement("canvas").getContext("2d")!;
      const titles = graph.titles().map((t) => {
        c.font = `600 ${t.size}px system-ui, sans-serif`;
        return { ...t.rect, end: t.rect.x1 + c.measureText(t.text).width };
      });
      return { width: document.querySelector<HTMLElement>(".canvas")!.offsetWidth, titles };
    });
    // From so far away the app's name may be left out.
    expect(titles.length).toBeGreaterThanOrEqual(2);
    for (const { x1, x2, end } of titles) {
      expect(x1).toBeGreaterThanOrEqual(0);
      expect(Math.max(x2, end)).toBeLessThanOrEqual(width + 1);
    }
    clean();
  });

  it("tells a refused connection once, as both of its proxies see it", async () => {
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?tab=failures&selected=${encodeURIComponent("app/default/echo-server/v2")}`,
    });
    const first = page.locator(".failures > li").first();
    await first.locator("text=As the server's proxy tells it").waitFor();
    await first.locator("text=As the client's proxy tells it").waitFor();
    expect(await first.locator(".steps").count()).toBe(2);
    clean();
  });

  it("holds an open failure in its place while newer ones come, and asks for none while it is paused", async () => {
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?tab=failures&selected=${encodeURIComponent("app/default/echo-server/v2")}`,
    });
    await page.clock.install();
    await page.reload();
    const read = page.locator(".failures > li:has(> details[open])");
    await read.waitFor();
    const place = async () => {
      const [all, box] = [await page.locator(".failures > li").count(), await read.boundingBox()];
      return { all, y: Math.round(box!.y) };
    };
    const { all, y } = await place();
    await page.clock.runFor(10_000);
    // All that were closed are gone, and as many newer ones are above the one that is read.
    await expect.poll(place, PATIENT).toEqual({ all: all + 1, y });
    expect(await page.locator(".failures > li >> nth=0").locator("details[open]").count()).toBe(0);
    const asked = () => opened!.mock.state.asked.filter((a) => a.includes("failures")).length;
    await page.click("[aria-label=Pause]");
    await page.waitForLoadState("networkidle");
    const before = asked();
    await page.clock.runFor(60_000);
    await page.waitForLoadState("networkidle");
    expect(asked()).toBe(before);
    await page.click("[aria-label=Resume]");
    await page.clock.runFor(10_000);
    await expect.poll(asked, PATIENT).toBeGreaterThan(before);
    clean();
  });

  it("asks for charts, failures and logs of what is selected as the graph has it", async () => {
    const edge = encodeURIComponent("app/default/echo-client>app/default/echo-server#tcp");
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?type=app&services=false&selected=${edge}`,
    });
    for (const [tab, path] of [
      ["Failures", "failures"],
      ["Logs", "logs"],
      ["Traffic", "series"],
    ]) {
      const asked = page.waitForRequest((r) => r.url().includes(`/api/v1/${path}?`));
      await page.getByRole("tab", { name: tab, exact: true }).click();
      const { searchParams: p } = new URL((await asked).url());
      expect([p.get("type"), p.get("services")]).toEqual(["app", "false"]);
    }
    clean();
  });

  describe("what is selected and not on it", () => {
    const panel = (page: Page) => page.locator(".panel");
    const tab = (page: Page, name: string) => page.click(`.panel [role=tab]:has-text("${name}")`);

    it("has its own failures and objects, and says why it is not there", async () => {
      const page = await start({ scenario: "echo-lost", hash: "#/graph?selected=service/shop/orders" });
      await page.waitForSelector(".panel h2:text-is('orders')");
      expect(await panel(page).textContent()).toMatch(
        /Service in shop.*Not on the graph now.*No traffic of it/s,
      );
      await page.waitForSelector(
        ".panel >> text=/3 attempts to reach it failed in 1 min, and none connected/",
      );
      await tab(page, "Failures");
      await page.waitForSelector(".failures > li");
      expect(await page.locator(".failures > li").count()).toBe(3);
      await tab(page, "Config");
      await page.waitForSelector("text=No Istio object acts on this.");
      const asked = opened!.mock.state.asked.filter((a) => /failures|actsOn/.test(a));
      expect(asked.filter((a) => !a.includes(encodeURIComponent("service/shop/orders")))).toEqual([]);
      await page.click(".panel-away button");
      await page.waitForFunction(() => location.hash.includes("duration=3600"));
      clean();
    });

    it("is told of when it is hidden, of another type, or where nothing is drawn at all", async () => {
      const page = await start({
        scenario: "echo-all",
        hash: `#/graph?hide=name%3Dtcp-echo-server&selected=${SERVICE}`,
      });
      await page.click(".panel-away button");
      await page.waitForFunction(() => !document.querySelector(".panel-away"));
      await page.goto(`${opened!.mock.url}#/graph?selected=workload/default/echo-server&tab=config`);
      await page.waitForSelector(".panel .objects");
      expect(await panel(page).textContent()).toMatch(/of the workload graph.*PeerAuthentication/s);
      await page.click(".panel-away button");
      await page.waitForFunction(() => !document.querySelector(".panel-away"));
      await page.goto(`${opened!.mock.url}#/graph?namespaces=shop&selected=${SERVICE}&tab=failures`);
      await page.waitForSelector(".empty");
      await page.waitForSelector(".panel .failures");
      expect(await panel(page).textContent()).toMatch(/in namespace default/);
      await page.click(".panel [aria-label='Clear the selection']");
      expect(await page.evaluate(() => document.activeElement?.closest(".empty") !== null)).toBe(true);
      clean();
    });

    it("is told of once, without a choice, when there is no such thing at all", async () => {
      const page = await start({ scenario: "echo" });
      opened!.mock.state.fault = 404;
      opened!.mock.state.faulty = /failures|series|logs/;
      for (const tab of ["traffic", "failures", "logs"]) {
        await page.goto(`${opened!.mock.url}#/graph?selected=service/default/nope&tab=${tab}`);
        await page.waitForSelector(".panel-away >> text=/It is not in the mesh, and had no traffic/");
        expect(await page.locator(".panel").textContent()).toBe(
          "Service in defaultnopeNot on the graph now. It is not in the mesh, and had no traffic in the last hour.",
        );
        expect(await page.locator(".panel-away button").count()).toBe(0);
      }
      opened!.mock.state.fault = undefined;
      await page.goto(`${opened!.mock.url}#/graph?selected=service/shop/orders`);
      await page.waitForSelector(".panel-away button:text-is('Last hour')");
    });

    it("is no idle service on its own page when attempts to reach it failed", async () => {
      const page = await start({ scenario: "echo-lost", hash: "#/services/shop/orders" }, false);
      await page.waitForSelector(".detail-head .health-failing");
      expect(await page.locator(".detail-page").textContent()).toMatch(
        /3 attempts to reach it failed.*none connected/s,
      );
      await page.click("text=Show in graph");
      await page.waitForSelector(".panel >> text=/Not on the graph now/");
      await page.waitForSelector(".panel >> text=/3 attempts to reach it failed/");
      clean();
    });
  });

  it("finds and hides by expression, and points at what is wrong", async () => {
    const page = await start({ scenario: "echo-all" });
    await page.keyboard.press("/");
    expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe(
      "Find expression",
    );
    await page.keyboard.type("!healthy");
    await page.waitForSelector('#graph-nodes tr[data-found="true"]', { state: "attached" });
    expect(page.url()).toContain("find=%21healthy");
    const found = await page.$$eval('[data-found="true"]', (all) =>
      all.map((e) => (e as HTMLElement).dataset.id),
    );
    expect(found).toContain("app/default/echo-server/v2");
    expect(found).not.toContain(SERVER);
    await page.fill("[data-field=hide]", "name contains mysql");
    await page.waitForFunction(() => !document.querySelector('#graph-nodes tr[data-id^="serviceEntry"]'));
    await page.fill("[data-field=find]", "name contians x");
    const message = await page.waitForSelector(".expression-error mark");
    expect(await message.textContent()).toBe("contians");
    expect(await page.locator("[data-found]").count()).toBe(0);
    await page.fill("[data-field=find]", "");
    await page.keyboard.type("nam");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    expect(await page.inputValue("[data-field=find]")).toBe("name ");
    clean();
  });

  describe("an address with expressions", () => {
    const field = (page: Page, kind: string) => page.inputValue(`[data-field=${kind}]`);
    const follows = (page: Page, kind: string, text: string) =>
      expect.poll(() => field(page, kind), PATIENT).toBe(text);
    const follow = (page: Page, hash: string) =>
      page.evaluate((h) => {
        location.hash = h;
      }, hash);

    it("is followed by the fields, also by the one that has the focus", async () => {
      const page = await start({ scenario: "echo" });
      await page.fill("[data-field=find]", "name contains dead");
      await page.waitForFunction(() => location.hash.includes("dead"));
      await page.waitForSelector(".expression-result >> text=0 matches");
      expect(await page.evaluate(() => document.activeElement?.getAttribute("data-field"))).toBe("find");
      await follow(page, "#/graph?find=name contains client&hide=name contains mix");
      await follows(page, "find", "name contains client");
      await follows(page, "hide", "name contains mix");
      expect(await page.locator(".suggestions").count()).toBe(0);
      await follow(page, "#/graph");
      await follows(page, "find", "");
      await page.goBack();
      await follows(page, "find", "name contains client");
      // What was typed and not applied yet does not undo it; what is typed from there on is applied.
      const after = await page.evaluate(async () => {
        const input = document.querySelector<HTMLInputElement>("[data-field=find]")!;
        input.value = "name contains late";
        input.dispatchEvent(new Event("input", { bubbles: true }));
        history.pushState(null, "", "#/graph?find=healthy");
        dispatchEvent(new PopStateEvent("popstate"));
        // Longer than what is typed waits.
        await new Promise((done) => setTimeout(done, 400));
        return [input.value, location.hash];
      });
      expect(after).toEqual(["healthy", "#/graph?find=healthy"]);
      await page.focus("[data-field=find]");
      await page.keyboard.press("End");
      await page.keyboard.type(" ");
      await page.keyboard.type("or idle");
      await page.waitForFunction(() => /find=healthy\+or\+idle/.test(location.hash));
      expect(await field(page, "find")).toBe("healthy or idle");
      clean();
    });

    it("is told of with its matches once for each change, and not when new numbers come", async () => {
      const find = "version = v2";
      const hash = `#/graph?refresh=0&find=${find}`;
      const page = await start({ scenario: "echo", hash });
      const told = (what: string) =>
        expect.poll(() => page.textContent("#graph-matches"), PATIENT).toBe(what);
      await told(`0 matches: ${find}`);
      await page.evaluate(() => {
        const said: string[] = [];
        (window as unknown as { said: string[] }).said = said;
        const live = document.querySelector("#graph-matches")!;
        new MutationObserver(() => said.push(live.textContent ?? "")).observe(live, {
          childList: true,
          subtree: true,
          characterData: true,
        });
      });
      opened!.mock.state.mesh = (await import("../../mock/server.mjs")).scenario("echo-split");
      await page.click("[aria-label='Refresh now']");
      const result = page.locator(".expression-result").first();
      await expect.poll(() => result.textContent(), PATIENT).toMatch(/^[1-9]\d* match/);
      await told(`0 matches: ${find}`);
      const number = await result.textContent();
      await page.fill("[data-field=find]", `${find} `);
      await page.fill("[data-field=hide]", "name contains client");
      await told(`${number}: ${find}. 4 hidden: name contains client`);
      // What is wrong is told by its field.
      await page.fill("[data-field=find]", "name contians x");
      await page.waitForSelector(".expression-error[role=alert] mark");
      await told("4 hidden: name contains client");
      await follow(page, `${hash}&table=true`);
      await told(`${number}: ${find}`);
      await follow(page, "#/graph?refresh=0");
      await told("Nothing is found or hidden by expressions");
      expect(await page.evaluate(() => (window as unknown as { said: string[] }).said)).toEqual([
        `${number}: ${find}. 4 hidden: name contains client`,
        "4 hidden: name contains client",
        `${number}: ${find}`,
        "Nothing is found or hidden by expressions",
      ]);
      clean();
    });
  });

  it("tells of the whole graph what is shown, and of what more its charts are", async () => {
    const page = await start({ scenario: "echo-all" });
    await page.waitForSelector(".panel .charts");
    expect(await page.locator(".panel >> text=/whole mesh/").count()).toBe(0);
    await page.waitForSelector(".panel .reasons >> text=echo-server v2");
    await page.fill("[data-field=hide]", "version = v2");
    await page.waitForSelector(".panel h3:text('Over time, of the whole mesh') + p:text('hidden')");
    expect(await page.locator(".panel .reasons >> text=echo-server v2").count()).toBe(0);
    await page.click(".panel >> text=Failures");
    await page.waitForSelector(".panel >> text=/Of the whole mesh, also of what is hidden/");
    await page.fill("[data-field=hide]", "");
    await page.waitForFunction(() => !/whole mesh/.test(document.querySelector(".panel")!.textContent!));
    clean();
  });

  it("shows what was hidden again where it was", async () => {
    const page = await start({ scenario: "bookinfo" });
    const nodes = await ids(page, "graph-nodes");
    const places = () => Promise.all(nodes.map((id) => position(page, id)));
    const before = await places();
    await page.fill("[data-field=hide]", "namespace = bookinfo");
    const hidden = '#graph-nodes tr[data-id="service/bookinfo/reviews"]';
    await page.waitForSelector(hidden, { state: "detached" });
    await page.fill("[data-field=hide]", "");
    await page.waitForFunction(
      (n) => document.querySelectorAll("#graph-nodes tbody tr").length === n,
      nodes.length,
    );
    expect(await places()).toEqual(before);
    clean();
  });

  it("selects with the mouse and the keyboard, and says so", async () => {
    const page = await start({ scenario: "echo-split" });
    const box = (await (await page.$(".canvas"))!.boundingBox())!;
    const at = await rendered(page, SERVER);
    await page.mouse.click(box.x + at.x, box.y + at.y);
    await page.waitForFunction(() => document.querySelector(".panel h2")?.textContent === "echo-server v1");
    await page.focus(".canvas");
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction(() =>
      /^Selected: TCP from tcp-echo-server to echo-server v1, healthy, mutual TLS/.test(
        document.querySelector("[aria-live=polite]")?.textContent ?? "",
      ),
    );
    await page.keyboard.press("ArrowLeft");
    expect(await page.textContent(".panel h2")).toBe("tcp-echo-server");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector(".panel h2")?.textContent === "Whole graph");
    clean();
  });

  describe("an address with a selection", () => {
    const told = (page: Page, what: RegExp) =>
      expect.poll(() => page.textContent("[aria-live=polite]")).toMatch(what);
    const link = (id: string, more = "") => `#/graph?${more}selected=${encodeURIComponent(id)}`;
    it.each([
      [link(SERVICE), /^Selected: Service tcp-echo-server in namespace default, healthy/],
      [link(SERVER), /^Selected: App echo-server v1 in namespace default, healthy/],
      [
        link(`${SERVICE}>workload/default/echo-server#tcp`, "type=workload&"),
        /^Selected: TCP from tcp-echo-server to echo-server/,
      ],
    ])("says what is selected, and never that it is not there: %s", async (hash, what) => {
      const page = await start({ scenario: "echo", hash: "#/config" }, false);
      await page.waitForSelector(".grid-row");
      await page.evaluate(() => {
        const said: string[] = [];
        (window as unknown as { said: string[] }).said = said;
        new MutationObserver(() => {
          const live = document.querySelector("[aria-live=polite], .panel-away");
          for (const e of [live, document.querySelector(".panel-away")]) said.push(e?.textContent ?? "");
        }).observe(document.body, { childList: true, subtree: true, characterData: true });
      });
      // The graph takes its time.
      let answer = () => {};
      opened!.mock.state.held = new Promise<void>((done) => {
        answer = done;
      });
      await page.goto(`${opened!.mock.url}${hash}`);
      await page.waitForSelector(".loading >> text=Loading the graph");
      expect(await page.textContent("[aria-live=polite]")).toBe("");
      answer();
      await told(page, what);
      const said = await page.evaluate(() => (window as unknown as { said: string[] }).said);
      expect(said.filter((t) => /not on the graph/i.test(t))).toEqual([]);
      clean();
    });

    it("says that it is not there, and when it comes and goes", async () => {
      const { scenario } = await import("../../mock/server.mjs");
      const v2 = "app/default/echo-server/v2";
      const page = await start({ scenario: "echo", hash: link(v2) });
      const become = async (name: string) => {
        opened!.mock.state.mesh = scenario(name);
        await page.click("[aria-label='Refresh now']");
      };
      await told(page, /^Selected: app\/default\/echo-server\/v2, which is not on the graph now$/);
      await become("echo-split");
      await told(page, /^Selected: App echo-server v2 in namespace default/);
      await become("empty");
      await page.waitForSelector(".empty");
      await told(page, /v2, which is not on the graph now$/);
      clean();
    });

    it("says nothing false of the graph before while another one is on its way", async () => {
      const page = await start({ scenario: "echo", hash: link(SERVICE) });
      await told(page, /^Selected: Service/);
      let answer = () => {};
      opened!.mock.state.held = new Promise<void>((done) => {
        answer = done;
      });
      await page.goto(`${opened!.mock.url}${link("workload/default/echo-server", "type=workload&")}`);
      await page.waitForSelector(".panel h2:text-is('echo-server')");
      expect(await page.textContent("[aria-live=polite]")).toBe("");
      expect(await page.locator(".panel-away").count()).toBe(0);
      answer();
      await told(page, /^Selected: Workload echo-server/);
      expect(await page.locator(".panel-away").count()).toBe(0);
      clean();
    });
  });

  it.each([360, 768, 900, 1000, 1400])("keeps its table beside the panel at %i pixels", async (width) => {
    const hash = "#/graph?table=true";
    const page = await start({ scenario: "bookinfo", hash, context: { viewport: { width, height: 800 } } });
    for (const tab of ["Nodes", "Edges"]) {
      await page.click(`.graph-table [role=tab]:has-text("${tab}")`);
      await page.waitForSelector(`.graph-table .grid[aria-label=${tab}] .grid-body .grid-row`);
      const ends = await page.$$eval(".graph-table .grid-row > *, .graph-table .grid-head button", (all) =>
        all.filter((e) => e.checkVisibility()).map((e) => Math.round(e.getBoundingClientRect().right)),
      );
      const table = (await (await page.$(".graph-table"))!.boundingBox())!;
      expect(Math.max(...ends)).toBeLessThanOrEqual(Math.round(table.x + table.width));
    }
    clean();
  });

  it("tells no flags and no codes of what did not happen", async () => {
    const page = await start({ scenario: "echo-all" }, false);
    await page.route("**/api/v1/graph?*", async (route) => {
      // Not one that says that nothing is new.
      const { "if-none-match": _, ...headers } = route.request().headers();
      const answer = await route.fetch({ headers });
      const graph = await answer.json();
      for (const e of graph.edges) if (e.traffic.tcp) e.traffic.tcp.flags = { UH: 0, UF: 0.5 };
      await route.fulfill({ response: answer, json: graph });
    });
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(".panel .facts >> text=Flags UF");
    await page.waitForFunction(() => !document.querySelector(".panel .facts")?.textContent?.includes("URX"));
    expect(await page.locator(".panel .facts >> text=UH").count()).toBe(0);
    await page.unrouteAll({ behavior: "wait" });
  });

  it("tells of what the pointer is on until the reader does anything else", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?legend=true&animation=false" });
    const stage = (await (await page.$(".canvas"))!.boundingBox())!;
    const point = async () => {
      const at = await rendered(page, SERVICE);
      await page.mouse.move(stage.x + 5, stage.y + stage.height / 2);
      await page.mouse.move(stage.x + at.x, stage.y + at.y, { steps: 3 });
      await page.waitForSelector(".tooltip >> text=tcp-echo-server");
    };
    const gone = () => page.waitForSelector(".tooltip", { state: "detached" });
    await point();
    await page.keyboard.press("Escape");
    await gone();
    expect(await page.locator(".legend").count(), "only what is on top was closed").toBe(1);
    await page.keyboard.press("Escape");
    await page.waitForSelector(".legend", { state: "detached" });
    const others: [string, () => Promise<unknown>][] = [
      ["zoom", () => page.keyboard.press("+")],
      ["scroll", () => page.mouse.wheel(0, 40)],
      ["blur", () => page.evaluate(() => window.dispatchEvent(new Event("blur")))],
      ["selection", () => page.mouse.down().then(() => page.mouse.up())],
    ];
    await page.focus(".canvas");
    for (const [, act] of others) {
      await point();
      await act();
      await gone();
    }
    await page.waitForFunction(() => location.hash.includes("selected=service"));
    clean();
  });

  it("tells it where there is room", async () => {
    const page = await start({
      scenario: "echo-nine",
      hash: "#/graph?animation=false",
      context: { viewport: { width: 800, height: 600 } },
    });
    const stage = (await (await page.$(".canvas"))!.boundingBox())!;
    let told = 0;
    for (const id of await ids(page, "graph-nodes")) {
      const at = await rendered(page, id);
      await page.mouse.move(stage.x + at.x, stage.y + at.y, { steps: 2 });
      const tip = await page.locator(".tooltip").boundingBox();
      if (!tip) continue;
      told += 1;
      expect(tip.x).toBeGreaterThanOrEqual(stage.x);
      expect(tip.x + tip.width).toBeLessThanOrEqual(stage.x + stage.width + 1);
      expect(tip.y + tip.height).toBeLessThanOrEqual(stage.y + stage.height + 1);
    }
    expect(told).toBeGreaterThan(0);
    clean();
  });

  it("draws what moves, unless less motion is wanted", async () => {
    const painted = (page: Page) =>
      page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>(".layer-traffic")!;
        return canvas
          .getContext("2d")!
          .getImageData(0, 0, canvas.width, canvas.height)
          .data.some((v) => v !== 0);
      });
    const page = await start({ scenario: "echo" });
    await expect.poll(() => painted(page), { timeout: 30_000 }).toBe(true);
    await opened!.close();
    const calm = await start({ scenario: "echo", context: { reducedMotion: "reduce" } });
    await calm.waitForTimeout(800);
    expect(await painted(calm)).toBe(false);
  });
});

describe("the address", () => {
  it("opens on what it says, and back and forward work", async () => {
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?type=workload&tab=failures&selected=${encodeURIComponent("workload/default/echo-server-v2")}`,
    });
    expect(await page.textContent(".panel h2")).toContain("echo-server-v2");
    await page.waitForSelector("text=check that a program listens on port 8020");
    await page.click("nav >> text=Workloads");
    await page.waitForSelector("h1:has-text('Workloads')");
    await page.click("a:has-text('echo-client')");
    await page.waitForSelector("h1:has-text('echo-client')");
    await page.goBack();
    await page.waitForSelector("h1:has-text('Workloads')");
    await page.goBack();
    await page.waitForFunction(() =>
      document.querySelector(".panel h2")?.textContent?.includes("echo-server-v2"),
    );
    await page.goForward();
    await page.waitForSelector("h1:has-text('Workloads')");
    clean();
  });

  const ODD = {
    "no value that it takes":
      "type=zzz&duration=abc&refresh=-1&layout=x&tab=y&labels=foo&selected=%00%E2%80%AEx",
    "a time beyond all": "at=99999999999999999999",
    "numbers out of range": "duration=7&refresh=9999999&table=perhaps",
    "what is not encoded": "%E0%A4%A=%&selected=%E0%A4%A",
    "a long id": `selected=${"x".repeat(3000)}`,
    "names of JavaScript": "selected=__proto__&labels=toString,rate",
    "a deep expression": `find=${"(".repeat(1900)}`,
    "half an expression": "hide=!(a%20and%20",
    "half a comparison": "find=name%20~&hide=%22",
  };
  it.each(Object.entries(ODD))("leads to a working graph with %s", async (_, odd) => {
    const page = await start({ scenario: "echo", hash: `#/graph?${odd}` });
    expect((await ids(page, "graph-nodes")).length).toBe(5);
    if (odd.includes("selected=")) await page.waitForSelector(".panel >> text=/Not on the graph now/");
    if (/find=|hide=/.test(odd)) await page.waitForSelector(".toolbar [role=alert]");
    await page.focus(".canvas");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !location.hash.includes("selected="));
    clean();
  });

  it.each(["services/%2F/%E0%A4%A", "config/%3Cb%3E/_/..%2F..", "graph?namespaces=%2F..%2F,%3Cb%3E,a%26b"])(
    "says of what is nowhere that it is not there: %s",
    async (odd) => {
      const page = await start({ scenario: "echo", hash: `#/${odd}` }, false);
      await page.waitForSelector("text=/There is no service|there is no <b>|No traffic was seen in/");
      await page.click(".masthead >> text=Workloads");
      await page.waitForSelector(".grid-row");
    },
  );

  it("gives up its token at once and keeps it for the tab", async () => {
    const page = await start({ scenario: "echo", token: "s3cret" });
    expect(page.url()).not.toContain("s3cret");
    await page.reload();
    await settled(page);
    expect(await page.evaluate(() => [sessionStorage.getItem("lateen.token"), localStorage.length])).toEqual([
      "s3cret",
      0,
    ]);
    clean();
  });

  it("hands its token to other tabs, of which all sign out together", async () => {
    const page = await start({ scenario: "echo", token: "s3cret" });
    const [other] = await Promise.all([
      page.context().waitForEvent("page"),
      page.click("nav >> text=Workloads", { modifiers: ["Control"] }),
    ]);
    await other.waitForSelector("a:has-text('echo-client')");
    const third = await page.context().newPage();
    await third.goto(`${opened!.mock.url}#/services`);
    await third.waitForSelector("a:has-text('tcp-echo-server')");
    expect(opened!.mock.state.refused).toBe(0);
    await third.click("text=Sign out");
    for (const tab of [page, other, third]) await tab.waitForSelector("dialog >> text=you have signed out");
    // What asks on is refused, and says nothing else for it.
    await expect.poll(() => opened!.mock.state.refused, { timeout: 20_000 }).toBeGreaterThan(0);
    await third.waitForTimeout(300);
    for (const tab of [page, other, third])
      expect(await tab.textContent("dialog")).toContain("You have signed out");
    await third.reload();
    await third.waitForSelector("dialog >> text=the token is missing or was refused");
    // Signing in helps all of them again.
    await third.fill("dialog input", "s3cret");
    await third.click("dialog >> text=Sign in >> nth=-1");
    for (const tab of [page, other, third]) await tab.waitForSelector("dialog", { state: "detached" });
    await other.waitForSelector("a:has-text('echo-client')");
    expect(await page.evaluate(() => [localStorage.length, document.cookie])).toEqual([0, ""]);
  });

  it("signs in one tab for another user and no other tab, which it offers that to once theirs is refused", async () => {
    const page = await start({ scenario: "echo", token: "s3cret" });
    const { users } = opened!.mock.state;
    users.set("b0b", "bob");
    const who = (tab: Page) => tab.waitForSelector(".sign-out").then((b) => b.getAttribute("title"));
    const tokenOf = (tab: Page) => tab.evaluate(() => sessionStorage.getItem("lateen.token"));
    const other = await page.context().newPage();
    await other.goto(`${opened!.mock.url}#token=b0b`);
    await other.waitForSelector(".sign-out[title*='as bob']");
    expect(other.url()).not.toContain("b0b");
    await page.click("[aria-label='Refresh now']");
    expect(await tokenOf(page)).toBe("s3cret");
    expect(await who(page)).toContain("as mock");
    // A new tab follows the one that the reader was in last.
    await page.bringToFront();
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    const third = await page.context().newPage();
    await third.goto(`${opened!.mock.url}#/services`);
    await third.waitForSelector(".sign-out[title*='as mock']");
    // The first one's token ends: the other's is offered, and taken only by the reader.
    users.delete("s3cret");
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector("dialog >> text=the token is missing or was refused");
    await other.reload();
    await page.click("dialog >> text=Go on as bob, as in another tab");
    await page.waitForSelector(".sign-out[title*='as bob']");
    await settled(page);
    // The same user's new token is taken by all of theirs that wait.
    // It may know already that its own is refused, and nothing else can be clicked then.
    await third.evaluate(() => {
      location.hash = "#/workloads";
    });
    await third.waitForSelector("dialog");
    users.set("n3w", "mock");
    const fourth = await page.context().newPage();
    await fourth.goto(`${opened!.mock.url}#token=n3w`);
    await third.waitForSelector("dialog", { state: "detached" });
    expect(await Promise.all([page, other, third, fourth].map(tokenOf))).toEqual([
      "b0b",
      "b0b",
      "n3w",
      "n3w",
    ]);
  });

  it("takes a token that comes while the page is open, and nothing of the user before stays", async () => {
    const hash = "#/config/VirtualService.networking.istio.io/default/tcp-echo-server";
    const page = await start({ scenario: "echo-split", token: "s3cret", hash }, false);
    opened!.mock.state.users.set("b0b", "bob").set("n3w", "mock");
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    const asked: string[] = [];
    const answer = (yes: boolean) =>
      page.once("dialog", (d) => {
        asked.push(d.message());
        void (yes ? d.accept() : d.dismiss());
      });
    const arrive = (token: string) =>
      page.evaluate((t) => {
        location.hash = `#/config?token=${t}`;
      }, token);
    answer(false);
    await arrive("b0b");
    await page.waitForSelector("h1:has-text('Istio config')");
    expect(page.url()).not.toContain("token");
    expect(await page.evaluate(() => sessionStorage.getItem("lateen.token"))).toBe("s3cret");
    // One more of the same user changes nothing of what they wrote.
    answer(true);
    await arrive("n3w");
    await expect.poll(() => page.evaluate(() => sessionStorage.getItem("lateen.token"))).toBe("n3w");
    await page.click(".banner a");
    await page.waitForSelector(".cm-content >> text=# mine");
    answer(true);
    await arrive("b0b");
    await page.waitForSelector(".sign-out[title*='as bob']");
    expect(asked).toHaveLength(3);
    expect(asked[0]).toContain("VirtualService default/tcp-echo-server");
    await page.click("a:has-text('tcp-echo-server') >> nth=0");
    await page.waitForSelector(".cm-content >> text=kind:");
    expect(await page.locator(".cm-content >> text=# mine").count()).toBe(0);
    expect(await page.locator(".banner").count()).toBe(0);
  });

  it("drops what is not saved in any tab when one signs out, and says so before", async () => {
    const hash = "#/config/VirtualService.networking.istio.io/default/tcp-echo-server";
    const page = await start({ scenario: "echo-split", token: "s3cret", hash }, false);
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    const other = await page.context().newPage();
    await other.goto(`${opened!.mock.url}#/services`);
    await other.waitForSelector("a:has-text('tcp-echo-server')");
    const asked: string[] = [];
    for (const yes of [false, true]) {
      other.once("dialog", (d) => {
        asked.push(d.message());
        void (yes ? d.accept() : d.dismiss());
      });
      await other.click("text=Sign out");
      await expect.poll(() => asked.length).toBe(yes ? 2 : 1);
      if (!yes) expect(await page.locator(".cm-content >> text=# mine").count()).toBe(1);
    }
    expect(asked[0]).toContain("VirtualService default/tcp-echo-server");
    await page.waitForSelector("dialog >> text=you have signed out");
    expect(await page.locator("dialog >> text=not saved").count()).toBe(0);
    await page.fill("dialog input", "s3cret");
    await page.click("dialog >> text=Sign in >> nth=-1");
    await page.waitForSelector(".cm-content >> text=kind:");
    expect(await page.locator(".cm-content >> text=# mine").count()).toBe(0);
  });

  it("asks for a token when there is none or it was refused", async () => {
    const page = await start({ scenario: "echo", token: "s3cret" });
    await page.evaluate(() => sessionStorage.setItem("lateen.token", "wrong"));
    await page.reload();
    await page.waitForSelector("dialog[open] >> text=the token is missing or was refused");
    await page.fill("dialog input", "s3cret");
    await page.click("dialog >> text=Sign in >> nth=-1");
    await settled(page);
    expect(await page.$("dialog[open]")).toBeNull();
  });
});

describe("after tokens that were refused", () => {
  const PAGES = {
    "#/workloads": ".grid-row >> text=echo-server",
    "#/workloads/default/echo-server": ".detail-body >> text=version=v1",
    [`#/graph?tab=config&selected=${encodeURIComponent(SERVICE)}`]:
      ".panel .objects >> text=tcp-echo-server >> nth=0",
    "#/config/VirtualService.networking.istio.io/default/tcp-echo-server":
      ".cm-content >> text=VirtualService",
  };
  const enter = async (page: Page, token: string) => {
    await page.fill("dialog input", token);
    const answer = page.waitForResponse((r) => r.url().includes("/api/v1/status"));
    await page.keyboard.press("Enter");
    await answer;
  };
  for (const [hash, shown] of Object.entries(PAGES))
    it(`the right one brings back ${hash}`, async () => {
      const page = await start({ scenario: "echo-split", hash }, false);
      await page.waitForSelector(shown);
      const { users } = opened!.mock.state;
      users.set("s3cret", "mock");
      await page.reload();
      await page.waitForSelector("dialog[open]");
      await enter(page, "wrong");
      await page.waitForSelector("dialog[open] >> text=refused");
      await enter(page, "wrong, too");
      await page.waitForSelector("dialog[open] >> text=refused");
      await enter(page, "s3cret");
      await page.waitForSelector(shown);
      await page.waitForSelector("dialog[open]", { state: "detached" });
      // It ends while the page is open.
      users.clear();
      users.set("s3cret 2", "mock");
      await page.waitForSelector("dialog[open] >> text=refused");
      await enter(page, "s3cret 2");
      await page.waitForSelector("dialog[open]", { state: "detached" });
      await page.waitForSelector(shown);
      expect(await page.locator("text=/could not be loaded|token is missing/").count()).toBe(0);
    });
});

describe("logs", () => {
  it("stay at the newest line until the reader scrolls up, who is then told of newer ones", async () => {
    let now = Date.UTC(2030, 0, 1);
    const page = await start({
      scenario: "bookinfo",
      hash: "#/graph?selected=namespace%2Fbookinfo&tab=logs",
      now: () => now,
    });
    await page.waitForSelector(".logs .log-line");
    const place = () =>
      page.$eval(".logs", (e) => ({
        tall: e.scrollHeight - e.clientHeight,
        left: e.scrollHeight - e.clientHeight - e.scrollTop,
      }));
    const last = () => page.$eval(".logs .log-line:last-child time", (e) => e.textContent);
    const newer = async () => {
      const before = await last();
      now += 5000;
      await page.waitForFunction(
        (t) => document.querySelector(".logs .log-line:last-child time")?.textContent !== t,
        before,
      );
    };
    expect((await place()).tall).toBeGreaterThan(100);
    expect((await place()).left).toBeLessThan(2);
    await newer();
    expect((await place()).left).toBeLessThan(2);
    expect(await page.locator(".logs-more").count()).toBe(0);
    await page.$eval(".logs", (e) => e.scrollTo(0, 0));
    await page.waitForFunction(() => document.querySelector(".logs")?.scrollTop === 0);
    await newer();
    await page.waitForSelector(".logs-more");
    expect((await place()).left).toBeGreaterThan(100);
    await page.click(".logs-more");
    expect((await place()).left).toBeLessThan(2);
    await page.waitForSelector(".logs-more", { state: "detached" });
    clean();
  });
});

describe("trouble", () => {
  it("keeps what was seen while the server is away, and comes back by itself", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?refresh=5" });
    opened!.mock.state.fault = "drop";
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(
      ".banner-bad:has([role=alert]:text('The server does not answer')) >> text=/is .* old/",
    );
    expect(await ids(page, "graph-nodes")).toContain(SERVICE);
    // No answer comes before the reader asked: the page asks by itself, too.
    let answer = () => {};
    opened!.mock.state.held = new Promise<void>((done) => {
      answer = done;
    });
    opened!.mock.state.fault = undefined;
    await page.click("text=Try now");
    answer();
    await page.waitForSelector(".banner-bad", { state: "detached" });
  });

  it("is not called live while the server hangs, and is again when it answers", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?refresh=5" });
    const dot = page.locator(".live-dot.on");
    expect(await dot.count()).toBe(1);
    let answer = () => {};
    opened!.mock.state.held = new Promise<void>((done) => {
      answer = done;
    });
    await page.waitForFunction(() => /Stale/.test(document.querySelector(".status-line")!.textContent!));
    expect(await page.textContent(".status-line")).toMatch(/Stale, 1\d s old · 5 nodes/);
    expect(await dot.count()).toBe(0);
    answer();
    await page.waitForFunction(() => /Live/.test(document.querySelector(".status-line")!.textContent!));
    expect(await dot.count()).toBe(1);
    clean();
  });

  it("says which right is missing", async () => {
    const page = await start({ scenario: "echo" });
    opened!.mock.state.fault = 403;
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector("text=you need the right to list pods in namespace default");
  });

  it("says that the token for the cluster has ended, and not that the server is in trouble", async () => {
    const page = await start({ scenario: "echo" });
    opened!.mock.state.fault = 424;
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(
      ".banner-bad[role=alert] >> text=/^Your token for the cluster has ended .*start/",
    );
    expect(await page.locator("text=in trouble").count()).toBe(0);
    expect(await page.locator("dialog").count()).toBe(0);
    await page.click("nav >> text=Workloads");
    await page.waitForSelector(".banner-bad >> text=start `lateen dashboard` again");
    opened!.mock.state.fault = undefined;
    await page.click("nav >> text=Graph");
    await page.waitForSelector(".banner-bad", { state: "detached" });
    expect(await ids(page, "graph-nodes")).toContain(SERVICE);
  });

  it("goes on saying so while others are answered, until whoever was refused is", async () => {
    const page = await start({ scenario: "echo" });
    Object.assign(opened!.mock.state, { fault: 424, faulty: /\/graph$/ });
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(".banner-bad >> text=/^Your token for the cluster has ended/");
    const answered = page.waitForResponse((r) => r.url().includes("/logs") && r.ok());
    await page.click(".panel >> text=Logs");
    await answered;
    await page.waitForSelector(".logs .log-line");
    expect(await page.locator(".banner-bad").count()).toBe(1);
    opened!.mock.state.fault = undefined;
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(".banner-bad", { state: "detached" });
  });

  it("asks at once for all that failed alike when one of them is answered again", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?tab=logs" });
    Object.assign(opened!.mock.state, { fault: 424, faulty: /\/(graph|logs)$/ });
    await page.click("[aria-label='Refresh now']");
    const refused = () => page.waitForResponse((r) => r.url().includes("/logs") && r.status() === 424);
    await refused();
    opened!.mock.state.fault = undefined;
    opened!.mock.state.asked.length = 0;
    await page.click("[aria-label='Refresh now']");
    await page.waitForSelector(".banner-bad", { state: "detached" });
    expect(opened!.mock.state.asked.filter((a) => a.includes("/logs"))).not.toEqual([]);
  });

  it("says what to do when there is nothing, and shows notices", async () => {
    opened = await open(browser, { scenario: "empty" });
    opened.mock.state.notices.push("12 records were dropped: the store is full");
    await opened.page.reload();
    await opened.page.waitForSelector("code:has-text('kubectl label namespace')");
    await opened.page.waitForSelector("code:has-text('lateen run')");
    await opened.page.waitForSelector("text=12 records were dropped");
    clean();
  });

  it("shows hostile names as text", async () => {
    const page = await start({ scenario: "bookinfo" });
    expect((await rows(page, "graph-nodes")).some((r) => r.includes('<img src=x onerror="alert(1)">'))).toBe(
      true,
    );
    await page.goto(`${opened!.mock.url}#/workloads/shop/img-v1`);
    await page.waitForSelector("h1:has-text('img-v1')");
    expect(await page.$("img")).toBeNull();
    expect((await page.textContent("main"))!.length).toBeLessThan(5000);
    clean();
  });
});

describe("lists and objects", () => {
  it("search, filter and sort", async () => {
    const page = await start({ scenario: "big", hash: "#/workloads?search=svc-00" }, false);
    await page.waitForSelector("text=100 of 1,000 entries");
    await page.goto(`${opened!.mock.url}#/workloads?search=nowhere&health=sick`);
    await page.waitForSelector("text=None of 1,000 entries is what is searched for");
    await page.click("text=Show all");
    await page.waitForSelector("p:text-is('1,000 entries')");
    await page.goto(`${opened!.mock.url}#/workloads?search=svc-00`);
    expect(await page.$$eval(".grid-body .grid-row", (all) => all.length)).toBeLessThan(60);
    await page.click("[role=columnheader] >> text=Name");
    expect(await page.textContent(".grid-body .grid-row >> nth=0")).toContain("svc-0000-v1");
    await page.fill("[data-field=find]", "svc-0042");
    await page.waitForSelector("text=1 of 1,000 entries");
    clean();
  });

  it("edit YAML: checked first, issues at their line, then saved", async () => {
    const page = await start(
      { scenario: "echo-split", hash: "#/config/VirtualService.networking.istio.io/default/tcp-echo-server" },
      false,
    );
    const editor = page.locator(".cm-content");
    await editor.waitFor();
    const write = async (from: string, to: string) => {
      await editor.click();
      await page.keyboard.press("Control+Home");
      const line = (await editor.innerText()).split("\n").findIndex((l) => l.includes(from));
      for (let i = 0; i < line; i += 1) await page.keyboard.press("ArrowDown");
      await page.keyboard.press("End");
      for (let i = 0; i < from.length; i += 1) await page.keyboard.press("Backspace");
      await page.keyboard.type(to);
    };
    await write("weight: 20", "weight: 30");
    expect(await page.isDisabled("text=Save")).toBe(true);
    await page.click("text=Check");
    await page.waitForSelector("text=the weights add up to 110");
    await page.waitForSelector(".issues >> text=/line 2[0-9]/");
    expect(await page.locator(".cm-lint-marker-error").count()).toBe(1);
    expect(await page.isDisabled("text=Save")).toBe(true);
    await write("weight: 30", "weight: 20 ");
    await write("host: tcp-echo-server", "host: nowhere");
    await page.click("text=Check");
    await page.waitForSelector("text=Checked: 2 issues");
    await page.waitForSelector("h2 >> text=If it is saved");
    await page.waitForSelector(".issues button >> text=no service is named nowhere");
    await page.waitForSelector(".issues >> text=DestinationRule default/other");
    expect(await page.isDisabled("text=Save")).toBe(false);
    await write("host: nowhere", "host: tcp-echo-server");
    expect(await page.locator("h2 >> text=If it is saved").count()).toBe(0);
    await page.click("text=Check");
    await page.waitForSelector("text=Checked: no issues");
    await page.click("text=Save");
    await page.waitForFunction(() => document.querySelector(".editor-bar")?.textContent?.includes("Saved"));
    expect(opened!.mock.state.saved).toBe(1);
    clean();
  });

  it("say what is wrong when the text is no object, and of another text nothing of it", async () => {
    const page = await start(
      { scenario: "echo-split", hash: "#/config/VirtualService.networking.istio.io/default/tcp-echo-server" },
      false,
    );
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("no: object");
    await page.click("text=Check");
    await page.waitForSelector("[role=alert] >> text=There are errors");
    await page.waitForSelector(".issues:not(.stale) >> text=kind is missing");
    // What is no YAML has no path, and yet a line.
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("kind: VirtualService\nspec: a: b");
    await page.click("text=Check");
    await page.waitForSelector(".issues >> text=line 2");
    await page.waitForSelector(".cm-lintRange-error >> text=spec");
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("kind: VirtualService");
    await page.waitForSelector(".issues.stale >> text=line");
    expect(await page.locator("[role=alert], .cm-lintRange-error, .cm-lint-marker-error").count()).toBe(0);
    expect(await page.isDisabled("text=Save")).toBe(true);
  });

  describe("beside a text", () => {
    const hash = "#/config/VirtualService.networking.istio.io/default/tcp-echo-server";
    /** A page on an object, ways to write, and what it shows: the status, the issues and marks. */
    const onObject = async () => {
      const page = await start({ scenario: "echo-split", hash }, false);
      const { mock } = opened!;
      const was = mock.state.mesh.objects[0]!.yaml;
      await page.waitForSelector(".cm-content >> text=weight");
      const write = async (text: string) => {
        await page.locator(".cm-content").click();
        await page.keyboard.press("Control+a");
        await page.keyboard.press("Delete");
        await page.keyboard.insertText(text);
      };
      const type = async (key: string) => {
        await page.locator(".cm-content").click();
        await page.keyboard.press("Control+End");
        await page.keyboard.press(key);
      };
      const shown = async () => ({
        status: await page.textContent(".editor-bar [role=status]"),
        current: await page.locator(".issues:not(.stale) li").allTextContents(),
        old: await page.locator(".issues.stale li").count(),
        marks: await page.locator(".cm-lint-marker, .cm-lintRange").count(),
      });
      const check = () => page.click(".editor-bar button:text-is('Check')");
      const shows = (what: object) => expect.poll(shown, PATIENT).toMatchObject(what);
      return { page, mock, was, write, type, check, shows };
    };
    const WRONG = [expect.stringContaining("the weights add up to 75")];
    const UNCHECKED = { status: "Changed, not checked yet", current: [], marks: 0 };

    it("that nobody changes here comes what others make of the object, until it is gone", async () => {
      const { page, mock, was, write, shows } = await onObject();
      await page.clock.install();
      await page.reload();
      await page.waitForSelector(".cm-content >> text=weight: 80");
      const own = mock.state.mesh.objects[0]!;
      const theirs = (yaml: string, version: number, validation: typeof own.validation) =>
        Object.assign(own, { yaml, resourceVersion: version, validation });
      const known = { code: "IST0101", severity: "warning" as const, message: "no such host", path: "spec" };
      theirs(was.replace("weight: 80", "weight: 70"), 4711, [known]);
      await page.clock.runFor(10_000);
      await page.waitForSelector(".cm-content >> text=weight: 70");
      await shows({ status: "", current: [expect.stringContaining("no such host")] });
      // What is being written stays.
      await write(was.replace("weight: 80", "weight: 55"));
      theirs(was, 4712, []);
      await page.clock.runFor(10_000);
      await shows({ status: "Changed, not checked yet" });
      expect(await page.textContent(".cm-content")).toContain("weight: 55");
      await page.click("text=Undo all");
      await page.waitForSelector(".cm-content >> text=weight: 80");
      mock.state.mesh.objects.shift();
      await page.clock.runFor(10_000);
      await expect.poll(() => page.locator(".cm-content").count(), PATIENT).toBe(0);
      await page.waitForSelector("[role=alert]");
    });

    it("that is what is saved stands what is known of that, and nothing else", async () => {
      const { page, was, write, check, shows, mock } = await onObject();
      const known = { code: "IST0101", severity: "warning" as const, message: "no such host", path: "spec" };
      for (const validation of [[], [known]]) {
        mock.state.mesh.objects[0]!.validation = validation;
        const own = validation.map((i) => expect.stringContaining(i.message));
        const nothing = { status: "", current: own, old: 0, marks: 2 * own.length };
        await page.reload();
        await page.waitForSelector(".cm-content >> text=weight");
        await shows(nothing);
        await write(was.replace("weight: 80", "weight: 55"));
        await check();
        await shows({ status: "Checked: 1 issue", current: WRONG, marks: 2 });
        await write(was);
        await shows(nothing);
        for (const button of ["Check", "Save", "Undo all"])
          expect(await page.isDisabled(`.editor-bar button:text-is('${button}')`), button).toBe(true);
        // Of the next text the check before it says nothing either.
        await write(`${was}# mine`);
        await shows({ ...UNCHECKED, old: own.length });
        await page.click("text=Undo all");
        await shows(nothing);
      }
      clean();
    });

    it("that was checked stands what was found in it, refused or not, and beside no other", async () => {
      const { page, was, write, type, check, shows } = await onObject();
      await write("}{");
      await check();
      await page.waitForSelector("[role=alert] >> text=There are errors");
      const refused = [expect.stringContaining("kind is missing")];
      await shows({ status: "Checked: 1 issue", current: refused, old: 0 });
      await type("x");
      await shows({ ...UNCHECKED, old: 1 });
      await page.waitForSelector("text=The text that was checked before had:");
      await page.keyboard.press("Backspace");
      await shows({ status: "Checked: 1 issue", current: refused, old: 0 });
      await write(was.replace("weight: 80", "weight: 55"));
      await check();
      await shows({ status: "Checked: 1 issue", current: WRONG, old: 0, marks: 2 });
      await type("x");
      await shows({ ...UNCHECKED, old: 1 });
      await page.keyboard.press("Backspace");
      await shows({ status: "Checked: 1 issue", current: WRONG, old: 0, marks: 2 });
      expect(await page.isDisabled(".editor-bar button:text-is('Save')")).toBe(true);
      expect(opened!.problems.filter((p) => !p.includes("status of 422"))).toEqual([]);
    });

    it("that changed while it was checked or saved is not said to be", async () => {
      const { page, was, write, type, check, shows, mock } = await onObject();
      const hold = () => {
        let answer = () => {};
        mock.state.held = new Promise<void>((done) => {
          answer = done;
        });
        return answer;
      };
      await write(`${was}# mine`);
      let answer = hold();
      await check();
      await type("2");
      answer();
      await page.waitForSelector(".editor-bar button:text-is('Check'):enabled");
      await shows({ ...UNCHECKED, old: 0 });
      await page.keyboard.press("Backspace");
      await shows({ status: "Checked: no issues" });
      answer = hold();
      await page.click("text=Save");
      await type("3");
      answer();
      await shows({ ...UNCHECKED, status: "Saved, and changed since: not checked yet" });
      await page.keyboard.press("Backspace");
      await shows({ status: "", current: [], old: 0 });
      expect(mock.state.mesh.objects[0]!.yaml).toBe(`${was}# mine`);
      clean();
    });
  });

  it("say that nothing was saved when Save was pressed, and what failed when Check was", async () => {
    const page = await start(
      { scenario: "echo-split", hash: "#/config/VirtualService.networking.istio.io/default/tcp-echo-server" },
      false,
    );
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    const { state } = opened!.mock;
    const fail = (fault: number | undefined) => {
      state.fault = fault;
      state.faulty = /config/;
    };
    fail(403);
    await page.click(".editor-bar button:text-is('Check')");
    await page.waitForSelector("[role=alert] >> text=Not checked");
    fail(undefined);
    await page.click(".editor-bar button:text-is('Check')");
    await page.waitForSelector("text=Checked: no issues");
    fail(403);
    await page.click("text=Save");
    await page.waitForSelector("[role=alert] >> text=Nothing was saved");
    expect(state.saved).toBe(0);
    // It was checked all the same, until a check of it fails.
    await page.waitForSelector(".editor-bar >> text=Checked: no issues");
    await page.click(".editor-bar button:text-is('Check')");
    await page.waitForSelector("[role=alert] >> text=Not checked");
    await page.waitForSelector(".editor-bar >> text=Changed, not checked yet");
  });

  it("do not overwrite what somebody else changed", async () => {
    const page = await start(
      { scenario: "echo-split", hash: "#/config/VirtualService.networking.istio.io/default/tcp-echo-server" },
      false,
    );
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    opened!.mock.state.mesh.objects[0]!.resourceVersion += 1;
    await page.click("text=Check");
    await page.waitForSelector("text=Checked: no issues");
    await page.click("text=Save");
    await page.waitForSelector("text=Somebody else changed this object");
    expect(opened!.mock.state.saved).toBe(0);
    // It is so of any text, also of the one that was there.
    await page.click("text=Undo all");
    await page.waitForFunction(() => document.querySelector(".editor-bar [role=status]")!.textContent === "");
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    await page.waitForSelector(".editor-bar >> text=Changed, not checked yet");
    await page.click("text=Keep my text on top of theirs");
    await page.click("text=Check");
    await page.waitForSelector("text=Checked: no issues");
    await page.click("text=Save");
    await page.waitForFunction(() => document.querySelector(".editor-bar")?.textContent?.includes("Saved"));
    expect(opened!.mock.state.mesh.objects[0]!.yaml).toContain("# mine");
  });

  it("keep what is written and not saved, and ask before it would be lost", async () => {
    const hash = "#/config/VirtualService.networking.istio.io/default/tcp-echo-server";
    const page = await start({ scenario: "echo-split", hash }, false);
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("# mine");
    await page.click("nav >> text=Services");
    await page.waitForSelector("h1:has-text('Services')");
    await page.waitForSelector(".banner >> text=VirtualService default/tcp-echo-server");
    await page.goBack();
    await page.waitForSelector(".cm-content >> text=# mine");
    expect(await page.locator(".banner").count()).toBe(0);
    await page.waitForSelector(".editor-bar >> text=not saved yet");
    // Somebody else's change in the meantime is not overwritten by what waited.
    await page.click("nav >> text=Services");
    opened!.mock.state.mesh.objects[0]!.resourceVersion += 1;
    await page.click(".banner a");
    await page.click("text=Check");
    await page.waitForSelector("text=Checked: no issues");
    await page.click("text=Save");
    await page.waitForSelector("text=Somebody else changed this object");
    const asked: string[] = [];
    page.once("dialog", (d) => {
      asked.push(d.type());
      void d.accept();
    });
    await page.reload();
    await page.waitForSelector(".cm-content >> text=weight: 80");
    expect(asked).toEqual(["beforeunload"]);
    expect(await page.locator(".cm-content >> text=# mine").count()).toBe(0);
    // Nothing is unsaved now: nobody is asked.
    page.once("dialog", (d) => {
      asked.push(d.type());
      void d.accept();
    });
    await page.reload();
    await page.locator(".cm-content").waitFor();
    expect(asked).toHaveLength(1);
  });

  it("that were deleted meanwhile leave what was written to copy, drop or create anew", async () => {
    const hash = "#/config/VirtualService.networking.istio.io/default/tcp-echo-server";
    const context = { permissions: ["clipboard-read", "clipboard-write"] };
    const page = await start({ scenario: "echo-split", hash, context }, false);
    const { state } = opened!.mock;
    const write = async (what: string) => {
      await page.locator(".cm-content").click();
      await page.keyboard.press("Control+End");
      await page.keyboard.type(what);
    };
    const remove = () => {
      state.deleted.push(...state.mesh.objects.filter((o) => o.kind === "VirtualService"));
      state.mesh.objects = state.mesh.objects.filter((o) => o.kind !== "VirtualService");
    };
    await write("# mine");
    await page.click("nav >> text=Services");
    remove();
    await page.click(".banner a");
    await page.waitForSelector("[role=alert] >> text=This object was deleted");
    await page.waitForSelector(".cm-content >> text=# mine");
    await page.click("text=Copy the text");
    await page.waitForSelector("[role=status] >> text=Copied");
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain("# mine");
    await page.click(".editor-bar >> text=Check");
    await page.waitForSelector("text=Checked: no issues");
    await page.click(".editor-bar >> text=Create");
    await page.waitForSelector(".editor-bar >> text=Created");
    expect(state.mesh.objects.find((o) => o.kind === "VirtualService")?.yaml).toContain("# mine");
    expect(await page.locator("text=This object was deleted").count()).toBe(0);
    // While it is open: whoever wants to save learns of it, and may drop what they wrote.
    await write("# more");
    remove();
    await page.click(".editor-bar >> text=Check");
    await page.waitForSelector("[role=alert] >> text=This object was deleted");
    await page.waitForSelector(".cm-content >> text=# more");
    await page.click("button:text-is('Drop it')");
    await page.waitForSelector("[role=alert] >> text=Not found");
    expect(await page.locator(".cm-content").count()).toBe(0);
    await page.click("nav >> text=Services");
    await page.waitForSelector("h1:has-text('Services')");
    expect(await page.locator(".banner").count()).toBe(0);
  });

  it("are shown only to whoever may not change them", async () => {
    const page = await start(
      { scenario: "echo", hash: "#/config/PeerAuthentication.security.istio.io/default/default" },
      false,
    );
    await page.waitForSelector("text=Your rights in Kubernetes do not include an update");
    expect(await page.$("text=Save")).toBeNull();
    clean();
  });
});

describe("the look", () => {
  const background = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

  it("is dark when the system is, and as chosen afterwards", async () => {
    const page = await start({ scenario: "echo", context: { colorScheme: "dark" } });
    const dark = await background(page);
    await page.click("[aria-label^='Colours']");
    expect(await background(page)).not.toBe(dark);
    await page.reload();
    expect(await background(page)).not.toBe(dark);
    clean();
  });

  it.each([
    "#/graph",
    `#/graph?selected=${encodeURIComponent(SERVER)}`,
    "#/workloads",
    "#/config",
    "#/workloads/default/echo-server",
    "#/config/VirtualService.networking.istio.io/default/tcp-echo-server",
  ])("fits 360 px: %s", async (hash) => {
    const page = await start(
      { scenario: "echo-all", hash, context: { viewport: { width: 360, height: 740 } } },
      hash.startsWith("#/graph"),
    );
    await page.waitForSelector("#main");
    await page.waitForTimeout(300);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    const ends = await page.$$eval(".masthead nav a", (all) =>
      all.map((a) => a.getBoundingClientRect().right),
    );
    expect(Math.max(...ends), "pages that cannot be seen").toBeLessThanOrEqual(360);
    clean();
  });

  it("tells the whole of what a narrow cell cuts off, to whoever points at it", async () => {
    const page = await start({ scenario: "bookinfo", hash: "#/graph?table=true" });
    const cell = page.locator(".graph-table [role=cell]:has-text('Refused: nothing leads on')");
    await cell.hover();
    expect(await cell.getAttribute("title")).toBe("Refused: nothing leads on");
    const whole = page.locator(".graph-table [role=cell]:text-is('bookinfo')").first();
    await whole.hover();
    expect(await whole.getAttribute("title")).toBeFalsy();
    clean();
  });

  it("covers no name of the graph on a small screen with details open", async () => {
    const page = await start({
      scenario: "echo-all",
      hash: `#/graph?selected=${encodeURIComponent(SERVER)}`,
      context: { viewport: { width: 360, height: 740 } },
    });
    const [line, zoom, stage] = await Promise.all(
      [".status-line", ".zoom", ".stage"].map(async (s) => (await (await page.$(s))!.boundingBox())!),
    );
    for (const id of await ids(page, "graph-nodes")) {
      const at = (await rendered(page, id)).y + stage!.y;
      // A box's name stands above its nodes.
      expect(at, id).toBeGreaterThan(line!.y + line!.height + 24);
      expect(at, id).toBeLessThan(zoom!.y);
    }
    expect(await page.$$eval(".toolbar select", (all) => all.every((e) => e.clientWidth > 150))).toBe(true);
    clean();
  });

  it("has text with enough contrast in both modes", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await start({ scenario: "echo", context: { colorScheme } });
      const low = await page.evaluate(() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name: string) => {
          const [r, g, b] = [1, 3, 5]
            .map(
              (i) =>
                Number.parseInt(
                  style
                    .getPropertyValue(`--${name}`)
                    .trim()
                    .slice(i, i + 2),
                  16,
                ) / 255,
            )
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
        };
        const ratio = (a: string, b: string) =>
          (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
        const pairs: [string, string, number][] = [
          ["text", "surface", 4.5],
          ["text", "canvas", 4.5],
          ["muted", "surface", 4.5],
          ["muted", "canvas", 4.5],
          ["muted", "app-box", 4.5],
          ["accent", "surface", 4.5],
          ["on-accent", "accent", 4.5],
          ["failing", "surface", 4.5],
          ["degraded", "surface", 4.5],
          ["on-mast-muted", "mast", 4.5],
          ["on-state", "failing", 3],
          ["on-state", "degraded", 3],
          ["on-state", "healthy", 3],
          ["healthy", "box", 3],
          ["failing", "box", 3],
          ["degraded", "box", 3],
          ["tcp", "box", 3],
          ["idle", "box", 3],
          ["muted", "hover", 4.5],
          ["text", "bad-surface", 4.5],
          ["text", "warn-surface", 4.5],
        ];
        return pairs
          .filter(([a, b, least]) => ratio(a, b) < least)
          .map(([a, b]) => `${a} on ${b}: ${ratio(a, b).toFixed(2)}`);
      });
      expect(low).toEqual([]);
      await opened!.close();
    }
    opened = undefined;
  });

  it("keeps the keyboard where it was left, and moves it from what is gone", async () => {
    const page = await start({ scenario: "echo" });
    const gone = (isLeft: boolean) =>
      page.evaluate(async (isLeft) => {
        const button = document.body.appendChild(document.createElement("button"));
        button.focus();
        if (isLeft) button.blur();
        await Promise.resolve();
        button.remove();
        await new Promise((done) => setTimeout(done));
        return document.activeElement?.className;
      }, isLeft);
    expect(await gone(false)).toContain("canvas");
    expect(await gone(true)).toBe("");
  });

  it("can be reached with the keyboard alone, each stop visible", async () => {
    const page = await start({ scenario: "echo" });
    const seen: string[] = [];
    for (let i = 0; i < 24; i += 1) {
      await page.keyboard.press("Tab");
      seen.push(
        await page.evaluate(() => {
          const e = document.activeElement as HTMLElement;
          const name =
            e.getAttribute("aria-label") ||
            e.textContent?.trim() ||
            e.title ||
            e.closest("label")?.textContent ||
            "";
          const box = e.getBoundingClientRect();
          return box.width > 1 && name && e !== document.body
            ? name
            : `unnamed or invisible: ${e.outerHTML.slice(0, 80)}`;
        }),
      );
    }
    expect(seen.filter((s) => s.startsWith("unnamed"))).toEqual([]);
    expect(seen[0]).toBe("Skip to the content");
    expect(seen.some((s) => s.startsWith("Traffic graph with"))).toBe(true);
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open] >> text=Find and hide");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog[open]", { state: "detached" });
    const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
    await page.focus(".canvas");
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector(".panel h2:not(:has-text('Whole graph'))");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("tab");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".panel h2:has-text('Whole graph')");
    expect(await focused()).toContain("canvas");
    await page.click("[aria-label=Legend]");
    await page.focus("[aria-label='Close the legend']");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".legend", { state: "detached" });
    expect(await focused()).toContain("canvas");
  });
});

describe("the keyboard", () => {
  const focused = (page: Page) =>
    page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.id);

  it("comes back from a dialog at once, and is not taken from wherever it went since", async () => {
    const page = await start({ scenario: "echo" });
    await page.focus("[aria-label=Legend]");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open]");
    const after = await page.evaluate(async () => {
      const closed = new Promise<string | null | undefined>((done) =>
        new MutationObserver(() => {
          if (document.querySelector("dialog")) return;
          const at = document.activeElement?.getAttribute("aria-label");
          document.querySelector<HTMLElement>(".canvas")!.focus();
          done(at);
        }).observe(document.getElementById("app")!, { childList: true, subtree: true }),
      );
      document.querySelector<HTMLElement>("dialog [aria-label=Close]")!.click();
      const at = await closed;
      // Longer than effects after a paint are put off.
      await new Promise((done) => setTimeout(done, 200));
      return [at, document.activeElement?.className];
    });
    expect(after[0]).toBe("Legend");
    expect(after[1]).toContain("canvas");
    clean();
  });

  const GOES = [
    ["#/graph?services=false&selected=service/default/tcp-echo-server", ".panel-away button", "[role=tab]"],
    ["#/graph?selected=service/default/tcp-echo-server", ".neighbours button", "[role=tab]"],
    ["#/graph?namespaces=nowhere", ".empty button:has-text('All namespaces')", "#main, .canvas"],
    ["#/graph?at=99999999999999", "button:has-text('Back to now')", "#main, .canvas"],
    ["#/graph?legend=true", ".legend button", ".canvas"],
  ] as const;
  it.each(GOES)("is not lost with what it led to: %s %s", async (hash, what, next) => {
    const page = await start({ scenario: "echo", hash }, false);
    await page.focus(what);
    await page.keyboard.press("Enter");
    await page.waitForFunction((n) => document.activeElement?.matches(n), next);
    await settled(page);
    expect(await page.evaluate(() => document.activeElement !== document.body)).toBe(true);
    expect(opened!.problems.filter((p) => !p.includes("status of 400"))).toEqual([]);
  });

  it("gets into the details as soon as they are drawn, unless it has gone elsewhere", async () => {
    const selected = `#/graph?selected=${encodeURIComponent(SERVICE)}`;
    const page = await start({ scenario: "echo", hash: selected });
    for (const elsewhere of [false, true]) {
      let answer = () => {};
      opened!.mock.state.held = new Promise<void>((done) => {
        answer = done;
      });
      await page.reload();
      await page.focus(".canvas");
      await page.keyboard.press("Enter");
      expect(await page.locator(".panel").count()).toBe(0);
      if (elsewhere) await page.focus("[aria-label=Legend]");
      answer();
      await page.waitForSelector(".panel h2:has-text('tcp-echo-server')");
      expect(await focused(page)).toBe(elsewhere ? "Legend" : "tab-traffic");
    }
    clean();
  });
});

describe("replay", () => {
  it("leads back to now from a time that is to come", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?at=99999999999999" }, false);
    await page.waitForSelector("text=That time is yet to come");
    await page.click("text=Back to now");
    await settled(page);
    expect(page.url()).not.toContain("at=");
  });

  it("leads back to now from a time that is not kept any more", async () => {
    const page = await start({ scenario: "echo" });
    opened!.mock.state.fault = 400;
    await page.evaluate(() => {
      location.hash = "#/graph?at=5000";
    });
    await page.waitForSelector("[role=alert] >> text=Back to now");
    opened!.mock.state.fault = undefined;
    await page.click("[role=alert] >> text=Back to now");
    await page.waitForFunction(() => /Live/.test(document.querySelector(".status-line")?.textContent ?? ""));
    expect(page.url()).not.toContain("at=");
  });

  it("goes back in time, plays, and returns to now", async () => {
    const page = await start({ scenario: "echo", hash: "#/graph?replay=true" });
    const slider = page.locator("input[type=range]");
    await slider.focus();
    await page.keyboard.press("PageDown");
    await page.waitForFunction(() => /at=\d+/.test(location.hash));
    await page.waitForFunction(() => /As of/.test(document.querySelector(".status-line")?.textContent ?? ""));
    await page.waitForSelector(".replay >> text=Without Istio's badges");
    const before = await slider.inputValue();
    await page.click("[aria-label=Play]");
    await page.waitForFunction(
      (b) => document.querySelector<HTMLInputElement>("input[type=range]")!.value > b,
      before,
    );
    await page.click("[aria-label='Pause the replay']");
    await page.click("text=Back to now");
    await page.waitForFunction(
      () =>
        /Live/.test(document.querySelector(".status-line")?.textContent ?? "") &&
        !location.hash.includes("at="),
    );
    clean();
  });
});
