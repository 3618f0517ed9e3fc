// What a queued training waits for, as the server says it, with the runs that this page can lead to.

import { RUN_ID } from "./links";

type Part = { text: string } | { id: string; name: string };

const ID = new RegExp(`(${RUN_ID})`);
/** Of a run that is here nobody needs its process or its workspace. */
const HOLDER = /process \d+ \(training (\S+) of [^()]*\)/g;

/** The sentence in pieces: those runs that are known are links under their names. */
export function named(text: string, names: Map<string, string>): Part[] {
  const short = text.replace(HOLDER, (all, id: string) => (names.has(id) ? id : all));
  return short.split(ID).filter((it) => it !== "").map((it) => {
    const name = names.get(it);
    return name === undefined ? { text: it } : { id: it, name };
  });
}
