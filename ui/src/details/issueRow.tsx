// One finding about an object's text. In: the issue and the text. Out: its words, which lead to its line.
import type { Signal } from "@preact/signals";
import type { Issue } from "../api/types";
import { clean } from "../model/text";
import { lineOfPath } from "../model/yamlPath";

/** An issue of the text leads to its line. One of another object leads nowhere: what is not saved would be lost. */
export function IssueRow({
  issue,
  text,
  goTo,
}: {
  issue: Issue;
  text: string;
  goTo: Signal<{ line: number } | undefined>;
}) {
  const { object } = issue;
  const line = lineOfPath(text, issue.path);
  const words = (
    <>
      <span
        class={`tag tag-${issue.severity === "error" ? "failing" : issue.severity === "warning" ? "degraded" : "idle"}`}
      >
        {issue.severity}
      </span>{" "}
      <span>{clean(issue.message, 400)}</span>
      <small class="muted">
        {object
          ? `${clean(object.kind, 60)} ${clean(object.namespace, 80)}/${clean(object.name, 160)}`
          : `line ${line}`}{" "}
        · {issue.path && <code>{clean(issue.path, 120)}</code>}
        {issue.path && " · "}
        {clean(issue.code, 20)}
      </small>
    </>
  );
  if (object) {
    return (
      <li>
        <div>{words}</div>
      </li>
    );
  }
  return (
    <li>
      <button
        type="button"
        onClick={() => {
          goTo.value = { line };
        }}
      >
        {words}
      </button>
    </li>
  );
}
