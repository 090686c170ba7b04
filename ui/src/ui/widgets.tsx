// Small parts that all pages share: icons, states of health, menus, lines to copy, messages.
import { useSignal } from "@preact/signals";
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import type { ApiError } from "../api/client";
import type { Health } from "../api/types";
import { HEALTH_ICONS, UI_ICONS } from "../graph/icons";
import { HEALTH_NAMES } from "../model/kinds";

export function Icon({ path, size = 18 }: { path: string; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}

export function HealthMark({ state, text = true }: { state: Health["state"]; text?: boolean }) {
  return (
    <span class={`health health-${state}`} title={text ? undefined : HEALTH_NAMES[state]}>
      <span class="health-sign">
        <Icon path={HEALTH_ICONS[state]} size={12} />
      </span>
      <span class={text ? "" : "sr-only"}>{HEALTH_NAMES[state]}</span>
    </span>
  );
}

export function IssueCount({ issues }: { issues?: { errors: number; warnings: number } }) {
  if (!issues || issues.errors + issues.warnings === 0) return <span class="muted">No issues</span>;
  return (
    <span class="issue-count">
      {issues.errors > 0 && (
        <span class="tag tag-failing">{issues.errors === 1 ? "1 error" : `${issues.errors} errors`}</span>
      )}
      {issues.warnings > 0 && (
        <span class="tag tag-degraded">
          {issues.warnings === 1 ? "1 warning" : `${issues.warnings} warnings`}
        </span>
      )}
    </span>
  );
}

interface ButtonProps {
  icon: string;
  label: string;
  onClick(): void;
  pressed?: boolean;
  /** Shows the label as well. */
  text?: boolean;
  class?: string;
}

export function IconButton({ icon, label, onClick, pressed, text, class: extra }: ButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${extra ?? ""}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      onClick={onClick}
    >
      <Icon path={icon} />
      {text && <span>{label}</span>}
    </button>
  );
}

/** A button that opens a panel below it. Escape or a click elsewhere closes it. */
export function Menu({
  label,
  title,
  children,
  icon,
}: {
  label: ComponentChildren;
  title: string;
  children: ComponentChildren;
  icon?: string;
}) {
  const open = useSignal(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    if (!open.value) return;
    const outside = (e: Event) => {
      if (!root.current?.contains(e.target as Element)) open.value = false;
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open.value, open]);
  const onEscape = (e: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (e.key !== "Escape" || !open.value) return;
    e.stopPropagation();
    open.value = false;
    root.current?.querySelector("button")?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only closes what its button opened
    <div class="menu" ref={root} onKeyDown={onEscape}>
      <button
        type="button"
        class="menu-button"
        aria-expanded={open.value}
        aria-controls={id}
        aria-label={typeof label === "string" ? `${label}: ${title}` : title}
        title={title}
        onClick={() => {
          open.value = !open.value;
        }}
      >
        {icon && <Icon path={icon} size={16} />}
        <span class="menu-label">{label}</span>
        <Icon path={UI_ICONS.chevron} size={14} />
      </button>
      {open.value && (
        <div class="menu-panel" id={id}>
          {children}
        </div>
      )}
    </div>
  );
}

export function Check({
  label,
  checked,
  onChange,
  note,
}: {
  label: ComponentChildren;
  checked: boolean;
  onChange(on: boolean): void;
  note?: string;
}) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(e) => onChange(e.currentTarget.checked)} />
      <span>
        {label}
        {note && <small>{note}</small>}
      </span>
    </label>
  );
}

export function Select<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange(value: T): void;
}) {
  return (
    <label class="select">
      <span class="sr-only">{label}</span>
      <select value={value} title={label} onChange={(e) => onChange(e.currentTarget.value as T)}>
        {options.map(([v, text]) => (
          <option key={v} value={v}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A command that the reader may want to run. */
export function CommandLine({ text }: { text: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      copied.value = true;
    } catch {
      // Without that right the text can still be selected by hand.
      copied.value = false;
    }
  };
  return (
    <div class="command">
      <code>{text}</code>
      <IconButton icon={UI_ICONS.copy} label={copied.value ? "Copied" : "Copy"} onClick={copy} />
    </div>
  );
}

export function Trouble({
  error,
  title,
  retry,
  action = "Try again",
}: {
  error: ApiError;
  title?: string;
  retry?(): void;
  action?: string;
}) {
  const untold =
    error.status === 403
      ? "You may not see this"
      : error.status === 404
        ? "Not found"
        : "This could not be loaded";
  return (
    <div class="notice notice-bad" role="alert">
      <Icon path={UI_ICONS.warning} />
      <div>
        <strong>{title ?? untold}</strong>
        <p>{error.message}</p>
      </div>
      {retry && (
        <button type="button" class="button" onClick={retry}>
          {action}
        </button>
      )}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      Loading {what}…
    </div>
  );
}

export interface Tab {
  id: string;
  label: string;
  count?: number;
}

export function Tabs({
  tabs,
  current,
  onChange,
  label,
}: {
  tabs: Tab[];
  current: string;
  onChange(id: string): void;
  label: string;
}) {
  const move = (e: TargetedKeyboardEvent<HTMLDivElement>) => {
    const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    e.preventDefault();
    const index = tabs.findIndex((t) => t.id === current);
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (!next) return;
    onChange(next.id);
    e.currentTarget.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map((t) => (
        <button
          type="button"
          role="tab"
          key={t.id}
          id={`tab-${t.id}`}
          data-tab={t.id}
          aria-selected={t.id === current}
          tabIndex={t.id === current ? 0 : -1}
          onClick={() => onChange(t.id)}
        >
          {t.label}
          {t.count !== undefined && t.count > 0 && <span class="count">{t.count}</span>}
        </button>
      ))}
    </div>
  );
}
