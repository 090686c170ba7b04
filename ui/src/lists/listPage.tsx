// The lists of applications, workloads and services, and of Istio objects: search, namespace, health, sorting.
// Filters stand in the address.
import type { ComponentChildren } from "preact";
import { query } from "../api/client";
import type { ConfigItem, List, ListItem } from "../api/types";
import { useFeed } from "../app/live";
import { formatRoute, go, type Page, route } from "../app/route";
import { api } from "../app/session";
import { namespacesFeed } from "../app/store";
import { age } from "../model/format";
import { configPath, HEALTH_NAMES } from "../model/kinds";
import { clean, count } from "../model/text";
import { configHref } from "../panel/tabs";
import { IssueCount, Loading, Select, Trouble } from "../ui/widgets";
import { itemColumns, type ListPageName } from "./columns";
import { type Column, Grid } from "./grid";

const TITLES: Record<ListPageName | "config", string> = {
  applications: "Applications",
  workloads: "Workloads",
  services: "Services",
  config: "Istio config",
};

export function ItemList({ page }: { page: ListPageName }) {
  const { namespace, health } = filters();
  const feed = useFeed<List<ListItem>>(query({ namespaces: namespace }), {
    load: (key, abort) => api.get(`/${page}${key}`, abort),
    interval: () => 15_000,
  });
  const items = (feed.data?.items ?? []).filter(
    (i) => matchesText(i, filters().needle) && (!health || i.health.state === health),
  );
  return (
    <Frame page={page} list={feed.data} shown={items.length} controls={<HealthFilter />}>
      {feed.error && !feed.data ? (
        <Trouble error={feed.error} retry={feed.refresh} />
      ) : !feed.data ? (
        <Loading what={TITLES[page].toLowerCase()} />
      ) : (
        <Grid
          label={TITLES[page]}
          columns={itemColumns(page)}
          items={items}
          id={(i) => i.id}
          order={{ column: "health", down: false }}
        />
      )}
    </Frame>
  );
}

function matchesText(i: ListItem, needle: string): boolean {
  if (!needle) return true;
  return (
    i.name.toLowerCase().includes(needle) ||
    Object.entries(i.labels).some(([k, v]) => `${k}=${v.slice(0, 400)}`.toLowerCase().includes(needle))
  );
}

const CONFIG: Column<ConfigItem>[] = [
  {
    id: "name",
    title: "Name",
    width: "minmax(90px, 2fr)",
    key: (i) => i.name,
    cell: (i) => <a href={configHref(i)}>{clean(i.name, 120)}</a>,
  },
  {
    id: "kind",
    title: "Kind",
    width: "minmax(90px, 1fr)",
    key: (i) => i.kind,
    cell: (i) => clean(i.kind, 60),
  },
  {
    id: "namespace",
    title: "Namespace",
    width: "minmax(80px, 1fr)",
    key: (i) => i.namespace,
    cell: (i) => clean(i.namespace, 80) || "–",
    wide: true,
  },
  {
    id: "group",
    title: "API",
    width: "minmax(120px, 1fr)",
    key: (i) => i.group,
    cell: (i) => clean(`${i.group}/${i.version}`, 80),
    wide: true,
  },
  {
    id: "created",
    title: "Age",
    width: "70px",
    key: (i) => -i.created,
    cell: (i) => age(Date.now() - i.created),
    wide: true,
  },
  {
    id: "issues",
    title: "Issues",
    width: "100px",
    key: (i) => -(i.issues.errors * 1000 + i.issues.warnings),
    cell: (i) => <IssueCount issues={i.issues} />,
  },
];

export function ConfigList() {
  const { namespace, needle } = filters();
  const kind = route.value.query.get("kind") ?? "";
  const feed = useFeed<List<ConfigItem>>(query({ namespaces: namespace }), {
    load: (key, abort) => api.get(`/config${key}`, abort),
    interval: () => 15_000,
  });
  const all = feed.data?.items ?? [];
  const kinds = [...new Set([...all.map((i) => i.kind), ...(kind ? [kind] : [])])].sort();
  const items = all.filter((i) => i.name.toLowerCase().includes(needle) && (!kind || i.kind === kind));
  const control = (
    <Select
      label="Kind"
      value={kind}
      options={[["", "All kinds"] as const, ...kinds.map((k) => [k, k] as const)]}
      onChange={(k) => set("kind", k)}
    />
  );
  return (
    <Frame page="config" list={feed.data} shown={items.length} controls={control}>
      {feed.error && !feed.data ? (
        <Trouble error={feed.error} retry={feed.refresh} />
      ) : !feed.data ? (
        <Loading what="configuration" />
      ) : (
        <Grid
          label="Istio config"
          columns={CONFIG}
          items={items}
          id={configPath}
          order={{ column: "issues", down: false }}
        />
      )}
    </Frame>
  );
}

function Frame({
  page,
  list,
  shown,
  controls,
  children,
}: {
  page: ListPageName | "config";
  list?: List<unknown>;
  shown: number;
  controls: ComponentChildren;
  children: ComponentChildren;
}) {
  const { namespace, search } = filters();
  const total = list?.items.length;
  const spaces = namespacesFeed.state.value.data?.namespaces.map((n) => n.name) ?? [];
  const options = [...new Set([...spaces, ...(namespace ? [namespace] : [])])].map(
    (n) => [n, clean(n, 60)] as const,
  );
  return (
    <main class="list-page" id="main">
      <div class="list-head">
        <h1>{TITLES[page]}</h1>
        <p class="muted" role="status">
          {total === undefined
            ? ""
            : shown === total
              ? count(total, "entry", "entries")
              : `${shown} of ${count(total, "entry", "entries")}`}
          {list?.leftOut ? `, and ${list.leftOut} more without room: choose a namespace` : ""}
        </p>
        <span class="toolbar-gap" />
        <Select
          label="Namespace"
          value={namespace}
          options={[["", "All namespaces"] as const, ...options]}
          onChange={(n) => set("namespaces", n)}
        />
        {controls}
        <input
          type="search"
          class="input"
          data-field="find"
          aria-label={`Search ${TITLES[page].toLowerCase()}`}
          placeholder="Search…  /"
          value={search}
          onInput={(e) => set("search", e.currentTarget.value, true)}
        />
      </div>
      {total === 0 ? (
        <p class="empty-line">There is nothing here{namespace ? ` in ${clean(namespace, 80)}` : ""}.</p>
      ) : (
        children
      )}
      {total !== undefined && total > 0 && shown === 0 && (
        <p class="empty-line">
          None of {count(total, "entry", "entries")} is what is searched for.{" "}
          <button type="button" class="button" onClick={() => showAll(page, namespace)}>
            Show all
          </button>
        </p>
      )}
    </main>
  );
}

/** The search field takes the focus of the button, which goes. */
function showAll(page: Page, namespace: string): void {
  go(formatRoute(page, [], new URLSearchParams(namespace ? { namespaces: namespace } : {})));
  document.querySelector<HTMLElement>("[data-field=find]")?.focus();
}

function HealthFilter() {
  const { health } = filters();
  const names: Record<string, string> = { "": "Any health", ...HEALTH_NAMES };
  // What a link says may be none.
  if (!Object.hasOwn(names, health)) names[health] = clean(health, 60);
  return (
    <Select
      label="Health"
      value={health}
      options={Object.entries(names)}
      onChange={(h) => set("health", h)}
    />
  );
}

function filters() {
  const { query: q } = route.value;
  const search = (q.get("search") ?? "").slice(0, 200);
  return {
    namespace: q.get("namespaces") ?? "",
    search,
    needle: search.trim().toLowerCase(),
    health: q.get("health") ?? "",
  };
}

function set(key: string, value: string, replace = false): void {
  const { page, path, query: q } = route.peek();
  const next = new URLSearchParams(q);
  if (value) next.set(key, value);
  else next.delete(key);
  go(formatRoute(page as Page, path, next), replace);
}
