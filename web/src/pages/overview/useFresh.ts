import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { api } from "../../api/client";
import { jobs, settings } from "../../api/queries";
import type { Job, JobRequest } from "../../api/types";
import { useTell } from "../../components/Toasts";
import { again } from "../../lib/fresh";

const VISIT = Date.now();
/** For each kind, the times of dpgui.toml that were a reason on this visit. */
const TAKEN = new Map<string, Set<string>>();

/** The newest job of a kind that only looks, started if there is none of late, or since it began one of `after` ended or dpgui.toml was written. */
export function useFresh(kind: Job["kind"], request: JobRequest, after: string[]): Job | null {
  const all = useQuery(jobs).data;
  const settled = useQuery(settings).data?.settings_modified ?? null;
  const tell = useTell();
  const asked = useRef<string | null>(null);
  const taken = TAKEN.get(kind) ?? new Set();
  const { newest, written, reason } = all ? again({ jobs: all, kind, after, written: settled, taken, visit: VISIT }) : NOTHING;
  useEffect(() => {
    if (reason === null || asked.current === reason) return;
    asked.current = reason;
    if (written !== null) TAKEN.set(kind, new Set(TAKEN.get(kind)).add(written));
    void api.startJob(request).catch(tell.fail);
  }, [reason, written, kind, request, tell]);
  return newest;
}

const NOTHING = { newest: null, written: null, reason: null };
