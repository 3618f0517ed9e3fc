import { useQuery } from "@tanstack/react-query";
import { useCallback, useRef } from "react";
import { api } from "../../api/client";
import { ErrorNote } from "../../components/ErrorNote";
import { Terminal, type Screen } from "../../components/Terminal";
import { bytes } from "../../lib/format";
import type { LogProps } from "./Log";
import { LogSearch } from "./LogSearch";

/** Bytes of one piece: fewer lines than a terminal remembers, for lines of usual length. */
export const PIECE = 1024 * 1024;

/** What is shown of the log before a line that was looked for. */
export const BEFORE = 128 * 1024;

type Props = LogProps & { from: number; hit: number | null; go: (offset: number | null) => void };

/** A part of the log that is out of the live view's reach. */
export function LogPiece({ run, stream, words, setWords, lookInAll, tools, from, hit, go }: Props) {
  const { data: piece, error, refetch } = useQuery({
    queryKey: ["log", run, stream, from],
    queryFn: () => api.logPiece(run, stream, from, from + PIECE),
    staleTime: Infinity,
    gcTime: 60_000,
  });
  return (
    <div className="panel log">
      <header>
        <span className="small grow">From byte {bytes(piece?.start ?? from)} on{piece && `, ${bytes(piece.data.byteLength)}`}</span>
        <ButtonRow from={from} go={go} more={piece ? piece.start + piece.data.byteLength === from + PIECE : false} />
        {tools}
      </header>
      {error && <div style={{ padding: 14 }}><ErrorNote error={error} retry={() => void refetch()} /></div>}
      {piece && <Shown key={from} {...piece} {...{ from, hit, words, setWords, lookInAll }} />}
    </div>
  );
}

function ButtonRow({ from, go, more }: { from: number; go: (offset: number | null) => void; more: boolean }) {
  return (
    <>
      <button className="button small" disabled={from === 0} onClick={() => go(Math.max(0, from - PIECE))}>Earlier</button>
      <button className="button small" disabled={!more} onClick={() => go(from + PIECE)}>Later</button>
      <button className="button small primary" onClick={() => go(null)}>To the live end</button>
    </>
  );
}

type ShownProps = Pick<Props, "from" | "hit" | "words" | "setWords" | "lookInAll"> & { data: ArrayBuffer; start: number };

function Shown({ data, start, from, hit, words, setWords, lookInAll }: ShownProps) {
  const screen = useRef<Screen | null>(null);
  const ready = useCallback(({ term, write }: Screen) => {
    const all = new Uint8Array(data);
    // The piece before has the beginning of the first line, if there is one.
    const begin = from === 0 || start > from ? 0 : all.indexOf(10) + 1;
    if (hit === null || hit < start + begin) {
      write(all.subarray(begin), () => term.scrollToTop());
      return () => {};
    }
    const at = hit - start;
    write(all.subarray(begin, at), () => {
      const mark = term.registerMarker(0);
      write(all.subarray(at), () => {
        term.scrollToLine(Math.max(0, mark.line - 3));
        // No selection: that would be gone as soon as the window has another size.
        term.registerDecoration({ marker: mark, width: term.cols })?.onRender((line) => line.classList.add("hit"));
      });
    });
    return () => {};
  }, [data, start, from, hit]);
  return (
    <>
      <div className="log-tools"><LogSearch {...{ screen, words, setWords, lookInAll }} isAll={false} /></div>
      <Terminal screen={screen} ready={ready} />
    </>
  );
}
