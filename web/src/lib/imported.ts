// Files from somebody's own disk, carried from where they were chosen to the page that shows them.
import { kindOf } from "./toml";

export type Imported = { training: string | null; dataset: string | null; name: string };

/** No file of the trainer is nearly that large. */
export const MOST_BYTES = 1024 * 1024;

let waiting: Imported | null = null;
export const leave = (it: Imported) => (waiting = it);
export const taken = () => waiting;
export const forget = () => (waiting = null);

/** One file or a pair of them. The name is the training's, without its ending. */
export function sorted(files: { name: string; text: string }[]): Imported {
  const it: Imported = { training: null, dataset: null, name: "" };
  for (const file of files) {
    const kind = kindOf(file.text) ?? "training";
    if (it[kind] !== null) throw new Error(`\`${file.name}\` is a second ${kind} file; choose one of each`);
    it[kind] = file.text;
    if (kind === "training" || it.name === "") it.name = file.name.replace(/\.toml$/i, "");
  }
  return it;
}
