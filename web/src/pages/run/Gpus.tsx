import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { samples } from "../../api/queries";
import type { GpuSample, RunDetail, Sample } from "../../api/types";
import { Chart, type Series } from "../../components/Chart";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { bytes } from "../../lib/format";

const of = (sample: Sample, index: number): GpuSample | undefined => sample.gpus.find((it) => it.index === index);

/** The last hour of the machine's GPUs, and of its memory. */
export function Gpus({ run }: { run: RunDetail }) {
  const { data, error } = useQuery(samples);
  const indexes = useMemo(() => [...new Set(data?.flatMap((it) => it.gpus.map((gpu) => gpu.index)) ?? [])].sort((a, b) => a - b), [data]);
  if (error) return <ErrorNote error={error} />;
  if (!data) return <p className="empty" role="status">Loading…</p>;
  const time = data.map((it) => Date.parse(it.time) / 1000);
  const lines = (value: (gpu: GpuSample) => number | null): [number[], ...(number | null)[][]] =>
    [time, ...indexes.map((index) => data.map((it) => { const gpu = of(it, index); return gpu ? value(gpu) : null; }))];
  const series: Series[] = indexes.map((index) => ({ name: `GPU ${index}`, colour: `--series-${1 + (index % 6)}` }));
  const memory: [number[], (number | null)[]] = [time, data.map((it) => (it.memory ? it.memory.total - it.memory.free : null))];
  const percent = (it: number) => `${Math.round(it)} %`;
  return (
    <div className="stack">
      <p className="muted">The last hour of this machine. This run computes on {run.devices}.</p>
      {indexes.length === 0 && <p className="note">This machine has no NVIDIA GPU that answers.</p>}
      <div className="chart-grid">
        {indexes.length > 0 && (
          <>
            <Panel title="At work"><Chart label="GPUs at work" series={series} data={lines((it) => it.utilisation_percent)} time range={[0, 100]} format={percent} height={190} /></Panel>
            <Panel title="GPU memory"><Chart label="GPU memory" series={series} data={lines((it) => it.memory_used)} time format={bytes} binary height={190} /></Panel>
            <Panel title="Temperature"><Chart label="Temperature" series={series} data={lines((it) => it.temperature_c)} time range={[0, 100]} format={(it) => `${Math.round(it)} °C`} height={190} /></Panel>
            <Panel title="Power"><Chart label="Power" series={series} data={lines((it) => it.power_w)} time format={(it) => `${Math.round(it)} W`} height={190} /></Panel>
          </>
        )}
        <Panel title="Memory of the machine"><Chart label="Memory in use" series={[{ name: "In use", colour: "--series-2" }]} data={memory} time format={bytes} binary height={190} /></Panel>
      </div>
    </div>
  );
}
