import { useState, type KeyboardEvent, type RefObject } from "react";
import { Icon } from "../../components/Icon";
import type { Screen } from "../../components/Terminal";

type Props = { screen: RefObject<Screen | null>; words: string; setWords: (words: string) => void };

/** Looks for a text in the lines that the terminal has. */
export function LogSearch({ screen, words, setWords }: Props) {
  const [missed, setMissed] = useState(false);
  const look = (forward: boolean, text = words, incremental = false) => {
    const search = screen.current?.search;
    if (!search || text === "") {
      search?.clearDecorations();
      screen.current?.term.clearSelection();
      setMissed(false);
      return;
    }
    const found = forward ? search.findNext(text, { incremental }) : search.findPrevious(text, { incremental });
    setMissed(!found);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    look(event.shiftKey);
  };
  return (
    <div className="row log-search" role="search">
      <input className="input" type="search" placeholder="Search these lines" aria-label="Search these lines" value={words} aria-invalid={missed}
        onKeyDown={onKey} onChange={(event) => { setWords(event.target.value); look(false, event.target.value, true); }} />
      <button className="button small icon" aria-label="Previous hit" title="Previous (Enter)" onClick={() => look(false)}><Icon name="up" /></button>
      <button className="button small icon" aria-label="Next hit" title="Next (Shift+Enter)" onClick={() => look(true)}><Icon name="down" /></button>
      <span className="small muted" role="status">{missed ? "not found" : ""}</span>
    </div>
  );
}
