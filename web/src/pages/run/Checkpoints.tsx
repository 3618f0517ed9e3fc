import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { keys } from "../../api/queries";
import type { Kept, RunDetail } from "../../api/types";
import { Action } from "../../components/Action";
import { Copy } from "../../components/Copy";
import { Dialog } from "../../components/Dialog";
import { JobsOf } from "../../components/JobsOf";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { bytes, moment } from "../../lib/format";
import { beyond } from "../../lib/runs";
import { useResume } from "./useResume";

export function Checkpoints({ run }: { run: RunDetail }) {
  const client = useQueryClient();
  const [resume, waiting] = useResume(run);
  const [older, setOlder] = useState<{ step: number; what: string } | null>(null);
  /** From a checkpoint that others are beyond only after a word on those. */
  const resumeFrom = (step: number | null) => {
    const what = step === null ? null : beyond(run.checkpoints, step);
    if (step === null || what === null) return resume(step === null ? undefined : { step });
    setOlder({ step, what });
  };
  const checkpoints = run.checkpoints.toSorted((a, b) => (b.step ?? -1) - (a.step ?? -1));
  const stepOf = (it: Kept) => (it.step === null ? {} : { step: it.step });
  const exporting = async (from: Kept) => {
    await api.startJob({ kind: "export", run: run.id, ...stepOf(from) });
    await client.invalidateQueries({ queryKey: keys.jobs });
  };
  return (
    <div className="stack">
      {waiting}
      {older && <OlderDialog {...older} close={() => setOlder(null)} resume={() => { setOlder(null); return resume({ step: older.step }); }} />}
      <JobsOf kind="export" subject={run.id} />
      <Panel title="Checkpoints" flush>
        {run.checkpoints.length === 0 ? <p className="empty">None was written yet. What a run can go on from appears here.</p> : (
          <div className="scroll-x">
            <table className="kept">
              <thead><tr><th>Step</th><th className="num">Size</th><th>Written</th><th>Folder</th><th><span className="hidden">Actions</span></th></tr></thead>
              <tbody>
                {checkpoints.map((it) => (
                  <tr key={it.path}>
                    <td className="nowrap">{it.step ?? it.name} {it.is_latest && <span className="badge plain tone-info">latest</span>}</td>
                    <td className="num">{bytes(it.bytes)}</td>
                    <td className="nowrap">{moment(it.written)}</td>
                    <td><Where path={it.path} />{it.fault && <p className="small bad"><Prose text={it.fault} /></p>}</td>
                    <td>
                      <div className="row" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
                        <Action className="small" act={() => resumeFrom(it.step)} not={it.fault ? `it is damaged: ${it.fault}` : run.may.resume}>Resume from here</Action>
                        <Action className="small" act={() => exporting(it)} not={it.fault ? `it is damaged: ${it.fault}` : run.may.export}>Export</Action>
                      </div>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <Panel title="Adapters and models" flush>
        {run.models.length === 0 ? <p className="empty">None was saved yet. These are what you use elsewhere.</p> : (
          <div className="scroll-x">
            <table className="kept">
              <thead><tr><th>Name</th><th className="num">Size</th><th>Written</th><th>Folder</th></tr></thead>
              <tbody>
                {run.models.map((it) => (
                  <tr key={it.path}>
                    <td className="nowrap">{it.name}</td>
                    <td className="num">{bytes(it.bytes)}</td>
                    <td className="nowrap">{moment(it.written)}</td>
                    <td><Where path={it.path} />{it.fault && <p className="small bad"><Prose text={it.fault} /></p>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
    </div>
  );
}

function OlderDialog({ step, what, close, resume }: { step: number; what: string; close: () => void; resume: () => Promise<void> }) {
  return (
    <Dialog title={`Resume from step ${step}?`} close={close}
      footer={<><button className="button" onClick={close}>Not now</button><Action act={resume} className="primary">Resume from step {step}</Action></>}>
      <p>It is not the newest. {what}</p>
    </Dialog>
  );
}

const Where = ({ path }: { path: string }) => (
  <span className="row" style={{ flexWrap: "nowrap", gap: 2 }}><code className="small">{path}</code><Copy text={path} label="Copy the path" /></span>
);
