import { expect, test } from "vitest";
import { sorted } from "./imported";

const training = { name: "wan.toml", text: "[model]\ntype = 'wan'" };
const dataset = { name: "cats.toml", text: "[[directory]]\npath = '/x'" };

test("a pair is told apart in any order, and named by the training", () => {
  for (const files of [[training, dataset], [dataset, training]]) {
    expect(sorted(files)).toEqual({ training: training.text, dataset: dataset.text, name: "wan" });
  }
});

test("one file is enough, and what is neither counts as a training", () => {
  expect(sorted([dataset])).toEqual({ training: null, dataset: dataset.text, name: "cats" });
  expect(sorted([{ name: "x.TOML", text: "oops" }])).toEqual({ training: "oops", dataset: null, name: "x" });
});

test("two of a kind are refused", () => {
  expect(() => sorted([training, training])).toThrow("`wan.toml` is a second training file");
});
