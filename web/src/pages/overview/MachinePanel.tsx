import { useQuery } from "@tanstack/react-query";
import { useMemo, type ReactNode } from "react";
import { sample, samples } from "../../api/queries";
import type { Gpu, Machine, Sample } from "../../api/types";
import { Meter } from "../../components/Meter";
import { Panel } from "../../components/Panel";
import { Spark } from "../../components/Spark";
import { bytes, percent, roomTone } from "../../lib/format";

/** The last ten minutes or so, at one sample in five seconds: enough to see whether it works. */
const SPARK = 120;

export function MachinePanel({ machine }: { machine: Machine }) {
  const history = useQuery(samples).data;
  const now = useQuery(sample).data ?? history?.at(-1) ?? null;
  const recent = useMemo(() => history?.slice(-SPARK) ?? [], [history]);
  const used = now?.memory ? now.memory.total - now.memory.free : null;
  return (
    <Panel title="This machine" flush actions={<span className="small muted">{[`Linux ${machine.kernel}`, machine.arch, machine.wsl ? "WSL 2" : ""].filter(Boolean).join(" · ")}</span>}>
      <div className="gauges">
        {machine.gpus.map((gpu) => <GpuGauge key={gpu.index} gpu={gpu} now={now} recent={recent} />)}
        <Gauge name="Memory" value={bytes(used)} of={now?.memory ? `of ${bytes(now.memory.total)}` : ""}>
          <Spark values={recent.map((it) => (it.memory ? it.memory.total - it.memory.free : null))} max={now?.memory?.total ?? 1} tone="--series-2" />
        </Gauge>
        <Gauge name="Disk" tone={now?.disk ? roomTone(now.disk.free) : ""} value={now?.disk ? bytes(now.disk.free) : "–"} of={now?.disk ? `free of ${bytes(now.disk.total)}` : ""}>
          {now?.disk && <Meter value={percent(now.disk.total - now.disk.free, now.disk.total)} label="Disk used" tone="info" />}
        </Gauge>
      </div>
      <dl className="facts machine-facts">
        <dt>GPU driver</dt><dd>{machine.driver ?? <span className="muted">no NVIDIA driver answers; the demo runs without</span>}</dd>
        <dt>Processor</dt><dd>{machine.cores} cores</dd>
        {machine.torch && <><dt>PyTorch</dt><dd>{machine.torch}</dd></>}
        <dt>dpgui</dt><dd>{machine.version}</dd>
      </dl>
    </Panel>
  );
}

function GpuGauge({ gpu, now, recent }: { gpu: Gpu; now: Sample | null; recent: Sample[] }) {
  const of = (it: Sample | null) => it?.gpus.find((one) => one.index === gpu.index) ?? null;
  const it = of(now);
  const facts = [
    it?.memory_used != null && `${bytes(it.memory_used)} / ${bytes(it.memory_total ?? gpu.memory_bytes)}`,
    it?.temperature_c != null && `${Math.round(it.temperature_c)} °C`,
    it?.power_w != null && `${Math.round(it.power_w)} W`,
  ].filter(Boolean);
  return (
    <Gauge name={`GPU ${gpu.index}`} hint={gpu.name} value={it?.utilisation_percent == null ? "–" : `${Math.round(it.utilisation_percent)} %`} of={facts.join(" · ")}>
      <Spark values={recent.map((one) => of(one)?.utilisation_percent ?? null)} max={100} />
      {it?.throttled && <p className="small warn">slowed down: {it.throttled}</p>}
    </Gauge>
  );
}

function Gauge({ name, hint, value, of, tone = "", children }: { name: string; hint?: string; value: string; of: string; tone?: string; children: ReactNode }) {
  return (
    <div className="gauge">
      <div className="row small muted" style={{ flexWrap: "nowrap" }}><strong>{name}</strong><span className="clip">{hint}</span></div>
      <div className={`big ${tone}`}>{value}</div>
      <div className="small muted clip" title={of}>{of}</div>
      {children}
    </div>
  );
}
