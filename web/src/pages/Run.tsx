import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import { Link, useParams } from "wouter";
import { asApiError } from "../api/client";
import { comparison, keys, run, runs } from "../api/queries";
import type { RunDetail, RunRow } from "../api/types";
import { Advice, Controls } from "../components/Advice";
import { ErrorNote } from "../components/ErrorNote";
import { JobsOf } from "../components/JobsOf";
import { Meter } from "../components/Meter";
import { Page } from "../components/Page";
import { Prose } from "../components/Prose";
import { StateBadge } from "../components/StateBadge";
import { Tabs, type Tab } from "../components/Tabs";
import { Wrong } from "../components/Wrong";
import { count, duration, figure, moment, pace } from "../lib/format";
import { START_FLAGS } from "../lib/here";
import { links } from "../lib/links";
import { hasBegun, progress, tone, took } from "../lib/runs";
import { RunActions } from "./run/Actions";
import { Checkpoints } from "./run/Checkpoints";
import { Diagnosis } from "./run/Diagnosis";
import { Files } from "./run/Files";

const Log = lazy(async () => ({ default: (await import("./run/Log")).Log }));
const Charts = lazy(async () => ({ default: (await import("./run/Charts")).Charts }));
const Gpus = lazy(async () => ({ default: (await import("./run/Gpus")).Gpus }));

export function Run() {
  const { id = "" } = useParams<{ id: string }>();
  const client = useQueryClient();
  const detail = useQuery(run(id));
  // The stream keeps the rows new; the rest of a run is asked for when its row says that something else is true.
  const rows = useQuery(runs).data;
  const row = rows?.find((it) => it.id === id);
  const happened = rows && (row ? `${row.state} ${row.live} ${row.diagnosis !== null} ${row.wrong}` : "gone");
  useEffect(() => {
    if (happened) void client.invalidateQueries({ queryKey: keys.run(id) });
  }, [happened, client, id]);

  // It was there, and is not any more: what may be done with it and what it prints is over as well.
  const [seen, setSeen] = useState("");
  if (row && seen !== id) setSeen(id);
  const isGone = (rows !== undefined && !row && seen === id) || (detail.error !== null && asApiError(detail.error).status === 404);
  const wasDeleted = detail.data !== undefined && isGone;
  const it = wasDeleted ? undefined : detail.data && { ...detail.data, ...row };
  return (
    <Page
      title={detail.data?.name ?? id}
      heading={it && <>{it.name} <StateBadge run={it} /> {it.wrong && <Wrong text={it.wrong} />}</>}
      lead={<><span className="mono small">{id}</span>{it && <Neighbours run={it} />}</>}
      up={{ href: links.runs, text: "Runs" }}
      actions={it && <RunActions run={it} />}
    >
      {wasDeleted && <ErrorNote error={deleted(detail.data)} />}
      {detail.error && !wasDeleted && (
        <div className="stack">
          <ErrorNote error={detail.error} retry={() => void detail.refetch()} />
        </div>
      )}
      {it && <Body run={it} />}
    </Page>
  );
}

/** The runs before and after this one, which trained in the same folder. */
function Neighbours({ run: { continues, continued_by: after, resumes } }: { run: RunDetail }) {
  const link = (id: string) => <Link key={id} className="mono" href={links.run(id)}>{id}</Link>;
  return (
    <>
      {continues ? <div className="small">goes on from {link(continues)}</div> : resumes && <div className="small">goes on with <code>{resumes}</code></div>}
      {after.length > 0 && <div className="small">went on in {after.map((id, index) => <span key={id}>{index > 0 && ", "}{link(id)}</span>)}</div>}
    </>
  );
}

/** What a deleted run's page says. */
const deleted = (run: RunDetail) => ({
  kind: "not-found",
  message: `the run \`${run.id}\` was deleted while you looked`,
  causes: [`its folder \`${run.folder}\` is not there any more`],
  hint: `checkpoints and adapters that it saved are in \`${run.output_dir}\`, unless they were deleted as well`,
});

function Body({ run: it }: { run: RunDetail }) {
  const tabs: Tab[] = [
    { id: "log", title: "Log" },
    { id: "charts", title: "Charts" },
    { id: "gpus", title: "GPUs" },
    { id: "checkpoints", title: `Checkpoints${it.checkpoints.length > 0 ? ` ${it.checkpoints.length}` : ""}` },
    { id: "config", title: "Config" },
    { id: "diagnosis", title: "Diagnosis" },
  ];
  const views: Record<string, () => ReactNode> = {
    log: () => <Log key={it.id} run={it} />,
    charts: () => <Charts run={it} />,
    gpus: () => <Gpus run={it} />,
    checkpoints: () => <Checkpoints run={it} />,
    config: () => <Files run={it} />,
    diagnosis: () => <Diagnosis run={it} />,
  };
  return (
    <>
      <div className="stack">
        <Numbers run={it} />
        <p className="small muted">{what(it)}</p>
        {it.live && it.alarm && <div className="note tone-warn"><p><strong className="warn">attention:</strong> <Controls value={START_FLAGS}><Advice text={it.alarm} /></Controls></p></div>}
        {it.live && it.stopping && <div className="note tone-warn"><p>Stopping: <Prose text={it.stopping} /></p></div>}
        <JobsOf kind="stop" subject={it.id} only={it.live ? "at work or failed" : "failed"} />
        <JobsOf kind="save" subject={it.id} only={it.live ? "at work or failed" : "failed"} />
        {!it.live && (it.sentence ?? it.diagnosis) && (
          <div className={`note tone-${tone(it)}`}>
            {it.sentence && <p>The training <Prose text={it.sentence} />.</p>}
            {it.diagnosis && <p className="muted"><Prose text={it.diagnosis} /> <Link href={links.run(it.id, "diagnosis")}>What to do</Link></p>}
          </div>
        )}
      </div>
      <div style={{ height: 14 }} />
      <Tabs tabs={tabs} label="Of this run">
        {(tab) => <Suspense fallback={<p className="empty" role="status">Loading…</p>}>{views[tab]?.()}</Suspense>}
      </Tabs>
    </>
  );
}

/** What the buttons above do. */
function what(run: RunRow): string {
  if (run.queued) return "It starts by itself when its turn comes.";
  return run.live
    ? "Save writes a checkpoint after the next step, and the training goes on. Export makes an adapter of the newest checkpoint. Stop asks how."
    : "Resume goes on from the newest checkpoint, in a new run. Export makes an adapter of that checkpoint, as the trainer would save it.";
}

function Numbers({ run: it }: { run: RunRow }) {
  const part = progress(it);
  // Of one that is over the last step says little; of one that goes on the last steps say how fast it is now.
  const whole = useQuery({ ...comparison([it.id]), enabled: !it.live && it.step !== null }).data?.runs[0];
  return (
    <div>
      <dl className="stats">
        <Stat name="Step">{count(it.step)}{it.total_steps !== null && <small> / {count(it.total_steps)}</small>}</Stat>
        <Stat name="Epoch">{count(it.epoch)}{it.epochs !== null && <small> / {count(it.epochs)}</small>}</Stat>
        <Stat name="Loss">{figure(it.loss)}</Stat>
        {it.live ? <Stat name="Pace">{pace(it.pace)}</Stat> : <Stat name="Average pace">{pace(whole?.seconds_per_step)}</Stat>}
        <Stat name={it.live ? "Left" : "Took"}>{duration(it.live ? it.left_seconds : took(it))}</Stat>
        <Stat name="Started" words>{it.queued ? "waits" : hasBegun(it) ? moment(it.started) : "never"}</Stat>
        <Stat name="On" words>{it.devices}</Stat>
      </dl>
      {it.live && !it.queued && part !== null && <div style={{ marginTop: 6 }}><Meter value={part} label="Progress" tone={tone(it)} /></div>}
    </div>
  );
}

/** `words` may take more than one line: half a date is none. */
const Stat = ({ name, words, children }: { name: string; words?: boolean; children: ReactNode }) => (
  <div><dt>{name}</dt><dd className={words ? "words" : undefined}>{children}</dd></div>
);
