// When something that only looks, a plan or a doctor's visit, is started again by itself.
import type { Job } from "../api/types";

/** What was found out longer ago may not be so any more. */
export const FRESH_MS = 15 * 60_000;

type Known = {
  jobs: Job[];
  kind: Job["kind"];
  /** Kinds of jobs that change what it finds. */
  after: string[];
  /** When dpgui.toml was written. */
  written: string | null;
  /** Such times that were a reason already. One in the future, of a clock that is wrong, would be a reason for ever. */
  taken: ReadonlySet<string>;
  /** Older results count only if they are from this visit (ms since 1970). */
  visit: number;
};

export type Again = { newest: Job | null; written: string | null; reason: string | null };

/** The newest look, and why there has to be another: a name of the reason, which counts once whatever comes of it. */
export function again({ jobs, kind, after, written, taken, visit }: Known): Again {
  const newest = jobs.find((it) => it.kind === kind) ?? null;
  const isBusy = jobs.some((it) => after.includes(it.kind) && it.state === "running");
  if (newest === null) return { newest, written: null, reason: isBusy ? "first" : "none" };
  if (isBusy || newest.state === "running") return { newest, written: null, reason: null };
  const changed = jobs.find((it) => after.includes(it.kind) && it.ended !== null && it.ended > newest.started);
  if (changed) return { newest, written: null, reason: `${newest.id} before ${changed.id}` };
  if (Date.parse(newest.started) < visit - FRESH_MS) return { newest, written: null, reason: `${newest.id} is old` };
  const isOther = written !== null && !taken.has(written) && Date.parse(written) > Date.parse(newest.started);
  return { newest, written: isOther ? written : null, reason: isOther ? `${newest.id} before ${written}` : null };
}
