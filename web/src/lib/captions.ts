// Captions that were typed and not saved: closing the dialog, going on to another file and loading the page again lose none.

/** What is typed, and the file that it was typed over: somebody else may change that meanwhile. */
export type Typed = { text: string; over: string | null };

type Store = Pick<Storage, "getItem" | "setItem">;
const KEY = "dpgui.captions";

export class Captions {
  private all: ReadonlyMap<string, Typed>;
  private listeners = new Set<() => void>();

  /** Without a store they last as long as the page. */
  constructor(private store: Store | null) {
    this.all = new Map(read(store));
  }

  /** The same object as long as nothing changes. */
  now = () => this.all;

  keep(path: string, typed: Typed | null) {
    const next = new Map(this.all);
    if (typed === null) next.delete(path);
    else next.set(path, typed);
    this.all = next;
    try {
      this.store?.setItem(KEY, JSON.stringify([...next]));
    } catch {
      // It is full: they last as long as the page then.
    }
    this.listeners.forEach((listener) => listener());
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };
}

function read(store: Store | null): [string, Typed][] {
  try {
    return JSON.parse(store?.getItem(KEY) ?? "[]") as [string, Typed][];
  } catch {
    return [];
  }
}
