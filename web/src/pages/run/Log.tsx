import { lazy, Suspense, useState } from "react";
import { logFile } from "../../api/client";
import { ALL } from "../../api/log";
import type { RunDetail } from "../../api/types";
import { Action } from "../../components/Action";
import { Icon } from "../../components/Icon";
import { useParam } from "../../components/useParam";
import { LiveLog } from "./LiveLog";
import { BEFORE, LogPiece } from "./LogPiece";
import { WholeLog } from "./WholeLog";

const LossAbove = lazy(async () => ({ default: (await import("./LossAbove")).LossAbove }));

/** What a run printed: live, or an older piece of it. Which one is in the address. */
export function Log({ run }: { run: RunDetail }) {
  const streams = run.streams.length > 0 ? run.streams : ["launcher"];
  const [wanted, setStream] = useParam("stream");
  const [at, setAt] = useParam("at");
  // Where there are several processes, the first one tells how the training goes; the launcher only who was started.
  const usual = streams.find((it) => it === "rank0") ?? streams[0] ?? "launcher";
  const stream = streams.includes(wanted) || (wanted === ALL && streams.length > 1) ? wanted : usual;
  const piece = /^\d+$/.test(at) && stream !== ALL ? Number(at) : null;
  const [loss, setLoss] = useParam("loss");
  const [hit, setHit] = useParam("hit");
  const [words, setWords] = useState("");
  const [inAll, setInAll] = useState(false);

  const go = (offset: number | null, to?: number) => {
    setAt(offset === null ? "" : String(offset));
    setHit(to === undefined ? "" : String(to));
  };
  const jump = (offset: number) => go(Math.max(0, offset - BEFORE), offset);

  if (run.queued) return <p className="empty">It waits for its turn. Its log begins with it.</p>;
  const tools = (
    <>
      {streams.length > 1 && (
        <select className="input" style={{ width: "auto" }} aria-label="Which output" value={stream}
          onChange={(event) => { go(null); setStream(event.target.value); }}>
          <option value={ALL}>all together</option>
          {streams.map((it) => <option key={it}>{it}</option>)}
        </select>
      )}
      <button className="button small" aria-pressed={loss !== ""} onClick={() => setLoss(loss === "" ? "1" : "")}>Loss</button>
      {stream === ALL
        ? <Action act={() => {}} className="small" not="each output is a file of its own: choose one first"><Icon name="download" /> All of it</Action>
        : <a className="button small" href={logFile(run.id, stream)} download={`${run.id}-${stream}.log`}><Icon name="download" /> All of it</a>}
    </>
  );
  const quiet = stream !== "launcher" && stream !== ALL && streams.includes("launcher")
    && <>What starts it prints to <button className="link" onClick={() => setStream("launcher")}>launcher</button>.</>;
  const shared = { run: run.id, stream, words, setWords, lookInAll: stream === ALL ? null : () => setInAll(true), tools };
  const log = piece === null
    ? <LiveLog key={stream} {...shared} quiet={quiet} earlier={go} />
    : <LogPiece key={`${stream} ${piece} ${hit}`} {...shared} from={piece} hit={/^\d+$/.test(hit) ? Number(hit) : null} go={go} />;
  // The log keeps its place whether the chart is there or not: it is not begun anew.
  return (
    <div className="stack">
      {loss !== "" && <Suspense fallback={<p className="empty">Loading…</p>}><LossAbove run={run} /></Suspense>}
      {inAll && words !== "" && stream !== ALL && <WholeLog key={`${run.id} ${stream}`} run={run.id} {...{ stream, words, jump }} close={() => setInAll(false)} />}
      <div key="log">{log}</div>
    </div>
  );
}

export type LogProps = {
  run: string;
  stream: string;
  words: string;
  setWords: (words: string) => void;
  lookInAll: (() => void) | null;
  tools: React.ReactNode;
};
