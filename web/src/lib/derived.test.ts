import { expect, test } from "vitest";
import type { Derived } from "../api/types";
import { missing } from "./derived";

const NOTHING: Derived = {
  gpus: null, pipeline_stages: 2, copies: null, micro_batch_size: 1, gradient_accumulation_steps: 1, global_batch: null, steps_per_epoch: null, total_steps: null,
  trained_weights: null, size_unknown: "the model's files are not there, or are none whose shapes can be read", saved_models: null, saved_bytes: null, checkpoint_bytes: null,
};
const ALL = { ...NOTHING, gpus: 2, copies: 1, global_batch: 1, steps_per_epoch: 4, total_steps: 8, trained_weights: 10, size_unknown: null, saved_models: 1, saved_bytes: 20, checkpoint_bytes: 60 };
const all = { derived: ALL, isCounted: true, gpus: 2, hasEpochs: true, needsFiles: true };

test("each number that is not there says what it needs", () => {
  expect(missing({ ...all, derived: NOTHING, isCounted: false, gpus: undefined })).toEqual({
    copies: "say how many", total: "needs the count of steps", weights: "needs the model's files", saved: "needs the count of steps",
    size: "needs the model's files", checkpoint: "needs the model's files",
  });
  expect(missing({ ...all, derived: { ...ALL, copies: null }, gpus: 3 }).copies).toBe("no multiple of 2 stages");
  expect(missing({ ...all, derived: { ...ALL, total_steps: null }, hasEpochs: false }).total).toBe("needs epochs");
  expect(missing({ ...all, derived: { ...ALL, checkpoint_bytes: null } }).checkpoint).toBe("not known for this optimizer");
  expect(missing({ ...all, derived: { ...ALL, trained_weights: null, size_unknown: "a LoKr's size follows from how the trainer factors each matrix" } }).weights).toBe("not known for a LoKr");
});

test("a model without files needs neither them nor a GPU", () => {
  const it = missing({ ...all, derived: NOTHING, gpus: undefined, needsFiles: false });
  expect([it.copies, it.weights, it.checkpoint]).toEqual(["it needs none", "not known for this model", "not known for this model"]);
});

test("what is there needs nothing", () => {
  expect(Object.values(missing(all)).every((it) => it === null)).toBe(true);
});

test("of a text that is no TOML nothing follows", () => {
  expect(missing({ ...all, derived: null }).total).toMatch(/without errors/);
});
