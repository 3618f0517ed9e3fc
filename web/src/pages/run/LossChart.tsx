import { useMemo, type ReactNode } from "react";
import type { Metrics } from "../../api/types";
import { Chart, type Series } from "../../components/Chart";
import { Panel } from "../../components/Panel";
import { useParam } from "../../components/useParam";
import { aligned, evaluations, positive, type Table } from "../../lib/metrics";

/** Losses, their average, and those of evaluations. */
export function LossChart({ data, height, actions }: { data: Metrics; height: number; actions?: ReactNode }) {
  const [scale, setScale] = useParam("scale");
  const log = scale === "log";
  const { series, table } = useMemo(() => {
    const evals = evaluations(data.scalars);
    const lines: Series[] = [
      { name: "Loss", colour: "--series-1", faint: true },
      { name: "Average", colour: "--series-1" },
      ...evals.map((it, index) => ({ name: it.tag, colour: `--series-${2 + (index % 5)}`, points: true })),
    ];
    // Lines of the same steps need no common axis made for them.
    const all: Table = evals.length === 0
      ? [data.step, data.loss, data.smoothed]
      : aligned([{ x: data.step, y: data.loss }, { x: data.step, y: data.smoothed }, ...evals.map((it) => ({ x: it.step, y: it.value }))]);
    return { series: lines, table: log ? positive(all) : all };
  }, [data, log]);
  return (
    <Panel title="Loss" actions={
      <>
        <span className="small muted hint">drag to zoom, double click for all</span>
        <button className="button small" aria-pressed={log} onClick={() => setScale(log ? "" : "log")}>Log scale</button>
        {actions}
      </>
    }>
      {data.step.length === 0 && data.scalars.length === 0
        ? <p className="empty">No step was done yet. The first one appears here.</p>
        : <Chart label="Loss" series={series} data={table} height={height} log={log} />}
    </Panel>
  );
}
