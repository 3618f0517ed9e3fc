import { useEffect, useState, type KeyboardEvent, type RefObject } from "react";
import type { Terminal } from "@xterm/xterm";
import { Icon } from "../../components/Icon";
import type { Screen } from "../../components/Terminal";
import { plural } from "../../lib/format";

type Props = {
  screen: RefObject<Screen | null>;
  words: string;
  setWords: (words: string) => void;
  /** Nothing of the log is elsewhere. */
  isAll: boolean;
  /** Looks for it in what is elsewhere too; `null` where nobody can. */
  lookInAll: (() => void) | null;
};

/** Looks for a text in the lines that the terminal has. */
export function LogSearch({ screen, words, setWords, isAll, lookInAll }: Props) {
  const [found, setFound] = useState<number | null>(null);
  const look = (forward: boolean, text = words, incremental = false) => {
    const search = screen.current?.search;
    if (!search || text === "") {
      search?.clearDecorations();
      screen.current?.term.clearSelection();
      setFound(null);
      return;
    }
    const isThere = forward ? search.findNext(text, { incremental }) : search.findPrevious(text, { incremental });
    setFound(isThere ? Math.max(1, hits(screen.current?.term, text)) : 0);
  };
  const isElsewhere = found === 0 && !isAll;
  useEffect(() => {
    if (isElsewhere) lookInAll?.();
    // Once for each text that is not here; whoever closes what was found does not want it again.
  }, [isElsewhere, words]);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    look(event.shiftKey);
  };
  return (
    <div className="row log-search" role="search">
      <input className="input" type="search" placeholder="Search these lines" aria-label="Search these lines" value={words} aria-invalid={found === 0}
        onKeyDown={onKey} onChange={(event) => { setWords(event.target.value); look(false, event.target.value, true); }} />
      <button className="button small icon" aria-label="Previous hit" title="Previous (Enter)" onClick={() => look(false)}><Icon name="up" /></button>
      <button className="button small icon" aria-label="Next hit" title="Next (Shift+Enter)" onClick={() => look(true)}><Icon name="down" /></button>
      {words !== "" && !isAll && lookInAll && <button className="button small" onClick={lookInAll}>In all of it</button>}
      <span className="small muted" role="status">{found === null ? "" : found > 0 ? plural(found, "hit") : isAll ? "not found" : "not in the lines shown"}</span>
    </div>
  );
}

/** How often a text is in what the terminal has; a line that is wider than the screen is one line. */
function hits(term: Terminal | undefined, text: string): number {
  const buffer = term?.buffer.active;
  let all = "";
  for (let at = 0; buffer && at < buffer.length; at++) {
    const line = buffer.getLine(at);
    all += (line?.isWrapped ? "" : "\n") + (line?.translateToString(true) ?? "");
  }
  return all.toLowerCase().split(text.toLowerCase()).length - 1;
}
