import { useRef, useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api, asApiError } from "../../api/client";
import { Action } from "../../components/Action";
import { Dialog } from "../../components/Dialog";
import { ErrorNote } from "../../components/ErrorNote";
import { difference, hunks, type Line } from "../../lib/diff";
import { plural } from "../../lib/format";
import { links } from "../../lib/links";
import { SaveAs } from "./SaveAs";
import { NOTHING, type Draft, type OnDisk } from "./useDraft";

type Props = {
  error: unknown;
  draft: Draft;
  /** It was settled in one way or another. */
  over: () => void;
  /** It is called so now. */
  renamed: (name: string) => void;
};

/** Somebody else has written the file meanwhile: nothing is lost here nor there until it is decided here. */
export function Conflict({ error, draft, over, renamed }: Props) {
  const [open, setOpen] = useState<"nothing" | "difference" | "name">("nothing");
  const close = () => setOpen("nothing");
  // Each refusal is a reason to look again.
  const { data } = useOnDisk(draft.name, useTime(error));
  const [, navigate] = useLocation();
  const take = async () => {
    draft.revert(await onDisk(draft.name));
    over();
  };
  const anew = async () => {
    await writeAnew(draft);
    over();
  };
  const leave = () => {
    draft.giveUp();
    navigate(links.configs);
  };
  // Of a file that is gone there is nothing to compare with, nor to take.
  const isGone = data === null;
  return (
    <div className="stack tight">
      <ErrorNote error={error} />
      <div className="row">
        {isGone && <Action act={anew}>Write it anew</Action>}
        {!isGone && <button className="button" onClick={() => setOpen("difference")}>See the difference…</button>}
        <button className="button" onClick={() => setOpen("name")}>Save under another name…</button>
        {isGone && <button className="button danger" title="Your changes here are lost then" onClick={leave}>Leave it removed</button>}
        {!isGone && <Action act={take} className="danger" title="Your changes here are lost then">Take what is on the disk</Action>}
      </div>
      {open === "difference" && <Difference draft={draft} close={close} over={over} />}
      {open === "name" && <SaveAs draft={draft} close={close} done={renamed} />}
    </div>
  );
}

/** Where there is no training file: the dataset file may be there still, as it was, or be gone with it. */
async function writeAnew(draft: Draft) {
  try {
    await draft.save({ ...NOTHING, dataset: draft.known().dataset });
  } catch (error) {
    if (asApiError(error).status !== 409) throw error;
    await draft.save(NOTHING);
  }
}

async function onDisk(name: string): Promise<OnDisk> {
  const it = await api.config(name);
  return { texts: { training: it.training.text, dataset: it.dataset?.text ?? null }, digests: { training: it.training.digest, dataset: it.dataset?.digest ?? null } };
}

/** When `it` came. */
function useTime(it: unknown): number {
  const last = useRef({ it, time: Date.now() });
  if (last.current.it !== it) last.current = { it, time: Date.now() };
  return last.current.time;
}

/** What the disk has, or `null` if somebody has removed it; looked at once for each `time`. */
function useOnDisk(name: string, time: number) {
  return useQuery({
    queryKey: ["on-disk", name, time],
    queryFn: async () => {
      try {
        return await onDisk(name);
      } catch (failure) {
        if (asApiError(failure).status === 404) return null;
        throw failure;
      }
    },
    gcTime: 0,
    staleTime: Infinity,
  });
}

/** Both texts, and the choice between them. What is overwritten is what was looked at: a further change is a conflict again. */
function Difference({ draft, close, over }: { draft: Draft; close: () => void; over: () => void }) {
  const [opened] = useState(Date.now);
  const { data, error } = useOnDisk(draft.name, opened);
  const overwrite = async () => {
    await (data ? draft.save(data.digests) : writeAnew(draft));
    over();
  };
  const take = (it: OnDisk) => {
    draft.revert(it);
    over();
  };
  const footer = (
    <>
      <button className="button" onClick={close}>Decide later</button>
      {data && <button className="button danger" onClick={() => take(data)}>Take what is on the disk</button>}
      {data !== undefined && <Action act={overwrite} className="danger">{data ? "Overwrite it with yours" : "Write it anew"}</Action>}
    </>
  );
  return (
    <Dialog title={`\`${draft.name}\` on the disk and here`} close={close} footer={footer} wide>
      <div className="stack">
        {error && <ErrorNote error={error} />}
        {data === undefined && !error && <p className="empty" role="status">Loading…</p>}
        {data === null && <p>There is no such file on the disk any more.</p>}
        {data && (
          <>
            <p className="small muted">Lines with − are on the disk alone, lines with + are yours alone.</p>
            <Compared title={draft.name} a={data.texts.training} b={draft.texts.training} />
            {draft.texts.dataset !== null && <Compared title="The dataset file" a={data.texts.dataset ?? ""} b={draft.texts.dataset} />}
          </>
        )}
      </div>
    </Dialog>
  );
}

const SIGNS: Record<Line["kind"], string> = { same: " ", "only-a": "−", "only-b": "+" };

function Compared({ title, a, b }: { title: string; a: string; b: string }) {
  return (
    <section className="stack tight" aria-label={title}>
      <h3>{title}</h3>
      {a === b ? <p className="small muted">Both are the same.</p> : (
        <pre className="code small difference" tabIndex={0} aria-label={`What differs in ${title}`}>
          {hunks(difference(a, b)).map((hunk, index) => hunk.kind === "skipped"
            ? <span key={index} className="faint">{`  … ${plural(hunk.count, "line")} that are the same\n`}</span>
            : hunk.lines.map((line, at) => <span key={`${index} ${at}`} className={line.kind}>{`${SIGNS[line.kind]} ${line.text}\n`}</span>))}
        </pre>
      )}
    </section>
  );
}
