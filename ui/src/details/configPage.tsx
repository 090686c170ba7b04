// One Istio object: its YAML, what is wrong with it and where, what it acts on, and, for whoever may, a change.
// A change is checked by the server first; it is saved only from the version that it was made from.
import { batch, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { ApiError } from "../api/client";
import type { ConfigObject, Issue } from "../api/types";
import { drafts, keepDraft } from "../app/drafts";
import { formatRoute } from "../app/route";
import { api, refuse, refused } from "../app/session";
import { configPath, parseConfigPath } from "../model/kinds";
import { clean } from "../model/text";
import { type Found, known, verdict } from "../model/verdict";
import { lazy } from "../ui/lazy";
import { IssueCount, Loading, Trouble } from "../ui/widgets";
import { ActsOn, IfSaved, Validation } from "./findings";
import { absent, GoneNotice, SaveTrouble } from "./saveTrouble";

const Editor = lazy<import("../editor/editor").EditorProps>("the editor", () => import("../editor/editor"));

/** Milliseconds from a change until the mesh has looked at it. */
const FINDINGS_AFTER = 1500;
/** Milliseconds between looks at what others did to the object. */
const EVERY = 10_000;

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
        if (e.status === 404) object.value = isGone ? absent(ref) : undefined;
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
  useEffect(() => {
    const timer = setInterval(() => void look(), EVERY);
    return () => clearInterval(timer);
  }, [url]);
  /** What is older than what a reader did meanwhile, or no answer, is left out: the next look is soon. */
  const look = async () => {
    const before = object.peek();
    if (document.hidden || !before) return;
    let found: ConfigObject | undefined;
    try {
      found = await api.get<ConfigObject>(url);
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 404) return;
    }
    if (object.peek() !== before) return;
    if (found) object.value = found;
    else if (before.resourceVersion !== "") void load();
  };
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
  /** What the last check found. */
  const checked = useSignal<Found | undefined>(undefined);
  const trouble = useSignal<{ error: ApiError; isCheck: boolean } | undefined>(undefined);
  /** What became of a text. */
  const said = useSignal<{ words: string; text: string } | undefined>(
    draft && { words: "Your text from before, not saved yet", text: draft.yaml },
  );
  const working = useSignal(false);
  const goTo = useSignal<{ line: number } | undefined>(undefined);
  const it = known(text.value, { text: object.yaml, issues: object.validation }, checked.value);
  const changed = it.is !== "saved";
  const isGone = object.resourceVersion === "";
  const shown = useRef(object);
  useLayoutEffect(() => {
    const before = shown.current;
    shown.current = object;
    // A text that is being written stays, and is of the version that it was made from.
    if (before === object || isGone || text.value !== before.yaml) return;
    batch(() => {
      base.value = object.resourceVersion;
      if (object.yaml !== before.yaml) replace(object.yaml);
    });
  }, [object]);
  useLayoutEffect(() => {
    if (!isGone) return;
    batch(() => {
      base.value = "";
      trouble.value = undefined;
      checked.value = undefined;
    });
  }, [isGone]);
  useLayoutEffect(() => {
    const { kind, namespace, name } = object;
    const title = `${kind} ${namespace}/${name}`;
    keepDraft(hash, changed ? { yaml: text.value, resourceVersion: base.value, title } : undefined);
  }, [hash, changed, text.value, base.value]);
  const isTaken = trouble.value?.error.status === 409;
  const maySave = it.is === "checked" && !isTaken && !it.found.issues.some((i) => i.severity === "error");
  const now = said.value?.text === text.value ? said.value.words : changed ? "Changed, not checked yet" : "";

  const written = (yaml: string) =>
    batch(() => {
      text.value = yaml;
      if (yaml === object.yaml) {
        // What is written next is made from what is saved, and no check was of that.
        base.value = object.resourceVersion;
        checked.value = undefined;
      }
      if (said.value?.text !== yaml) said.value = undefined;
      // That somebody else changed the object is true of any text.
      if (!isTaken) trouble.value = undefined;
    });

  /** What the mesh says of a saved object comes a moment after it. */
  const followUp = async () => {
    await new Promise((done) => setTimeout(done, FINDINGS_AFTER));
    const next = await reload();
    if (next && text.value === next.yaml) base.value = next.resourceVersion;
  };
  /** `yaml` is what was saved. What was written meanwhile stays, and is not saved yet. */
  const take = (next: ConfigObject, yaml: string) => {
    const words = isGone ? "Created" : "Saved";
    base.value = next.resourceVersion;
    if (text.value === yaml) {
      replace(next.yaml);
      keepDraft(hash, undefined);
      said.value = { words, text: next.yaml };
    } else said.value = { words: `${words}, and changed since: not checked yet`, text: text.value };
    saved(next);
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
        trouble.value = undefined;
        checked.value = dryRun ? { text: yaml, issues: next.validation, foreseen: next.foreseen } : undefined;
        if (!dryRun) take(next, yaml);
      });
      if (!dryRun) void followUp();
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      if (e.status === 401) refuse(e.message);
      const wentAway = e.status === 404 && !isGone && !(await reload());
      batch(() => {
        trouble.value = wentAway ? undefined : { error: e, isCheck: dryRun };
        if (e.issues.length > 0) checked.value = { text: yaml, issues: e.issues };
        else if (dryRun && checked.value?.text === yaml) checked.value = undefined;
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
          onChange={written}
          issues={it.is === "unchecked" ? NO_ISSUES : it.found.issues}
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
                disabled={!maySave || working.value}
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
                  written(object.yaml);
                  begin.value = { text: object.yaml };
                }}
              >
                Undo all
              </button>
              <span role="status" class="muted">
                {it.is === "checked" ? verdict(it.found) : now}
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
        <Validation known={it} text={text.value} goTo={goTo} />
        {it.is === "checked" && it.found.foreseen && (
          <IfSaved foreseen={it.found.foreseen} text={text.value} goTo={goTo} />
        )}
        <ActsOn ids={object.actsOn} />
      </aside>
    </div>
  );
}
