import type { Sample } from "../api/types";

/** What the server keeps: an hour, in steps of five seconds. */
const KEEP_MS = 3_600_000;
const STEP_MS = 5_000;

/** The history with the newest sample, which takes the place of the last one until that is a step away from its own predecessor. */
export function withSample(history: Sample[], it: Sample): Sample[] {
  const now = Date.parse(it.time);
  const [before, last] = history.slice(-2);
  const within = last !== undefined && before !== undefined && Date.parse(last.time) - Date.parse(before.time) < STEP_MS;
  const from = history.findIndex((one) => now - Date.parse(one.time) <= KEEP_MS);
  return [...history.slice(Math.max(0, from), within ? -1 : undefined), it];
}
