import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../../api/client";
import { keys } from "../../api/queries";
import type { Checked, Digests } from "../../api/types";
import { drafts, type Texts } from "../../components/unsaved";
import { useLeaving } from "../../components/useLeaving";
import { useSettled } from "../../components/useSettled";
import { datasetFor, valueAt, type File } from "../../lib/form";
import { shown } from "../../lib/toml";

export type { Texts };
export type Origin = { name: string; saved: Texts | null; start: Texts; digests: Digests };

export type OnDisk = { texts: Texts; digests: Digests };

export type Draft = {
  name: string;
  texts: Texts;
  /** As they were checked: a moment behind whoever types. */
  settled: Texts;
  isNew: boolean;
  isChanged: boolean;
  checked: Checked | undefined;
  isChecking: boolean;
  checkError: unknown;
  setText: (file: File, text: string) => void;
  setKey: (file: File, key: string, value: string | null) => Promise<void>;
  /** Fields that show what could not be written into a text, by their places, each with why. */
  refused: ReadonlyMap<string, string>;
  /** That a field is such a one, or, without a reason, no longer. */
  refuse: (place: string, why: string | null) => void;
  /** For all fields but these: they show what is in the texts. */
  refuseOnly: (places: ReadonlySet<string>) => void;
  mend: () => Promise<string[]>;
  /** Of the files that it was loaded from, or saved as. */
  known: () => Digests;
  /** Over files that are as `over` says; without it, as they were when they were loaded. */
  save: (over?: Digests) => Promise<void>;
  /** As a new pair of files; those of the old name stay as they are. */
  saveAs: (name: string) => Promise<void>;
  /** Takes what the disk has. */
  revert: (to: OnDisk) => void;
  /** Keeps nothing of it for whoever comes back. */
  giveUp: () => void;
};

const PAUSE_MS = 300;

/** Of files that are not there. */
export const NOTHING: Digests = { training: null, dataset: null };

function keptOf({ name, saved, start }: Origin) {
  const it = drafts.now().get(name);
  // Another draft of the same name, from another model or preset, is another thing.
  return it && (saved !== null || it.from.training === start.training) ? it : undefined;
}

export function useDraft(origin: Origin, gpus: number | undefined): Draft {
  const client = useQueryClient();
  const [kept] = useState(() => keptOf(origin));
  const [texts, setTexts] = useState(kept?.texts ?? origin.start);
  const [saved, setSaved] = useState(origin.saved);
  const digests = useRef(kept?.digests ?? origin.digests);
  const now = useRef(texts);
  const edits = useRef(Promise.resolve());

  const put = useCallback((next: Texts) => {
    now.current = next;
    setTexts(next);
  }, []);
  const isChanged = saved === null || texts.training !== saved.training || texts.dataset !== saved.dataset;
  // A draft that nobody has touched is made again at once.
  const isUnsaved = isChanged && texts !== origin.start;
  useEffect(() => {
    drafts.keep(origin.name, isUnsaved ? { from: origin.start, texts, digests: digests.current } : null);
  }, [isUnsaved, texts, origin]);
  const [refused, setRefused] = useState<ReadonlyMap<string, string>>(new Map());
  useLeaving(refused.size > 0);

  const settled = useSettled(texts, PAUSE_MS);
  const check = useQuery({
    queryKey: ["check", origin.name, settled.training, settled.dataset, gpus],
    queryFn: ({ signal }) => api.check({ name: origin.name, ...settled, ...(gpus === undefined ? {} : { gpus }) }, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    gcTime: 30_000,
  });

  const setKey = useCallback((file: File, key: string, value: string | null) => {
    const edit = async () => {
      for (;;) {
        const before = now.current[file] ?? "";
        const { text } = await api.set(origin.name, file, before, key, value);
        // Somebody may have typed in the text meanwhile: then the change is made in what there is now.
        if ((now.current[file] ?? "") === before) return put({ ...now.current, [file]: text });
      }
    };
    // One after the other: each builds on the text that the one before has made.
    const done = edits.current.then(edit);
    edits.current = done.catch(() => {});
    return done;
  }, [put, origin.name]);

  const refuse = useCallback((place: string, why: string | null) => setRefused((all) => {
    if (all.get(place) === (why ?? undefined)) return all;
    const others = [...all].filter(([it]) => it !== place);
    return new Map(why === null ? others : [...others, [place, why]]);
  }), []);
  const refuseOnly = useCallback((places: ReadonlySet<string>) => setRefused((all) => {
    const kept = [...all].filter(([it]) => places.has(it));
    return kept.length === all.size ? all : new Map(kept);
  }), []);

  const mend = async () => {
    const { training, dataset, changes } = await api.mend({ name: origin.name, ...now.current });
    put({ training, dataset });
    return changes;
  };
  const look = () => {
    void client.invalidateQueries({ queryKey: keys.configs });
    void client.invalidateQueries({ queryKey: keys.machine });
  };
  const save = async (over: Digests = digests.current) => {
    await edits.current;
    const these = now.current;
    digests.current = await api.saveConfig(origin.name, { ...these, digests: over });
    // Now, and not when it is drawn: whoever leaves at once would come back to what was, with its digests.
    drafts.keep(origin.name, null);
    setSaved(these);
    look();
  };
  const saveAs = async (name: string) => {
    await edits.current;
    const { training, dataset } = now.current;
    const named = datasetFor(name, shown(valueAt(check.data?.values, "dataset")));
    const text = dataset === null ? training : (await api.set(name, "training", training, "dataset", named)).text;
    await api.saveConfig(name, { training: text, dataset, digests: NOTHING });
    drafts.keep(origin.name, null);
    look();
  };
  const revert = (to: OnDisk) => {
    digests.current = to.digests;
    drafts.keep(origin.name, null);
    setSaved(to.texts);
    put(to.texts);
  };
  return {
    name: origin.name, texts, settled, isNew: saved === null, isChanged, checked: check.data, isChecking: check.isFetching || settled !== texts, checkError: check.error,
    setText: (file, text) => put({ ...now.current, [file]: text }), setKey, refused, refuse, refuseOnly, mend, known: () => digests.current, save, saveAs, revert, giveUp: () => drafts.keep(origin.name, null),
  };
}
