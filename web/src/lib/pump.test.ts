import { expect, test } from "vitest";
import { Pump } from "./pump";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A screen whose frames come when they are told to. */
function screen() {
  const [frames, acks, written, skipped]: [(() => void)[], (() => void)[], Uint8Array[], number[]] = [[], [], [], []];
  const target = {
    write: (it: Uint8Array, then: () => void) => (written.push(it), acks.push(then)),
    skipped: (it: number) => skipped.push(it),
  };
  const pump = new Pump(target, (then) => frames.push(then));
  const run = (list: (() => void)[]) => list.splice(0).forEach((it) => it());
  return { pump, written, skipped, frame: () => run(frames), ack: () => run(acks) };
}

test("what comes between two frames is written at once", () => {
  const { pump, written, frame } = screen();
  for (const it of ["a\n", "b\n", "c"]) pump.push(bytes(it));
  expect(written).toEqual([]);
  frame();
  expect(written.map((it) => new TextDecoder().decode(it))).toEqual(["a\nb\nc"]);
  expect(pump.lines).toBe(2);
});

test("nothing is written while the screen is busy, and all of it in order afterwards", () => {
  const { pump, written, frame, ack } = screen();
  pump.push(bytes("a"));
  frame();
  pump.push(bytes("b"));
  frame();
  expect(written.length).toBe(1);
  ack();
  frame();
  expect(written.map((it) => new TextDecoder().decode(it))).toEqual(["a", "b"]);
});

test("a large piece is written in bites without losing a byte", () => {
  const { pump, written, skipped, frame, ack } = screen();
  const all = new Uint8Array(1_000_000).map((_, index) => index % 251);
  pump.push(all);
  for (let rounds = 0; !pump.isIdle && rounds < 100; rounds++) {
    frame();
    ack();
  }
  expect(written.length).toBeGreaterThan(1);
  expect(Buffer.concat(written).equals(Buffer.from(all))).toBe(true);
  expect(skipped).toEqual([]);
});

test("a flood leaves out its oldest bytes, and says how many", () => {
  const { pump, written, skipped, frame, ack } = screen();
  const line = bytes(`${"x".repeat(1023)}\n`);
  const block = new Uint8Array(1024 * 1024);
  for (let at = 0; at < block.length; at += line.length) block.set(line, at);
  for (let it = 0; it < 9; it++) pump.push(block);
  for (let rounds = 0; !pump.isIdle && rounds < 100; rounds++) {
    frame();
    ack();
  }
  const shown = written.reduce((sum, it) => sum + it.length, 0);
  expect(skipped.reduce((a, b) => a + b, 0) + shown).toBe(9 * block.length);
  expect(shown).toBe(4 * 1024 * 1024);
  expect(written[0]?.[0]).toBe("x".charCodeAt(0));
});
