// The graph page's controls: namespaces, type, display, find and hide, time range, refresh, pause, replay.
import { useSignal } from "@preact/signals";
import type { GraphType } from "../api/types";
import { choose, currentView, graphFeed, namespacesFeed, state } from "../app/store";
import { span } from "../model/format";
import { DEFAULTS, DURATIONS, INTERVALS } from "../model/graphState";
import { GRAPH_TYPES } from "../model/kinds";
import { EDGE_LABELS, type EdgeLabel } from "../model/labels";
import { clean, count } from "../model/text";
import { Check, HealthMark, IconButton, Menu, Select } from "../ui/widgets";
import { FindHide } from "./findHide";
import { UI_ICONS } from "./icons";

export function Toolbar() {
  const s = state.value;
  const paused = s.refresh === 0;
  // On a small screen: who came by a link sees why something is dimmed or missing.
  const open = useSignal(s.find !== "" || s.hide !== "");
  const past = s.at !== undefined;
  return (
    <div class="toolbar" role="group" aria-label="What the graph shows and how">
      <NamespacePicker />
      <Select
        label="Graph type"
        value={s.type}
        options={Object.entries(GRAPH_TYPES) as [GraphType, string][]}
        onChange={(type) => choose({ type, selected: undefined })}
      />
      <Display />
      <div class={`toolbar-find ${open.value ? "open" : ""}`}>
        <FindHide />
      </div>
      <span class="toolbar-gap" />
      <IconButton
        class="narrow-only"
        icon={UI_ICONS.search}
        label="Find and hide"
        pressed={open.value}
        onClick={() => {
          open.value = !open.value;
        }}
      />
      <Select
        label="Time range"
        value={String(s.duration)}
        options={withValue(DURATIONS, s.duration).map((d) => [String(d), `Last ${span(d)}`] as const)}
        onChange={(d) => choose({ duration: Number(d) })}
      />
      {!past && (
        <Select
          label="Refresh interval"
          value={String(s.refresh)}
          options={[
            ["0", "Paused"] as const,
            ...withValue(INTERVALS, s.refresh)
              .filter((i) => i > 0)
              .map((i) => [String(i), `Every ${span(i)}`] as const),
          ]}
          onChange={(r) => choose({ refresh: Number(r) }, true)}
        />
      )}
      {!past && (
        <IconButton
          icon={paused ? UI_ICONS.play : UI_ICONS.pause}
          label={paused ? "Resume" : "Pause"}
          pressed={paused}
          onClick={() => choose({ refresh: paused ? DEFAULTS.refresh : 0 }, true)}
        />
      )}
      <IconButton icon={UI_ICONS.refresh} label="Refresh now" onClick={() => graphFeed.refresh()} />
      <IconButton
        icon={UI_ICONS.replay}
        label="Replay"
        pressed={s.replay}
        onClick={() => choose(s.replay ? { replay: false, at: undefined } : { replay: true })}
      />
    </div>
  );
}

function withValue(list: readonly number[], value: number): number[] {
  return [...new Set([...list, value])].sort((a, b) => a - b);
}

function NamespacePicker() {
  const filter = useSignal("");
  const chosen = state.value.namespaces;
  const all = namespacesFeed.state.value.data?.namespaces ?? [];
  const label =
    chosen.length === 0
      ? "All namespaces"
      : chosen.length === 1
        ? clean(chosen[0], 24)
        : count(chosen.length, "namespace");
  const shown = all.filter((n) => n.name.includes(filter.value.trim().toLowerCase()));
  const toggle = (name: string, on: boolean) =>
    choose({ namespaces: on ? [...chosen, name].sort() : chosen.filter((c) => c !== name) });
  return (
    <Menu label={label} title="Namespaces">
      <input
        type="search"
        class="input"
        placeholder="Filter namespaces"
        aria-label="Filter namespaces"
        value={filter.value}
        onInput={(e) => {
          filter.value = e.currentTarget.value;
        }}
      />
      <Check
        label="All namespaces"
        checked={chosen.length === 0}
        onChange={() => choose({ namespaces: [] })}
      />
      <fieldset class="scroll">
        <legend class="sr-only">Namespaces</legend>
        {shown.slice(0, 200).map((n) => (
          <Check
            key={n.name}
            checked={chosen.includes(n.name)}
            onChange={(on) => toggle(n.name, on)}
            label={
              <span class="ns-row">
                {clean(n.name, 50)} <HealthMark state={n.health.state} text={false} />
              </span>
            }
          />
        ))}
      </fieldset>
      {shown.length > 200 && (
        <p class="muted">{count(shown.length - 200, "more namespace")}: write a part of the name</p>
      )}
    </Menu>
  );
}

function Display() {
  const s = state.value;
  const set =
    (key: "services" | "idle" | "boxNamespaces" | "boxApps" | "security" | "badges" | "animation") =>
    (on: boolean) =>
      choose({ [key]: on });
  const label = (l: EdgeLabel, on: boolean) =>
    choose({
      labels: (Object.keys(EDGE_LABELS) as EdgeLabel[]).filter((k) => (k === l ? on : s.labels.includes(k))),
    });
  return (
    <Menu label="Display" title="What the graph shows">
      <div class="columns">
        <fieldset>
          <legend>Edge labels</legend>
          {(Object.keys(EDGE_LABELS) as EdgeLabel[]).map((l) => (
            <Check
              key={l}
              label={EDGE_LABELS[l]}
              checked={s.labels.includes(l)}
              onChange={(on) => label(l, on)}
            />
          ))}
        </fieldset>
        <fieldset>
          <legend>Show</legend>
          <Check label="Namespace boxes" checked={s.boxNamespaces} onChange={set("boxNamespaces")} />
          <Check
            label="App boxes"
            checked={s.boxApps}
            onChange={set("boxApps")}
            note={s.type === "versionedApp" ? undefined : "in versioned app graphs"}
          />
          <Check label="Service nodes" checked={s.services} onChange={set("services")} />
          <Check label="Idle nodes" checked={s.idle} onChange={set("idle")} />
          <Check label="Security" checked={s.security} onChange={set("security")} />
          <Check label="Istio badges" checked={s.badges} onChange={set("badges")} />
          <Check label="Traffic animation" checked={s.animation} onChange={set("animation")} />
        </fieldset>
        <fieldset>
          <legend>Layout</legend>
          {(["layered", "force"] as const).map((l) => (
            <label class="check" key={l}>
              <input
                type="radio"
                name="layout"
                checked={s.layout === l}
                onChange={() => choose({ layout: l })}
              />
              <span>{l === "layered" ? "Left to right" : "Force"}</span>
            </label>
          ))}
        </fieldset>
      </div>
      {!!currentView.value?.hidden && (
        <p class="muted">{count(currentView.value.hidden, "element")} hidden</p>
      )}
    </Menu>
  );
}
