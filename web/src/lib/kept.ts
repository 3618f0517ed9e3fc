// What was typed and not saved, by what it belongs to: going on to another page and coming back loses none.

type Store = Pick<Storage, "getItem" | "setItem">;

export class Kept<T> {
  private all: ReadonlyMap<string, T>;
  private listeners = new Set<() => void>();

  /** In the store under this key; without a store it lasts as long as the page. */
  constructor(private store: Store | null, private key: string) {
    this.all = new Map(read<T>(store, key));
  }

  /** The same object as long as nothing changes. */
  now = () => this.all;

  keep(name: string, typed: T | null) {
    if (typed === null && !this.all.has(name)) return;
    const next = new Map(this.all);
    if (typed === null) next.delete(name);
    else next.set(name, typed);
    this.all = next;
    try {
      this.store?.setItem(this.key, JSON.stringify([...next]));
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

function read<T>(store: Store | null, key: string): [string, T][] {
  try {
    return JSON.parse(store?.getItem(key) ?? "[]") as [string, T][];
  } catch {
    return [];
  }
}
