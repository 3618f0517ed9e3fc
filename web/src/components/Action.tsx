import { useId, useState, type ReactNode } from "react";
import { useTell } from "./Toasts";

type Props = {
  children: ReactNode;
  act: () => unknown;
  /** Why it may not be done now. */
  not?: string | null;
  title?: string;
  className?: string;
};

/** A button for something that takes its time. What may not be done is not hidden: it says why. */
export function Action({ children, act, not, title, className = "" }: Props) {
  const [busy, setBusy] = useState(false);
  const tell = useTell();
  const id = useId();
  const press = async () => {
    if (not || busy) return;
    setBusy(true);
    tell.begin();
    try {
      await act();
    } catch (error) {
      tell.fail(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" className={`button ${className}`} aria-disabled={Boolean(not) || busy} aria-describedby={not ? id : undefined}
        title={not ?? title} onClick={() => void press()}>
        {children}
      </button>
      {not && <span id={id} className="hidden">{not}</span>}
    </>
  );
}
