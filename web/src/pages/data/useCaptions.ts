import { useSyncExternalStore } from "react";
import { Captions } from "../../lib/captions";

function storage() {
  try {
    return sessionStorage;
  } catch {
    // It is forbidden.
    return null;
  }
}

export const captions = new Captions(storage());

/** What was typed and not saved, by the file's path. */
export const useCaptions = () => useSyncExternalStore(captions.subscribe, captions.now);
