import { expect, test } from "vitest";
import { fresh, lines, merged, piece, tail } from "./frames";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (it: Uint8Array) => new TextDecoder().decode(it);

function frame(offset: bigint, body: string): ArrayBuffer {
  const content = bytes(body);
  const buffer = new ArrayBuffer(8 + content.length);
  new DataView(buffer).setBigUint64(0, offset, true);
  new Uint8Array(buffer, 8).set(content);
  return buffer;
}

test("a frame is an offset and bytes", () => {
  const it = piece(frame(5_000_000_000n, "step\n"));
  expect(it?.offset).toBe(5_000_000_000);
  expect(text(it!.bytes)).toBe("step\n");
});

test("what is no frame is none", () => {
  expect(piece(new ArrayBuffer(7))).toBeNull();
  expect(piece(frame(2n ** 60n, ""))).toBeNull();
});

test("a frame of several streams is a place and lines", () => {
  const body = bytes("launcher:0,rank0:7[rank0] a\n");
  const buffer = new ArrayBuffer(4 + body.length);
  new DataView(buffer).setUint32(0, 18, true);
  new Uint8Array(buffer, 4).set(body);
  const it = merged(buffer);
  expect([it?.at, text(it!.bytes)]).toEqual(["launcher:0,rank0:7", "[rank0] a\n"]);
  new DataView(buffer).setUint32(0, 1000, true);
  expect([merged(buffer), merged(new ArrayBuffer(3))]).toEqual([null, null]);
});

test("what came before is not shown twice, and what is missing is counted", () => {
  const check = (offset: number, have: number, shown: string, lost: number) => {
    const it = fresh({ offset, bytes: bytes("abcd") }, have);
    expect([text(it.bytes), it.lost]).toEqual([shown, lost]);
  };
  check(10, 10, "abcd", 0);
  check(8, 10, "cd", 0);
  check(2, 10, "", 0);
  check(12, 10, "abcd", 2);
});

test("lines are counted by their ends", () => {
  expect(lines(bytes("a\nb\nc"))).toBe(2);
  expect(lines(bytes(""))).toBe(0);
});

test("a tail begins with a whole line", () => {
  const check = (most: number, expected: string) => expect(text(tail(bytes("one\ntwo\nthree"), most))).toBe(expected);
  check(100, "one\ntwo\nthree");
  check(9, "two\nthree");
  check(7, "three");
  check(3, "ree");
});
