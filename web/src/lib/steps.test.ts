import { expect, test } from "vitest";
import type { Job } from "../api/types";
import { bearing, counted, isNewer } from "./steps";

test("the count is that of what is trained with, not of what is evaluated on", () => {
  const line = (steps: number, evaluation: boolean) => ({ event: "data", steps, evaluation, data_parallel: 2 });
  expect(counted([{ event: "item" }, line(120, false), line(7, true)])).toEqual({ steps: 120, copies: 2 });
  expect(counted([line(7, true)])).toBeNull();
  expect(counted([{ event: "error" }])).toBeNull();
});

test("it holds while nothing changes that batches hang on", () => {
  const training = { micro_batch_size_per_gpu: 1, epochs: 10, save_every_n_epochs: 1, model: { type: "wan" }, optimizer: { lr: 1 } };
  const dataset = { resolutions: [512] };
  const before = bearing(training, dataset);
  expect(bearing({ ...training, epochs: 20, save_every_n_epochs: 2, optimizer: { lr: 2 } }, dataset)).toBe(before);
  expect(bearing({ ...training, micro_batch_size_per_gpu: 2 }, dataset)).not.toBe(before);
  expect(bearing({ ...training, model: { type: "flux" } }, dataset)).not.toBe(before);
  expect(bearing(training, { resolutions: [1024] })).not.toBe(before);
  expect(bearing(null, null)).not.toBe(before);
});

test("a check that began before a file was written has not seen it", () => {
  const job = { started: "2026-01-01T10:00:00Z" } as Job;
  expect(isNewer(job, ["2026-01-01T09:59:59.5Z", null])).toBe(true);
  expect(isNewer(job, ["2026-01-01T09:00:00Z", "2026-01-01T10:00:00.1Z"])).toBe(false);
});
