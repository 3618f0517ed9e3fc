import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { metrics } from "../../api/queries";
import type { RunDetail } from "../../api/types";
import { Chart, type Series } from "../../components/Chart";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { useParam } from "../../components/useParam";
import { aligned, evaluations } from "../../lib/metrics";

export function Charts({ run }: { run: RunDetail }) {
  const { data, error, refetch } = useQuery(metrics(run.id, run.live && !run.queued));
  const [scale, setScale] = useParam("scale");
  const log = scale === "log";

  const loss = useMemo(() => {
    if (!data) return null;
    const evals = evaluations(data.scalars);
    const series: Series[] = [
      { name: "Loss", colour: "--series-1", faint: true },
      { name: "Average", colour: "--series-1" },
      ...evals.map((it, index) => ({ name: it.tag, colour: `--series-${2 + (index % 5)}`, points: true })),
    ];
    // Lines of the same steps need no common axis made for them.
    const table = evals.length === 0
      ? ([data.step, data.loss, data.smoothed] as [number[], ...(number | null)[][]])
      : aligned([{ x: data.step, y: data.loss }, { x: data.step, y: data.smoothed }, ...evals.map((it) => ({ x: it.step, y: it.value }))]);
    // A logarithm has no place for what is not above zero.
    const fit = log ? (table.map((it, index) => (index === 0 ? it : it.map((y) => (y !== null && y !== undefined && y <= 0 ? null : y)))) as typeof table) : table;
    return { series, table: fit };
  }, [data, log]);

  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (!data || !loss) return <p className="empty" role="status">Loading…</p>;
  if (data.step.length === 0 && data.scalars.length === 0) return <p className="empty">No step was done yet. The first one appears here.</p>;
  const line = (name: string, colour: string): Series[] => [{ name, colour }];
  return (
    <div className="stack">
      <Panel title="Loss" actions={
        <>
          <span className="small muted">drag to zoom, double click for all</span>
          <button className="button small" aria-pressed={log} onClick={() => setScale(log ? "" : "log")}>Log scale</button>
        </>
      }>
        <Chart label="Loss" series={loss.series} data={loss.table} height={320} log={log} />
      </Panel>
      <div className="chart-grid">
        <Panel title="Learning rate"><Chart label="Learning rate" series={line("Learning rate", "--series-2")} data={[data.step, data.lr]} height={180} /></Panel>
        <Panel title="Seconds per step"><Chart label="Seconds per step" series={line("s/step", "--series-3")} data={[data.step, data.seconds_per_step]} height={180} /></Panel>
        {data.grad_norm.some((it) => it !== null) && (
          <Panel title="Gradient norm"><Chart label="Gradient norm" series={line("Norm", "--series-4")} data={[data.step, data.grad_norm]} height={180} /></Panel>
        )}
      </div>
    </div>
  );
}
