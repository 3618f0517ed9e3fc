// How many steps the data makes: what a data check has counted, and for how long that holds.
import type { Job, JobEvent, Values } from "../api/types";

/** So many batches of the global size one pass has, with so many copies of the model side by side. */
export type Counted = { steps: number; copies: number };

/** The training dataset's line of a data check. */
export function counted(events: JobEvent[]): Counted | null {
  const it = events.findLast((event) => event.event === "data" && event.evaluation !== true);
  return typeof it?.steps === "number" && typeof it.data_parallel === "number" ? { steps: it.steps, copies: it.data_parallel } : null;
}

/** Tables and keys of a training file that the number of batches does not hang on. */
const APART = /^(adapter|optimizer|monitoring|epochs|max_steps|output_dir|warmup_steps|gradient_clipping|lr_scheduler|steps_per_print|(save|checkpoint|eval)_.*)$/;

/** Everything that it does hang on: as long as this is the same, so is the count. */
export function bearing(training: Values | null | undefined, dataset: Values | null | undefined): string {
  const kept = Object.entries(training ?? {}).filter(([key]) => !APART.test(key));
  return JSON.stringify([kept, dataset ?? null]);
}

/** Whether a check has seen what is on the disk now. */
export const isNewer = (job: Job, modified: (string | null | undefined)[]): boolean =>
  modified.every((it) => !it || Date.parse(it) <= Date.parse(job.started));
