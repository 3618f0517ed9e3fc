import { expect, test } from "vitest";
import { difference, hunks } from "./diff";

const SIGNS = { same: " ", "only-a": "-", "only-b": "+" };
const shown = (a: string, b: string) => difference(a, b).map((it) => `${SIGNS[it.kind]}${it.text}`);

test("lines that both have stay, whatever stands around them", () => {
  expect(shown("a\nb\nc", "a\nb\nc")).toEqual([" a", " b", " c"]);
  expect(shown("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
  expect(shown("epochs = 1\nrank = 4\n", "epochs = 2\nrank = 4\nseed = 1\n")).toEqual(["-epochs = 1", "+epochs = 2", " rank = 4", "+seed = 1", " "]);
  expect(shown("a\na\nb", "a\nb")).toEqual([" a", "-a", " b"]);
  expect(shown("", "a")).toEqual(["-", "+a"]);
});

test("of two long texts without a common line all is different, at once", () => {
  const many = (sign: string) => Array.from({ length: 5000 }, (_, index) => `${sign}${index}`).join("\n");
  const lines = difference(many("a"), many("b"));
  expect(lines.length).toBe(10_000);
  expect(lines.filter((it) => it.kind === "same")).toEqual([]);
});

test("what is far from any change is counted, not shown", () => {
  const a = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  const b = a.with(10, "other");
  expect(hunks(difference(a.join("\n"), b.join("\n")), 1)).toEqual([
    { kind: "skipped", count: 9 },
    { kind: "lines", lines: [
      { kind: "same", text: "line 9" }, { kind: "only-a", text: "line 10" }, { kind: "only-b", text: "other" }, { kind: "same", text: "line 11" },
    ] },
    { kind: "skipped", count: 8 },
  ]);
  expect(hunks(difference("a", "a"))).toEqual([{ kind: "skipped", count: 1 }]);
});
