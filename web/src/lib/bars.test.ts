import { expect, test } from "vitest";
import { Bars, cut, WIDEST } from "./bars";

const columns = (...texts: string[]) => {
  const it = new Bars();
  texts.forEach((text) => it.add(new TextEncoder().encode(text)));
  return it.columns;
};
const long = "x".repeat(150);

test("a line that is drawn over counts, however it is cut into pieces", () => {
  expect(columns(`\r${long}\r`)).toBe(150);
  expect(columns(`a\r${long}`)).toBe(150);
  expect(columns(`${long}\ra`)).toBe(150);
  expect(columns("\r", long.slice(0, 50), long.slice(50), "\n")).toBe(150);
  expect(columns(`\r${long}\n`, `\r${"y".repeat(170)}`)).toBe(170);
});

test("a line that is written once may wrap", () => {
  expect(columns(`${long}\n`, `${long}\r\n`, `${long}\r`, `\n${long}`)).toBe(0);
});

test("a letter of several bytes takes one place, and an escape sequence none", () => {
  expect(columns(`\r\x1b[1;32m${"█".repeat(100)}\x1b[0m\x1b`, "[K\r.")).toBe(100);
});

test("what is endless is no bar", () => {
  expect(columns(`\r${"x".repeat(5000)}\r.`)).toBe(WIDEST);
});

test("on a narrow screen a bar ends at the edge, and what is written once wraps", () => {
  const shown = (text: string) => new TextDecoder().decode(cut(new TextEncoder().encode(text))).replaceAll("\x1b[?7l", "<").replaceAll("\x1b[?7h", ">");
  expect(shown("line\n\r 1%|█\r 2%|██\nnext")).toBe("line>\n\r< 1%|█\r< 2%|██>\nnext");
  // A line that ends as on Windows is none that is drawn anew.
  expect(shown("line\r\nnext")).toBe("line\r<>\nnext");
  expect(shown("")).toBe("");
});
