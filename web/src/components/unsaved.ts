// What waits to be saved on any page, and that the browser asks before it is lost.
import { useSyncExternalStore } from "react";
import type { Digests } from "../api/types";
import { Kept } from "../lib/kept";

/** A caption as it is typed, and the digest of the file that it was typed over: somebody else may change that meanwhile. */
export type Typed = { text: string; over: string | null };

/** A pair of files as it is typed, over what it was loaded from. */
export type Edited = { from: Texts; texts: Texts; digests: Digests };
export type Texts = { training: string; dataset: string | null };

function storage() {
  try {
    return sessionStorage;
  } catch {
    // It is forbidden.
    return null;
  }
}

/** By the path of what they are captions of. */
export const captions = new Kept<Typed>(storage(), "dpgui.captions");
/** By the training file's name. They may be long, and last as long as the page. */
export const drafts = new Kept<Edited>(null, "");

export const useCaptions = () => useSyncExternalStore(captions.subscribe, captions.now);

/** The names of what waits. */
export const useUnsaved = () => ({
  captions: [...useCaptions().keys()],
  drafts: [...useSyncExternalStore(drafts.subscribe, drafts.now).keys()],
});
