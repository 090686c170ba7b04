// The frame of the page: masthead, banners, the page that the address asks for, dialogs, and keys that hold
// everywhere.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { focusGraph, keepFocus } from "../graph/focus";
import { UI_ICONS } from "../graph/icons";
import GraphPage from "../graph/page";
import { closeTip } from "../graph/tip";
import { ConfigList, ItemList } from "../lists/listPage";
import { clean, sentence } from "../model/text";
import { Dialog } from "../ui/dialog";
import { lazy } from "../ui/lazy";
import { IconButton } from "../ui/widgets";
import { Banners } from "./banners";
import { drafts, draftTitles } from "./drafts";
import { Help } from "./help";
import { formatRoute, type Page, route } from "./route";
import { acceptOffer, hasToken, offer, refused, signIn, signOut } from "./session";
import { choose, graphHash, state, statusFeed } from "./store";
import { setTheme, type Theme, theme } from "./theme";

const DetailPage = lazy<{ what: "applications" | "workloads" | "services"; namespace: string; name: string }>(
  "details",
  () => import("../details/detailPage"),
);
const ConfigPage = lazy<{ path: string[] }>("the object", () => import("../details/configPage"));

/** With a shorter name for small screens, on which all of them must be seen. */
const NAV: [page: Page, name: string, short?: string][] = [
  ["graph", "Graph"],
  ["applications", "Applications", "Apps"],
  ["workloads", "Workloads"],
  ["services", "Services"],
  ["config", "Istio config", "Config"],
];

export function App() {
  const help = useSignal(false);
  useLayoutEffect(() => {
    const keys = (e: KeyboardEvent) =>
      onKey(e, () => {
        help.value = true;
      });
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, [help]);
  useLayoutEffect(keepFocus, []);
  const { page, path } = route.value;
  useEffect(() => {
    document.title = `${path.at(-1) ? clean(path.at(-1), 60) : NAV.find(([p]) => p === page)?.[1]} · Lateen`;
  }, [page, path]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          const m = document.getElementById("main");
          m?.setAttribute("tabindex", "-1");
          m?.focus();
        }}
      >
        Skip to the content
      </a>
      <Masthead
        help={() => {
          help.value = true;
        }}
      />
      <Banners />
      {(hasToken() || refused.value === undefined) && <Current page={page} path={path} />}
      {refused.value !== undefined && <SignIn why={refused.value} />}
      {help.value && (
        <Dialog
          title="Help"
          close={() => {
            help.value = false;
          }}
        >
          <Help />
        </Dialog>
      )}
    </>
  );
}

function Current({ page, path }: { page: Page; path: string[] }) {
  if (page === "config")
    return path.length >= 3 ? <ConfigPage key={path.join("/")} path={path} /> : <ConfigList />;
  if (page === "applications" || page === "workloads" || page === "services") {
    const [namespace, name] = path;
    return namespace && name ? (
      <DetailPage key={`${page}/${namespace}/${name}`} what={page} namespace={namespace} name={name} />
    ) : (
      <ItemList key={page} page={page} />
    );
  }
  return <GraphPage />;
}

function onKey(e: KeyboardEvent, openHelp: () => void): void {
  const target = e.composedPath()[0] as HTMLElement;
  const writing = target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
  if (e.key === "Escape" && !writing && closeTop(target)) return;
  if (writing || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "?") openHelp();
  else if (e.key === "/") document.querySelector<HTMLInputElement>("[data-field=find]")?.focus();
  else return;
  e.preventDefault();
}

/** Closes what is on top: what is told of what the pointer is on, or else the selection, or else the legend. Out: whether there was any. */
function closeTop(from: HTMLElement): boolean {
  const { selected, legend } = state.peek();
  if (route.peek().page !== "graph" || document.querySelector("dialog[open]")) return false;
  if (closeTip()) return true;
  if (selected) choose({ selected: undefined });
  else if (legend) choose({ legend: false }, true);
  else return false;
  // What held the keyboard may be gone.
  if (from.closest(".panel, .legend")) focusGraph();
  return true;
}

function Masthead({ help }: { help(): void }) {
  const { page } = route.value;
  const status = statusFeed.state.value.data;
  return (
    <header class="masthead">
      <a class="brand" href="#/graph" aria-label="Lateen">
        <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
          <path class="sail" d="M9 3c9 4 15 12 17 21H9z" />
          <path class="hull" d="M4 26h24c-1 3-4 4-7 4H10c-3 0-5-1-6-4z" />
        </svg>
        <span>Lateen</span>
      </a>
      <nav aria-label="Pages">
        {NAV.map(([p, name, short]) => (
          <a
            key={p}
            href={p === "graph" ? graphHash() : formatRoute(p)}
            aria-current={p === page ? "page" : undefined}
          >
            <span class={short && "wide"}>{name}</span>
            {short && <span class="narrow-only">{short}</span>}
          </a>
        ))}
      </nav>
      <span class="toolbar-gap" />
      {status && (
        <span
          class="cluster"
          title={`Lateen ${clean(status.version, 40)}, ${status.proxies} proxies, traffic from ${status.source}`}
        >
          {clean(status.cluster, 40)}
        </span>
      )}
      <ThemeSwitch />
      <IconButton icon={UI_ICONS.help} label="Help" onClick={help} />
      {hasToken() && (
        <button
          type="button"
          class="link sign-out"
          title={`${status?.user ? `Signed in as ${clean(status.user, 80)}. ` : ""}Signs out in all tabs`}
          onClick={signOut}
        >
          Sign out
        </button>
      )}
    </header>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function ThemeSwitch() {
  const icon = { system: UI_ICONS.system, light: UI_ICONS.sun, dark: UI_ICONS.moon }[theme.value];
  return (
    <IconButton
      icon={icon}
      label={`Colours: ${theme.value === "system" ? "as the system" : theme.value}`}
      onClick={() => setTheme(NEXT[theme.value])}
    />
  );
}

function SignIn({ why }: { why: string }) {
  const token = useSignal("");
  const submit = (e: Event) => {
    e.preventDefault();
    if (!token.value.trim()) return;
    signIn(token.value.trim());
  };
  return (
    <Dialog title="Sign in">
      <form class="sign-in" onSubmit={submit}>
        <p>{sentence(clean(why, 300))}</p>
        {drafts.value.size > 0 && (
          <p class="notice">
            What you wrote in {clean(draftTitles().join(", "), 300)} is not saved: it waits for you, and is
            dropped if another user signs in.
          </p>
        )}
        {offer.value && (
          <p>
            <button type="button" class="button" onClick={acceptOffer}>
              Go on as {clean(offer.value.user, 80) || "the owner"}, as in another tab
            </button>
          </p>
        )}
        <label>
          Token
          <input
            type="password"
            class="input"
            autocomplete="off"
            value={token.value}
            onInput={(e) => {
              token.value = e.currentTarget.value;
            }}
          />
        </label>
        <p class="muted">
          On a cluster this is a Kubernetes token, such as <code>kubectl create token ACCOUNT</code> prints.
          What you may see and change is what Kubernetes allows that account. With <code>lateen up</code> open
          the address that it printed. The token stays in the open tabs of this page.
        </p>
        <button type="submit" class="button primary">
          Sign in
        </button>
      </form>
    </Dialog>
  );
}
