// The graph as tables of nodes and edges: what the canvas shows, for whoever reads rather than looks. Hidden from
// sight it holds the first rows for screen readers; shown it holds all, and a row can be chosen.
import { useComputed, useSignal } from "@preact/signals";
import { choose, currentView, state } from "../app/store";
import { type Column, Grid } from "../lists/grid";
import { describeTraffic, mtls, nodeName } from "../model/describe";
import { percent } from "../model/format";
import { HEALTH_NAMES, HEALTH_ORDER, kindOf } from "../model/kinds";
import { clean, count } from "../model/text";
import { errorShare, totals } from "../model/traffic";
import type { ViewEdge, ViewNode } from "../model/view";
import { HealthMark, Tabs } from "../ui/widgets";

const MOST_HIDDEN = 150;

const NODES: Column<ViewNode>[] = [
  {
    id: "name",
    title: "Node",
    width: "minmax(120px, 2fr)",
    key: (n) => n.node.name,
    cell: (n) => (
      <button type="button" class="link" onClick={() => choose({ selected: n.id })}>
        {nodeName(n.node)}
      </button>
    ),
  },
  {
    id: "kind",
    title: "Kind",
    width: "minmax(90px, 1fr)",
    key: (n) => kindOf(n.node),
    cell: (n) => kindOf(n.node),
    wide: true,
  },
  {
    id: "namespace",
    title: "Namespace",
    width: "minmax(90px, 1fr)",
    key: (n) => n.node.namespace ?? "",
    cell: (n) => clean(n.node.namespace, 60) || "–",
    wide: true,
  },
  {
    id: "health",
    title: "Health",
    width: "110px",
    key: (n) => -HEALTH_ORDER[n.node.health.state],
    cell: (n) => <HealthMark state={n.node.health.state} />,
  },
  {
    id: "in",
    title: "In",
    width: "minmax(110px, 2fr)",
    key: (n) => -amount(n.node.in),
    cell: (n) => describeTraffic(n.node.in),
    wide: true,
  },
  {
    id: "out",
    title: "Out",
    width: "minmax(110px, 2fr)",
    key: (n) => -amount(n.node.out),
    cell: (n) => describeTraffic(n.node.out),
    wide: true,
  },
];

function amount(t: ViewNode["node"]["in"]): number {
  const s = totals(t);
  return s.requests + s.connections;
}

type Row = ViewEdge & { from: string; to: string };

const EDGES: Column<Row>[] = [
  {
    id: "from",
    title: "From",
    width: "minmax(90px, 1.5fr)",
    key: (e) => e.from,
    cell: (e) => (
      <button type="button" class="link" onClick={() => choose({ selected: e.id })}>
        {e.from}
      </button>
    ),
  },
  { id: "to", title: "To", width: "minmax(90px, 1.5fr)", key: (e) => e.to, cell: (e) => e.to },
  {
    id: "protocol",
    title: "Protocol",
    width: "80px",
    key: (e) => e.edge.protocol,
    cell: (e) => e.edge.protocol.toUpperCase(),
    wide: true,
  },
  {
    id: "health",
    title: "Health",
    width: "110px",
    key: (e) => -HEALTH_ORDER[e.edge.health.state],
    cell: (e) => <HealthMark state={e.edge.health.state} />,
  },
  {
    id: "traffic",
    title: "Traffic",
    width: "minmax(120px, 2.4fr)",
    key: (e) => -amount(e.edge.traffic),
    cell: (e) => describeTraffic(e.edge.traffic),
    wide: true,
  },
  {
    id: "errors",
    title: "Errors",
    width: "70px",
    key: (e) => -errorShare(e.edge.traffic),
    cell: (e) => percent(errorShare(e.edge.traffic)),
    wide: true,
  },
  {
    id: "mtls",
    title: "Security",
    width: "130px",
    key: (e) => e.edge.mtls,
    cell: (e) => mtls(e.edge),
    wide: true,
  },
];

function useRows() {
  return useComputed(() => {
    const view = currentView.value;
    const names = new Map(view?.nodes.map((n) => [n.id, nodeName(n.node)]));
    return (view?.edges ?? []).map(
      (e): Row => ({ ...e, from: names.get(e.source) ?? e.source, to: names.get(e.target) ?? e.target }),
    );
  });
}

export function GraphTable() {
  const tab = useSignal("nodes");
  const view = currentView.value;
  const rows = useRows().value;
  const isShown = useComputed(() => state.value.table).value;
  if (!view) return null;
  if (!isShown) return <HiddenTable nodes={view.nodes} rows={rows} />;
  return (
    <section class="graph-table" aria-label="The graph as a table">
      <Tabs
        label="Table"
        tabs={[
          { id: "nodes", label: "Nodes", count: view.nodes.length },
          { id: "edges", label: "Edges", count: view.edges.length },
        ]}
        current={tab.value}
        onChange={(t) => {
          tab.value = t;
        }}
      />
      {tab.value === "nodes" ? (
        <Grid
          key="nodes"
          label="Nodes"
          columns={NODES}
          items={view.nodes}
          id={(n) => n.id}
          selected={state.value.selected}
          choose={(n) => choose({ selected: n.id })}
        />
      ) : (
        <Grid
          key="edges"
          label="Edges"
          columns={EDGES}
          items={rows}
          id={(e) => e.id}
          selected={state.value.selected}
          choose={(e) => choose({ selected: e.id })}
        />
      )}
    </section>
  );
}

function HiddenTable({ nodes, rows }: { nodes: ViewNode[]; rows: Row[] }) {
  const more = nodes.length + rows.length > MOST_HIDDEN * 2;
  return (
    <section class="sr-only" aria-label="The graph as a table">
      <table id="graph-nodes">
        <caption>{count(nodes.length, "node")}</caption>
        <thead>
          <tr>
            {["Node", "Kind", "Namespace", "Health", "In", "Out"].map((t) => (
              <th key={t} scope="col">
                {t}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.slice(0, MOST_HIDDEN).map((n) => (
            <tr key={n.id} data-id={n.id} data-found={n.found}>
              <th scope="row">{nodeName(n.node)}</th>
              <td>{kindOf(n.node)}</td>
              <td>{clean(n.node.namespace, 80)}</td>
              <td>{HEALTH_NAMES[n.node.health.state]}</td>
              <td>{describeTraffic(n.node.in)}</td>
              <td>{describeTraffic(n.node.out)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <table id="graph-edges">
        <caption>{count(rows.length, "edge")}</caption>
        <thead>
          <tr>
            {["From", "To", "Protocol", "Health", "Traffic", "Label", "Security"].map((t) => (
              <th key={t} scope="col">
                {t}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MOST_HIDDEN).map((e) => (
            <tr key={e.id} data-id={e.id} data-found={e.found}>
              <th scope="row">{e.from}</th>
              <td>{e.to}</td>
              <td>{e.edge.protocol}</td>
              <td>{HEALTH_NAMES[e.edge.health.state]}</td>
              <td>{describeTraffic(e.edge.traffic)}</td>
              <td>{e.label}</td>
              <td>{mtls(e.edge)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more && <p>Only the first rows are here. The Table button shows all of them.</p>}
    </section>
  );
}
