import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { api } from "../../api/client";
import type { FoundInLog } from "../../api/types";
import { ErrorNote } from "../../components/ErrorNote";
import { Icon } from "../../components/Icon";
import { useSettled } from "../../components/useSettled";
import { bytes, count, plural } from "../../lib/format";

/** Since the last key was pressed, before the server looks through a log. */
const PAUSE_MS = 400;

type Place = { from: number; line: number };
type Props = { run: string; stream: string; words: string; jump: (offset: number) => void; close: () => void };

/** The lines with a text in all of a log, found by the server: a page has a part of it. */
export function WholeLog({ run, stream, words, jump, close }: Props) {
  const q = useSettled(words, PAUSE_MS);
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetching } = useInfiniteQuery({
    queryKey: ["log-search", run, stream, q],
    queryFn: ({ pageParam, signal }) => api.searchLog(run, { q, stream, ...pageParam }, signal),
    initialPageParam: { from: 0, line: 0 } as Place,
    getNextPageParam: (last: FoundInLog): Place | undefined => (last.truncated ? { from: last.next, line: last.next_line } : undefined),
    enabled: q !== "",
    gcTime: 60_000,
  });
  const hits = data?.pages.flatMap((it) => it.hits) ?? [];
  const last = data?.pages.at(-1);
  // A log of gigabytes is looked through piece by piece, until there is something to show.
  const goesOn = hits.length === 0 && hasNextPage && !isFetching && !error;
  useEffect(() => {
    if (goesOn) void fetchNextPage();
  }, [goesOn, fetchNextPage]);
  const busy = isFetching || q !== words;
  const far = last && hasNextPage ? `${bytes(last.next)} of ${bytes(last.size)} looked through` : "";
  const found = hits.length === 0 ? (busy || hasNextPage ? "Looking through all of it…" : "Nowhere in this log") : `${plural(hits.length, "line")} of this log${hasNextPage ? " so far" : ""}`;
  return (
    <section className="panel" aria-label="Found in all of the log">
      <header>
        <h2 role="status">{found}</h2>
        {far && <span className="small muted">{far}</span>}
        {hasNextPage && hits.length > 0 && <button className="button small" disabled={isFetching} onClick={() => void fetchNextPage()}>{isFetching ? "Looking…" : "Look on"}</button>}
        <button className="button small icon quiet" aria-label="Close what was found" onClick={close}><Icon name="close" /></button>
      </header>
      {error && <div className="body"><ErrorNote error={error} retry={() => void refetch()} /></div>}
      {hits.length > 0 && (
        <ol className="hits">
          {hits.map((it) => (
            <li key={it.offset}><button onClick={() => jump(it.offset)}><span className="small muted nowrap">line {count(it.line)}</span> <code className="grow clip">{it.text}</code></button></li>
          ))}
        </ol>
      )}
    </section>
  );
}
