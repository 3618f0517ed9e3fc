// What came of something that was pressed, for those who do not see it happen.
import { createContext, useCallback, useContext, useRef, useState, type ReactNode } from "react";
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

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
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
  return (
    <Context value={tell.current}>
      {children}
      <div className="toasts" role="status">
        {toasts.map((toast) => (
          <div key={toast.id} className="toast">
            {toast.error ? <ErrorNote error={toast.error} /> : <div className="note tone-ok"><p><Prose text={toast.text ?? ""} /></p></div>}
            <button className="button small icon quiet" aria-label="Close" onClick={() => close(toast.id)}><Icon name="close" /></button>
          </div>
        ))}
      </div>
    </Context>
  );
}
