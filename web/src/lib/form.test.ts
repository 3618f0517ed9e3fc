import { expect, test } from "vitest";
import type { Field, Finding, Form } from "../api/types";
import { blocks, byWeight, findingsOf, runName, split, steps, texts, valueAt } from "./form";

const field = (key: string, it: Partial<Field> = {}): Field => ({
  key, name: key, kind: "int", required: null, default: null, default_from: null, above: null, choices: [], recommended: [], min: null, max: null, path: null,
  secret: false, deprecated: false, doc: "", note: null, ...it,
});
const form: Form = {
  model: "wan",
  sections: [
    { id: "training", title: "Training", fields: [field("epochs", { required: "yes" }), field("warmup_steps")] },
    { id: "optimizer", title: "Optimizer", fields: [field("optimizer.type", { required: "yes" })] },
    { id: "directory", title: "Folder", fields: [field("directory[].path", { required: "yes" }), field("directory[].num_repeats")] },
  ],
  adapters: {},
  optimizers: { AdamW: [field("optimizer.lr")], sgd: [field("optimizer.momentum")] },
};
const training = { epochs: 5, optimizer: { type: "adamw", lr: 2e-5 } };
const dataset = { directory: [{ path: "/a" }, { path: "/b", num_repeats: 2 }] };

test("the chosen optimizer's keys are there, and each folder's", () => {
  expect(blocks(form, training, dataset).map((it) => [it.id, it.fields.map((one) => one.key)])).toEqual([
    ["training", ["epochs", "warmup_steps"]],
    ["optimizer", ["optimizer.type", "optimizer.lr"]],
    ["directory-0", ["directory[0].path", "directory[0].num_repeats"]],
    ["directory-1", ["directory[1].path", "directory[1].num_repeats"]],
  ]);
});

test("what is required comes first, and sections without anything else go", () => {
  const { required, rest } = split(blocks(form, { ...training, optimizer: { type: "none" } }, dataset));
  expect(required.map((it) => it.key)).toEqual(["epochs", "optimizer.type", "directory[0].path", "directory[1].path"]);
  expect(rest.map((it) => it.id)).toEqual(["training", "directory-0", "directory-1"]);
});

test("files that cannot be read leave the form empty, not broken", () => {
  expect(texts(blocks(form, null, null), null, null)).toEqual({ training: { epochs: "", warmup_steps: "", optimizer: { type: "" } } });
});

test("values become texts under the form's names", () => {
  expect(texts(blocks(form, training, dataset), training, dataset)).toEqual({
    training: { epochs: "5", warmup_steps: "", optimizer: { type: "adamw", lr: "0.00002" } },
    dataset: { directory: { 0: { path: "/a", num_repeats: "" }, 1: { path: "/b", num_repeats: "2" } } },
  });
});

test("keys lead to values", () => {
  expect(steps("directory[0].path")).toEqual(["directory", "0", "path"]);
  expect([valueAt(dataset, "directory[1].path"), valueAt(dataset, "directory[2].path"), valueAt(null, "x")]).toEqual(["/b", undefined, undefined]);
});

test("findings belong to their field and to what is in it", () => {
  const finding = (key: string | null, it: Partial<Finding> = {}) => ({ key, file: "training", severity: "error", line: 1, ...it }) as Finding;
  const all = [finding("epochs"), finding("epochs[0]"), finding("epochs_x"), finding(null), finding("epochs", { file: "dataset" })];
  expect(findingsOf(all, { key: "epochs", file: "training" }).map((it) => it.key)).toEqual(["epochs", "epochs[0]"]);
  const mixed = [finding("a", { severity: "note" }), finding("b", { line: 9 }), finding("c", { line: 2 })];
  expect(byWeight(mixed).map((it) => it.key)).toEqual(["c", "b", "a"]);
});

test("a secret is not shown, so that what hides it is never written", () => {
  const all = blocks({ ...form, sections: [{ id: "monitoring", title: "", fields: [field("monitoring.key", { secret: true })] }] }, null, null);
  expect(texts(all, { monitoring: { key: "(hidden)" } }, null)).toEqual({ training: { monitoring: { key: "" } } });
});

test("an optimizer that is not described has the keys of any", () => {
  const any = blocks({ ...form, optimizers: { "*": [field("optimizer.x")] } }, { optimizer: { type: "unheard" } }, null);
  expect(any[1]?.fields.map((it) => it.key)).toEqual(["optimizer.type", "optimizer.x"]);
});

test("a run is called as the server calls it", () => {
  expect(["wan.toml", "mein Üben 1.toml", "-_x y.toml", "日本.toml", "a".repeat(70)].map(runName)).toEqual(["wan", "mein--ben-1", "x-y", "run", "a".repeat(64)]);
});
