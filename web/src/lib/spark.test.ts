import { expect, test } from "vitest";
import { sparkline } from "./spark";

test("a line goes from left to right, low is down, too much is cut", () => {
  expect(sparkline([0, 50, 100, 200, null], 100)).toBe("M0,30L25,15.5L50,1L75,1L100,30");
  expect(sparkline([], 100)).toBe("M0,30");
  expect(sparkline([1], 0)).toBe("M0,1");
});
