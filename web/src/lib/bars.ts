// How wide a terminal must be for the progress bars that a log draws anew: one that wraps is drawn below itself each time.

/** Beyond this it is no bar that anybody reads. */
export const WIDEST = 400;

const [ESC, LF, CR, BRACKET] = [0x1b, 0x0a, 0x0d, 0x5b];

const [DRAWN_ANEW, WRITTEN_ONCE] = ["\x1b[?7l", "\x1b[?7h"].map((it) => new TextEncoder().encode(it)) as [Uint8Array, Uint8Array];

/** What a terminal is told so that it wraps again. */
export const WRAPS = WRITTEN_ONCE;

/** The same for a terminal too narrow for bars: what is drawn anew ends at its edge, and all other lines wrap. */
export function cut(bytes: Uint8Array): Uint8Array {
  const ends = bytes.reduce((count, it) => count + (it === CR || it === LF ? 1 : 0), 0);
  const all = new Uint8Array(bytes.length + ends * DRAWN_ANEW.length);
  let at = 0;
  const put = (it: Uint8Array) => {
    all.set(it, at);
    at += it.length;
  };
  for (const byte of bytes) {
    if (byte === LF) put(WRITTEN_ONCE);
    all[at++] = byte;
    if (byte === CR) put(DRAWN_ANEW);
  }
  return all;
}

/** Told all bytes of a log in their order, it knows the columns of the widest line that was drawn over or will be. */
export class Bars {
  /** Columns that are needed; lines that are written once may wrap, and count for nothing. */
  columns = 0;
  private length = 0;
  /** This line begins where another one was. */
  private isAnew = false;
  /** After a carriage return nobody knows yet whether the line ends or is drawn anew. */
  private returned = false;
  /** In an escape sequence, which takes no place: after `ESC`, or after `ESC [`. */
  private escape: "no" | "begun" | "open" = "no";

  add(bytes: Uint8Array) {
    for (const byte of bytes) this.one(byte);
    if (this.isAnew) this.note();
  }

  private one(byte: number) {
    if (this.escape === "begun") {
      this.escape = byte === BRACKET ? "open" : "no";
    } else if (this.escape === "open") {
      if (byte >= 0x40 && byte <= 0x7e) this.escape = "no";
    } else if (byte === CR) {
      this.returned = true;
    } else if (byte === LF) {
      if (this.isAnew) this.note();
      this.length = 0;
      this.isAnew = this.returned = false;
    } else {
      if (this.returned) {
        this.note();
        this.length = 0;
        this.isAnew = true;
        this.returned = false;
      }
      if (byte === ESC) this.escape = "begun";
      // A letter of several bytes takes one place; the first of them is no continuation.
      else if (byte >= 0x20 && (byte & 0xc0) !== 0x80) this.length += 1;
    }
  }

  private note() {
    this.columns = Math.min(WIDEST, Math.max(this.columns, this.length));
  }
}
