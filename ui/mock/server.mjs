// Serves the graph API from generated data, and the built page with the policy that the real server sends.
// Faults can be switched on while it runs: `state.fault` is a status to answer everything with, or "drop".
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { failures, list, logs, namespaces, series } from "./answers.mjs";
import { foresee, full, item, validate } from "./config.mjs";
import { graph } from "./graph.mjs";
import { big } from "./scenarios/big.mjs";
import { bookinfo } from "./scenarios/bookinfo.mjs";
import { echo } from "./scenarios/echo.mjs";
import { team } from "./scenarios/team.mjs";
import { versions } from "./scenarios/versions.mjs";

export const POLICY =
  "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** @param {string} name @returns {import("./mesh.mjs").Mesh} */
export function scenario(name) {
  if (name === "big") return big();
  if (name === "mid") return big(100, 220, 6);
  if (name.startsWith("team-")) return team(name);
  if (name === "versions") return versions();
  return name === "bookinfo" ? bookinfo() : echo(name);
}

/** @param {{scenario?: string, dist?: string, token?: string, port?: number, now?: () => number, delay?: number}} [options]
 * `delay`: milliseconds that each answer of the API takes */
export async function startMock(options = {}) {
  const state = {
    mesh: scenario(options.scenario ?? "echo"),
    /** @type {number | "drop" | undefined} */
    fault: undefined,
    /** Paths of the API that were asked for, the newest last, at most 500. */
    asked: /** @type {string[]} */ ([]),
    notices: /** @type {string[]} */ ([]),
    saved: 0,
    /** Objects that were there: of these new ones can be created. */
    deleted: /** @type {import("./config.mjs").StoredObject[]} */ ([]),
    /** Only on paths that this matches there is the fault. */
    faulty: /** @type {RegExp} */ (/^/),
    /** Who has which token; with none of them nobody needs one. */
    users: new Map(options.token ? [[options.token, "mock"]] : []),
    /** Requests without the right token. */
    refused: 0,
    /** Answers of the API wait for it. */
    held: /** @type {Promise<unknown> | undefined} */ (undefined),
  };
  const now = options.now ?? Date.now;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://mock");
    if (!url.pathname.startsWith("/api/")) return void file(options.dist, url.pathname, response);
    state.asked.push(`${request.method} ${url.pathname}${url.search}`);
    if (state.asked.length > 500) state.asked.shift();
    if (options.delay) await new Promise((done) => setTimeout(done, options.delay));
    await state.held;
    const isFaulty = state.faulty.test(url.pathname);
    if (state.fault === "drop" && isFaulty) return void request.socket.destroy();
    if (state.fault && state.fault !== "drop" && isFaulty)
      return send(response, state.fault, {
        status: state.fault,
        message:
          state.fault === 403
            ? "you need the right to list pods in namespace default: ask for a RoleBinding"
            : state.fault === 424
              ? "your token for the cluster has ended or is refused: start `lateen dashboard` again"
              : "the graph is being started",
      });
    const user = state.users.get(request.headers.authorization?.replace(/^Bearer /, "") ?? "");
    if (state.users.size > 0 && user === undefined) {
      state.refused += 1;
      return send(response, 401, {
        status: 401,
        message: "the token is missing or was refused: open the address that `lateen up` printed",
      });
    }
    const chunks = /** @type {Buffer[]} */ ([]);
    request.on("data", (c) => chunks.push(c));
    request.on("end", () =>
      answer(state, now(), request, url, user ?? "mock", Buffer.concat(chunks).toString(), response),
    );
  });
  await new Promise((ready) => server.listen(options.port ?? 0, "127.0.0.1", () => ready(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    state,
    url: `http://127.0.0.1:${port}/`,
    close: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}

/** @typedef {Awaited<ReturnType<typeof startMock>>["state"]} State */

/** @param {State} state @param {number} now @param {import("node:http").IncomingMessage} request @param {URL} url @param {string} user @param {string} body @param {import("node:http").ServerResponse} response */
function answer(state, now, request, url, user, body, response) {
  const { mesh } = state;
  const p = url.searchParams;
  const at = Number(p.get("at") ?? Math.floor(now / 5000) * 5000);
  const id = p.get("id") ?? "";
  const limit = Number(p.get("limit") ?? 50);
  const path = url.pathname.replace("/api/v1/", "");
  const spaces = (p.get("namespaces") ?? "").split(",").filter(Boolean);
  const wanted = (/** @type {{namespace: string, name: string}} */ i) =>
    (spaces.length === 0 || spaces.includes(i.namespace)) && i.name.includes(p.get("search") ?? "");
  const [what] = path.split("/");
  if (at > now + 10_000)
    return send(response, 400, { status: 400, message: `at ${at} is to come: now is ${now}` });
  switch (what) {
    case "status":
      return send(response, 200, {
        version: "0.0.0-mock",
        cluster: "Kubernetes",
        source: "memory",
        now,
        oldest: now - 3_600_000,
        step: 5000,
        user,
        proxies: mesh.workloads.length,
        store: { bytes: 4_000_000, limit: 64_000_000, edges: mesh.flows.length, edgesDropped: 0 },
        notices: state.notices,
      });
    case "graph":
      return send(
        response,
        200,
        graph(mesh, {
          type: /** @type {any} */ (p.get("type") ?? "workload"),
          namespaces: spaces,
          duration: Number(p.get("duration") ?? 60),
          at,
          services: p.get("services") !== "false",
          idle: p.get("idle") === "true",
          past: p.has("at"),
        }),
        request.headers["if-none-match"],
      );
    case "series":
      return send(response, 200, series(mesh, id, at, Number(p.get("duration") ?? 60)));
    case "failures":
      return send(response, 200, { failures: failures(mesh, id, at, limit) });
    case "logs":
      return send(response, 200, { lines: logs(mesh, id, at, limit) });
    case "namespaces":
      return send(response, 200, { namespaces: namespaces(mesh, at) });
    case "applications":
    case "workloads":
    case "services":
      return send(response, 200, { items: list(mesh, what, at).filter(wanted) });
    case "config":
      return config(
        state,
        path.split("/").slice(1).map(decodeURIComponent),
        request.method ?? "GET",
        p,
        body,
        wanted,
        response,
      );
    default:
      return send(response, 404, { status: 404, message: `there is no ${path}` });
  }
}

/** @param {State} state @param {string[]} parts @param {string} method @param {URLSearchParams} p @param {string} body @param {(i: {namespace: string, name: string}) => boolean} wanted @param {import("node:http").ServerResponse} response */
function config(state, parts, method, p, body, wanted, response) {
  const { objects } = state.mesh;
  if (parts.length === 0) {
    const on = p.get("actsOn");
    const acting = objects.filter((o) => !on || on === "mesh" || o.actsOn.some((a) => same(a, on)));
    return send(response, 200, {
      items: acting.filter((o) => wanted(o) && (!p.get("kind") || o.kind === p.get("kind"))).map(item),
    });
  }
  const is = (/** @type {import("./config.mjs").StoredObject} */ o) =>
    `${o.kind}.${o.group}` === parts[0] && o.namespace === parts[1] && o.name === parts[2];
  const gone = method === "POST" && JSON.parse(body).resourceVersion === "" && state.deleted.find(is);
  const present = objects.find(is);
  const found = present ?? (gone ? { ...gone } : undefined);
  if (!found) return send(response, 404, { status: 404, message: `there is no ${parts.join("/")}` });
  if (method === "GET") return send(response, 200, full(found));
  if (!found.editable)
    return send(response, 403, {
      status: 403,
      message: `you need the right to update ${found.kind} in namespace ${found.namespace}`,
    });
  const { yaml, resourceVersion } = JSON.parse(body);
  const twice = yaml.split("\n").findIndex((/** @type {string} */ line) => /^\w+: \w+: /.test(line));
  if (twice >= 0) {
    const message = `the text is no YAML: line ${twice + 1}, column 5: there is a second colon in the line: put the text in quotes`;
    const issues = [{ code: "IST0106", severity: "error", message, path: "" }];
    return send(response, 422, { status: 422, message, issues });
  }
  if (!/^kind: \w+/m.test(yaml))
    return send(response, 422, {
      status: 422,
      message: "the text is not a Kubernetes object: kind is missing",
      issues: [{ code: "LT0001", severity: "error", message: "kind is missing", path: "kind" }],
    });
  const validation = validate(yaml);
  const foreseen = validation.some((i) => i.severity === "error") ? undefined : foresee(yaml);
  if (p.get("dryRun") === "true") return send(response, 200, { ...full(found), yaml, validation, foreseen });
  if (resourceVersion !== (present ? String(present.resourceVersion) : ""))
    return send(response, 409, { status: 409, message: "the object has changed since it was read" });
  if (validation.some((i) => i.severity === "error"))
    return send(response, 422, { status: 422, message: "the object has errors", issues: validation });
  Object.assign(found, { yaml, validation, resourceVersion: found.resourceVersion + 1 });
  if (!present) objects.push(found);
  state.saved += 1;
  return send(response, 200, full(found));
}

/** Versioned apps and workloads of one name are acted on alike here.
 * @param {string} acted @param {string} asked */
function same(acted, asked) {
  if (acted === asked || asked.split(/[>#]/).includes(acted)) return true;
  const [, ns, name] = acted.split("/");
  return asked === `namespace/${ns}` || asked.startsWith(`app/${ns}/${name}`);
}

/** @param {import("node:http").ServerResponse} response @param {number} status @param {unknown} content @param {string} [known] */
function send(response, status, content, known) {
  const text = JSON.stringify(content);
  const etag = `"${createHash("sha1").update(text).digest("base64url")}"`;
  const unchanged = known === etag;
  response.writeHead(unchanged ? 304 : status, {
    "Content-Type": "application/json",
    ETag: etag,
    "Cache-Control": "no-store",
  });
  response.end(unchanged ? undefined : text);
}

/** @param {string | undefined} dist @param {string} path @param {import("node:http").ServerResponse} response */
async function file(dist, path, response) {
  const name = normalize(path === "/" ? "/index.html" : path);
  const full = dist && join(dist, name);
  const there = full ? await stat(full).catch(() => undefined) : undefined;
  if (!full || !there?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[/** @type {keyof typeof TYPES} */ (extname(full))] ?? "application/octet-stream";
  response.writeHead(200, {
    "Content-Type": type,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
  });
  createReadStream(full).pipe(response);
}
