// Opens the page of a real mesh with the echo demo: node tests/mesh.mjs URL FOLDER
// In: the address that `lateen up` printed, and a mesh in which the first byte has just been sent. Out: exit code 0 if
// the page shows the demo within ten seconds and then lets an object be edited; screenshots.
import { mkdir } from "node:fs/promises";
import { launch, settled } from "./browser.mjs";

const [url = "", folder = ""] = process.argv.slice(2);
const NODES = [
  "app/default/echo-client/v1",
  "service/default/tcp-echo-server",
  "app/default/echo-server/v1",
  "app/istio-system/istio-ingressgateway/latest",
];
/** From the first byte until the page shows it, once the page is there. */
const SHOWN = 10_000;
const GATEWAY = "#/config/Gateway.networking.istio.io/default/tcp-echo-gateway-server";
const SERVICE = `#/graph?selected=${encodeURIComponent("service/default/tcp-echo-server")}`;

await mkdir(folder, { recursive: true });
const browser = await launch();
/** @type {string[]} */
const problems = [];

/** @param {string} hash @param {import("playwright-core").BrowserContextOptions} [options] */
async function open(hash, options) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 860 }, ...options });
  const page = await context.newPage();
  page.on("console", (m) => {
    if (m.type() === "error") problems.push(`${hash}: console: ${m.text()}`);
  });
  page.on("pageerror", (e) => problems.push(`${hash}: error: ${e.message}`));
  page.on("request", (r) => {
    if (!r.url().startsWith(new URL(url).origin) && !r.url().startsWith("blob:"))
      problems.push(`${hash}: request to ${r.url()}`);
  });
  await page.goto(url + hash);
  return page;
}

/** @param {import("playwright-core").Page} page @param {string} name */
async function shot(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png` });
  await page.context().close();
}

/** All of the demo, and nothing that nobody knows.
 * @param {import("playwright-core").Page} page */
async function demo(page) {
  await page.waitForFunction(
    (nodes) => nodes.every((id) => document.querySelector(`#graph-nodes tr[data-id="${id}"]`)),
    NODES,
  );
  await settled(page);
  const text = await page.$$eval("#graph-nodes tr, #graph-edges tr", (all) =>
    all.map((row) => row.textContent ?? ""),
  );
  const unknown = text.filter((row) => /unknown/i.test(row));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join("; ")}`);
}

try {
  const page = await open("");
  const opened = Date.now();
  await demo(page);
  const took = Date.now() - opened;
  console.log(`shown ${took} ms after the page was opened`);
  if (took > SHOWN) problems.push(`the demo was shown after ${took} ms`);
  if (page.url().includes("token")) problems.push("the address still has the token");
  await shot(page, "graph");
  const dark = await open("", { colorScheme: "dark" });
  await demo(dark);
  await shot(dark, "graph-dark");
  const small = await open("", { viewport: { width: 360, height: 740 } });
  await demo(small);
  await shot(small, "graph-360");
  const panel = await open(SERVICE);
  await panel.waitForSelector(".panel h2:has-text('tcp-echo-server')");
  await panel.click(".panel [role=tab]:has-text('Config')");
  await panel.waitForSelector(".panel a:has-text('tcp-echo')");
  await panel.screenshot({ path: `${folder}/panel.png` });
  await panel.click(".panel [role=tab]:has-text('Failures')");
  await panel.waitForSelector(".panel .failures, .panel :text('failed lately')");
  await panel.screenshot({ path: `${folder}/failures.png` });
  await panel.click(".panel [role=tab]:has-text('Logs')");
  await panel.waitForSelector(".panel >> text=outbound|8020||tcp-echo-server");
  await shot(panel, "logs");
  const list = await open("#/workloads");
  await list.waitForSelector(".grid-body .grid-row:has-text('echo-client')");
  await shot(list, "workloads");

  const config = await open(GATEWAY);
  await config.click(".cm-content >> text=/number: 31400/");
  await config.keyboard.press("End");
  await config.keyboard.type("0");
  await config.click("button:has-text('Check')");
  await config.waitForSelector(".editor-side .tag-failing");
  await config.screenshot({ path: `${folder}/editor-wrong.png` });
  await config.focus(".cm-content");
  await config.keyboard.press("End");
  await config.keyboard.press("Backspace");
  await config.keyboard.press("Backspace");
  await config.keyboard.type("1");
  await config.click("button:has-text('Check')");
  await config.waitForSelector("text=Checked: no issues");
  await config.click("button:has-text('Save')");
  await config.waitForSelector("text=Saved");
  await config.waitForSelector(".editor-side >> text=no VirtualService routes port 31401");
  await shot(config, "editor");
  const narrow = await open(GATEWAY, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  await narrow.waitForSelector(".cm-content >> text=/number: 31401/");
  await shot(narrow, "editor-360-dark");
} catch (e) {
  for (const page of browser.contexts().flatMap((context) => context.pages()))
    await page.screenshot({ path: `${folder}/failed.png` });
  throw e;
} finally {
  await browser.close();
}
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
