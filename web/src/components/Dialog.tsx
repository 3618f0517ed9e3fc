import { useId, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { asApiError } from "../api/client";
import { ErrorNote } from "./ErrorNote";
import { Icon } from "./Icon";
import { Prose } from "./Prose";
import { onTop, Telling, useTell, type Tell } from "./Toasts";

type Props = { title: string; close: () => void; footer?: ReactNode; wide?: boolean; children: ReactNode };

/** The browser's own dialog: it holds the focus, Escape closes it, and what is behind it is out of reach. */
export function Dialog({ title, close, footer, wide, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [error, setError] = useState<unknown>(null);
  const outside = useTell();
  // What goes wrong in here is said in here: a toast would be behind it. Once it is closed, there is no other place.
  const inside = useRef<Tell>({
    say: outside.say,
    fail: (failure) => (dialog.current && asApiError(failure).status !== 401 ? setError(failure) : outside.fail(failure)),
    begin: () => setError(null),
  });
  // Before it is taken off the page: then the browser gives the focus back to who opened it.
  useLayoutEffect(() => {
    const it = dialog.current;
    if (!it) return;
    it.showModal();
    const noToasts = onTop(it);
    // What is to be done, not the cross in the corner.
    it.querySelector<HTMLElement>(":is(.body :is(input, textarea, select, button), footer :is(.primary, .danger)):enabled")?.focus();
    return () => {
      noToasts();
      it.close();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); close(); }}
      onClick={(event) => event.target === dialog.current && close()} style={wide ? { width: "min(860px, calc(100vw - 24px))" } : undefined}>
      <div className="dialog">
        <header>
          <h2 id={id}><Prose text={title} /></h2>
          <button className="button small icon quiet" aria-label="Close" onClick={close}><Icon name="close" /></button>
        </header>
        <Telling value={inside.current}>
          <div className="body">{children}</div>
          {error !== null && <div className="problem"><ErrorNote error={error} /></div>}
          {footer && <footer>{footer}</footer>}
        </Telling>
      </div>
    </dialog>
  );
}
