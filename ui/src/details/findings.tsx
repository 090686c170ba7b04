// What is found about an object's text, and what the mesh would say of it. In: issues and the text. Out: their words,
// which lead to its lines.
import type { Signal } from "@preact/signals";
import type { Foreseen, Issue } from "../api/types";
import { formatRoute } from "../app/route";
import { DEFAULTS, formatGraphState } from "../model/graphState";
import { clean } from "../model/text";
import type { Known } from "../model/verdict";
import { lineOfIssue } from "../model/yamlPath";

type GoTo = Signal<{ line: number } | undefined>;

/** What was found in another text is dimmed, and told of as that text's. */
export function Validation({ known, text, goTo }: { known: Known; text: string; goTo: GoTo }) {
  const { issues } = known.found;
  const isOld = known.is === "unchecked";
  return (
    <section class="card">
      <h2>Validation</h2>
      {isOld && <p class="muted">This text is not checked yet: Check tells what is wrong with it.</p>}
      {isOld && issues.length > 0 && (
        <p class="muted">
          {known.from === "saved" ? "What is saved has:" : "The text that was checked before had:"}
        </p>
      )}
      {issues.length === 0 && !isOld && <p class="muted">No issues.</p>}
      {issues.length > 0 && (
        <ul class={`issues ${isOld ? "stale" : ""}`}>
          {issues.slice(0, 100).map((i) => (
            <IssueRow key={`${i.code} ${i.path} ${i.message}`} issue={i} text={text} goTo={goTo} />
          ))}
        </ul>
      )}
    </section>
  );
}

export function IfSaved({ foreseen, text, goTo }: { foreseen: Foreseen; text: string; goTo: GoTo }) {
  return (
    <section class="card">
      <h2>If it is saved</h2>
      {foreseen.missing && <p class="muted">{clean(foreseen.missing, 400)}</p>}
      {foreseen.issues.length === 0 && !foreseen.missing && (
        <p class="muted">The mesh would have nothing to say.</p>
      )}
      <ul class="issues">
        {foreseen.issues.map((i) => (
          <IssueRow
            key={`${i.object?.kind} ${i.object?.namespace} ${i.object?.name} ${i.path} ${i.message}`}
            issue={i}
            text={text}
            goTo={goTo}
          />
        ))}
      </ul>
      {foreseen.leftOut && <p class="muted">and {foreseen.leftOut} more</p>}
    </section>
  );
}

/** An issue of the text leads to its line. One of another object leads nowhere: what is not saved would be lost. */
function IssueRow({ issue, text, goTo }: { issue: Issue; text: string; goTo: GoTo }) {
  const { object } = issue;
  const line = lineOfIssue(text, issue);
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

/** What an object acts on, in: ids of nodes. */
export function ActsOn({ ids }: { ids: readonly string[] }) {
  return (
    <section class="card">
      <h2>Acts on</h2>
      {ids.length === 0 ? (
        <p class="muted">Nothing.</p>
      ) : (
        <ul class="objects">
          {ids.slice(0, 50).map((id) => (
            <li key={id}>
              <a href={nodeHref(id)}>{clean(id, 140)}</a>
            </li>
          ))}
        </ul>
      )}
      {ids.length > 50 && <p class="muted">and {ids.length - 50} more</p>}
    </section>
  );
}

function nodeHref(id: string): string {
  return formatRoute(
    "graph",
    [],
    formatGraphState({ ...DEFAULTS, type: "workload", idle: true, selected: id }),
  );
}
