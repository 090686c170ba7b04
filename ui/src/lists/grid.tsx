// A table of any length: only the rows in view exist, each as high as the next. Columns sort; rows can be chosen.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Order, rowsInView, sorted } from "./window";

export interface Column<T> {
  id: string;
  title: string;
  /** Of the grid's template, such as `2fr`. */
  width: string;
  key(item: T): string | number;
  cell(item: T): ComponentChildren;
  /** Not shown on narrow screens. */
  wide?: boolean;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  items: readonly T[];
  id(item: T): string;
  selected?: string;
  choose?(item: T): void;
  order?: Order;
}

const ROW = 44;

export function Grid<T>({ label, columns, items, id, selected, choose, order: first }: Props<T>) {
  const order = useSignal<Order>(first ?? { column: columns[0]!.id, down: false });
  const scroll = useSignal(0);
  const height = useSignal(600);
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = body.current!;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [height]);
  const by = columns.find((c) => c.id === order.value.column) ?? columns[0]!;
  const rows = sorted(items, by.key, order.value.down);
  const { from, to } = rowsInView(rows.length, ROW, scroll.value, height.value);
  const template = {
    "--columns": columns.map((c) => c.width).join(" "),
    "--columns-narrow": columns
      .filter((c) => !c.wide)
      .map((c) => c.width)
      .join(" "),
  };
  const paint = (e: HTMLElement | null) => {
    for (const [name, value] of Object.entries(template)) e?.style.setProperty(name, value);
  };
  return (
    <div class="grid" role="table" aria-label={label} aria-rowcount={rows.length + 1} ref={paint}>
      {/* biome-ignore lint/a11y/useFocusableInteractive: a row of headers is not a control */}
      <div class="grid-row grid-head" role="row" aria-rowindex={1}>
        {columns.map((c) => (
          // biome-ignore lint/a11y/useFocusableInteractive: the button within is
          <div
            role="columnheader"
            key={c.id}
            class={c.wide ? "wide" : ""}
            aria-sort={by.id === c.id ? (order.value.down ? "descending" : "ascending") : "none"}
          >
            <button
              type="button"
              onClick={() => {
                order.value = { column: c.id, down: by.id === c.id ? !order.value.down : false };
              }}
            >
              {c.title}
              <span aria-hidden="true">{by.id === c.id ? (order.value.down ? " ↓" : " ↑") : ""}</span>
            </button>
          </div>
        ))}
      </div>
      <div
        class="grid-body"
        role="rowgroup"
        ref={body}
        tabIndex={0}
        aria-label={`${label}, rows`}
        onScroll={(e) => {
          scroll.value = e.currentTarget.scrollTop;
        }}
      >
        <div
          class="grid-space"
          ref={(e) => {
            if (e) e.style.height = `${rows.length * ROW}px`;
          }}
        >
          <div
            class="grid-rows"
            ref={(e) => {
              if (e) e.style.transform = `translateY(${from * ROW}px)`;
            }}
          >
            {rows.slice(from, to).map((item, i) => (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the links and buttons in the row take the keyboard
              // biome-ignore lint/a11y/useFocusableInteractive: the links and buttons in the row take the focus
              <div
                class={`grid-row ${selected === id(item) ? "selected" : ""}`}
                role="row"
                key={id(item)}
                aria-rowindex={from + i + 2}
                aria-selected={choose ? selected === id(item) : undefined}
                onClick={() => choose?.(item)}
              >
                {columns.map((c) => (
                  <div
                    role="cell"
                    key={c.id}
                    class={c.wide ? "wide" : ""}
                    onPointerEnter={(e) => tellWhole(e.currentTarget)}
                  >
                    {c.cell(item)}
                  </div>
                ))}
              </div>
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

/** A cell that is too narrow for its text tells it to whoever points at it. */
function tellWhole(cell: HTMLElement): void {
  const cut = [cell, ...cell.children].some((e) => e.scrollWidth > e.clientWidth && e.clientWidth > 0);
  cell.title = cut ? (cell.textContent ?? "") : "";
}
