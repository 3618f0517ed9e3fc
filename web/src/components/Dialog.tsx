import { useEffect, useId, useRef, type ReactNode } from "react";
import { Icon } from "./Icon";
import { Prose } from "./Prose";

type Props = { title: string; close: () => void; footer?: ReactNode; wide?: boolean; children: ReactNode };

/** The browser's own dialog: it holds the focus, Escape closes it, and what is behind it is out of reach. */
export function Dialog({ title, close, footer, wide, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const it = dialog.current;
    it?.showModal();
    // What is to be done, not the cross in the corner.
    it?.querySelector<HTMLElement>(".body input, .body textarea, .body select, .body button, footer .primary, footer .danger")?.focus();
    return () => it?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); close(); }}
      onClick={(event) => event.target === dialog.current && close()} style={wide ? { width: "min(860px, calc(100vw - 24px))" } : undefined}>
      <div className="dialog">
        <header>
          <h2 id={id}><Prose text={title} /></h2>
          <button className="button small icon quiet" aria-label="Close" onClick={close}><Icon name="close" /></button>
        </header>
        <div className="body">{children}</div>
        {footer && <footer>{footer}</footer>}
      </div>
    </dialog>
  );
}
