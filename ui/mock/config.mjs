// Istio objects in the mock: how they are kept, listed, checked and saved.

/** @typedef {import("../src/api/types").Issue} Issue */
/**
 * @typedef {{kind: string, group: string, namespace: string, name: string, version: string, created: number, yaml: string,
 *   resourceVersion: number, validation: Issue[], actsOn: string[], editable: boolean}} StoredObject
 */

/** @param {string} kind @param {string} group @param {string} namespace @param {string} name @param {string} spec
 * @param {string[]} actsOn @param {Issue[]} [validation] @returns {StoredObject} */
export function object(kind, group, namespace, name, spec, actsOn, validation = []) {
  const yaml = `apiVersion: ${group}/v1\nkind: ${kind}\nmetadata:\n  name: ${name}\n  namespace: ${namespace}\n${spec}`;
  return {
    kind,
    group,
    namespace,
    name,
    version: "v1",
    created: 1_790_000_000_000,
    yaml,
    resourceVersion: 41,
    validation,
    actsOn,
    editable: namespace !== "istio-system" && kind !== "PeerAuthentication",
  };
}

/** @param {StoredObject} o @returns {import("../src/api/types").ConfigItem} */
export function item(o) {
  const count = (/** @type {string} */ s) => o.validation.filter((i) => i.severity === s).length;
  const { kind, group, namespace, name, version, created } = o;
  return {
    kind,
    group,
    namespace,
    name,
    version,
    created,
    issues: { errors: count("error"), warnings: count("warning") },
  };
}

/** @param {StoredObject} o @returns {import("../src/api/types").ConfigObject} */
export function full(o) {
  return {
    ...item(o),
    yaml: o.yaml,
    resourceVersion: String(o.resourceVersion),
    validation: o.validation,
    editable: o.editable,
    actsOn: o.actsOn,
  };
}

/** Weights must add up to 100 and hosts must be there: enough to show how issues look.
 * @param {string} yaml @returns {Issue[]} */
export function validate(yaml) {
  /** @type {Issue[]} */
  const issues = [];
  const weights = [...yaml.matchAll(/^\s+weight:\s*(-?\d+)/gm)].map((m) => Number(m[1]));
  const total = weights.reduce((a, b) => a + b, 0);
  if (weights.length > 0 && total !== 100) {
    issues.push({
      code: "LT0104",
      severity: "error",
      message: `the weights add up to ${total}: make them 100`,
      path: "spec.tcp[0].route[1].weight",
    });
  }
  return issues;
}

/** What the mesh would say of a text, were it saved: in the mock of a host called nowhere.
 * @param {string} yaml */
export function foresee(yaml) {
  if (!/host:\s*nowhere/.test(yaml)) return { issues: [] };
  const object = {
    kind: "DestinationRule",
    group: "networking.istio.io",
    namespace: "default",
    name: "other",
  };
  return {
    issues: [
      {
        code: "LT0101",
        severity: "error",
        message: "no service is named nowhere: check the host",
        path: "spec.tcp[0].route[0].destination.host",
      },
      {
        code: "LT0101",
        severity: "warning",
        message: "nothing leads to its subset",
        path: "spec.subsets[0]",
        object,
      },
    ],
  };
}
