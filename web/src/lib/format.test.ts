import { expect, test } from "vitest";
import { baseName, brief, bytes, compact, count, duration, figure, moment, pace, percent, plural, roomTone } from "./format";

test("sizes have three digits and a binary unit", () => {
  const sizes = [0, 1023, 1024, 1536, 20 * 1024 ** 2, 700 * 1024 ** 3, 5000 * 1024 ** 4, null];
  expect(sizes.map(bytes)).toEqual(
    ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "20.0 MiB", "700 GiB", "5000 TiB", "–"],
  );
});

test("durations name their two largest units", () => {
  expect([0, 59.9, 60, 367, 3600, 86399, 93600, null, Infinity].map(duration)).toEqual(
    ["0s", "59s", "1m 00s", "6m 07s", "1h 00m", "23h 59m", "1d 2h", "–", "–"],
  );
});

test("figures keep four digits and show what is not a number", () => {
  expect([0, 0.0421876, 1, 0.5, 12345.6, 0.00002, 1.5e-5, 3e7, NaN, Infinity, null].map(figure)).toEqual(
    ["0", "0.04219", "1", "0.5", "12\u202f346", "2e-5", "1.5e-5", "3e+7", "NaN", "∞", "–"],
  );
});

test("a pace has the terminal's unit, however quick it is", () => {
  expect([2.5, 0.0840123, 0.05049999, 61.26, 0, null].map(pace)).toEqual(["2.5 s/step", "0.084 s/step", "0.0505 s/step", "61.3 s/step", "–", "–"]);
});

test("times leave out what is the same now", () => {
  const now = new Date(2026, 10, 27, 12, 0);
  const at = (...it: [number, number, number, number, number]) => moment(new Date(...it).toISOString(), now);
  expect([at(2026, 10, 27, 9, 5), at(2026, 10, 3, 14, 3), at(2025, 0, 1, 0, 0), moment("nonsense", now)]).toEqual(
    ["09:05", "3 Nov 14:03", "1 Jan 2025 00:00", "–"],
  );
});

test("great numbers are shortened", () => {
  expect([999, 9999, 76_000_000, 14_288_491_584, 12_345, null].map(compact)).toEqual(["999", "9\u202f999", "76.0 M", "14.3 B", "12.3 k", "–"]);
});

test("small things", () => {
  expect(count(1234567)).toBe("1\u202f234\u202f567");
  expect([percent(1, 4), percent(5, 4), percent(1, 0), percent(null, 4)]).toEqual([25, 100, null, null]);
  expect(baseName("/a/b.toml")).toBe("b.toml");
  expect([plural(1, "run"), plural(2, "run")]).toEqual(["1 run", "2 runs"]);
});

test("what took less than a second is told in parts of one", () => {
  expect([0.001, 0.031, 0.5, 4.26, 200].map(brief)).toEqual(["< 0.01s", "0.03s", "0.50s", "4.3s", duration(200)]);
});

test("a disk without room is in the colour of what is wrong", () => {
  const GIB = 1024 ** 3;
  expect([0, GIB - 1, GIB, 10 * GIB - 1, 10 * GIB].map(roomTone)).toEqual(["bad", "bad", "warn", "warn", ""]);
});
