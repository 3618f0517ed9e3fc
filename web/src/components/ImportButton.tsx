import { useRef, type ChangeEvent } from "react";
import { bytes } from "../lib/format";
import { leave, MOST_BYTES, sorted } from "../lib/imported";
import { useTell } from "./Toasts";

/** Takes a training file, a dataset file or both from the disk of who looks at this page. */
export function ImportButton({ done }: { done: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  const tell = useTell();
  const take = async (event: ChangeEvent<HTMLInputElement>) => {
    const files = [...(event.target.files ?? [])];
    event.target.value = "";
    if (files.length === 0) return;
    try {
      const large = files.find((file) => file.size > MOST_BYTES);
      if (large) throw new Error(`\`${large.name}\` is ${bytes(large.size)}: no configuration is that large`);
      leave(sorted(await Promise.all(files.map(async (file) => ({ name: file.name, text: await file.text() })))));
      done();
    } catch (error) {
      tell.fail(error);
    }
  };
  return (
    <>
      <button className="button" onClick={() => input.current?.click()} title="A training file, its dataset file, or both">Import TOML…</button>
      <input ref={input} type="file" accept=".toml,.txt,application/toml" multiple hidden onChange={(event) => void take(event)} />
    </>
  );
}
