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

type Props = LogProps & { from: number; go: (offset: number | null) => void };

/** A part of the log that is out of the live view's reach. */
export function LogPiece({ run, stream, words, setWords, tools, from, go }: Props) {
  const { data, error, refetch } = useQuery({
    queryKey: ["log", run, stream, from],
    queryFn: () => api.logPiece(run, stream, from, from + PIECE),
    staleTime: Infinity,
    gcTime: 60_000,
  });
  return (
    <div className="panel log">
      <header>
        <span className="small grow">From byte {bytes(from)} on{data && `, ${bytes(data.byteLength)}`}</span>
        <ButtonRow from={from} go={go} more={data ? data.byteLength === PIECE : false} />
        {tools}
      </header>
      {error && <div style={{ padding: 14 }}><ErrorNote error={error} retry={() => void refetch()} /></div>}
      {data && <Shown key={from} {...{ data, from, words, setWords }} />}
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

type ShownProps = { data: ArrayBuffer; from: number; words: string; setWords: (words: string) => void };

function Shown({ data, from, words, setWords }: ShownProps) {
  const screen = useRef<Screen | null>(null);
  const ready = useCallback(({ term, write }: Screen) => {
    const all = new Uint8Array(data);
    // The piece before has the beginning of the first line.
    const begin = from === 0 ? 0 : all.indexOf(10) + 1;
    write(all.subarray(begin), () => term.scrollToTop());
    return () => {};
  }, [data, from]);
  return (
    <>
      <div className="log-tools"><LogSearch {...{ screen, words, setWords }} isAll={false} /></div>
      <Terminal screen={screen} ready={ready} />
    </>
  );
}
