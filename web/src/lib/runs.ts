// What a row of a run says, and how rows are put in order.
import type { Kept, RunRow } from "../api/types";
import { percent } from "./format";

export type Tone = "live" | "ok" | "warn" | "bad" | "info" | "idle";

/** Words for states that the server may add later fall back to whether the run is live. */
const TONES: Record<string, Tone> = {
  queued: "info",
  starting: "live",
  training: "live",
  loading: "live",
  caching: "live",
  saving: "live",
  evaluating: "live",
  finishing: "live",
  stopping: "warn",
  restarting: "warn",
  completed: "ok",
  stopped: "idle",
  withdrawn: "idle",
  interrupted: "warn",
  failed: "bad",
  "out of memory": "bad",
  "exited early": "bad",
  abandoned: "bad",
  killed: "bad",
  lost: "bad",
};

export const tone = (it: { state: string; live: boolean }): Tone => TONES[it.state] ?? (it.live ? "live" : "idle");

export const progress = (it: RunRow) => percent(it.step, it.total_steps);

/** One that waits, or was taken out of the queue, has not trained: the time since it was asked for is none of a training. */
export const hasBegun = (it: RunRow) => !it.queued && it.state !== "withdrawn";

/** What it took (s); `null` while it goes on, or if it never began. */
export const took = (it: RunRow) => (hasBegun(it) ? it.seconds : null);

/** Steps that are named one by one. */
const NAMED = 5;

/** What becomes of the checkpoints beyond a step from which a run goes on; `null` if there are none. */
export function beyond(checkpoints: Kept[], step: number): string | null {
  const newer = checkpoints.flatMap((it) => (it.step !== null && it.step > step ? [it.step] : [])).toSorted((a, b) => a - b);
  if (newer.length === 0) return null;
  const named = newer.length <= NAMED ? newer.join(", ") : `${newer.slice(0, 2).join(", ")} … ${newer.at(-1)}`;
  return newer.length === 1
    ? `The checkpoint beyond it (${named}) stays until the training saves one at that step and overwrites it.`
    : `The ${newer.length} checkpoints beyond it (${named}) stay until the training saves one at such a step and overwrites it.`;
}

/** How many runs that are over are shown where one looks in the morning. */
const LAST = 3;

/** Those that ended last, the newest end first, with when that was (ms since 1970). */
export function endedLast(rows: RunRow[]): { run: RunRow; ended: number }[] {
  const over = rows.filter((it) => !it.live && hasBegun(it) && it.seconds !== null);
  return over.map((run) => ({ run, ended: Date.parse(run.started) + 1000 * (run.seconds ?? 0) })).toSorted((a, b) => b.ended - a.ended).slice(0, LAST);
}

/** `1 of them live, 2 queued`: a run that waits is not over, and does nothing yet. */
export function living(runs: { state: string; live: boolean }[]): string {
  const waiting = runs.filter((it) => it.state === "queued").length;
  const live = runs.filter((it) => it.live && it.state !== "queued").length;
  return `${live} of them live${waiting > 0 ? `, ${waiting} queued` : ""}`;
}

export const SHOWN = ["all", "live", "ended", "failed"] as const;
export type Shown = (typeof SHOWN)[number];

export function matches(it: RunRow, shown: Shown, words: string): boolean {
  const fits = { all: true, live: it.live, ended: !it.live, failed: tone(it) === "bad" }[shown];
  const text = [it.id, it.name, it.state, it.config, it.devices, it.diagnosis ?? "", it.wrong ?? ""].join(" ").toLowerCase();
  return fits && words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const COLUMNS = {
  started: (it: RunRow) => it.started,
  name: (it: RunRow) => it.name.toLowerCase(),
  state: (it: RunRow) => it.state,
  progress: (it: RunRow) => progress(it),
  loss: (it: RunRow) => it.loss,
  left: (it: RunRow) => it.left_seconds,
};
export type Column = keyof typeof COLUMNS;
export const isColumn = (it: string): it is Column => it in COLUMNS;

/** In order of a column; rows without a value there come last, whichever way. */
export function sorted(rows: RunRow[], column: Column, down: boolean): RunRow[] {
  const of = COLUMNS[column];
  const sign = down ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [one, other] = [of(a), of(b)];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    return one < other ? -sign : one > other ? sign : 0;
  });
}
