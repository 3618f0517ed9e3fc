import { useCallback, useRef, useState, type ReactNode } from "react";
import { ALL, LogStream, MergedLog, type LogSink, type LogState, type Missing } from "../../api/log";
import { Icon } from "../../components/Icon";
import { SCROLLBACK, Terminal, type Screen } from "../../components/Terminal";
import { bytes, plural } from "../../lib/format";
import { lines } from "../../lib/frames";
import { Pump } from "../../lib/pump";
import { Reach } from "../../lib/reach";
import type { LogProps } from "./Log";
import { LogSearch } from "./LogSearch";
import { PIECE } from "./LogPiece";

const WORDS: Record<LogState, string> = {
  connecting: "connecting…",
  live: "live",
  waiting: "reconnecting…",
  ended: "the run is over",
};

/** A line of ours between those of the run; the screen shows it turned around. */
const marker = (text: string) => new TextEncoder().encode(`\r\n\x1b[0;7m ${text} \x1b[0m\r\n`);

const of = (it: { stream?: string }) => (it.stream === undefined ? "" : ` of ${it.stream}`);

function said(it: Missing): string {
  switch (it.why) {
    case "slow":
      return `${bytes(it.to - it.from)} came faster than a page can show; the download has them`;
    case "lost":
      return `here something${of(it)} is missing: there was no room on the disk for it`;
    case "trimmed":
      return `the first ${bytes(it.to)}${of(it)} are not kept any more`;
    case "failed":
      return `the log cannot be read on: ${it.message}`;
  }
}

/** The next frame; a page that nobody sees has none. */
const soon = (then: () => void) =>
  document.visibilityState === "visible" ? void requestAnimationFrame(then) : void setTimeout(then, 100);

export function LiveLog({ run, stream, words, setWords, lookInAll, tools, quiet, earlier }: LogProps & { quiet: ReactNode; earlier: (offset: number) => void }) {
  const screen = useRef<Screen | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const reach = useRef(new Reach(SCROLLBACK));
  const [state, setState] = useState<LogState>("connecting");
  const [following, setFollowing] = useState(true);
  const [shown, setShown] = useState({ lines: 0, first: 0, isEmpty: false });

  const ready = useCallback(({ term, write }: Screen) => {
    reach.current = new Reach(SCROLLBACK);
    const pump = new Pump(
      {
        write,
        skipped: (it) => pump.push(marker(`${bytes(it)} came faster than a page can show; the download has them`)),
      },
      soon,
    );
    let any = false;
    const sink: LogSink = {
      start: (offset) => reach.current.add(offset, 0),
      bytes: (it, offset, place) => {
        if (offset !== null) reach.current.add(offset, lines(it));
        pump.push(it);
        any = true;
        if (frame.current) frame.current.dataset.offset = place;
      },
      missing: (what) => pump.push(marker(said(what))),
      state: setState,
    };
    const log = stream === ALL ? new MergedLog(run, sink) : new LogStream(run, stream, sink);
    // Twice a second is as often as anybody reads a count; where the view stands is seen at once.
    const look = () => setFollowing(term.buffer.active.viewportY >= term.buffer.active.baseY);
    const tick = setInterval(() => {
      look();
      setShown({ lines: pump.lines, first: reach.current.first ?? 0, isEmpty: !any });
    }, 500);
    const scrolled = term.onScroll(look);
    const wheel = () => requestAnimationFrame(look);
    const element = term.element;
    element?.addEventListener("wheel", wheel, { passive: true });
    element?.addEventListener("keyup", wheel);
    return () => {
      element?.removeEventListener("wheel", wheel);
      element?.removeEventListener("keyup", wheel);
      scrolled.dispose();
      clearInterval(tick);
      log.close();
      pump.stop();
    };
  }, [run, stream]);

  const toEnd = () => {
    screen.current?.term.scrollToBottom();
    setFollowing(true);
  };
  return (
    <div className="panel log" ref={frame}>
      <header>
        <span className={`badge ${state === "live" ? "tone-live live" : state === "waiting" ? "tone-warn" : "tone-idle"}`} role="status">
          {WORDS[state]}
        </span>
        <span className="small muted grow">{plural(Math.min(shown.lines, SCROLLBACK), "line")} shown{shown.first > 0 && `, after ${bytes(shown.first)} of earlier output`}</span>
        <LogSearch {...{ screen, words, setWords, lookInAll }} isAll={shown.first === 0 && shown.lines <= SCROLLBACK} />
        {shown.first > 0 && (
          <button className="button small" onClick={() => earlier(Math.max(0, shown.first - PIECE))}>Earlier output</button>
        )}
        {tools}
      </header>
      {shown.isEmpty && <p className="small muted quiet">{state === "ended" ? "It has printed nothing." : "It has printed nothing yet."} {quiet}</p>}
      <Terminal screen={screen} ready={ready} />
      {!following && (
        <button className="button primary small to-end" title="Follow what is printed; the key End does it in the log" onClick={toEnd}><Icon name="down" /> Jump to the end</button>
      )}
    </div>
  );
}
