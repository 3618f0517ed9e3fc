/** Remembers where in a log the lines began that a screen with `most` lines of memory still has. */
export class Reach {
  private marks: { offset: number; lines: number }[] = [];
  private total = 0;

  constructor(private most: number) {}

  /** A piece that begins at `offset` and ends so many lines. */
  add(offset: number, lines: number) {
    this.marks.push({ offset, lines: this.total });
    this.total += lines;
    // The newest mark that is out of reach is the last one that is needed.
    while ((this.marks[1]?.lines ?? Infinity) <= this.total - this.most) this.marks.shift();
  }

  /** The first byte that may still be seen. */
  get first(): number | null {
    return this.marks[0]?.offset ?? null;
  }
}
