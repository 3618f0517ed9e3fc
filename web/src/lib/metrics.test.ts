import { expect, test } from "vitest";
import type { Metrics } from "../api/types";
import { aligned, evaluations, joined, lowerBound, positive, styleOf } from "./metrics";

function numbers(next: number, step: number[]): Metrics {
  const same = step.map((it) => it / 10);
  return {
    next, step, time: same, loss: same, smoothed: same, seconds_per_step: same, lr: same, grad_norm: same, epoch: same,
    scalars: [],
  };
}

test("new steps follow the old ones", () => {
  const it = joined(numbers(2, [1, 2]), numbers(4, [3, 4]));
  expect([it.next, it.step, it.loss]).toEqual([4, [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]]);
});

test("a run that went back replaces what it does again", () => {
  expect(joined(numbers(3, [1, 2, 3]), numbers(5, [2, 3])).step).toEqual([1, 2, 3]);
});

test("nothing new is the very same object, so nothing is drawn again", () => {
  const old = numbers(2, [1, 2]);
  expect(joined(old, numbers(2, []))).toBe(old);
});

test("places are found among sorted numbers", () => {
  expect([0, 1, 2, 5, 9].map((it) => lowerBound([1, 3, 5], it))).toEqual([0, 0, 1, 2, 3]);
});

test("lines of different steps share an axis", () => {
  const lines = [{ x: [1, 3], y: [10, null] }, { x: [2, 3], y: [20, 30] }];
  expect(aligned(lines)).toEqual([[1, 2, 3], [10, undefined, null], [undefined, 20, 30]]);
});

test("a logarithmic chart leaves out what it has no place for", () => {
  expect(positive([[-1, 0, 1], [0.5, 0, null], [undefined, -2, 3]])).toEqual([[-1, 0, 1], [0.5, null, null], [undefined, null, 3]]);
});

test("evaluations are the scalars with a loss of one", () => {
  const scalar = (tag: string) => ({ tag, step: [1], value: [1] });
  const tags = ["val/loss", "train/loss", "eval/eval_time_sec", "val/loss_quantile_0.10"];
  expect(evaluations(tags.map(scalar)).map((it) => it.tag)).toEqual(["val/loss"]);
});

test("evaluation losses of one run are told apart from its average and from each other", () => {
  expect(new Set(["solid", ...[0, 1, 2].map(styleOf)]).size).toBe(4);
});
