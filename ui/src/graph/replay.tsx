// Replay: a slider over the time that the server keeps, with play, pause and speed. While it plays the address
// stays as it is (browsers limit how often it may change); when it stands still it holds the time.
import { useSignal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { choose, graphFeed, playing, shownTime, state, statusFeed } from "../app/store";
import { age, clock, date } from "../model/format";
import { IconButton, Select } from "../ui/widgets";
import { UI_ICONS } from "./icons";
import { advance, range } from "./timeline";

const SPEEDS = [
  ["5", "5 × speed"],
  ["15", "15 × speed"],
  ["60", "60 × speed"],
] as const;
const TICK = 1000;

export function Replay() {
  const status = statusFeed.state.value.data;
  const speed = useSignal<(typeof SPEEDS)[number][0]>("15");
  const on = playing.value !== undefined;
  const { oldest, newest, step } = range(status, Date.now());
  const at = Math.min(newest, Math.max(oldest, shownTime.value ?? newest));
  useLayoutEffect(() => {
    if (!on) return;
    const timer = setInterval(() => {
      // A slow server sets the pace: the next frame waits for the one before.
      if (graphFeed.state.peek().loading || playing.peek() === undefined) return;
      const next = advance(playing.peek()!, Number(speed.value) * TICK, step, newest);
      if (next >= newest) stop(newest);
      else playing.value = next;
    }, TICK);
    return () => clearInterval(timer);
  }, [on, step, newest, speed]);
  // Leaving replay must not leave it playing.
  useLayoutEffect(
    () => () => {
      playing.value = undefined;
    },
    [],
  );
  const move = (value: number) => {
    if (on) playing.value = value;
    else choose({ at: value }, true);
  };
  return (
    <div class="replay" role="group" aria-label="Replay">
      <IconButton
        icon={on ? UI_ICONS.pause : UI_ICONS.play}
        label={on ? "Pause the replay" : "Play"}
        onClick={() => (on ? stop(at) : start(at >= newest - step ? oldest : at))}
      />
      <span class="muted">{clock(oldest)}</span>
      <input
        type="range"
        aria-label="Time"
        min={oldest}
        max={newest}
        step={step}
        value={at}
        aria-valuetext={`${date(at)}, ${age(newest - at)} ago`}
        onInput={(e) => move(Number(e.currentTarget.value))}
      />
      <strong class="replay-time">{clock(at)}</strong>
      <Select
        label="Replay speed"
        value={speed.value}
        options={SPEEDS}
        onChange={(v) => {
          speed.value = v;
        }}
      />
      <button
        type="button"
        class="button"
        onClick={() => {
          playing.value = undefined;
          choose({ at: undefined, replay: false });
        }}
      >
        Back to now
      </button>
      <span class="muted wide">
        {state.value.at === undefined && !on
          ? "Move the slider or press play"
          : "Without Istio's badges: what acted then is not known"}
      </span>
    </div>
  );
}

function start(from: number): void {
  playing.value = from;
}

function stop(at: number): void {
  choose({ at }, true);
  playing.value = undefined;
}
