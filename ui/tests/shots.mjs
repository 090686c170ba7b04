// Takes the screenshots that whoever changes the look should look at: node tests/shots.mjs [FOLDER]
import { mkdir } from "node:fs/promises";
import { scenario } from "../mock/server.mjs";
import { launch, open, settled } from "./browser.mjs";

const folder = process.argv[2] ?? "/tmp/ui-shots";
await mkdir(folder, { recursive: true });
const browser = await launch();
const server = "app/default/echo-server/v2";
const REFUSED = `service/default/tcp-echo-server>${server}#tcp`;
/** @type {{name: string, scenario: string, hash?: string, width?: number, height?: number, dark?: boolean, graph?: boolean, grows?: string[], token?: string, act?: (p: import("playwright-core").Page, mock: Awaited<ReturnType<typeof open>>["mock"]) => Promise<void>}[]} */
const shots = [
  { name: "echo-light", scenario: "echo" },
  { name: "echo-all-light", scenario: "echo-all" },
  { name: "echo-all-dark", scenario: "echo-all", dark: true },
  { name: "two", scenario: "echo-two" },
  { name: "nine", scenario: "echo-nine", width: 1000, height: 700 },
  { name: "nine-dark", scenario: "echo-nine", dark: true },
  { name: "mobile-nine", scenario: "echo-nine", width: 360, height: 740 },
  { name: "bookinfo", scenario: "bookinfo" },
  { name: "bookinfo-dark-legend", scenario: "bookinfo", hash: "#/graph?legend=true", dark: true },
  { name: "mid", scenario: "mid" },
  {
    name: "mid-dark-zoomed",
    scenario: "mid",
    dark: true,
    act: (p) => p.click("[aria-label='Zoom in']", { clickCount: 6 }),
  },
  { name: "big", scenario: "big" },
  { name: "panel-node", scenario: "echo-all", hash: `#/graph?selected=${encodeURIComponent(server)}` },
  {
    name: "panel-failures",
    scenario: "echo-all",
    hash: `#/graph?tab=failures&selected=${encodeURIComponent(server)}`,
  },
  { name: "find", scenario: "bookinfo", hash: "#/graph?find=!healthy" },
  { name: "find-error", scenario: "bookinfo", act: (p) => p.fill("[data-field=find]", "name contians x") },
  { name: "display", scenario: "bookinfo", act: (p) => p.click("text=Display") },
  { name: "table", scenario: "bookinfo", hash: "#/graph?table=true" },
  { name: "table-legend", scenario: "bookinfo", hash: "#/graph?table=true&legend=true" },
  { name: "replay", scenario: "bookinfo", hash: "#/graph?replay=true" },
  {
    name: "replay-past",
    scenario: "bookinfo",
    hash: "#/graph?replay=true",
    act: (p) => p.focus("input[type=range]").then(() => p.keyboard.press("PageDown")),
  },
  { name: "laptop", scenario: "bookinfo", width: 1280, height: 720 },
  {
    name: "edge-refused",
    scenario: "echo-all",
    width: 1280,
    height: 720,
    hash: `#/graph?selected=${encodeURIComponent(REFUSED)}&tab=failures`,
  },
  {
    name: "grown",
    scenario: "echo",
    width: 1280,
    height: 720,
    grows: ["echo-split", "echo-all", "bookinfo"],
  },
  { name: "mobile-bookinfo", scenario: "bookinfo", width: 360, height: 740 },
  { name: "mobile", scenario: "echo-all", width: 360, height: 740 },
  {
    name: "mobile-panel",
    scenario: "echo-all",
    width: 360,
    height: 740,
    hash: `#/graph?selected=${encodeURIComponent(server)}`,
  },
  { name: "mobile-list", scenario: "bookinfo", width: 360, height: 740, hash: "#/workloads", graph: false },
  { name: "list", scenario: "bookinfo", hash: "#/workloads", graph: false },
  { name: "config-list", scenario: "echo-all", hash: "#/config", graph: false },
  { name: "detail", scenario: "echo-all", hash: "#/workloads/default/echo-server", graph: false },
  {
    name: "editor",
    scenario: "echo-all",
    hash: "#/config/DestinationRule.networking.istio.io/default/tcp-echo-server",
    graph: false,
  },
  {
    name: "editor-dark",
    scenario: "echo-all",
    dark: true,
    hash: "#/config/DestinationRule.networking.istio.io/default/tcp-echo-server",
    graph: false,
  },
  { name: "sign-in", scenario: "echo", graph: false, token: "s3cret" },
  {
    name: "draft-gone",
    scenario: "echo-split",
    hash: "#/config/VirtualService.networking.istio.io/default/tcp-echo-server",
    graph: false,
    act: async (p, mock) => {
      await p.locator(".cm-content").click();
      await p.keyboard.press("Control+End");
      await p.keyboard.type("# mine");
      mock.state.mesh.objects = [];
      await p.click(".editor-bar >> text=Check");
      await p.waitForSelector(".notice-warn");
    },
  },
  { name: "empty", scenario: "empty", graph: false },
  { name: "help", scenario: "echo", act: (p) => p.click("[aria-label=Help]") },
];
const only = process.argv[3];
for (const s of shots.filter((x) => !only || x.name.includes(only))) {
  const { mock, page, problems, close } = await open(browser, {
    scenario: s.scenario,
    hash: s.hash,
    token: s.token,
    context: {
      viewport: { width: s.width ?? 1440, height: s.height ?? 860 },
      colorScheme: s.dark ? "dark" : "light",
    },
  });
  if (s.graph !== false) await settled(page);
  for (const next of s.grows ?? []) {
    mock.state.mesh = scenario(next);
    await page.click("[aria-label='Refresh now']");
    await page.waitForTimeout(700);
    await settled(page);
  }
  if (s.token) {
    await page.evaluate(() => sessionStorage.setItem("lateen.token", "wrong"));
    await page.reload();
    await page.waitForSelector("dialog");
  }
  await s.act?.(page, mock);
  await page.waitForTimeout(900);
  await page.screenshot({ path: `${folder}/${s.name}.png` });
  console.log(s.name, ...problems);
  await close();
}
await browser.close();
