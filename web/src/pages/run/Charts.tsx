import { useQuery } from "@tanstack/react-query";
import { metrics } from "../../api/queries";
import type { RunDetail } from "../../api/types";
import { Chart } from "../../components/Chart";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { LossChart } from "./LossChart";

export function Charts({ run }: { run: RunDetail }) {
  const { data, error, refetch } = useQuery(metrics(run.id, run.live && !run.queued));
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (!data) return <p className="empty" role="status">Loading…</p>;
  const more: [title: string, colour: string, values: (number | null)[]][] = [
    ["Learning rate", "--series-2", data.lr],
    ["Seconds per step", "--series-3", data.seconds_per_step],
    ["Gradient norm", "--series-4", data.grad_norm],
  ];
  return (
    <div className="stack">
      <LossChart data={data} height={320} />
      <div className="chart-grid">
        {more.filter(([, , values]) => values.some((it) => it !== null)).map(([title, colour, values]) => (
          <Panel key={title} title={title}><Chart label={title} series={[{ name: title, colour }]} data={[data.step, values]} height={180} /></Panel>
        ))}
      </div>
    </div>
  );
}
