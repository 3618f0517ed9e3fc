import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../api/client";
import { jobLog } from "../api/queries";
import type { Job } from "../api/types";
import { lineOf } from "../lib/jobs";
import { moment } from "../lib/format";
import { Action } from "./Action";
import { ErrorNote } from "./ErrorNote";

const TONES = { running: "tone-live live", done: "tone-ok", failed: "tone-bad", cancelled: "tone-idle" };

/** One command that runs on its own: what it is, the last thing it said, its error. */
export function JobCard({ job, children }: { job: Job; children?: ReactNode }) {
  // Of what is done the end counts where that is not seen elsewhere.
  const isTold = job.state === "running" || (job.state === "done" && job.kind === "export");
  const { data } = useQuery({ ...jobLog(job.id), enabled: isTold });
  const last = data?.events.findLast((it) => lineOf(it) !== null);
  return (
    <div className="panel job">
      <div className="row">
        <span className={`badge ${TONES[job.state]}`}>{job.state}</span>
        <code className="grow clip">{job.command}</code>
        <span className="small muted">{moment(job.started)}</span>
        {job.state === "running" && <Action className="small" act={() => api.cancelJob(job.id)}>Cancel</Action>}
      </div>
      {isTold && last && <p className={`small muted ${job.state === "running" ? "clip" : "wrap"}`}>{lineOf(last)}</p>}
      {job.error && <ErrorNote error={job.error} />}
      {job.state === "failed" && children}
    </div>
  );
}
