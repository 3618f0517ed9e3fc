import { useState } from "react";
import { Icon } from "./Icon";

/** Puts a text where it can be pasted from, and says that it did. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" className="button small icon quiet" aria-label={done ? "Copied" : label} title={done ? "Copied" : label}
      onClick={() => void copy()}>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}
