import { expect, test } from "vitest";
import { changed, links } from "./links";

test("names are escaped and empty values left out", () => {
  expect(links.run("a/b?", "log")).toBe("/runs/a%2Fb%3F?tab=log");
  expect([links.fresh(), links.fresh("wan", "low-vram")]).toEqual(["/new", "/new?model=wan&preset=low-vram"]);
});

test("one part of a query changes and the others stay", () => {
  expect(changed("?a=1&b=2", { b: "3", c: "x y" })).toBe("?a=1&b=3&c=x+y");
  expect(changed("a=1", { a: null })).toBe("");
  expect(changed("a=1&b=2", { a: "" })).toBe("?b=2");
});
