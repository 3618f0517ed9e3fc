import { expect, test } from "vitest";
import type { Sample } from "../api/types";
import { withSample } from "./samples";

const at = (second: number): Sample => ({ time: new Date(second * 1000).toISOString(), memory: null, disk: null, gpus: [] });
const seconds = (it: Sample[]) => it.map((one) => Date.parse(one.time) / 1000);

test("samples of a second each become a history in steps of five, the newest always there", () => {
  let history: Sample[] = [at(0)];
  for (let second = 1; second <= 12; second++) history = withSample(history, at(second));
  expect(seconds(history)).toEqual([0, 5, 10, 12]);
});

test("what is older than an hour goes", () => {
  expect(seconds(withSample([at(0), at(5), at(3000)], at(3606)))).toEqual([3000, 3606]);
  expect(seconds(withSample([], at(1)))).toEqual([1]);
});
