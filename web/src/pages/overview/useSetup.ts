import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { api } from "../../api/client";
import { jobLog, jobs } from "../../api/queries";
import type { Job } from "../../api/types";
import { setupJobs, setupState, type SetupState } from "../../lib/jobs";
import { useFresh } from "./useFresh";

const PLAN = { kind: "setup-plan" } as const;

export type SetupView = {
  state: SetupState | null;
  /** Steps that have something to do; `null`: nobody has looked yet. */
  missing: number | null;
  /** Why nothing can be set up here. */
  refused: Job["error"];
  running: Job | null;
  /** Who looks at what is there, or did last. */
  look: Job | null;
  last: Job | null;
  start: () => Promise<void>;
  /** Looks at what is there once more. */
  again: () => Promise<unknown>;
};

/** What is set up: of the setup that runs or failed, else of a plan, which is made when there is none that still holds. */
export function useSetup(): SetupView {
  const all = useQuery(jobs).data;
  const last = all?.find((it) => it.kind === "setup") ?? null;
  const running = last?.state === "running" ? last : null;
  const newest = useFresh("setup-plan", PLAN, ["setup", "demo"]);
  const { plan, since } = setupJobs(all ?? [], newest);
  const planned = useQuery(jobLog(plan?.id)).data;
  const ran = useQuery(jobLog(since?.id)).data;
  const state = useMemo(() => {
    if (!planned || (since && !ran)) return null;
    // A setup tells what it does; what was there before only the plan knows.
    return setupState([...planned.events, ...(ran?.events ?? [])], since !== null && since.state !== "running");
  }, [planned, since, ran]);
  const done = plan !== null && plan.state !== "running" && state !== null;
  const refused = plan?.state === "failed" && state?.steps.length === 0 ? plan.error : null;
  const missing = done ? state.steps.filter((it) => it.state !== "there" && it.state !== "done").length : null;
  const start = async () => {
    await api.startJob({ kind: "setup" });
  };
  const again = () => api.startJob(PLAN);
  return { state, missing, refused, running, look: plan, last, start, again };
}
