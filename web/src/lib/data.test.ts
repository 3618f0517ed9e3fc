import { expect, test } from "vitest";
import { cropBox, fits, isCaptionless, lastChange, noPicture, report, type Item } from "./data";

const item = (path: string, it: object = {}) => ({
  event: "item", path, width: 1000, height: 500, video: null, flaw: null, frames: 1, captions: 1, dropped: null,
  buckets: [{ ratio: 1, size: [512, 512, 1], crop: [250, 0, 750, 500] }], ...it,
});

test("what the check says is gathered, files without a caption first, then what is dropped", () => {
  const it = report([
    item("/d/a.png"), item("/d/b.mp4", { dropped: "too short" }), item("/d/c.png", { captions: 0, dropped: "no caption" }),
    { event: "bucket", dataset: "d.toml", ratio: 1, width: 512, height: 512, frames: 1, files: 3, samples: 3, batch: 1, trained: 3, lost: 0, cut_pixels_mean: 0.1 },
    { event: "folder", dataset: "d.toml", path: "/d", files: 3, dropped: 2 },
    { event: "finding", severity: "warning", message: "m", consequence: null, fix: "f" },
    { event: "data", dataset: "d.toml", evaluation: false, files: 3, files_trained: 1, samples: 1, samples_trained: 1, steps: 1 },
  ]);
  expect(it.items.map((one) => one.path)).toEqual(["/d/c.png", "/d/b.mp4", "/d/a.png"]);
  expect(it.items.map((one) => one.isVideo)).toEqual([false, true, false]);
  expect([it.buckets.length, it.folders[0]?.dropped, it.findings[0]?.fix, it.totals[0]?.steps]).toEqual([1, 2, "f", 1]);
});

test("a broken file is no file without a caption, whatever else it lacks", () => {
  const it = report([item("/d/a.png"), item("/d/b.png", { captions: 0, dropped: "no caption", flaw: "no image: a web page" }), item("/d/c.png", { captions: 0 })]);
  expect(it.items.map((one) => [one.path, isCaptionless(one)])).toEqual([["/d/c.png", true], ["/d/b.png", false], ["/d/a.png", false]]);
});

test("what has a caption without words is among those that want one, and is told of as what it is", () => {
  const flaw = { caption_flaw: "a caption without words", finding: "captions-empty" };
  const it = report([item("/d/a.png"), item("/d/b.png", { caption_flaw: "a caption that is no UTF-8 text", finding: "captions-readable" }), item("/d/c.png", flaw)]);
  expect(it.items.map((one) => [one.path, one.captionFlaw, fits(one, "no caption", "", "")])).toEqual([
    ["/d/c.png", "a caption without words", true], ["/d/b.png", "a caption that is no UTF-8 text", false], ["/d/a.png", null, false],
  ]);
});

test("a configuration was changed when the newer of its files was", () => {
  const row = (name: string, modified: string | null, dataset: string | null = null) => ({ name, modified, dataset, path: "", model: null, kind: "training" as const });
  const rows = [row("a.toml", "2026-11-28T10:00:00Z", "configs/d.toml"), row("d.toml", "2026-11-28T10:00:00.5Z"), row("b.toml", "2026-11-28T12:00:00Z", "/elsewhere.toml"), row("c.toml", null)];
  expect(["a.toml", "b.toml", "c.toml", "none.toml"].map((it) => lastChange(rows, it))).toEqual(["2026-11-28T10:00:00.5Z", "2026-11-28T12:00:00Z", null, null]);
});

test("filters are by kind, bucket and words", () => {
  const [one] = report([item("/d/Cat.png")]).items as [Item];
  expect([fits(one, "all", "cat", ""), fits(one, "dropped", "", ""), fits(one, "trained", "", "512x512x1"), fits(one, "all", "", "64x64x1")]).toEqual(
    [true, false, true, false],
  );
});

test("what is no picture is not said to want FFmpeg", () => {
  const of = (path: string, more: Record<string, unknown> = {}) => noPicture(report([item(path, more)]).items[0] as Item, "no picture: that takes `ffmpeg`, which is not installed");
  const [wrong, helps] = ["neither image nor video, or damaged", "no picture: that takes `ffmpeg`, which is not installed"];
  expect(["/d/notes.md", "/d/fake.jpg", "/d/none", "/d/a.mp4", "/d/a.AVIF"].map((it) => of(it))).toEqual([wrong, wrong, wrong, helps, helps]);
  expect(of("/d/e.png", { flaw: "empty" })).toBe("empty");
  expect(noPicture(report([item("/d/big.png")]).items[0] as Item, "no picture: more than 64 MiB")).toBe("no picture: more than 64 MiB");
});

test("a crop is a box in percent, none where everything is taken", () => {
  const [one] = report([item("/d/a.png")]).items as [Item];
  const place = one.buckets[0]!;
  expect(cropBox(one, place)).toEqual({ left: 25, top: 0, width: 50, height: 100 });
  expect(cropBox(one, { ...place, crop: [0, 0, 1000, 500] })).toBeNull();
  expect(cropBox({ ...one, width: null }, place)).toBeNull();
});
