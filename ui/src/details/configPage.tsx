// One Istio object: its YAML, what is wrong with it and where, what it acts on, and, for whoever may, a change.
// A change is checked by the server first; it is saved only from the version that it was made from.
import { batch, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { ApiError } from "../api/client";
import type { ConfigObject, Foreseen, Issue } from "../api/types";
import { drafts, keepDraft } from "../app/drafts";
import { formatRoute } from "../app/route";
import { api, refuse, refused } from "../app/session";
import { configPath, parseConfigPath } from "../model/kinds";
import { clean, count } from "../model/text";
import { lazy } from "../ui/lazy";
import { IssueCount, Loading, Trouble } from "../ui/widgets";
import { ActsOn, IfSaved, Validation } from "./findings";
import { absent, GoneNotice, SaveTrouble } from "./saveTrouble";

const Editor = lazy<import("../editor/editor").EditorProps>("the editor", () => import("../editor/editor"));

/** Milliseconds from a change until the mesh has looked at it. */
const FINDINGS_AFTER = 1500;

export default function ConfigPage({ path }: { path: string[] }) {
  const [kindGroup = "", namespace = "", name = ""] = path;
  const ref = parseConfigPath(kindGroup, namespace, name);
  const url = `/config/${configPath(ref)}`;
  const hash = formatRoute("config", path);
  const object = useSignal<ConfigObject | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const load = async (abort?: AbortSignal) => {
    try {
      const found = await api.get<ConfigObject>(url, abort);
      batch(() => {
        object.value = found;
        error.value = undefined;
      });
      return found;
    } catch (e) {
      if (!(e instanceof ApiError)) return undefined;
      if (e.status === 401) refuse(e.message);
      // What was written of an object that is gone is not.
      const isGone = e.status === 404 && drafts.peek().has(hash);
      batch(() => {
        if (isGone) object.value = absent(ref);
        error.value = isGone ? undefined : e;
      });
      return undefined;
    }
  };
  useEffect(() => {
    const abort = new AbortController();
    object.value = undefined;
    void load(abort.signal);
    return () => abort.abort();
  }, [url]);
  const signedIn = refused.value === undefined;
  useEffect(() => {
    if (signedIn && error.peek()?.status === 401) void load();
  }, [signedIn]);
  const it = object.value;
  return (
    <main class="detail-page" id="main">
      <nav class="crumbs" aria-label="Where this is">
        <a href={formatRoute("config")}>Istio config</a> <span aria-hidden="true">/</span>{" "}
        {clean(ref.namespace, 80) || "all namespaces"} <span aria-hidden="true">/</span> {clean(ref.kind, 60)}
      </nav>
      <div class="detail-head">
        <h1>{clean(ref.name, 160)}</h1>
        {it && it.issues.errors + it.issues.warnings > 0 && <IssueCount issues={it.issues} />}
      </div>
      {error.value && <Trouble error={error.value} retry={() => load()} />}
      {!it && !error.value && <Loading what={ref.name} />}
      {it && (
        <Body
          key={url}
          object={it}
          url={url}
          hash={hash}
          reload={() => load()}
          saved={(next) => {
            object.value = next;
          }}
          drop={() => {
            keepDraft(hash, undefined);
            object.value = undefined;
            void load();
          }}
        />
      )}
    </main>
  );
}

interface Found {
  issues: Issue[];
  text: string;
}

const NO_ISSUES: Issue[] = [];

interface BodyProps {
  object: ConfigObject;
  url: string;
  /** The address of this page. */
  hash: string;
  reload(): Promise<ConfigObject | undefined>;
  saved(next: ConfigObject): void;
  /** Of an object that is gone: leaves its text. */
  drop(): void;
}

function Body({ object, url, hash, reload, saved, drop }: BodyProps) {
  const draft = drafts.peek().get(hash);
  const text = useSignal(draft?.yaml ?? object.yaml);
  /** The version that the text was made from. */
  const base = useSignal(draft?.resourceVersion ?? object.resourceVersion);
  /** What the editor begins with; replaced to put other text into it. */
  const begin = useSignal({ text: text.peek() });
  const replace = (yaml: string) => {
    text.value = yaml;
    begin.value = { text: yaml };
  };
  /** What is wrong, and with which text. */
  const found = useSignal<Found>({ issues: object.validation, text: object.yaml });
  /** What the mesh would say of the text that was checked. */
  const foreseen = useSignal<Foreseen | undefined>(undefined);
  const trouble = useSignal<{ error: ApiError; isCheck: boolean } | undefined>(undefined);
  const said = useSignal(draft ? "Your text from before, not saved yet" : "");
  const working = useSignal(false);
  /** The text that the server has checked. */
  const checked = useSignal<string | undefined>(undefined);
  const goTo = useSignal<{ line: number } | undefined>(undefined);
  const changed = text.value !== object.yaml;
  const isGone = object.resourceVersion === "";
  useLayoutEffect(() => {
    if (!isGone) return;
    batch(() => {
      base.value = "";
      trouble.value = undefined;
      checked.value = undefined;
      found.value = { issues: [], text: "" };
    });
  }, [isGone]);
  useLayoutEffect(() => {
    const { kind, namespace, name } = object;
    const title = `${kind} ${namespace}/${name}`;
    keepDraft(hash, changed ? { yaml: text.value, resourceVersion: base.value, title } : undefined);
  }, [hash, changed, text.value, base.value]);
  const isUnchecked = changed && checked.value !== text.value;
  const isOld = changed && found.value.text !== text.value;
  const errors = found.value.issues.filter((i) => i.severity === "error").length;

  /** What the mesh says of a saved object comes a moment after it. */
  const followUp = async () => {
    await new Promise((done) => setTimeout(done, FINDINGS_AFTER));
    const next = await reload();
    if (!next || text.value !== next.yaml) return;
    found.value = { issues: next.validation, text: next.yaml };
    base.value = next.resourceVersion;
  };
  const send = async (dryRun: boolean) => {
    working.value = true;
    const yaml = text.value;
    try {
      const next = await api.post<ConfigObject>(`${url}?dryRun=${dryRun}`, {
        yaml,
        resourceVersion: base.value,
      });
      batch(() => {
        found.value = { issues: next.validation, text: dryRun ? yaml : next.yaml };
        foreseen.value = next.foreseen;
        trouble.value = undefined;
        checked.value = dryRun ? yaml : undefined;
        said.value = dryRun ? verdict(next) : isGone ? "Created" : "Saved";
      });
      if (!dryRun) {
        base.value = next.resourceVersion;
        // What was written meanwhile stays, and is not saved yet.
        if (text.value === yaml) {
          replace(next.yaml);
          keepDraft(hash, undefined);
        }
        saved(next);
        void followUp();
      }
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      if (e.status === 401) refuse(e.message);
      const wentAway = e.status === 404 && !isGone && !(await reload());
      batch(() => {
        trouble.value = wentAway ? undefined : { error: e, isCheck: dryRun };
        if (e.issues.length > 0) found.value = { issues: e.issues, text: yaml };
        checked.value = undefined;
        said.value = "";
      });
    }
    working.value = false;
  };
  const takeTheirs = async (keepMine: boolean) => {
    const theirs = await reload();
    if (!theirs) return;
    batch(() => {
      trouble.value = undefined;
      base.value = theirs.resourceVersion;
      checked.value = undefined;
      found.value = { issues: theirs.validation, text: theirs.yaml };
      if (!keepMine) replace(theirs.yaml);
    });
  };

  return (
    <div class="config-body">
      <div class="editor-column">
        {isGone && <GoneNotice text={text.value} drop={drop} />}
        {trouble.value && <SaveTrouble {...trouble.value} take={takeTheirs} />}
        <Editor
          start={begin.value}
          readOnly={!object.editable}
          onChange={(t) => {
            text.value = t;
            said.value = "";
            // That somebody else changed the object is true of any text.
            if (trouble.value?.error.status !== 409) trouble.value = undefined;
          }}
          issues={isOld ? NO_ISSUES : found.value.issues}
          goTo={goTo.value}
        />
        <div class="editor-bar">
          {object.editable ? (
            <>
              <button
                type="button"
                class="button"
                disabled={!changed || working.value}
                onClick={() => send(true)}
              >
                Check
              </button>
              <button
                type="button"
                class="button primary"
                disabled={!changed || isUnchecked || errors > 0 || working.value}
                onClick={() => send(false)}
                title={`What was checked can be ${isGone ? "created" : "saved"}`}
              >
                {isGone ? "Create" : "Save"}
              </button>
              <button
                type="button"
                class="button"
                disabled={!changed || isGone || working.value}
                onClick={() => {
                  replace(object.yaml);
                  base.value = object.resourceVersion;
                  found.value = { issues: object.validation, text: object.yaml };
                  trouble.value = undefined;
                  said.value = "";
                }}
              >
                Undo all
              </button>
              <span role="status" class="muted">
                {said.value || (changed ? "Changed, not checked yet" : "")}
              </span>
            </>
          ) : (
            <span class="muted">
              Your rights in Kubernetes do not include an update of this object: it is shown only.
            </span>
          )}
        </div>
      </div>
      <aside class="editor-side">
        <Validation issues={found.value.issues} text={text.value} isOld={isOld} goTo={goTo} />
        {foreseen.value && checked.value === text.value && (
          <IfSaved foreseen={foreseen.value} text={text.value} goTo={goTo} />
        )}
        <ActsOn ids={object.actsOn} />
      </aside>
    </div>
  );
}

function verdict({ validation, foreseen }: ConfigObject): string {
  const found = validation.length + (foreseen?.issues.length ?? 0);
  if (found > 0) return `Checked: ${count(found, "issue")}`;
  return foreseen?.missing ? "Checked: the text has no issues" : "Checked: no issues";
}
