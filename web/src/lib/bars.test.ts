import { expect, test } from "vitest";
import { Bars, WIDEST } from "./bars";

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
