// Between a fast log and a screen: pieces are gathered and handed over once a frame at most, and never more than it can take.
import { lines, tail } from "./frames";

/** Bytes that the terminal is given at once: about 10 ms of its work. */
const BITE = 192 * 1024;
/** Beyond this the oldest waiting bytes are left out: they would scroll out of reach before anybody saw them. */
const MOST_WAITING = 8 * 1024 * 1024;

export type PumpTarget = {
  write(bytes: Uint8Array, then: () => void): void;
  /** So many bytes, ending here, were not shown because they came faster than a screen can draw. */
  skipped(bytes: number): void;
};

export class Pump {
  private waiting: Uint8Array[] = [];
  private size = 0;
  private busy = false;
  private scheduled = false;
  private stopped = false;
  /** Lines that were handed over. */
  lines = 0;

  /** `soon` calls back at the next frame; also when the page is hidden, where there are no frames. */
  constructor(private target: PumpTarget, private soon: (then: () => void) => void) {}

  push(bytes: Uint8Array) {
    this.waiting.push(bytes);
    this.size += bytes.length;
    if (this.size > MOST_WAITING) this.shed();
    this.schedule();
  }

  /** Whatever waits is not shown any more. */
  stop() {
    this.stopped = true;
    this.waiting = [];
  }

  get isIdle() {
    return !this.busy && this.waiting.length === 0;
  }

  private schedule() {
    if (this.scheduled || this.busy || this.stopped) return;
    this.scheduled = true;
    this.soon(() => {
      this.scheduled = false;
      this.bite();
    });
  }

  private bite() {
    if (this.stopped || this.waiting.length === 0) return;
    const parts: Uint8Array[] = [];
    let size = 0;
    while (size < BITE) {
      const part = this.waiting[0];
      if (!part) break;
      const room = BITE - size;
      if (part.length > room) {
        parts.push(part.subarray(0, room));
        this.waiting[0] = part.subarray(room);
        size = BITE;
      } else {
        parts.push(part);
        this.waiting.shift();
        size += part.length;
      }
    }
    this.size -= size;
    const bytes = joined(parts, size);
    this.lines += lines(bytes);
    this.busy = true;
    this.target.write(bytes, () => {
      this.busy = false;
      if (this.waiting.length > 0) this.schedule();
    });
  }

  private shed() {
    const kept = tail(joined(this.waiting, this.size), MOST_WAITING / 2);
    this.target.skipped(this.size - kept.length);
    this.waiting = [kept];
    this.size = kept.length;
  }
}

function joined(parts: Uint8Array[], size: number): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0];
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
