import type { ReactNode } from "react";

/** Something that may be wider than its place, reachable by keyboard where nothing in it can have the focus. */
export function Scroll({ label, className = "", children }: { label: string; className?: string; children: ReactNode }) {
  return <div className={`scroll-x ${className}`} role="group" aria-label={label} tabIndex={0}>{children}</div>;
}

export function Code({ label, children }: { label: string; children: ReactNode }) {
  return <pre className="code small" aria-label={label} tabIndex={0}>{children}</pre>;
}
