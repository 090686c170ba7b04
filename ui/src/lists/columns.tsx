// What the lists of applications, workloads and services say of each. In: which list. Out: its columns.
import type { ListItem } from "../api/types";
import { formatRoute } from "../app/route";
import { HEALTH_ORDER } from "../model/kinds";
import { clean } from "../model/text";
import { HealthMark, IssueCount } from "../ui/widgets";
import type { Column } from "./grid";

export type ListPageName = "applications" | "workloads" | "services";

export function itemColumns(page: ListPageName): Column<ListItem>[] {
  const columns: Column<ListItem>[] = [
    {
      id: "health",
      title: "Health",
      width: "112px",
      key: (i) => -HEALTH_ORDER[i.health.state],
      cell: (i) => <HealthMark state={i.health.state} />,
    },
    {
      id: "name",
      title: "Name",
      width: "minmax(110px, 2fr)",
      key: (i) => i.name,
      cell: (i) => <a href={formatRoute(page, [i.namespace, i.name])}>{clean(i.name, 120)}</a>,
    },
    {
      id: "namespace",
      title: "Namespace",
      width: "minmax(80px, 1fr)",
      key: (i) => i.namespace,
      cell: (i) => clean(i.namespace, 80),
    },
    {
      id: "labels",
      title: "Labels",
      width: "minmax(120px, 2fr)",
      key: (i) => Object.keys(i.labels).length,
      cell: (i) => <Labels labels={i.labels} most={2} />,
      wide: true,
    },
    {
      id: "issues",
      title: "Configuration",
      width: "150px",
      key: (i) => -(i.issues.errors * 1000 + i.issues.warnings),
      cell: (i) => <IssueCount issues={i.issues} />,
      wide: true,
    },
  ];
  if (page !== "applications")
    columns.splice(3, 0, {
      id: "type",
      title: "Type",
      width: "120px",
      key: (i) => i.type ?? "",
      cell: (i) => clean(i.type, 40) || "–",
      wide: true,
    });
  if (page === "services") return columns;
  columns.splice(
    columns.length - 1,
    0,
    {
      id: "ready",
      title: "Ready",
      width: "80px",
      key: (i) => (i.instances ? i.instances.ready / Math.max(1, i.instances.all) : 0),
      cell: (i) => (i.instances ? `${i.instances.ready}/${i.instances.all}` : "–"),
      wide: true,
    },
    {
      id: "sidecars",
      title: "Sidecars",
      width: "100px",
      key: (i) => i.sidecars ?? "",
      cell: (i) => <Sidecars of={i.sidecars} />,
      wide: true,
    },
  );
  return columns;
}

export function Sidecars({ of }: { of: ListItem["sidecars"] }) {
  if (of === undefined) return <>–</>;
  return of === "all" ? <>all</> : <span class="tag tag-degraded">{of === "none" ? "missing" : "some"}</span>;
}

export function Labels({ labels, most }: { labels: Record<string, string>; most: number }) {
  const all = Object.entries(labels);
  return (
    <span class="labels">
      {all.slice(0, most).map(([k, v]) => (
        <span class="label" key={k} title={clean(`${k}=${v}`, 400)}>
          {clean(`${k}=${v}`, 48)}
        </span>
      ))}
      {all.length > most && <span class="muted">+{all.length - most}</span>}
    </span>
  );
}
