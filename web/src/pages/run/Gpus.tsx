import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { runGpus, samples } from "../../api/queries";
import type { RunDetail, RunGpus } from "../../api/types";
import { Chart, type Series } from "../../components/Chart";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { bytes, duration } from "../../lib/format";
import { aligned } from "../../lib/metrics";

type Columns = RunGpus["gpus"][number];

const CHARTS: { title: string; of: (it: Columns) => (number | null)[]; format: (it: number) => string; range?: [number, number]; binary?: boolean }[] = [
  { title: "At work", of: (it) => it.utilisation_percent, format: (it) => `${Math.round(it)} %`, range: [0, 100] },
  { title: "GPU memory", of: (it) => it.memory_used, format: bytes, binary: true },
  { title: "Temperature", of: (it) => it.temperature_c, format: (it) => `${Math.round(it)} °C`, range: [0, 100] },
  { title: "Power", of: (it) => it.power_w, format: (it) => `${Math.round(it)} W` },
];

/** What the run's own GPUs did, from its start to now or its end. */
export function Gpus({ run }: { run: RunDetail }) {
  const { data, error, refetch } = useQuery(runGpus(run.id, run.live && !run.queued));
  if (error) return <ErrorNote error={error} retry={() => void refetch()} />;
  if (!data) return <p className="empty" role="status">Loading…</p>;
  return (
    <div className="stack">
      {data.gpus.length > 0
        ? <p className="muted">{run.live ? "The GPUs of this run since its start" : "The GPUs of this run, from its start to its end"}{data.every_seconds !== null && `, a look every ${duration(data.every_seconds)}`}.</p>
        : <p className="note"><span>{nothing(run)}</span></p>}
      <div className="chart-grid">
        {data.gpus.length > 0 && <Own gpus={data.gpus} />}
        {run.live && <Memory />}
      </div>
    </div>
  );
}

function nothing(run: RunDetail): string {
  if (run.queued) return "It waits for its turn. What its GPUs do appears here with it.";
  return `Nothing is known of GPUs here: this run computes on ${run.devices}.${run.devices.includes("GPU") ? (run.live ? " Its first look has not come yet, or no driver told anything." : " It ended before its first look, or no driver told anything.") : ""}`;
}

function Own({ gpus }: { gpus: Columns[] }) {
  const series: Series[] = gpus.map((it) => ({ name: `GPU ${it.index}`, colour: `--series-${1 + (it.index % 6)}`, gaps: true }));
  const tables = useMemo(() => CHARTS.map(({ of }) => aligned(gpus.map((it) => ({ x: it.time, y: of(it) })))), [gpus]);
  return CHARTS.map(({ title, of, format, range, binary }, index) => {
    const table = tables[index];
    // What no card measures is no chart.
    if (!table || !gpus.some((it) => of(it).some((value) => value !== null))) return null;
    return <Panel key={title} title={title}><Chart label={title} series={series} data={table} time format={format} height={190} {...(range ? { range } : {})} {...(binary ? { binary } : {})} /></Panel>;
  });
}

/** The last hour of the machine: of its memory no run has one of its own. */
function Memory() {
  const { data } = useQuery(samples);
  if (!data) return null;
  const table: [number[], (number | null)[]] = [data.map((it) => Date.parse(it.time) / 1000), data.map((it) => (it.memory ? it.memory.total - it.memory.free : null))];
  return <Panel title="Memory of the machine"><Chart label="Memory in use" series={[{ name: "In use", colour: "--series-2" }]} data={table} time format={bytes} binary height={190} /></Panel>;
}
