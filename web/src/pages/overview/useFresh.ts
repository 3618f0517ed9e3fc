import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { api } from "../../api/client";
import { jobs, settings } from "../../api/queries";
import type { Job, JobRequest } from "../../api/types";
import { useTell } from "../../components/Toasts";

/** What was found out longer ago may not be so any more. */
const FRESH_MS = 15 * 60_000;
/** Older results count only if they are from this visit. */
const VISIT = Date.now();

/** The newest job of a kind that only looks, started if there is none of late, or since it began one of `after` ended or dpgui.toml was written. */
export function useFresh(kind: Job["kind"], request: JobRequest, after: string[]): Job | null {
  const all = useQuery(jobs).data;
  const written = useQuery(settings).data?.settings_modified ?? null;
  const tell = useTell();
  const asked = useRef<string | null>(null);
  const newest = all?.find((it) => it.kind === kind) ?? null;
  const changed = all?.find((it) => after.includes(it.kind) && it.state !== "running" && it.ended !== null && (newest === null || it.ended > newest.started));
  const old = newest !== null && newest.state !== "running" && Date.parse(newest.started) < VISIT - FRESH_MS;
  const other = newest !== null && newest.state !== "running" && written !== null && Date.parse(written) > Date.parse(newest.started) ? written : null;
  const busy = all?.some((it) => after.includes(it.kind) && it.state === "running") ?? true;
  // Once for each reason, whatever comes of it.
  const reason = all && !busy && (newest === null || changed || old || other) ? `${newest?.id ?? ""} ${changed?.id ?? ""} ${other ?? ""}` : null;
  const start = all && newest === null && busy ? "first" : reason;
  useEffect(() => {
    if (start === null || start === undefined || asked.current === start) return;
    asked.current = start;
    void api.startJob(request).catch(tell.fail);
  }, [start, request, tell]);
  return newest;
}
