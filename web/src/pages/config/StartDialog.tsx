import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useLocation } from "wouter";
import { api } from "../../api/client";
import { machine, runs } from "../../api/queries";
import type { Digests, StartRequest } from "../../api/types";
import { Controls } from "../../components/Advice";
import { Dialog } from "../../components/Dialog";
import { ErrorNote } from "../../components/ErrorNote";
import { FolderPicker } from "../../components/FolderPicker";
import { Icon } from "../../components/Icon";
import { useTell } from "../../components/Toasts";
import { bytes } from "../../lib/format";
import { START_FLAGS } from "../../lib/here";
import { runName } from "../../lib/form";
import { links } from "../../lib/links";

type Choice = { name: string; machines: string; gpus: string[]; queue: boolean; share: boolean; restarts: string; on_nan: "keep" | "stop"; on_stall: "notify" | "stop" | "restart" };

type Props = {
  config: string;
  save: (() => Promise<void>) | null;
  known: () => Digests;
  /** Why what is shown cannot be started. */
  not: string | null;
  close: () => void;
};

/** On which GPUs, now or when they are free, and what happens when something goes wrong. */
export function StartDialog({ config, save, known, not, close }: Props) {
  const gpus = useQuery(machine).data?.gpus ?? [];
  const busy = useQuery(runs).data?.some((it) => it.live && !it.queued) ?? false;
  const waits = gpus.length > 0 ? "Wait in the queue if they are busy" : "Wait in the queue if another training runs";
  const shares = gpus.length > 0 ? "Share GPUs with another training" : "Share the CPU with another training";
  const [, navigate] = useLocation();
  const [error, setError] = useState<unknown>(null);
  const [picking, setPicking] = useState(false);
  const tell = useTell();
  const { register, handleSubmit, formState, getValues, setValue } = useForm<Choice>({
    defaultValues: { name: "", machines: "", gpus: [], queue: busy, share: false, restarts: "0", on_nan: "keep", on_stall: "notify" },
  });
  const start = handleSubmit(async (it) => {
    setError(null);
    // A field that was left a moment ago may be refused only now.
    if (not !== null) return setError(new Error(not));
    const request: StartRequest = { config, queue: it.queue, share: it.share, restarts: Number(it.restarts) || 0, on_nan: it.on_nan, on_stall: it.on_stall };
    if (it.name.trim() !== "") request.name = it.name.trim();
    if (it.machines.trim() !== "") request.machines = it.machines.trim();
    if (it.gpus.length > 0) request.gpus = it.gpus.map(Number);
    try {
      await save?.();
      // What is shown, and not what somebody else has put there meanwhile.
      const started = await api.start({ ...request, digests: known() });
      started.warnings.forEach((text) => tell.say(text));
      tell.say(started.place === null ? `${started.run} has started.` : `${started.run} waits in the queue.`);
      navigate(links.run(started.run));
    } catch (failure) {
      setError(failure);
    }
  });
  return (
    <Dialog title={`Train ${config}`} close={close}
      footer={
        <>
          {save && <span className="small muted grow">What you changed is saved first.</span>}
          <button className="button" onClick={close}>Not now</button>
          <button className="button primary" disabled={formState.isSubmitting} onClick={() => void start()}>{formState.isSubmitting ? "Starting…" : "Start"}</button>
        </>
      }>
      <form className="stack" onSubmit={(event) => void start(event)}>
        {error !== null && <Controls value={{ ...START_FLAGS, "--queue": waits, "--share": shares }}><ErrorNote error={error} /></Controls>}
        {gpus.length > 0 && (
          <fieldset className="stack tight">
            <legend className="label">GPUs <span className="muted small">none ticked: all of them</span></legend>
            {gpus.map((it) => (
              <label key={it.index} className="check"><input type="checkbox" value={String(it.index)} {...register("gpus")} />GPU {it.index} <span className="muted">{it.name}{it.memory_bytes !== null && `, ${bytes(it.memory_bytes)}`}</span></label>
            ))}
          </fieldset>
        )}
        <label className="check"><input type="checkbox" {...register("queue")} /><span>{waits}<br /><span className="small muted">It starts by itself when its turn comes.</span></span></label>
        <label className="check"><input type="checkbox" {...register("share")} /><span>{shares}<br /><span className="small muted">{gpus.length > 0 ? "Both may run out of memory." : "Both become slower, and may run out of memory."}</span></span></label>
        <div className="field">
          <label className="label" htmlFor="machines">Machines <span className="muted small">a hostfile, if there are more</span></label>
          <div className="row" style={{ flexWrap: "nowrap" }}>
            <input id="machines" className="input mono" placeholder="/path/to/hostfile" aria-describedby="machines-about" autoComplete="off" spellCheck={false} {...register("machines")} />
            <button type="button" className="button icon" aria-label="Choose a hostfile" title="Choose…" onClick={() => setPicking(true)}><Icon name="folder" /></button>
          </div>
          <span id="machines-about" className="small muted">A machine a line, <code>HOST slots=GPUS</code>, this one first; the others are reached by ssh without a password. They are asked before anything starts.</span>
        </div>
        <label className="field"><span className="label">Name</span><input className="input" placeholder={runName(config)} {...register("name")} /></label>
        <details>
          <summary className="label">When something goes wrong</summary>
          <div className="stack tight" style={{ marginTop: 10 }}>
            <label className="field"><span className="label">Restarts after a failure</span><input className="input" type="number" min={0} max={100} {...register("restarts")} /></label>
            <label className="field"><span className="label">When the loss is not a number</span>
              <select className="input" {...register("on_nan")}><option value="keep">go on and say so</option><option value="stop">stop</option></select></label>
            <label className="field"><span className="label">When it hangs</span>
              <select className="input" {...register("on_stall")}><option value="notify">say so</option><option value="stop">stop</option><option value="restart">restart from the newest checkpoint</option></select></label>
          </div>
        </details>
        <button type="submit" hidden />
      </form>
      {picking && <FolderPicker start={folderOf(getValues("machines"))} wants="file" close={() => setPicking(false)} choose={(path) => { setPicking(false); setValue("machines", path); }} />}
    </Dialog>
  );
}

/** Where the file is that was chosen before. */
const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/"));
