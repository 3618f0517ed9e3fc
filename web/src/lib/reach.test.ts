import { expect, test } from "vitest";
import { Reach } from "./reach";

test("what is out of reach is forgotten, piece by piece", () => {
  const reach = new Reach(10);
  expect(reach.first).toBeNull();
  for (const [offset, expected] of [[100, 100], [200, 100], [300, 200], [400, 300]] as const) {
    reach.add(offset, 8);
    expect(reach.first).toBe(expected);
  }
});
