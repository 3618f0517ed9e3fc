import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { jobs } from "../api/queries";
import { JobCard } from "./JobCard";

type Props = { kind: string; subject: string; only?: "at work or failed" | "failed"; children?: ReactNode };

/** A job's failure is of interest for so long. */
const RECENT_MS = 10 * 60_000;

/** The newest job of a kind about something. */
export function JobsOf({ kind, subject, only, children }: Props) {
  const { data } = useQuery(jobs);
  const job = data?.find((it) => it.kind === kind && it.subject === subject);
  if (!job) return null;
  const tells = (job.state === "running" && only !== "failed") || (job.state === "failed" && Date.now() - Date.parse(job.ended ?? job.started) < RECENT_MS);
  return only && !tells ? null : <JobCard job={job}>{children}</JobCard>;
}
