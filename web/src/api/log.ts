// A log, live: a WebSocket that begins where the last one ended, so nothing is missing and nothing comes twice.
import { delay } from "../lib/backoff";
import { fresh, piece } from "../lib/frames";
import { api } from "./client";
import type { LogNotice } from "./types";

/** How much of the past is asked for at first: about what a screenful of scrolling holds, not a gigabyte. */
const TAIL = 2 * 1024 * 1024;

/** Further behind than this, a page is put to the end: more would scroll out of reach unseen. */
const LAG = 16 * 1024 * 1024;

export type LogState = "connecting" | "live" | "waiting" | "ended";

export type Missing =
  | { why: "slow"; from: number; to: number }
  /** They never reached the disk, for want of room there. */
  | { why: "lost" }
  /** They are not kept any more. */
  | { why: "trimmed"; to: number }
  | { why: "failed"; message: string };

export type LogSink = {
  /** Where what will be shown begins; called again after a jump. */
  start(offset: number): void;
  bytes(it: Uint8Array, offset: number): void;
  /** Something of the log is not going to be shown here. */
  missing(what: Missing): void;
  state(it: LogState): void;
};

const place = (run: string, stream: string, where: string) => {
  const origin = location.origin.replace(/^http/, "ws");
  return `${origin}/api/runs/${encodeURIComponent(run)}/log?stream=${encodeURIComponent(stream)}&${where}`;
};

export class LogStream {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private next: number | null = null;
  private done = false;

  constructor(private run: string, private stream: string, private sink: LogSink) {
    this.connect();
  }

  close() {
    this.done = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect() {
    this.sink.state(this.next === null ? "connecting" : "waiting");
    const socket = new WebSocket(place(this.run, this.stream, `${this.next === null ? `tail=${TAIL}` : `from=${this.next}`}&lag=${LAG}`));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      if (!this.done) this.sink.state("live");
    };
    socket.onmessage = ({ data }) => {
      if (this.done || socket !== this.socket) return;
      this.tries = 0;
      if (typeof data === "string") this.notice(JSON.parse(data) as LogNotice);
      else this.take(data as ArrayBuffer);
    };
    socket.onclose = () => {
      if (this.done || socket !== this.socket) return;
      this.sink.state("waiting");
      // A refusal looks like any other failure here; asking says whether the session is over.
      if (!opened) void api.session().catch(() => {});
      this.timer = setTimeout(() => this.connect(), delay(this.tries++));
    };
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
      this.done = true;
      this.sink.missing({ why: "failed", message: it.message });
      this.sink.state("ended");
      this.socket?.close();
    } else if (it.type === "end") {
      this.done = true;
      this.sink.state("ended");
      this.socket?.close();
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
    if (bytes.length > 0) this.sink.bytes(bytes, it.offset + it.bytes.length - bytes.length);
    this.next = Math.max(this.next ?? 0, it.offset + it.bytes.length);
  }
}
