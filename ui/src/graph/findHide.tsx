// The find and hide expressions: two fields with suggestions, and a message that points at what is wrong.
import { type ReadonlySignal, useComputed, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { choose, currentView, expressions, graph, state } from "../app/store";
import { complete, type Suggestion, type Vocabulary } from "../model/expression/complete";
import type { Checked } from "../model/expression/evaluate";
import { clean, count } from "../model/text";
import { IconButton } from "../ui/widgets";
import { UI_ICONS } from "./icons";

export function FindHide() {
  const view = currentView.value;
  return (
    <>
      <Field
        kind="find"
        checked={expressions.find}
        result={view && state.value.find ? `${count(view.found, "match", "matches")}` : ""}
      />
      <Field
        kind="hide"
        checked={expressions.hide}
        result={view && state.value.hide ? `${view.hidden} hidden` : ""}
      />
    </>
  );
}

function Field({
  kind,
  checked,
  result,
}: {
  kind: "find" | "hide";
  checked: ReadonlySignal<Checked>;
  result: string;
}) {
  const input = useRef<HTMLInputElement>(null);
  const text = useSignal(state.value[kind]);
  const open = useSignal(false);
  const caret = useSignal(0);
  const active = useSignal(-1);
  const id = useId();
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  /** What the address says, as far as this field knows. */
  const known = useRef(text.peek());
  // The address may change without this field, as with a link or the back button, also while the reader types: at
  // once, as what waits to be applied would undo it.
  useLayoutEffect(() => {
    const there = state.value[kind];
    if (there === known.current) return;
    known.current = there;
    clearTimeout(timer.current);
    text.value = there;
    caret.value = there.length;
    active.value = -1;
    open.value = false;
  }, [state.value[kind]]);
  // At once: fired after the reader has left the graph it would bring them back.
  useLayoutEffect(() => () => clearTimeout(timer.current), []);
  const suggestions = useComputed<Suggestion[]>(() =>
    open.value ? complete(text.value, caret.value, vocabulary()) : [],
  );
  const apply = (value: string) => {
    choose({ [kind]: value.trim() }, true);
    known.current = state.peek()[kind];
  };
  const write = (value: string) => {
    text.value = value;
    caret.value = input.current?.selectionStart ?? value.length;
    active.value = -1;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(value), 250);
  };
  const take = (s: Suggestion) => {
    const rest = text.value.slice(s.end);
    const value = `${text.value.slice(0, s.start)}${s.text}${rest || " "}`;
    write(value);
    const at = s.start + s.text.length + (rest ? 0 : 1);
    caret.value = at;
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
  };
  const step = (by: 1 | -1) => {
    open.value = true;
    const { length } = suggestions.value;
    if (length === 0) return;
    const from = active.value < 0 && by < 0 ? 0 : active.value;
    active.value = (from + by + length) % length;
  };
  const submit = () => {
    open.value = false;
    clearTimeout(timer.current);
    apply(text.value);
  };
  /** Closes the suggestions, or else empties the field. Out: whether there was anything to do. */
  const onEscape = () => {
    if (!open.value && !text.value) return false;
    if (open.value && suggestions.value.length > 0) open.value = false;
    else write("");
    return true;
  };
  const keys = (e: TargetedKeyboardEvent<HTMLInputElement>) => {
    const chosen = suggestions.value[active.value];
    if (e.key === "ArrowDown") step(1);
    else if (e.key === "ArrowUp") step(-1);
    else if (chosen && (e.key === "Enter" || e.key === "Tab")) take(chosen);
    else if (e.key === "Enter") submit();
    else if (e.key !== "Escape" || !onEscape()) return;
    e.preventDefault();
    e.stopPropagation();
  };
  const error = checked.value.error;
  const title = kind === "find" ? "Find" : "Hide";
  return (
    <div class="expression">
      <input
        ref={input}
        class={`input ${error ? "invalid" : ""}`}
        type="text"
        role="combobox"
        spellcheck={false}
        autocomplete="off"
        maxLength={2000}
        data-field={kind}
        placeholder={kind === "find" ? "Find…  /" : "Hide…"}
        aria-label={`${title} expression`}
        aria-expanded={suggestions.value.length > 0}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-invalid={!!error}
        aria-describedby={`${id}-state`}
        aria-activedescendant={active.value >= 0 ? `${id}-${active.value}` : undefined}
        value={text.value}
        onInput={(e) => {
          open.value = true;
          write(e.currentTarget.value);
        }}
        onKeyDown={keys}
        onFocus={() => {
          caret.value = text.value.length;
          open.value = true;
        }}
        onBlur={() => {
          open.value = false;
        }}
        onKeyUp={(e) => {
          caret.value = e.currentTarget.selectionStart ?? 0;
        }}
      />
      {text.value && (
        <IconButton class="clear" icon={UI_ICONS.close} label={`Clear ${kind}`} onClick={() => write("")} />
      )}
      <div
        id={`${id}-state`}
        class={error && text.value ? "expression-error" : "expression-result"}
        role={error ? "alert" : undefined}
      >
        {error && text.value ? (
          <Pointer text={state.value[kind]} start={error.start} end={error.end} message={error.message} />
        ) : (
          result
        )}
      </div>
      {open.value && !error && suggestions.value.length > 0 && (
        <List id={id} list={suggestions.value} active={active.value} take={take} />
      )}
      {open.value && error && suggestions.value.length > 0 && active.value >= -1 && (
        <List id={id} list={suggestions.value} active={active.value} take={take} />
      )}
    </div>
  );
}

function List({
  id,
  list,
  active,
  take,
}: {
  id: string;
  list: Suggestion[];
  active: number;
  take(s: Suggestion): void;
}) {
  return (
    <div class="suggestions" id={`${id}-list`} role="listbox" aria-label="Suggestions" tabIndex={-1}>
      {list.map((s, i) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are handled by the field
        // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus and names the active one
        <div
          key={s.text}
          id={`${id}-${i}`}
          role="option"
          aria-selected={i === active}
          ref={(e) => {
            if (i === active) e?.scrollIntoView({ block: "nearest" });
          }}
          onPointerDown={(e) => e.preventDefault()}
          onClick={() => take(s)}
        >
          <code>{clean(s.text, 60)}</code> <small>{s.help}</small>
        </div>
      ))}
    </div>
  );
}

/** The expression again, with what is wrong underlined. */
function Pointer({
  text,
  start,
  end,
  message,
}: {
  text: string;
  start: number;
  end: number;
  message: string;
}) {
  const from = Math.max(0, start - 24);
  return (
    <>
      <code>
        {from > 0 && "…"}
        {text.slice(from, start)}
        <mark>{text.slice(start, Math.min(end, start + 40)) || "\u00a0"}</mark>
        {text.slice(end, end + 24)}
      </code>
      <span>{message}</span>
    </>
  );
}

function vocabulary(): Vocabulary {
  const nodes = graph.peek()?.nodes ?? [];
  const all = (of: (n: (typeof nodes)[number]) => string | undefined) =>
    [...new Set(nodes.map(of).filter((t) => t !== undefined))]
      .map((t) => clean(t, 80))
      .sort()
      .slice(0, 500);
  return {
    names: all((n) => n.name),
    namespaces: all((n) => n.namespace),
    versions: all((n) => n.version),
    apps: all((n) => n.app),
  };
}
