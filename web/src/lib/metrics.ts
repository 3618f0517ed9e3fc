// A run's numbers as the charts want them.
import type { Metrics, Scalar } from "../api/types";

/** What there was, and what is new. A run that went back to an earlier step replaces what came after that. */
export function joined(old: Metrics, more: Metrics): Metrics {
  if (more.next === old.next && more.scalars.length === 0) return old;
  const first = more.step[0];
  const at = first === undefined ? old.step.length : lowerBound(old.step, first);
  const both = <T>(one: T[], other: T[]) => one.slice(0, at).concat(other);
  return {
    next: more.next,
    step: both(old.step, more.step),
    time: both(old.time, more.time),
    loss: both(old.loss, more.loss),
    smoothed: both(old.smoothed, more.smoothed),
    seconds_per_step: both(old.seconds_per_step, more.seconds_per_step),
    lr: both(old.lr, more.lr),
    grad_norm: both(old.grad_norm, more.grad_norm),
    epoch: both(old.epoch, more.epoch),
    scalars: more.scalars.length > 0 ? more.scalars : old.scalars,
  };
}

/** Where `it` stands, or would, among sorted numbers. */
export function lowerBound(sorted: number[], it: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? Infinity) < it) low = middle + 1;
    else high = middle;
  }
  return low;
}

export type Line = { x: number[]; y: (number | null)[] };

/** An axis, then a column for each line. */
export type Table = [number[], ...(number | null | undefined)[][]];

/** Several lines over one axis: the union of their places, `undefined` where a line has no point (it is drawn through). */
export function aligned(lines: Line[]): Table {
  const x = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const place = new Map(x.map((it, index) => [it, index]));
  const columns = lines.map((line) => {
    const column = new Array<number | null | undefined>(x.length).fill(undefined);
    line.x.forEach((it, index) => (column[place.get(it) ?? 0] = line.y[index] ?? null));
    return column;
  });
  return [x, ...columns];
}

/** A logarithm has no place for what is not above zero. */
export function positive([x, ...columns]: Table): Table {
  return [x, ...columns.map((column) => column.map((it) => (typeof it === "number" && it <= 0 ? null : it)))];
}

/** The losses of evaluations, `NAME/loss`; other scalars repeat what there is already or are parts of those. */
export const evaluations = (scalars: Scalar[]) =>
  scalars.filter((it) => it.tag.endsWith("/loss") && !it.tag.startsWith("train/") && it.step.length > 0);

/** How a line is drawn, and its swatch: of lines in one colour each has another. */
export type Style = "solid" | "dashed" | "dotted" | "double";

/** Of the evaluation losses of one run, whose average is solid. */
export const styleOf = (place: number): Style => (["dashed", "dotted", "double"] as const)[place % 3] ?? "dashed";
