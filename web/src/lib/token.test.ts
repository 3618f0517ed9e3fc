import { expect, test } from "vitest";
import { tokenIn } from "./token";

test("a link and a key alone give the key", () => {
  expect([" http://127.0.0.1:5173/#t=abc123\n", "abc123", "http://x/#a=1&t=abc123&b=2"].map(tokenIn)).toEqual(
    ["abc123", "abc123", "abc123"],
  );
});
