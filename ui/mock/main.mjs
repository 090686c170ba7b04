// Runs the mock: node mock/main.mjs [--port 8321] [--scenario echo-all] [--token T] [--dist dist]
import { parseArgs } from "node:util";
import { startMock } from "./server.mjs";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8321" },
    scenario: { type: "string", default: "echo-all" },
    token: { type: "string" },
    dist: { type: "string" },
  },
});
const mock = await startMock({ ...values, port: Number(values.port) });
console.log(`${values.scenario} on ${mock.url}${values.token ? `?token=${values.token}` : ""}`);
