import { expect, test } from "vitest";
import type { SettingField } from "../api/types";
import { changes, groups, valueOf } from "./settings";

const field = (key: string, value: string | null = null, counts: SettingField["counts"] = "next-run"): SettingField =>
  ({ key, value, counts, title: key, about: "", kind: "text", choices: [], usual: "" });

test("every field is in one group, also one that nobody knows yet", () => {
  const fields = [field("cache.limit", null, "next-setup"), field("logs.keep"), field("sources.node.places", null, "next-setup"), field("odd.one"), field("runs.nan-steps")];
  expect(groups(fields).map((it) => [it.title, it.fields.map((one) => one.key)])).toEqual([
    ["Setup and downloads", ["cache.limit"]],
    ["Runs and logs", ["logs.keep", "runs.nan-steps"]],
    ["Mirrors", ["sources.node.places"]],
    ["odd", ["odd.one"]],
  ]);
  expect(groups(fields)[0]?.from).toBe("the next `dpgui setup`");
});

test("what is typed and is not what the file says is a change, and nothing else", () => {
  const fields = [field("a", "1"), field("b", "2"), field("c"), field("d", "4")];
  const typed = { a: "1", b: "3 ", c: " ", d: "" };
  expect(changes(fields, typed)).toEqual([{ key: "b", value: "3" }, { key: "d", value: null }]);
  expect(fields.map((it) => valueOf(it, { b: "3" }))).toEqual(["1", "3", "", "4"]);
});
