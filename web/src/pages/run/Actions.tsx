import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api } from "../../api/client";
import { keys } from "../../api/queries";
import type { RunDetail, StopManner } from "../../api/types";
import { Action } from "../../components/Action";
import { Dialog } from "../../components/Dialog";
import { useTell } from "../../components/Toasts";
import { STOPS } from "../../lib/actions";
import { links } from "../../lib/links";
import { useResume } from "./useResume";

export function RunActions({ run }: { run: RunDetail }) {
  const [stopping, setStopping] = useState(false);
  const [, navigate] = useLocation();
  const client = useQueryClient();
  const tell = useTell();
  const [resume, waiting] = useResume(run);
  const again = () => client.invalidateQueries({ queryKey: keys.run(run.id) });

  const save = async () => {
    await api.save(run.id);
    tell.say("The trainer writes a checkpoint after its next step, and goes on.");
    await again();
  };
  const exporting = async () => {
    await api.startJob({ kind: "export", run: run.id });
    tell.say("The export of the newest checkpoint has begun. What comes of it is said here, among the checkpoints.");
    navigate(links.run(run.id, "checkpoints"));
  };

  return (
    <>
      {run.live && !run.queued && (
        <Action act={save} not={run.may.save} title="Write a checkpoint after the next step, and go on">Save</Action>
      )}
      {!run.live && (
        <Action act={() => resume()} not={run.may.resume} className="primary" title="Go on from the newest checkpoint, in a new run">Resume</Action>
      )}
      <Action act={exporting} not={run.may.export} title="Make an adapter of the newest checkpoint, as the trainer would save it">Export</Action>
      {run.live && (
        <Action act={() => setStopping(true)} not={run.may.stop} className="danger" title="Choose how it ends">Stop…</Action>
      )}
      {waiting}
      {stopping && <StopDialog run={run} close={() => setStopping(false)} done={() => void again()} />}
    </>
  );
}

function StopDialog({ run, close, done }: { run: RunDetail; close: () => void; done: () => void }) {
  const [manner, setManner] = useState<StopManner>(run.queued ? "no-save" : "graceful");
  const stop = async () => {
    await api.stop(run.id, manner);
    close();
    done();
  };
  if (run.queued) {
    return (
      <Dialog title={`Take ${run.name} out of the queue?`} close={close}
        footer={<><button className="button" onClick={close}>Keep it</button><Action act={stop} className="danger">Remove</Action></>}>
        <p>It has not begun, so nothing is lost.</p>
      </Dialog>
    );
  }
  const chosen = STOPS.find((it) => it.manner === manner);
  return (
    <Dialog title={`Stop ${run.name}?`} close={close}
      footer={
        <>
          <button className="button" onClick={close}>Let it train</button>
          <Action act={stop} className={chosen?.loses ? "danger" : "primary"}>{chosen?.title}</Action>
        </>
      }>
      <fieldset className="stack tight">
        <legend className="hidden">How</legend>
        {STOPS.map((it) => (
          <label key={it.manner} className="choice">
            <input type="radio" name="manner" checked={it.manner === manner} onChange={() => setManner(it.manner)} />
            <span><strong>{it.title}</strong><br /><span className="muted">{it.does}</span></span>
          </label>
        ))}
      </fieldset>
    </Dialog>
  );
}
