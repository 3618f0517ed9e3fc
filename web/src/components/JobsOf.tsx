import { useQuery } from "@tanstack/react-query";
import { jobs } from "../api/queries";
import { JobCard } from "./JobCard";

/** The newest job of a kind about something, while it is worth seeing: at work, or failed. */
export function JobsOf({ kind, subject }: { kind: string; subject: string }) {
  const { data } = useQuery(jobs);
  const job = data?.find((it) => it.kind === kind && it.subject === subject);
  return job ? <JobCard job={job} /> : null;
}
