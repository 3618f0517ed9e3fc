import { expect, test } from "vitest";
import { kindOf, shown, tokens, typed } from "./toml";

const kinds = (text: string) => tokens(text).filter((it) => it.text.trim() !== "").map((it) => `${it.kind}:${it.text.trim()}`);

test("nothing is lost by colouring", () => {
  const text = "# a\n[model] # b\nx.y = 'it''s' # c\nz = \"\"\"\nmore # no comment\n\"\"\"\nlist = [\n  [512, 512],\n]\nbroken = \"\n€";
  expect(tokens(text).map((it) => it.text).join("")).toBe(text);
});

test("tables, keys, texts, values and comments are told apart", () => {
  expect(kinds("[model]\ntype = 'wan' # which")).toEqual(["table:[model]", "key:type", "text:=", "string:'wan'", "comment:# which"]);
  expect(kinds("lr = 2e-5")).toEqual(["key:lr", "text:=", "value:2e-5"]);
  expect(kinds("[[directory]]")).toEqual(["table:[[directory]]"]);
});

test("a text over lines is one text, whatever it looks like", () => {
  expect(kinds("a = '''\n# not a comment\n[nor] a = 'table'\n'''")).toEqual([
    "key:a", "text:=", "string:'''\n# not a comment\n[nor] a = 'table'\n'''",
  ]);
});

test("files are told apart by their tables", () => {
  const files = ["epochs = 1\n[model]\ntype='wan'", "resolutions=[512]\n[[directory]]", "a = 1", "model.type = 'wan'"];
  expect(files.map(kindOf)).toEqual(["training", "dataset", null, "training"]);
});

test("values are shown as one would type them", () => {
  const values = ["a b", 5, true, [512, [1, 2]], ["x"], { type: "lora", rank: 32 }, null, undefined];
  expect(values.map(shown)).toEqual(["a b", "5", "true", "[512, [1, 2]]", "['x']", "{ type = 'lora', rank = 32 }", "", ""]);
});

test("a list may be typed without its brackets", () => {
  const ints = (text: string) => typed("list[int]", text);
  expect(["1, 2, 3", "512", " 1,2, ", "[1, 2]", "", "1, x"].map(ints)).toEqual(["[1, 2, 3]", "[512]", "[1, 2]", "[1, 2]", "", "[1, x]"]);
  expect([typed("list[float]", "0.50, 1."), typed("list[path]", "/a b, /c"), typed("list[path]", "'/a, b'")]).toEqual(["[0.5, 1]", "['/a b', '/c']", "['/a, b']"]);
  const sizes = (text: string) => typed("list[int]|list[float]|list[[int,int]]", text);
  expect(["512", "512, 768", "[512, 512]", "[512, 512], [768, 512]", "[[512, 512]]"].map(sizes)).toEqual(["[512]", "[512, 768]", "[512, 512]", "[[512, 512], [768, 512]]", "[[512, 512]]"]);
  // Where something else may be as well, it is what was typed.
  expect([typed("int", "5"), typed("string|list[string]", "a, b"), typed("int|list[[int,int]]", "512"), typed("list[table]", "a")]).toEqual(["5", "a, b", "512", "a"]);
});
