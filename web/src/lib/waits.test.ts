import { expect, test } from "vitest";
import { named } from "./waits";

const A = "20261128T064811Z-with-nan";
const names = new Map([[A, "with-nan"]]);

test("a run that is here is a link under its name, without its process", () => {
  expect(named(`the CPU, in use by process 16620 (training ${A} of /tmp/a place)`, names)).toEqual([{ text: "the CPU, in use by " }, { id: A, name: "with-nan" }]);
  expect(named(`${A}, which is before it and wants the CPU too`, names)).toEqual([{ id: A, name: "with-nan" }, { text: ", which is before it and wants the CPU too" }]);
});

test("the second run of a name within a second is one too", () => {
  const second = "20261128T064811Z.2-with-nan";
  expect(named(`${second}, which is before it`, new Map([[second, "with-nan"]]))).toEqual([{ id: second, name: "with-nan" }, { text: ", which is before it" }]);
});

test("of others everything is said", () => {
  const other = "GPU 0, in use by process 7 (training 20261128T064811Z-other of /elsewhere)";
  expect(named(other, names).map((it) => ("text" in it ? it.text : it.id)).join("")).toBe(other);
});
