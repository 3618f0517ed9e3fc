// What came of something that was pressed, for those who do not see it happen.
import { createContext, useCallback, useContext, useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { asApiError } from "../api/client";
import { ErrorNote } from "./ErrorNote";
import { Icon } from "./Icon";
import { Prose } from "./Prose";

type Toast = { id: number; text?: string; error?: unknown };
export type Tell = {
  say: (text: string) => void;
  fail: (error: unknown) => void;
  /** Something is tried again: what went wrong before is of no interest any more. */
  begin: () => void;
};

const Context = createContext<Tell>({ say: () => {}, fail: () => {}, begin: () => {} });
/** Whoever is inside tells another one. */
export const Telling = Context.Provider;
export const useTell = () => useContext(Context);

const READ_MS = 6000;

/** Open dialogs, the last one on top: whatever is outside of that lies under its shade, out of reach. */
let dialogs: HTMLElement[] = [];
const watchers = new Set<() => void>();
const watch = (then: () => void) => {
  watchers.add(then);
  return () => void watchers.delete(then);
};

/** Toasts are shown in this dialog until the returned function is called. */
export function onTop(dialog: HTMLElement): () => void {
  const put = (next: HTMLElement[]) => {
    dialogs = next;
    watchers.forEach((then) => then());
  };
  put([...dialogs, dialog]);
  return () => put(dialogs.filter((it) => it !== dialog));
}

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const top = useSyncExternalStore(watch, () => dialogs.at(-1));
  const last = useRef(0);
  const close = useCallback((id: number) => setToasts((old) => old.filter((it) => it.id !== id)), []);
  const add = useCallback((it: Omit<Toast, "id">) => {
    const id = ++last.current;
    setToasts((old) => [...old.slice(-3), { ...it, id }]);
    // Errors stay until they are closed: they say what to do.
    if (!it.error) setTimeout(() => close(id), READ_MS);
  }, [close]);
  const tell = useRef<Tell>({
    say: (text) => add({ text }),
    // Who is not signed in sees that page instead.
    fail: (error) => asApiError(error).status !== 401 && add({ error }),
    begin: () => {},
  });
  const shown = (
    <div className="toasts" role="status">
      {toasts.map((toast) => (
        <div key={toast.id} className="toast">
          {toast.error ? <ErrorNote error={toast.error} /> : <div className="note tone-ok"><p><Prose text={toast.text ?? ""} /></p></div>}
          <button type="button" className="button small icon quiet" aria-label="Close this message" onClick={() => close(toast.id)}><Icon name="close" /></button>
        </div>
      ))}
    </div>
  );
  return <Context value={tell.current}>{children}{top ? createPortal(shown, top) : shown}</Context>;
}
