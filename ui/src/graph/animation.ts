// Moves marks along the edges: dots for what went well, crosses in the colour of failure for what did not. Stands
// still for readers who asked for less motion, while the tab is hidden, and while the graph is being moved.
import type cytoscape from "cytoscape";
import { holds } from "../layout/labels";
import { errorShare, totals } from "../model/traffic";
import type { ViewEdge } from "../model/view";
import type { LabelRects } from "./edgeLabels";
import { type Line, lineOf, pointAt } from "./geometry";
import type { Layer } from "./layer";
import { edgeColor, type Palette } from "./palette";
import { marks, phase } from "./particles";

interface Track {
  line: Line;
  color: string;
  rate: number;
  errorShare: number;
  phase: number;
}

const FRAME = 33;
/** Pixels between a text and the middle of a mark. */
const MARGIN = 6;
/** With more edges than that only the busiest move. */
const MOST_TRACKS = 160;

export class Animation {
  private tracks: Track[] = [];
  private stale = true;
  private frame = 0;
  private drawn = 0;
  private wanted = false;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly changed = () => this.update();

  constructor(
    private readonly cy: cytoscape.Core,
    private readonly layer: Layer,
    private readonly palette: () => Palette,
    private readonly labels: () => LabelRects,
  ) {
    this.calm.addEventListener("change", this.changed);
    document.addEventListener("visibilitychange", this.changed);
  }

  /** Switches it on or off, as the reader wishes. */
  want(on: boolean): void {
    this.wanted = on;
    this.update();
  }

  /** The edges or their traffic have changed. */
  invalidate(): void {
    this.stale = true;
  }

  get running(): boolean {
    return this.frame !== 0;
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.calm.removeEventListener("change", this.changed);
    document.removeEventListener("visibilitychange", this.changed);
  }

  private update(): void {
    const run = this.wanted && !this.calm.matches && !document.hidden;
    if (run === this.running) return;
    if (run) {
      this.frame = requestAnimationFrame(this.step);
      return;
    }
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.layer.clear();
  }

  private readonly step = (now: number) => {
    this.frame = requestAnimationFrame(this.step);
    if (now - this.drawn < FRAME) return;
    this.drawn = now;
    if (this.stale) this.collect();
    this.draw(now / 1000);
  };

  private collect(): void {
    this.stale = false;
    const palette = this.palette();
    const busy: { edge: cytoscape.EdgeSingular; shown: ViewEdge; rate: number }[] = [];
    const extent = this.cy.extent();
    this.cy.edges().forEach((edge) => {
      const shown = edge.scratch("view") as ViewEdge | undefined;
      if (!shown || shown.idle || edge.hasClass("dim") || edge.hasClass("leaving")) return;
      const box = edge.source().position();
      const end = edge.target().position();
      if (Math.max(box.x, end.x) < extent.x1 || Math.min(box.x, end.x) > extent.x2) return;
      if (Math.max(box.y, end.y) < extent.y1 || Math.min(box.y, end.y) > extent.y2) return;
      const sum = totals(shown.edge.traffic);
      const rate = Math.max(sum.requests + sum.connections, sum.failed, sum.active > 0 ? 0.2 : 0);
      busy.push({ edge, shown, rate });
    });
    busy.sort((a, b) => b.rate - a.rate);
    this.tracks = busy.slice(0, MOST_TRACKS).flatMap(({ edge, shown, rate }) => {
      const line = lineOf(edge);
      if (!line) return [];
      const color = edgeColor(
        palette,
        shown.edge.health.state === "failing" ? "healthy" : shown.edge.health.state,
        shown.edge.protocol,
        false,
      );
      return [{ line, color, rate, errorShare: errorShare(shown.edge.traffic), phase: phase(shown.id) }];
    });
  }

  private draw(seconds: number): void {
    const { context: c } = this.layer;
    const zoom = this.cy.zoom();
    const pan = this.cy.pan();
    const palette = this.palette();
    this.layer.clear();
    // No mark goes over a text.
    const margin = MARGIN / zoom;
    const texts = [...this.labels().values()];
    const size = Math.max(1.6, 3.6 * Math.min(1.2, zoom));
    for (const track of this.tracks) {
      const flow = {
        rate: track.rate,
        errorShare: track.errorShare,
        length: track.line.length * Math.max(0.5, zoom),
        phase: track.phase,
      };
      for (const mark of marks(flow, seconds)) {
        const p = pointAt(track.line, mark.at);
        if (texts.some((rect) => holds(rect, p, margin))) continue;
        const x = p.x * zoom + pan.x;
        const y = p.y * zoom + pan.y;
        if (mark.error) cross(c, x, y, size * 1.15, palette);
        else dot(c, x, y, size, track.color, palette);
      }
    }
  }
}

function dot(c: CanvasRenderingContext2D, x: number, y: number, r: number, color: string, p: Palette): void {
  c.beginPath();
  c.arc(x, y, r, 0, 2 * Math.PI);
  c.fillStyle = color;
  c.fill();
  c.strokeStyle = p.canvas;
  c.lineWidth = 1.2;
  c.stroke();
}

function cross(c: CanvasRenderingContext2D, x: number, y: number, r: number, p: Palette): void {
  for (const [width, color] of [
    [5, p.canvas],
    [2.6, p.failing],
  ] as const) {
    c.beginPath();
    c.moveTo(x - r, y - r);
    c.lineTo(x + r, y + r);
    c.moveTo(x + r, y - r);
    c.lineTo(x - r, y + r);
    c.lineWidth = width;
    c.lineCap = "round";
    c.strokeStyle = color;
    c.stroke();
  }
}
