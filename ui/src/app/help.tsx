// The help: keys, and the language of find and hide, listed from the table that evaluates it.
import { SUBJECTS } from "../model/expression/subjects";

const KEYS: [string, string][] = [
  ["/", "go to find, or to a list's search"],
  ["?", "this help"],
  ["Esc", "clear the selection, close what is open"],
  ["→ ←", "in the graph: along the traffic, from node to edge to node, and back"],
  ["↑ ↓", "in the graph: to what is above or below"],
  ["Shift + arrows", "move the view"],
  ["+ − 0", "zoom in, out, fit"],
  ["Enter", "to the details of the selection"],
];

const EXAMPLES = [
  "node = workload",
  "name contains echo",
  "%error > 5",
  "rt > 500",
  "tcp > 0",
  "!healthy",
  "rank <= 3",
  "label:version = v2",
  "mtls and namespace = default",
  "not (version = v1 or idle)",
];

export function Help() {
  return (
    <div class="help">
      <section>
        <h3>Keys</h3>
        <dl class="pairs">
          {KEYS.map(([k, text]) => [
            <dt key={k}>
              <kbd>{k}</kbd>
            </dt>,
            <dd key={text}>{text}</dd>,
          ])}
        </dl>
      </section>
      <section>
        <h3>Find and hide</h3>
        <p>
          Find marks what matches and dims the rest; hide takes it out of the graph. Combine with{" "}
          <code>and</code>, <code>or</code>, <code>not</code> (also <code>!</code>) and parentheses. Compare
          with <code>=</code> <code>!=</code> <code>&lt;</code> <code>&gt;</code> <code>&lt;=</code>{" "}
          <code>&gt;=</code>, text also with <code>contains</code> (<code>*=</code>), <code>startswith</code>{" "}
          (<code>^=</code>), <code>endswith</code> (<code>$=</code>). Kiali's words are known, too; one that
          cannot be answered here says why.
        </p>
        <ul class="examples">
          {EXAMPLES.map((e) => (
            <li key={e}>
              <code>{e}</code>
            </li>
          ))}
        </ul>
        <table class="facts">
          <thead>
            <tr>
              <th scope="col">Word</th>
              <th scope="col">Of</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            {SUBJECTS.map((s) => (
              <tr key={s.names[0]}>
                <td>
                  <code>{s.names.join(", ")}</code>
                </td>
                <td>{s.of === "both" ? "node, edge" : s.of}</td>
                <td>{s.help}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}
