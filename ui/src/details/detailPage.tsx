// The page of one application, workload or service: state, labels, traffic, history, objects, failures, logs.
import { useSignal } from "@preact/signals";
import { query } from "../api/client";
import type { Failure, Graph, GraphType, List, ListItem } from "../api/types";
import { useFeed } from "../app/live";
import { formatRoute } from "../app/route";
import { api } from "../app/session";
import { Labels, Sidecars } from "../lists/columns";
import { DEFAULTS, formatGraphState } from "../model/graphState";
import { clean } from "../model/text";
import { view } from "../model/view";
import { LogsTab } from "../panel/logs";
import { type Selection, select } from "../panel/selection";
import { ConfigTab, FailuresTab, SeriesTab } from "../panel/tabs";
import { Neighbours, TrafficTable } from "../panel/trafficTable";
import { Unreached, useAttempts } from "../panel/unreached";
import { HealthMark, IssueCount, Loading, Tabs, Trouble } from "../ui/widgets";

type What = "applications" | "workloads" | "services";

const TYPES: Record<What, GraphType> = { applications: "app", workloads: "workload", services: "service" };
const NAMES: Record<What, string> = {
  applications: "Application",
  workloads: "Workload",
  services: "Service",
};
const TABS = [
  { id: "traffic", label: "Overview" },
  { id: "config", label: "Istio config" },
  { id: "failures", label: "Failures" },
  { id: "logs", label: "Logs" },
];

export default function DetailPage({
  what,
  namespace,
  name,
}: {
  what: What;
  namespace: string;
  name: string;
}) {
  const tab = useSignal("traffic");
  const feed = useFeed<List<ListItem>>(query({ namespaces: namespace, search: name }), {
    load: (key, abort) => api.get(`/${what}${key}`, abort),
    interval: () => 15_000,
  });
  const item = feed.data?.items.find((i) => i.namespace === namespace && i.name === name);
  const { traffic, attempts } = useLately(item, TYPES[what]);
  return (
    <main class="detail-page" id="main">
      <nav class="crumbs" aria-label="Where this is">
        <a href={formatRoute(what)}>{NAMES[what]}s</a> <span aria-hidden="true">/</span>{" "}
        {clean(namespace, 80)}
      </nav>
      <div class="detail-head">
        <h1>{clean(name, 160)}</h1>
        {item && <HealthMark state={item.health.state} />}
        <span class="toolbar-gap" />
        {item && (
          <a class="button" href={inGraph(TYPES[what], item)}>
            Show in graph
          </a>
        )}
      </div>
      {feed.error && !feed.data && <Trouble error={feed.error} retry={feed.refresh} />}
      {!feed.data && !feed.error && <Loading what={name} />}
      {feed.data && !item && (
        <p class="notice">
          There is no {NAMES[what].toLowerCase()} {clean(name, 100)} in namespace {clean(namespace, 80)}.
        </p>
      )}
      {item && (
        <>
          <Tabs
            label={NAMES[what]}
            tabs={TABS}
            current={tab.value}
            onChange={(t) => {
              tab.value = t;
            }}
          />
          <div role="tabpanel" aria-labelledby={`tab-${tab.value}`} class="detail-body">
            {tab.value === "traffic" && (
              <Overview item={item} type={TYPES[what]} traffic={traffic} attempts={attempts} />
            )}
            {tab.value === "config" && <ConfigTab id={item.id} />}
            {tab.value === "failures" && <FailuresTab id={item.id} />}
            {tab.value === "logs" && <LogsTab id={item.id} />}
          </div>
        </>
      )}
    </main>
  );
}

function inGraph(type: GraphType, item: ListItem): string {
  return formatRoute(
    "graph",
    [],
    formatGraphState({
      ...DEFAULTS,
      type,
      namespaces: [item.namespace],
      idle: item.health.state === "idle",
      selected: item.id,
    }),
  );
}

/** Seconds. */
const LATELY = 60;

/** What the last minute tells. Of what no traffic is known of the attempts that failed are asked for. */
function useLately(item: ListItem | undefined, type: GraphType) {
  const shown = { type, namespaces: item?.namespace, duration: LATELY, services: false, idle: true };
  const { data } = useFeed<Graph>(item && query(shown), {
    load: (k, abort) => api.get(`/graph${k}`, abort),
    interval: () => 10_000,
  });
  const traffic =
    data && select(data, view(data, { boxNamespaces: false, boxApps: false, labels: [] }), item?.id);
  const isQuiet = traffic !== undefined && (traffic.kind !== "node" || traffic.health.state === "idle");
  const id = isQuiet ? item?.id : undefined;
  const attempts = useAttempts({ id, until: data?.at ?? 0, duration: LATELY });
  return { traffic, attempts };
}

function Overview({
  item,
  type,
  traffic: it,
  attempts,
}: {
  item: ListItem;
  type: GraphType;
  traffic: Selection | undefined;
  attempts: Failure[] | undefined;
}) {
  const open = (edge: string) => {
    location.hash = formatRoute(
      "graph",
      [],
      formatGraphState({ ...DEFAULTS, type, namespaces: [item.namespace], services: false, selected: edge }),
    );
  };
  return (
    <div class="cards">
      <section class="card">
        <h2>About</h2>
        {item.health.reasons.length > 0 && (
          <ul class={`reasons reasons-${item.health.state}`}>
            {item.health.reasons.slice(0, 10).map((r) => (
              <li key={r}>{clean(r, 300)}</li>
            ))}
          </ul>
        )}
        <dl class="pairs">
          {item.type && (
            <>
              <dt>Type</dt>
              <dd>{clean(item.type, 60)}</dd>
            </>
          )}
          {item.instances && (
            <>
              <dt>Instances</dt>
              <dd>{`${item.instances.ready} of ${item.instances.all} ready`}</dd>
            </>
          )}
          {item.sidecars && (
            <>
              <dt>Sidecars</dt>
              <dd>
                <Sidecars of={item.sidecars} />
              </dd>
            </>
          )}
          <dt>Configuration</dt>
          <dd>
            <IssueCount issues={item.issues} />
          </dd>
          <dt>Labels</dt>
          <dd>
            <Labels labels={item.labels} most={20} />
          </dd>
          {it?.node?.principal && (
            <>
              <dt>Identity</dt>
              <dd class="mono">{clean(it.node.principal, 200)}</dd>
            </>
          )}
        </dl>
      </section>
      <section class="card">
        <h2>Traffic of the last minute</h2>
        <Unreached attempts={attempts} duration={LATELY} />
        {it && it.kind === "node" ? (
          <>
            <TrafficTable traffic={it.in} caption="Inbound" />
            <TrafficTable traffic={it.out} caption="Outbound" />
            <Neighbours title="From" list={it.inbound} choose={open} />
            <Neighbours title="To" list={it.outbound} choose={open} />
            {it.inbound.length + it.outbound.length === 0 && <p class="muted">None.</p>}
          </>
        ) : it ? (
          <p class="muted">None was counted.</p>
        ) : (
          <Loading what="traffic" />
        )}
      </section>
      <section class="card">
        <h2>Over time</h2>
        <SeriesTab id={item.id} duration={600} />
      </section>
    </div>
  );
}
