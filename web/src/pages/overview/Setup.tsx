import { api } from "../../api/client";
import { Action } from "../../components/Action";
import { Advice } from "../../components/Advice";
import { ErrorNote } from "../../components/ErrorNote";
import { Meter } from "../../components/Meter";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { bytes, duration, moment, percent, plural, brief } from "../../lib/format";
import type { Step } from "../../lib/jobs";
import type { SetupView } from "./useSetup";

const TONES: Record<Step["state"], string> = { there: "tone-ok", done: "tone-ok", pending: "tone-idle", running: "tone-live live", failed: "tone-bad", "broken off": "tone-warn" };

export function Setup({ setup: { state, missing, refused, running, look, last, start, again } }: { setup: SetupView }) {
  const total = state?.total;
  const overall = running && state?.overall;
  const short = total?.free != null && total.disk > total.free;
  const actions = running
    ? <Action className="small" act={() => api.cancelJob(running.id)} title="What is done stays done; the next setup goes on from there">Cancel</Action>
    : (
      <>
        {look && look.state !== "running" && <span className="small muted">looked at {moment(look.started)}</span>}
        <Action className="small" act={again} not={look?.state === "running" ? "it is at work" : null}>Look again<span className="hidden"> at the setup</span></Action>
        {missing !== null && missing > 0 && <Action className="small primary" act={start}>Set up</Action>}
      </>
    );
  return (
    <Panel title={title(refused ? null : missing, running !== null)} actions={actions} flush>
      {overall && (
        <div className="setup-total">
          <div className="row small"><span className="grow">{bytes(overall.bytes)} of {bytes(overall.total)}</span>
            <span>{bytes(overall.rate)}/s</span><span className="muted">{overall.left !== null && `${duration(overall.left)} left`}</span></div>
          <Meter value={percent(overall.bytes, overall.total)} label="Setup" />
        </div>
      )}
      {!running && last?.error && last.state === "failed" && <div style={{ padding: "12px 14px 0" }}><ErrorNote error={last.error} /></div>}
      {!running && missing !== null && missing > 0 && total && (
        <p className={`small setup-total ${short ? "warn" : "muted"}`}>
          {bytes(total.bytes)} to fetch, {bytes(total.disk)} on disk{total.free !== null && `; ${bytes(total.free)} are free`}.
          {state.torch && <> PyTorch: <Prose text={state.torch.because} />.</>}
        </p>
      )}
      {refused && <div className="empty"><p className="wrap lines"><Prose text={refused.message} /></p>{refused.hint && <p className="small wrap"><Advice text={refused.hint} /></p>}</div>}
      {refused ? null : state === null || (missing === null && state.steps.length === 0) ? <p className="empty" role="status">Looking at what is there…</p> : state.steps.length === 0 ? <p className="empty">There is nothing to do.</p> : (
        <ul className="list setup-steps">
          {state.steps.map((it) => (
            <li key={it.id}>
              <span className={`badge ${TONES[it.state]}`}><span className="hidden">{it.state}</span></span>
              <div className="grow">
                <div className="row" style={{ gap: "0 8px" }}><strong>{it.id}</strong> <span className="small muted wrap"><Prose text={it.what} /></span></div>
                {it.state === "pending" && <p className="small muted clip" title={it.why}><Prose text={it.why} /></p>}
                {it.state === "running" && it.doing && <p className="small muted clip"><Prose text={it.doing} /></p>}
                {it.state === "broken off" && <p className="small warn">broken off; the next setup goes on from there</p>}
                {it.state === "failed" && <p className="small bad"><Prose text={it.doing} /></p>}
                {it.state === "running" && <Meter value={it.far && percent(it.far.bytes, it.far.total)} label={it.id} />}
              </div>
              {it.state === "done" && it.seconds !== null && <span className="small muted nowrap">in {brief(it.seconds)}</span>}
              {it.state === "pending" && it.bytes !== null && it.bytes > 0 && <span className="small muted nowrap">{bytes(it.bytes)}</span>}
            </li>
          ))}
        </ul>
      )}
      {state?.warnings.map((it) => <p key={it} className="small warn setup-total"><Prose text={it} /></p>)}
    </Panel>
  );
}

function title(missing: number | null, running: boolean): string {
  if (running) return "Setting up…";
  if (missing === null) return "Setup";
  return missing === 0 ? "Everything is set up" : `Setup: ${plural(missing, "step")} to do`;
}
