import { expect, test } from "vitest";
import type { Kept, RunRow } from "../api/types";
import { beyond, endedLast, hasBegun, living, matches, progress, sorted, tone, took } from "./runs";

const row = (it: Partial<RunRow>): RunRow => ({
  id: "20261127-1200-a", name: "a", state: "training", live: true, queued: false, sentence: null, diagnosis: null, wrong: null, epoch: 1,
  epochs: 2, step: 5, total_steps: 10, loss: 0.5, pace: 1, left_seconds: 5, devices: "GPU 0", config: "wan.toml",
  started: "2026-11-27T12:00:00Z", seconds: 5, ...it,
});

test("a state has a tone, an unknown one by whether it lives", () => {
  const check = (state: string, live: boolean) => tone({ state, live });
  expect([check("failed", false), check("completed", false), check("new-word", true), check("new-word", false)]).toEqual(
    ["bad", "ok", "live", "idle"],
  );
});

test("rows without a value are last, up and down", () => {
  const rows = [row({ id: "1", loss: 0.2 }), row({ id: "2", loss: null }), row({ id: "3", loss: 0.1 })];
  const ids = (down: boolean) => sorted(rows, "loss", down).map((it) => it.id);
  expect([ids(false), ids(true)]).toEqual([["3", "1", "2"], ["1", "3", "2"]]);
});

test("all words must fit, and the filter", () => {
  const it = row({ diagnosis: "out of memory" });
  expect([matches(it, "all", "WAN memory"), matches(it, "all", "wan flux"), matches(it, "ended", "")]).toEqual(
    [true, false, false],
  );
});

test("progress is a share of the steps", () => {
  expect([progress(row({})), progress(row({ total_steps: null }))]).toEqual([50, null]);
});

test("a run that waits is no live one", () => {
  const run = (state: string, live: boolean) => ({ state, live });
  expect(living([run("training", true), run("queued", true), run("queued", true), run("completed", false)])).toBe("1 of them live, 2 queued");
  expect(living([run("completed", false)])).toBe("0 of them live");
});

test("what never began took no time", () => {
  const of = (it: Partial<RunRow>) => [hasBegun(row(it)), took(row(it))];
  expect([of({ state: "withdrawn", live: false }), of({ state: "queued", queued: true, seconds: null }), of({ state: "stopped", live: false })]).toEqual(
    [[false, null], [false, null], [true, 5]],
  );
});

test("the last ends come first, and what never began is none", () => {
  const at = (id: string, hour: number, seconds: number | null, state = "completed") =>
    row({ id, state, live: seconds === null, seconds, started: `2026-11-27T${String(hour).padStart(2, "0")}:00:00Z` });
  const rows = [at("live", 9, null), at("withdrawn", 8, 9, "withdrawn"), at("short", 7, 60), at("long", 1, 7 * 3600), at("older", 3, 60), at("oldest", 2, 60)];
  expect(endedLast(rows).map(({ run, ended }) => `${run.id} ${new Date(ended).toISOString().slice(11, 16)}`)).toEqual(["long 08:00", "short 07:01", "older 03:01"]);
});

test("what is beyond a checkpoint is told, the latest one has nothing beyond", () => {
  const of = (steps: (number | null)[], step: number) => beyond(steps.map((it) => ({ step: it }) as Kept), step);
  expect(of([160, 598, null, 289], 598)).toBeNull();
  expect(of([160, 598, 289], 289)).toBe("The checkpoint beyond it (598) stays until the training saves one at that step and overwrites it.");
  expect(of([160, 598, null, 289], 160)).toBe("The 2 checkpoints beyond it (289, 598) stay until the training saves one at such a step and overwrites it.");
  expect(of([1, 2, 3, 4, 5, 6, 7], 1)).toMatch(/^The 6 checkpoints beyond it \(2, 3 … 7\)/);
});
