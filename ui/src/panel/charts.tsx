// Charts of one selection over time. This module and uPlot are loaded when the first chart is shown.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Series } from "../api/types";
import { themeVersion } from "../app/theme";
import { clock } from "../model/format";
import { type Chart, charts, times } from "./chartData";

export default function Charts({ series }: { series: Series }) {
  const groups = [
    ["Inbound", charts(series.inbound)],
    ["Outbound", charts(series.outbound)],
  ] as const;
  if (groups.every(([, list]) => list.length === 0))
    return <p class="muted">No traffic was counted in this time.</p>;
  const both = groups.every(([, list]) => list.length > 0);
  return (
    <div class="charts">
      {groups.map(
        ([title, list]) =>
          list.length > 0 && (
            <div key={title}>
              {both && <h4>{title}</h4>}
              {list.map((c) => (
                <Plot key={c.id} chart={c} series={series} direction={title} />
              ))}
            </div>
          ),
      )}
    </div>
  );
}

function Plot({ chart, series, direction }: { chart: Chart; series: Series; direction: string }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const samples = chart.lines[0]?.values.length ?? 0;
  const data = [times(series, samples), ...chart.lines.map((l) => l.values)] as uPlot.AlignedData;
  const colors = themeVersion.value;
  // The plot is made once per theme and width; new samples are put into it.
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(chart, element.clientWidth || 300), data, element);
    };
    make();
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [colors, chart.id]);
  useEffect(() => plot.current?.setData(data));
  const latest = chart.lines
    .map(
      (l) =>
        `${l.name} ${format(
          chart,
          l.values.findLast((v) => v !== null),
        )}`,
    )
    .join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <span>{chart.title}</span>
        <span class="keys">
          {chart.lines.map((l) => (
            <span key={l.name} class={`key key-${l.color} ${l.dash ? "key-dash" : ""}`}>
              {l.name}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={host} role="img" aria-label={`${direction} ${chart.title}; last: ${latest}`} />
    </figure>
  );
}

const HEIGHT = 112;

function format(chart: Chart, value: number | null | undefined): string {
  return value === null || value === undefined ? "unknown" : chart.format(value);
}

function options(chart: Chart, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: color("muted"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: color("line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [6, 6, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, size: 22, space: 70, values: (_, ticks) => ticks.map((t) => clock(t * 1000).slice(0, 5)) },
      { ...axis, size: 58, space: 26, values: (_, ticks) => ticks.map((t) => chart.format(t)) },
    ],
    series: [
      {},
      ...chart.lines.map((l) => ({
        label: l.name,
        stroke: color(l.color),
        width: 1.8,
        dash: l.dash ? [5, 3] : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}
