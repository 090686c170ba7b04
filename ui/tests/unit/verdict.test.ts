// What is said beside the text of an object. In: texts, and what was found in which.
import { expect, it } from "vitest";
import type { Issue } from "../../src/api/types";
import { known, verdict } from "../../src/model/verdict";

const issue = (message: string): Issue => ({ code: "IST0106", severity: "error", message, path: "spec" });
const saved = { text: "saved", issues: [issue("of what is saved")] };
const checked = { text: "checked", issues: [issue("of what was checked")] };

it.each([
  ["saved", undefined, "saved", saved, "saved"],
  ["saved", checked, "saved", saved, "saved"],
  ["saved", { ...checked, text: "saved" }, "saved", saved, "saved"],
  ["checked", checked, "checked", checked, "checked"],
  ["another", checked, "unchecked", checked, "checked"],
  ["another", undefined, "unchecked", saved, "saved"],
] as const)("of the text %j, with %j checked: it is %s", (text, check, is, found, from) => {
  expect(known(text, saved, check && { ...check, issues: [...check.issues] })).toEqual({ is, found, from });
});

it("counts what was found in the text and what the mesh would say of it", () => {
  expect(verdict({ text: "", issues: [] })).toBe("Checked: no issues");
  expect(verdict({ ...checked, foreseen: { issues: [issue("of the mesh")] } })).toBe("Checked: 2 issues");
  expect(verdict({ text: "", issues: [], foreseen: { issues: [], missing: "it is away" } })).toBe(
    "Checked: the text has no issues",
  );
});
