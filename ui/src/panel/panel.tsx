// The panel beside the graph: what is selected (a node, an edge, a box or the whole graph), in numbers and in words.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Failure, Health } from "../api/types";
import { formatRoute } from "../app/route";
import { choose, currentView, graph, isAnswered, shownGraph, shownTime, state } from "../app/store";
import { focusGraph, panelDrawn } from "../graph/focus";
import { BADGE_ICONS, UI_ICONS } from "../graph/icons";
import { type Absent, absent, type Reason } from "../model/absent";
import { describeShare, mtls } from "../model/describe";
import type { PanelTab } from "../model/graphState";
import { BADGE_NAMES } from "../model/kinds";
import { clean } from "../model/text";
import { HealthMark, Icon, IconButton, IssueCount, Tabs } from "../ui/widgets";
import { GONE } from "./gone";
import { LogsTab } from "./logs";
import { named, type Selection, select } from "./selection";
import { ConfigTab, FailuresTab, type OfGraph, SeriesTab } from "./tabs";
import { Neighbours, TrafficTable } from "./trafficTable";
import { Unreached, useTold } from "./unreached";

const TABS = [
  { id: "traffic", label: "Traffic" },
  { id: "config", label: "Config" },
  { id: "failures", label: "Failures" },
  { id: "logs", label: "Logs" },
];

export function Panel({ close }: { close(): void }) {
  const panel = useRef<HTMLElement>(null);
  const { value: s } = state;
  const id = s.selected;
  const drawn = graph.value !== undefined && currentView.value !== undefined;
  useEffect(() => panel.current?.scrollTo(0, 0), [id]);
  useLayoutEffect(() => {
    if (drawn) panelDrawn();
  }, [drawn]);
  const away =
    graph.value && currentView.value && id !== undefined
      ? absent(graph.value, currentView.value, s, id)
      : undefined;
  const { attempts, isUnknown } = useTold({
    id: away && isAnswered.value ? id : undefined,
    at: shownTime.value,
    until: graph.value?.at ?? 0,
    duration: s.duration,
  });
  if (!graph.value || !currentView.value) return null;
  const it = select(graph.value, currentView.value, id, away);
  // The server finds out itself which graph has what this one has not.
  const of = { id: it.id, at: shownTime.value, graph: it.kind === "absent" ? undefined : shownGraph.value };
  const isPart = it.kind === "mesh" && (currentView.value.hidden > 0 || s.namespaces.length > 0);
  return (
    <aside class="panel" ref={panel} aria-label="Details of the selection">
      <header class="panel-head">
        <div class="grow">
          <p class="muted">{it.what}</p>
          <h2 title={clean(it.title, 400)}>{clean(it.title, 90)}</h2>
        </div>
        <IconButton
          icon={UI_ICONS.close}
          label={id ? "Clear the selection" : "Close the panel"}
          onClick={() => {
            if (id) choose({ selected: undefined });
            else close();
            focusGraph();
          }}
        />
      </header>
      {away && isAnswered.value && <Away away={away} isUnknown={isUnknown} />}
      {!isUnknown && (
        <Tabs
          label="About the selection"
          tabs={TABS}
          current={s.tab}
          onChange={(tab) => choose({ tab: tab as PanelTab }, true)}
        />
      )}
      {!isUnknown && (
        <div class="panel-body" role="tabpanel" aria-labelledby={`tab-${s.tab}`}>
          {s.tab === "traffic" && it.kind === "absent" && (
            <OfAbsent key={it.id} of={of} attempts={away?.quiet ? attempts : undefined} />
          )}
          {s.tab === "traffic" && it.kind !== "absent" && <Overview it={it} isPart={isPart} />}
          {s.tab !== "traffic" && isPart && <WholeMesh />}
          {s.tab === "config" && <ConfigTab id={it.id} at={shownTime.value} />}
          {s.tab === "failures" && <FailuresTab {...of} />}
          {s.tab === "logs" && <LogsTab {...of} />}
        </div>
      )}
    </aside>
  );
}

/** Why it is not drawn, and what would show it. No choice shows what the server does not know, and whether it does is
 * heard first. */
function Away({ away, isUnknown }: { away: Absent; isUnknown?: boolean }) {
  const reasons: Reason[] = isUnknown ? [{ text: GONE }] : away.reasons;
  const isOpen = away.quiet && isUnknown === undefined;
  return (
    <div class="notice panel-away" role="status">
      {reasons.map(({ text, action }, i) => (
        <div key={text}>
          <p>
            {i === 0 && <strong>Not on the graph now.</strong>} {text}
          </p>
          {action && !isOpen && (
            <button type="button" class="button" onClick={() => choose(action.change)}>
              {action.label}
            </button>
          )}
        </div>
      ))}
    </div>
  );
}

/** What the server tells of something that the graph does not show. */
function OfAbsent({ of, attempts }: { of: OfGraph; attempts: Failure[] | undefined }) {
  const { duration } = state.value;
  return (
    <>
      <Unreached attempts={attempts} duration={duration} />
      <section>
        <h3>Over time</h3>
        <SeriesTab {...of} duration={duration} />
      </section>
    </>
  );
}

/** The server tells these of the mesh, and not of a part of its graph. */
function WholeMesh() {
  return <p class="muted">Of the whole mesh, also of what is hidden or in other namespaces.</p>;
}

/** `isPart`: the graph is not all of the mesh. */
function Overview({ it, isPart }: { it: Selection; isPart: boolean }) {
  const pick = (id: string) => choose({ selected: id });
  const single = it.kind === "edge" || it.kind === "mesh";
  return (
    <>
      <section class="health-block">
        {groups(it).map(([state, reasons]) => (
          <div key={state}>
            <HealthMark state={state} />
            {reasons.length > 0 && (
              <ul class={`reasons reasons-${state}`}>
                {reasons.slice(0, 10).map((r) => (
                  <li key={r}>{clean(r, 300)}</li>
                ))}
              </ul>
            )}
          </div>
        ))}
        {it.node?.issues && it.node.issues.errors + it.node.issues.warnings > 0 && (
          <IssueCount issues={it.node.issues} />
        )}
      </section>
      {it.edge && <EdgeFacts it={it} pick={pick} />}
      {it.node && <NodeFacts it={it} />}
      <section>
        <TrafficTable traffic={it.in} caption={single ? "Traffic" : "Inbound"} />
        <TrafficTable traffic={it.out} caption={single ? "Traffic" : "Outbound"} />
      </section>
      <section>
        <h3>{isPart ? "Over time, of the whole mesh" : "Over time"}</h3>
        {isPart && <WholeMesh />}
        <SeriesTab id={it.id} at={shownTime.value} graph={shownGraph.value} duration={state.value.duration} />
      </section>
      <Neighbours title="From" list={it.inbound} choose={pick} />
      <Neighbours title="To" list={it.outbound} choose={pick} />
    </>
  );
}

/** Its own state first, then reasons that are of a lesser one. */
function groups({ health, reasons }: Selection): [Health["state"], string[]][] {
  const of = (state: Health["state"]) => reasons.filter((r) => r.state === state).map((r) => r.text);
  const lesser = [...new Set(reasons.map((r) => r.state))].filter((state) => state !== health.state);
  return [health.state, ...lesser].map((state) => [state, of(state)]);
}

function EdgeFacts({ it, pick }: { it: Selection; pick(id: string): void }) {
  const edge = it.edge!;
  return (
    <dl class="pairs">
      <dt>From</dt>
      <dd>
        <button type="button" class="link" onClick={() => pick(edge.source)}>
          {named(it.source)}
        </button>
      </dd>
      <dt>To</dt>
      <dd>
        <button type="button" class="link" onClick={() => pick(edge.target)}>
          {named(it.target)}
        </button>
      </dd>
      {edge.service && (
        <>
          <dt>Service</dt>
          <dd>{clean(edge.service, 160)}</dd>
        </>
      )}
      <dt>Security</dt>
      <dd>{mtls(edge)}</dd>
      {edge.share !== undefined && (
        <>
          <dt>Share</dt>
          <dd>{describeShare(edge, named(it.source), it.share)}</dd>
        </>
      )}
      {it.source?.principal && (
        <>
          <dt>Source identity</dt>
          <dd class="mono">{clean(it.source.principal, 200)}</dd>
        </>
      )}
      {it.target?.principal && (
        <>
          <dt>Target identity</dt>
          <dd class="mono">{clean(it.target.principal, 200)}</dd>
        </>
      )}
    </dl>
  );
}

function NodeFacts({ it }: { it: Selection }) {
  const n = it.node!;
  const links = detailLinks(it);
  return (
    <>
      <dl class="pairs">
        {n.app && n.app !== n.name && (
          <>
            <dt>App</dt>
            <dd>{clean(n.app, 120)}</dd>
          </>
        )}
        {n.workload && n.workload !== n.name && (
          <>
            <dt>Workload</dt>
            <dd>{clean(n.workload, 120)}</dd>
          </>
        )}
        {n.version && (
          <>
            <dt>Version</dt>
            <dd>{clean(n.version, 80)}</dd>
          </>
        )}
        {n.service && n.service !== n.name && (
          <>
            <dt>Host</dt>
            <dd>{clean(n.service, 160)}</dd>
          </>
        )}
        {n.principal && (
          <>
            <dt>Identity</dt>
            <dd class="mono">{clean(n.principal, 200)}</dd>
          </>
        )}
        {links.length > 0 && (
          <>
            <dt>Details</dt>
            <dd class="links">
              {links.map(([text, href]) => (
                <a key={href} href={href}>
                  {text}
                </a>
              ))}
            </dd>
          </>
        )}
      </dl>
      {n.badges.length > 0 && (
        <ul class="badges" aria-label="Istio features">
          {n.badges.map((b) => (
            <li key={b} class={b === "missingSidecar" ? "bad" : ""}>
              <Icon path={BADGE_ICONS[b]} size={14} /> {BADGE_NAMES[b]}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function detailLinks({ node: n }: Selection): [string, string][] {
  if (!n?.namespace) return [];
  const out: [string, string][] = [];
  if (n.kind === "service") out.push(["Service", formatRoute("services", [n.namespace, n.name])]);
  if (n.workload) out.push(["Workload", formatRoute("workloads", [n.namespace, n.workload])]);
  if (n.app && n.kind !== "service") out.push(["App", formatRoute("applications", [n.namespace, n.app])]);
  return out;
}
