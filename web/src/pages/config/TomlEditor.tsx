import { useEffect, useId, useMemo, useRef } from "react";
import type { Finding } from "../../api/types";
import { Toml } from "../../components/Toml";
import { byWeight } from "../../lib/form";

const LINE_PX = 19;

type Props = { label: string; text: string; change: (text: string) => void; findings: Finding[]; at: { line: number; nonce: number } | null };

/** A text area over its own coloured text, with numbered lines that show where findings are. */
export function TomlEditor({ label, text, change, findings, at }: Props) {
  const area = useRef<HTMLTextAreaElement>(null);
  const scroll = useRef<HTMLDivElement>(null);
  const id = useId();
  const lines = text.split("\n").length;
  const marks = useMemo(() => {
    const by = new Map<number, Finding[]>();
    // The worst first: that is the mark, and all of them are what it says.
    for (const it of byWeight(findings)) by.set(it.line, [...(by.get(it.line) ?? []), it]);
    return by;
  }, [findings]);

  useEffect(() => {
    const it = area.current;
    if (!at || !it) return;
    const before = it.value.split("\n").slice(0, at.line - 1).join("\n").length + (at.line > 1 ? 1 : 0);
    const end = it.value.indexOf("\n", before);
    it.focus({ preventScroll: true });
    it.setSelectionRange(before, end === -1 ? it.value.length : end);
    scroll.current?.scrollTo({ top: (at.line - 5) * LINE_PX, left: 0 });
    scroll.current?.scrollIntoView({ block: "nearest" });
  }, [at]);

  return (
    <div className="editor" ref={scroll}>
      <ol className="gutter" aria-hidden="true">
        {Array.from({ length: lines }, (_, index) => {
          const here = marks.get(index + 1);
          return <li key={index} className={here?.[0] && `mark-${here[0].severity}`} title={here?.map((it) => it.message).join("\n")}>{index + 1}</li>;
        })}
      </ol>
      <div className="sheet">
        <pre aria-hidden="true"><Toml text={text} />{"\n"}</pre>
        <label className="hidden" htmlFor={id}>{label}</label>
        <textarea id={id} ref={area} value={text} onChange={(event) => change(event.target.value)} spellCheck={false} autoCapitalize="off" autoCorrect="off"
          autoComplete="off" wrap="off" data-gramm="false" />
      </div>
    </div>
  );
}
