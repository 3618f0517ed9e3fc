// What differs between two texts, line by line.

export type Line = { kind: "same" | "only-a" | "only-b"; text: string };
/** `skipped`: so many lines that are the same, which nobody needs to read. */
export type Hunk = { kind: "lines"; lines: Line[] } | { kind: "skipped"; count: number };

/** Beyond this many comparisons what is between the common beginning and end counts as changed as a whole. */
const MOST = 4_000_000;

export function difference(a: string, b: string): Line[] {
  const [before, after] = [a.split("\n"), b.split("\n")];
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < before.length - head && tail < after.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const middle = between(before.slice(head, before.length - tail), after.slice(head, after.length - tail));
  const same = (text: string): Line => ({ kind: "same", text });
  return [...before.slice(0, head).map(same), ...middle, ...before.slice(before.length - tail).map(same)];
}

/** By the longest sequence of lines that both have. */
function between(a: string[], b: string[]): Line[] {
  const [gone, come] = [(text: string): Line => ({ kind: "only-a", text }), (text: string): Line => ({ kind: "only-b", text })];
  if (a.length * b.length > MOST) return [...a.map(gone), ...b.map(come)];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && left === right) {
      found.push({ kind: "same", text: left });
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      found.push(gone(left));
      i++;
    } else if (right !== undefined) {
      found.push(come(right));
      j++;
    }
  }
  return found;
}

/** What is worth reading: changed lines, and `around` lines beside them. */
export function hunks(lines: Line[], around = 3): Hunk[] {
  const near = new Array<boolean>(lines.length).fill(false);
  lines.forEach((line, index) => {
    if (line.kind === "same") return;
    near.fill(true, Math.max(0, index - around), index + around + 1);
  });
  const found: Hunk[] = [];
  lines.forEach((line, index) => {
    const last = found.at(-1);
    if (near[index]) {
      if (last?.kind === "lines") last.lines.push(line);
      else found.push({ kind: "lines", lines: [line] });
    } else if (last?.kind === "skipped") last.count++;
    else found.push({ kind: "skipped", count: 1 });
  });
  return found;
}
