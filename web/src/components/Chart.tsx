// A line chart: uPlot, in the page's colours. Drag to zoom, double click to see everything again.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, figure, NONE } from "../lib/format";
import type { Style, Table } from "../lib/metrics";
import { colour, onTheme } from "../lib/theme";

/** `points`: each is marked; `gaps`: drawn through where there is none. */
export type Series = { name: string; colour: string; faint?: boolean; points?: boolean; gaps?: boolean; style?: Style };
type Props = {
  label: string;
  series: Series[];
  data: Table;
  height?: number;
  log?: boolean;
  /** The axis below: steps, or times in seconds. */
  time?: boolean;
  format?: (it: number) => string;
  range?: [number, number];
  /** Bytes: round numbers are powers of two. */
  binary?: boolean;
};

/** Lengths of what is drawn and what is left out (px). A canvas has no double line: that one has long and short dashes. */
const DASHES: Record<Style, number[]> = { solid: [], dashed: [9, 5], dotted: [2, 4], double: [14, 4, 3, 4] };

/** Steps between the ticks of bytes. */
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** Times lie at least a minute apart: of one alone an axis of years would be made. */
const minute = ({ data: [x] }: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => {
  const [only] = x.length === 1 ? x : [];
  if (only === undefined && (min === null || max === null || max - min >= 60)) return [min, max];
  const middle = only ?? ((min ?? 0) + (max ?? 0)) / 2;
  return [middle - 30, middle + 30];
};

/** A logarithmic axis ends near the values, and not at the next power of ten. */
const near = (_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => (min === null || max === null ? [null, null] : [min * 0.9, max * 1.1]);

export function Chart({ label, series, data, height = 240, log = false, time = false, format = figure, range, binary = false }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = JSON.stringify([series, height, log, time, range, binary]);
  const now = useRef({ data, format });
  now.current = { data, format };

  useEffect(() => {
    const host = place.current;
    if (!host) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(host.clientWidth), now.current.data as uPlot.AlignedData, host);
    };
    const options = (width: number): uPlot.Options => {
      const [text, grid] = [colour("--muted"), colour("--line")];
      const font = `12px ${getComputedStyle(document.body).fontFamily}`;
      const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
      return {
        width, height,
        cursor: { drag: { x: true, y: false }, points: { size: 6 } },
        scales: { x: { time, ...(time ? { range: minute } : {}) }, y: { distr: log ? 3 : 1, ...(log ? { range: near } : range ? { range } : {}) } },
        axes: [{ ...axis, size: 34, values: (_: uPlot, ticks: number[], _axis: number, _space: number, step: number) => ticks.map((it) => (time ? clock(it, step) : whole(it))) }, { ...axis, size: 62, space: 28, values: (_, ticks) => ticks.map((it) => (it === null ? "" : now.current.format(it))), ...(binary ? { incrs: POWERS } : {}) }],
        legend: { live: true, markers: { dash: (_, index) => series[index - 1]?.style ?? "solid" } },
        series: [
          time ? { label: "Time", value: (_, at) => (at === null ? NONE : clock(at, 1)) } : { label: "Step", value: (_, at) => (at === null ? NONE : count(at)) },
          ...series.map((it) => ({
            label: it.name, stroke: it.faint ? colour(it.colour).replace(/^rgb\((.*)\)$/, "rgba($1, 0.38)") : colour(it.colour), width: it.faint ? 1 : 1.75, spanGaps: it.points ?? it.gaps ?? false, ...(it.style ? { dash: DASHES[it.style] } : {}),
            points: { size: 6, show: (plot: uPlot) => it.points ?? plot.data[0].length < 3 },
            value: (_: uPlot, value: number | null) => (value === null || value === undefined ? NONE : now.current.format(value)),
          })),
        ],
      };
    };
    make();
    const resized = new ResizeObserver(() => {
      if (plot.current && host.clientWidth !== plot.current.width) plot.current.setSize({ width: host.clientWidth, height });
    });
    resized.observe(host);
    const noTheme = onTheme(make);
    return () => {
      noTheme();
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
    // `shape` stands for everything that the chart is made of.
  }, [shape]);

  useEffect(() => {
    const it = plot.current;
    if (!it || it.data === data) return;
    // What somebody has zoomed into stays while new steps arrive.
    const x = it.data[0];
    const [min, max] = [it.scales.x?.min, it.scales.x?.max];
    const whole = x.length < 2 || min === undefined || max === undefined || (min === x[0] && max === x[x.length - 1]);
    it.setData(data as uPlot.AlignedData, whole);
    if (!whole) it.redraw();
  }, [data]);

  return <div className="chart" role="img" aria-label={`${label}: ${spoken(series, data)}`} ref={place} />;
}

/** A time, as exact as is needed where the next one is `step` seconds away; of another day with that. */
function clock(at: number, step: number): string {
  const it = new Date(at * 1000);
  const day = step >= 86_400 || it.toDateString() !== new Date().toDateString() ? it.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : "";
  if (step >= 86_400) return day;
  const time = it.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
  return `${day} ${time}`.trim();
}

/** Between two steps there is none. */
const whole = (it: number) => (Number.isInteger(it) ? count(it) : "");

/** What a chart shows for those who do not see it: the newest value of each line. */
function spoken(series: Series[], data: Table): string {
  return series.map((it, index) => {
    const last = data[index + 1]?.findLast((value) => value !== null && value !== undefined);
    return `${it.name} ${figure(last)}`;
  }).join(", ");
}
