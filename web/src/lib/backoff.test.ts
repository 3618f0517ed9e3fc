import { expect, test } from "vitest";
import { delay } from "./backoff";

test("it doubles, is spread, and ends at eight seconds", () => {
  expect([0, 1, 2, 5, 6, 1000].map((tries) => delay(tries, () => 1))).toEqual([250, 500, 1000, 8000, 8000, 8000]);
  expect(delay(1, () => 0)).toBe(250);
});
