import { memo, useMemo } from "react";
import { tokens } from "../lib/toml";

/** TOML in colours. */
export const Toml = memo(function Toml({ text }: { text: string }) {
  const parts = useMemo(() => tokens(text), [text]);
  return <>{parts.map((it, index) => (it.kind === "text" ? it.text : <span key={index} className={`toml-${it.kind}`}>{it.text}</span>))}</>;
});
