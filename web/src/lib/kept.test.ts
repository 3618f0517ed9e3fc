import { expect, test } from "vitest";
import { Kept } from "./kept";

type Typed = { text: string; over: string | null };

test("what was typed is there again after the page was loaded anew, until it is saved", () => {
  const disk = new Map<string, string>();
  const store = { getItem: (key: string) => disk.get(key) ?? null, setItem: (key: string, text: string) => void disk.set(key, text) };
  const before = new Kept<Typed>(store, "dpgui.captions");
  before.keep("/a.png", { text: "a cat", over: "1" });
  before.keep("/b.png", { text: "a dog", over: null });
  before.keep("/b.png", null);
  expect([...new Kept<Typed>(store, "dpgui.captions").now()]).toEqual([["/a.png", { text: "a cat", over: "1" }]]);
});

test("a store that is full or broken costs nothing that is on the page", () => {
  const full = new Kept<Typed>({ getItem: () => "{", setItem: () => { throw new Error("full"); } }, "dpgui.captions");
  full.keep("/a.png", { text: "a cat", over: null });
  expect(full.now().get("/a.png")?.text).toBe("a cat");
});
