import { useQuery } from "@tanstack/react-query";
import { api } from "../api/client";
import { jobLog } from "../api/queries";
import type { Job } from "../api/types";
import { lineOf } from "../lib/jobs";
import { moment } from "../lib/format";
import { Action } from "./Action";
import { ErrorNote } from "./ErrorNote";

const TONES = { running: "tone-live live", done: "tone-ok", failed: "tone-bad", cancelled: "tone-idle" };

/** One command that runs on its own: what it is, the last thing it said, its error. */
export function JobCard({ job }: { job: Job }) {
  const { data } = useQuery({ ...jobLog(job.id), enabled: job.state === "running" });
  const last = data?.events.findLast((it) => lineOf(it) !== null);
  return (
    <div className="panel job">
      <div className="row">
        <span className={`badge ${TONES[job.state]}`}>{job.state}</span>
        <code className="grow clip">{job.command}</code>
        <span className="small muted">{moment(job.started)}</span>
        {job.state === "running" && <Action className="small" act={() => api.cancelJob(job.id)}>Cancel</Action>}
      </div>
      {job.state === "running" && last && <p className="small muted clip">{lineOf(last)}</p>}
      {job.error && <ErrorNote error={job.error} />}
    </div>
  );
}
