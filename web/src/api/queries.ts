// What is asked for by which name in the cache. The event stream writes under the same names.
import { queryOptions } from "@tanstack/react-query";
import { api, asApiError } from "./client";
import type { JobLog } from "./events";
import type { ConfigRow, Job, JobEvent, Metrics, Sample } from "./types";
import { report } from "../lib/data";
import { joined } from "../lib/metrics";
import type { Newest } from "../lib/next";
import { counted, type Counted } from "../lib/steps";

export const keys = {
  machine: ["machine"],
  samples: ["samples"],
  sample: ["sample"],
  runs: ["runs"],
  queue: ["queue"],
  jobs: ["jobs"],
  endedJobs: ["ended-jobs"],
  configs: ["configs"],
  server: ["server"],
  job: (id: string) => ["job", id],
  run: (id: string) => ["run", id],
  metrics: (id: string) => ["metrics", id],
  runGpus: (id: string) => ["run-gpus", id],
  compare: ["compare"],
} as const;

export const machine = queryOptions({ queryKey: keys.machine, queryFn: api.machine, staleTime: 60_000 });
export const samples = queryOptions({ queryKey: keys.samples, queryFn: api.samples, staleTime: Infinity });
/** The newest sample; the stream alone brings it. */
export const sample = queryOptions<Sample | null>({ queryKey: keys.sample, queryFn: () => null, staleTime: Infinity });
export const runs = queryOptions({ queryKey: keys.runs, queryFn: api.runs, staleTime: Infinity });
export const queue = queryOptions({ queryKey: keys.queue, queryFn: api.queue, staleTime: Infinity });
export const jobs = queryOptions({ queryKey: keys.jobs, queryFn: api.jobs, staleTime: Infinity });
export const configs = queryOptions({ queryKey: keys.configs, queryFn: api.configs });
export const models = queryOptions({ queryKey: ["models"], queryFn: api.models, staleTime: Infinity });
export const settings = queryOptions({ queryKey: ["settings"], queryFn: api.settings });
export const form = (model: string) =>
  queryOptions({ queryKey: ["form", model], queryFn: () => api.form(model), staleTime: Infinity });
export const run = (id: string) => queryOptions({ queryKey: keys.run(id), queryFn: () => api.run(id) });
/** A folder, or the nearest one above it that is there and may be seen, or at last the roots. */
export const folder = (path: string | null) =>
  queryOptions({
    queryKey: ["folder", path],
    queryFn: async () => {
      for (let at = path; at !== null && at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
        try {
          return await api.folder(at);
        } catch (error) {
          if (![400, 403, 404].includes(asApiError(error).status)) throw error;
        }
      }
      return api.folder(null);
    },
  });
/** What a run's own GPUs did; while it is live that is looked at every ten seconds. */
export const runGpus = (id: string, live: boolean) =>
  queryOptions({ queryKey: keys.runGpus(id), queryFn: () => api.runGpus(id), staleTime: live ? 5_000 : 60_000, refetchInterval: live ? 10_000 : false });
export const comparison = (ids: string[]) =>
  queryOptions({ queryKey: [...keys.compare, ...ids], queryFn: () => api.compare(ids), enabled: ids.length > 0 });

/** Most events that one answer may have. */
const PAGE = 10_000;

/** All events of a job up to now; the stream adds what comes. */
export const jobLog = (id: string | undefined) =>
  queryOptions({
    queryKey: keys.job(id ?? ""),
    enabled: id !== undefined,
    staleTime: Infinity,
    queryFn: async (): Promise<JobLog> => {
      const events: JobEvent[] = [];
      for (;;) {
        const it = await api.job(id ?? "", events.length, PAGE);
        events.push(...it.events);
        if (it.events.length === 0 || events.length >= it.job.events) return { events, next: events.length };
      }
    },
  });

/** The configuration that was changed last, with what a check says of it. */
export const newestConfig = (rows: ConfigRow[] | undefined) => {
  const mine = rows?.filter((it) => it.kind !== "dataset") ?? [];
  const it = mine.toSorted((a, b) => (b.modified ?? "").localeCompare(a.modified ?? ""))[0];
  return queryOptions({
    queryKey: ["newest-config", it?.name, it?.modified],
    enabled: it !== undefined,
    queryFn: async (): Promise<Newest> => {
      const name = it?.name ?? "";
      const { training, dataset } = await api.config(name);
      const { findings } = await api.check({ name, training: training.text, dataset: dataset?.text ?? null });
      return { name, errors: findings.filter((one) => one.severity === "error").length };
    },
  });
};

/** Events in which a data check's count is looked for at once: it is among the last, unless it was of many evaluation files. */
const END = 200;

/** What a data check has counted, without asking for all that it says of every file. */
export const stepsOf = (job: Job | null) =>
  queryOptions({
    queryKey: ["steps", job?.id],
    enabled: job?.state === "done",
    staleTime: Infinity,
    queryFn: async (): Promise<Counted | null> => {
      for (let to = job?.events ?? 0; to > 0; to -= END) {
        const from = Math.max(0, to - END);
        const found = counted((await api.job(job?.id ?? "", from, to - from)).events);
        if (found) return found;
      }
      return null;
    },
  });

/** What a data check that failed has found wrong, of the end of all that it says. */
export const errorsOf = (job: Job | null) =>
  queryOptions({
    queryKey: ["data-errors", job?.id],
    enabled: job?.state === "failed",
    staleTime: Infinity,
    queryFn: async () => {
      const from = Math.max(0, (job?.events ?? 0) - END);
      return report((await api.job(job?.id ?? "", from, END)).events).findings.filter((it) => it.severity === "error");
    },
  });

/** Evaluations come with all numbers only: while a run is live those are asked for so often (ms). */
const WHOLE_EVERY = 60_000;

/** `whole`: when all of them were asked for last (ms). */
export type Numbers = Metrics & { whole: number };

/** A run's numbers; while it is live mostly what is new is asked for, and once it is over the stream has all of them asked for again. */
export const metrics = (id: string, live: boolean) =>
  queryOptions<Numbers>({
    queryKey: keys.metrics(id),
    staleTime: live ? 0 : Infinity,
    refetchInterval: live ? 2000 : false,
    structuralSharing: false,
    queryFn: async ({ client }) => {
      const [old, now] = [client.getQueryData<Numbers>(keys.metrics(id)), Date.now()];
      if (!old || old.step.length === 0 || now - old.whole > WHOLE_EVERY) {
        return { ...(await api.metrics(id, 0)), whole: now };
      }
      const both = joined(old, await api.metrics(id, old.next));
      return both === old ? old : { ...both, whole: old.whole };
    },
  });
