// What shapes, colours, lines and signs mean. It is drawn from the same tables as the graph.
import type { Health, NodeKind } from "../api/types";
import { choose } from "../app/store";
import { BADGE_NAMES, HEALTH_NAMES, KIND_NAMES } from "../model/kinds";
import { HealthMark, Icon, IconButton } from "../ui/widgets";
import { focusGraph } from "./focus";
import { BADGE_ICONS, KIND_ICONS, LOCK_ICON, OPEN_LOCK_ICON, UI_ICONS } from "./icons";

const STATES: Health["state"][] = ["healthy", "degraded", "failing", "idle"];
const KINDS: NodeKind[] = ["workload", "app", "service", "serviceEntry", "outside", "client", "blackHole"];
const LINES: [string, string][] = [
  ["healthy", "HTTP or gRPC, healthy"],
  ["tcp", "TCP, healthy"],
  ["degraded", "Degraded"],
  ["failing", "Failing"],
  ["idle", "Idle"],
];

export function Legend() {
  return (
    <section class="legend" aria-label="Legend">
      <header>
        <h2>Legend</h2>
        <IconButton
          icon={UI_ICONS.close}
          label="Close the legend"
          onClick={() => {
            choose({ legend: false }, true);
            focusGraph();
          }}
        />
      </header>
      <h3>Nodes</h3>
      <ul>
        {KINDS.map((k) => (
          <li key={k}>
            <span class={`shape shape-${k}`}>
              <Icon path={KIND_ICONS[k]} size={13} />
            </span>
            {KIND_NAMES[k]}
          </li>
        ))}
        <li>
          <span class="shape shape-workload">
            <Icon path={KIND_ICONS.ingress} size={13} />
          </span>
          Gateway
        </li>
      </ul>
      <h3>Health</h3>
      <ul>
        {STATES.map((s) => (
          <li key={s}>
            <HealthMark state={s} text={false} />
            {HEALTH_NAMES[s]}
          </li>
        ))}
      </ul>
      <h3>Edges</h3>
      <ul>
        {LINES.map(([c, text]) => (
          <li key={c}>
            <span class={`line line-${c}`} />
            {text}
          </li>
        ))}
        <li>
          <Icon path={LOCK_ICON} size={15} />
          All of it is mutual TLS
        </li>
        <li>
          <Icon path={OPEN_LOCK_ICON} size={15} />
          Part of it is mutual TLS
        </li>
      </ul>
      <h3>Moving marks</h3>
      <ul>
        <li>
          <span class="moving dot" />
          Traffic
        </li>
        <li>
          <span class="moving cross">
            <Icon path={UI_ICONS.close} size={13} />
          </span>
          Errors
        </li>
      </ul>
      <h3>Istio</h3>
      <ul>
        {Object.entries(BADGE_NAMES).map(([k, text]) => (
          <li key={k}>
            <Icon path={BADGE_ICONS[k as keyof typeof BADGE_ICONS]} size={15} />
            {text}
          </li>
        ))}
      </ul>
    </section>
  );
}
