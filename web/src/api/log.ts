// A log, live: a WebSocket that begins where the last one ended, so nothing is missing and nothing comes twice.
import { fresh, merged, piece } from "../lib/frames";
import { Lasting, type LinkState } from "./socket";
import type { LogNotice, MergedNotice } from "./types";

/** How much of the past is asked for at first: about what a screenful of scrolling holds, not a gigabyte. */
const TAIL = 2 * 1024 * 1024;
/** The same of each of several streams. */
const LINES = 5000;

/** Further behind than this, a page is put to the end: more would scroll out of reach unseen. */
const LAG = 16 * 1024 * 1024;

/** All outputs of a run as one; no stream is called so. */
export const ALL = "all";

export type LogState = LinkState;

export type Missing =
  | { why: "slow"; from: number; to: number }
  /** They never reached the disk, for want of room there. */
  | { why: "lost"; stream?: string }
  /** They are not kept any more. */
  | { why: "trimmed"; to: number; stream?: string }
  | { why: "failed"; message: string };

export type LogSink = {
  /** Where what will be shown begins; called again after a jump. */
  start(offset: number): void;
  /** `offset` is where the bytes begin, `null` where they are of several streams; `place` is where they end. */
  bytes(it: Uint8Array, offset: number | null, place: string): void;
  /** Something of the log is not going to be shown here. */
  missing(what: Missing): void;
  state(it: LogState): void;
};

const part = encodeURIComponent;
const place = (run: string, rest: string) => `/api/runs/${part(run)}/log${rest}`;

/** One stream, as the bytes that it is. */
export class LogStream {
  private socket: Lasting;
  private next: number | null = null;

  constructor(run: string, stream: string, private sink: LogSink) {
    this.socket = new Lasting({
      path: () => place(run, `?stream=${part(stream)}&${this.next === null ? `tail=${TAIL}` : `from=${this.next}`}&lag=${LAG}`),
      text: (it) => this.notice(it as LogNotice),
      binary: (it) => this.take(it),
      state: (it) => sink.state(it),
    });
  }

  close() {
    this.socket.close();
  }

  private notice(it: LogNotice) {
    if (it.type === "start" && this.next === null) {
      this.next = it.offset;
      this.sink.start(it.offset);
    } else if (it.type === "gap") {
      if (it.lost) this.sink.missing({ why: "lost" });
      else this.skip(it.to);
    } else if (it.type === "trimmed") {
      this.next = Math.max(this.next ?? 0, it.to);
      this.sink.missing({ why: "trimmed", to: it.to });
    } else if (it.type === "failed") {
      this.sink.missing({ why: "failed", message: it.message });
      this.socket.end();
    } else if (it.type === "end") {
      this.socket.end();
    }
  }

  private skip(to: number) {
    const from = this.next ?? 0;
    if (to > from) {
      this.sink.missing({ why: "slow", from, to });
      this.next = to;
    }
  }

  private take(frame: ArrayBuffer) {
    const it = piece(frame);
    if (!it) return;
    const { bytes, lost } = fresh(it, this.next ?? it.offset);
    // The server announces what it leaves out; should it not, people are told all the same.
    if (lost > 0) this.skip(it.offset);
    const end = it.offset + it.bytes.length;
    if (bytes.length > 0) this.sink.bytes(bytes, end - bytes.length, String(end));
    this.next = Math.max(this.next ?? 0, end);
  }
}

/** All streams as one: whole lines, each with the name of who wrote it, in the order in which they came. */
export class MergedLog {
  private socket: Lasting;
  private at: string | null = null;

  constructor(run: string, private sink: LogSink) {
    this.socket = new Lasting({
      path: () => place(run, `/merged?${this.at === null ? `lines=${LINES}` : `from=${part(this.at)}`}`),
      text: (it) => this.notice(it as MergedNotice),
      binary: (it) => this.take(it),
      state: (it) => sink.state(it),
    });
  }

  close() {
    this.socket.close();
  }

  private notice(it: MergedNotice) {
    if ("at" in it) this.at = it.at;
    if (it.type === "lost") this.sink.missing({ why: "lost", stream: it.stream });
    else if (it.type === "trimmed") this.sink.missing({ why: "trimmed", to: it.to, stream: it.stream });
    else if (it.type === "failed") this.sink.missing({ why: "failed", message: it.message });
    if (it.type === "end" || it.type === "failed") this.socket.end();
  }

  private take(frame: ArrayBuffer) {
    const it = merged(frame);
    if (!it) return;
    this.at = it.at;
    this.sink.bytes(it.bytes, null, it.at);
  }
}
