// A WebSocket that is opened again whenever it ends, from where the last one was.
import { delay } from "../lib/backoff";
import { api } from "./client";

export type LinkState = "connecting" | "live" | "waiting" | "ended";

type Uses = {
  /** Asked each time: it says where to go on. */
  path: () => string;
  text: (it: unknown) => void;
  binary: (it: ArrayBuffer) => void;
  state: (it: LinkState) => void;
};

export class Lasting {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private over = false;
  private was = false;

  constructor(private uses: Uses) {
    this.connect();
  }

  /** Whoever made it does not want it any more. */
  close() {
    this.over = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  /** There will be nothing more. */
  end() {
    this.close();
    this.uses.state("ended");
  }

  private connect() {
    this.uses.state(this.was ? "waiting" : "connecting");
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + this.uses.path());
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      if (!this.over) this.uses.state("live");
    };
    socket.onmessage = ({ data }) => {
      if (this.over || socket !== this.socket) return;
      this.tries = 0;
      this.was = true;
      if (typeof data === "string") this.uses.text(JSON.parse(data));
      else this.uses.binary(data as ArrayBuffer);
    };
    socket.onclose = () => {
      if (this.over || socket !== this.socket) return;
      this.uses.state("waiting");
      // A refusal looks like any other failure here; asking says whether the session is over.
      if (!opened) void api.session().catch(() => {});
      this.timer = setTimeout(() => this.connect(), delay(this.tries++));
    };
  }
}
