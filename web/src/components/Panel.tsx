import { useId, type ReactNode } from "react";

type Props = { title: ReactNode; actions?: ReactNode; children?: ReactNode; flush?: boolean };

/** A titled part of a page; `flush` content brings its own margins. */
export function Panel({ title, actions, children, flush = false }: Props) {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {actions}
      </header>
      {children && (flush ? children : <div className="body">{children}</div>)}
    </section>
  );
}
