import { useState, type ReactNode } from "react";
import { useLocation } from "wouter";
import { api, asApiError } from "../../api/client";
import type { RunDetail } from "../../api/types";
import { Action } from "../../components/Action";
import { Dialog } from "../../components/Dialog";
import { ErrorNote } from "../../components/ErrorNote";
import { useTell } from "../../components/Toasts";
import { links } from "../../lib/links";

/** Goes on with a run, from a step or the newest one; what is returned beside it asks whether to wait where GPUs are busy. */
export function useResume(run: RunDetail): [resume: (from?: { step: number }) => Promise<void>, dialog: ReactNode] {
  const [busy, setBusy] = useState<{ message: string; causes: string[]; from: { step: number } | undefined } | null>(null);
  const [, navigate] = useLocation();
  const tell = useTell();
  const start = async (how: { step?: number; queue?: boolean }) => {
    const it = await api.resume(run.id, how);
    const from = it.resumes_step === null ? "" : ` from step ${it.resumes_step}`;
    it.warnings.forEach((text) => tell.say(text));
    tell.say(it.place === null ? `${it.run} goes on${from}.` : `${it.run} waits in the queue.`);
    navigate(links.run(it.run));
  };
  const resume = async (from?: { step: number }) => {
    try {
      await start(from ?? {});
    } catch (error) {
      const { status, message, causes } = asApiError(error);
      if (status !== 409) throw error;
      setBusy({ message, causes, from });
    }
  };
  const close = () => setBusy(null);
  const dialog = busy && (
    <Dialog title={`\`${run.name}\` cannot go on now`} close={close}
      footer={<><button className="button" onClick={close}>Not now</button><Action act={() => start({ ...busy.from, queue: true })} className="primary">Wait in the queue</Action></>}>
      <div className="stack">
        {/* Its hint is for whoever starts a training: one that goes on keeps its GPUs. */}
        <ErrorNote error={{ ...busy, hint: null }} />
        <p>It can wait in the queue, and goes on by itself when its turn comes.</p>
      </div>
    </Dialog>
  );
  return [resume, dialog];
}
