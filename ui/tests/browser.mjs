// Starts Debian's Chromium and the mock for tests and screenshots. In: SLOWER, how many times slower the page is to run,
// and DELAY, the milliseconds that each answer is to take: no test may need a fast machine.
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startMock } from "../mock/server.mjs";

export const DIST = fileURLToPath(new URL("../dist", import.meta.url));

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
  });
}

/** A page on a mock of its own. `problems` gathers console errors and requests to anywhere else.
 * @param {import("playwright-core").Browser} browser
 * @param {{scenario?: string, token?: string, hash?: string, now?: () => number, context?: import("playwright-core").BrowserContextOptions}} [options] */
export async function open(browser, options = {}) {
  const mock = await startMock({
    scenario: options.scenario ?? "echo",
    token: options.token,
    dist: DIST,
    now: options.now,
    delay: Number(process.env.DELAY ?? 0),
  });
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options.context });
  const page = await context.newPage();
  const slower = Number(process.env.SLOWER ?? 1);
  if (slower > 1) {
    const session = await context.newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: slower });
  }
  /** @type {string[]} */
  const problems = [];
  page.on("console", (m) => {
    // The machine got or lost a network interface: the page asks again.
    if (m.text().includes("ERR_NETWORK_CHANGED")) return;
    if (m.type() === "error" || m.type() === "warning") problems.push(`console: ${m.text()}`);
  });
  page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
  page.on("request", (r) => {
    if (!r.url().startsWith(mock.url) && !r.url().startsWith("blob:")) problems.push(`request to ${r.url()}`);
  });
  await page.goto(`${mock.url}${options.token ? `?token=${options.token}` : ""}${options.hash ?? ""}`);
  return {
    mock,
    page,
    problems,
    async close() {
      await context.close();
      await mock.close();
    },
  };
}

/** Waits until the layout is done and the graph has been fitted.
 * @param {import("playwright-core").Page} page */
export async function settled(page) {
  await page.waitForFunction(() => {
    const graph = /** @type {any} */ (window).lateenGraph;
    return (
      graph &&
      document.querySelector("#graph-nodes tbody tr, .graph-table .grid-row") &&
      !document.querySelector(".busy")
    );
  });
  await page.waitForTimeout(150);
}
