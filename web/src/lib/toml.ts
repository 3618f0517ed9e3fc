// Enough of TOML to colour it, to find a key's line and to tell the two kinds of files apart. The server reads it for real.

export type Token = { kind: "comment" | "table" | "key" | "string" | "value" | "text"; text: string };

/** The pieces of a text, which joined are the text again. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  // The same kinds one after the other are one piece: fewer elements to draw.
  const add = (kind: Token["kind"], piece: string) => {
    const last = found.at(-1);
    if (last?.kind === kind) last.text += piece;
    else if (piece !== "") found.push({ kind, text: piece });
  };
  let open: string | null = null;
  for (const line of text.split(/(?<=\n)/)) {
    let rest = line;
    if (open !== null) {
      const end = rest.indexOf(open);
      if (end === -1) {
        add("string", rest);
        continue;
      }
      add("string", rest.slice(0, end + 3));
      rest = rest.slice(end + 3);
      open = null;
    } else {
      const head = /^(\s*)(\[[^#]*\])/.exec(rest) ?? /^(\s*)((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)(?=\s*=)/.exec(rest);
      if (head) {
        add("text", head[1] ?? "");
        const piece = head[2] ?? "";
        // An array that goes on over lines begins like a table.
        add(piece.startsWith("[") ? (/^\s*,?\s*(#.*)?$/.test(rest.slice(head[0].length)) && /^\[{1,2}[\w\s."'-]+\]{1,2}$/.test(piece) ? "table" : "value") : "key", piece);
        rest = rest.slice(head[0].length);
      }
    }
    while (rest !== "") {
      const it = /^("""|''')|^("(?:\\.|[^"\\\n])*"?|'[^'\n]*'?)|^(#.*)|^([\w+.:-]+)|^([^"'#\w+.:-]+)/.exec(rest);
      if (!it) break;
      const [all, triple, string, comment, value] = it;
      rest = rest.slice(all.length);
      if (triple) {
        const end = rest.indexOf(triple);
        open = end === -1 ? triple : null;
        add("string", all + (end === -1 ? rest : rest.slice(0, end + 3)));
        rest = end === -1 ? "" : rest.slice(end + 3);
      } else {
        add(string ? "string" : comment ? "comment" : value ? "value" : "text", all);
      }
    }
  }
  return found;
}

/** What a file is by the tables in it: a training has a model, a dataset folders. */
export function kindOf(text: string): "training" | "dataset" | null {
  if (/^\s*\[\s*model\s*\]/m.test(text) || /^\s*model\s*(\.|=\s*\{)/m.test(text)) return "training";
  if (/^\s*\[\[\s*directory\s*\]\]/m.test(text) || /^\s*directory\s*=/m.test(text)) return "dataset";
  return null;
}

/** A value as TOML would have it in one line, but texts without their quotes: what a form field shows. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : written(value);
}

/** What somebody typed into a field, as TOML: where only a list may be, its brackets and the quotes in it may be left out. */
export function typed(kind: string, text: string): string {
  const kinds = kind.split("|");
  const of = kinds.map((it) => /^list\[(int|float|path|string)\]$/.exec(it)?.[1]).find((it) => it !== undefined);
  if (of === undefined || !kinds.every((it) => it.startsWith("list[")) || text.trim() === "") return text;
  // `[512, 512], [768, 512]` is a list of lists without its own brackets; `[512, 512]` is one.
  const isInside = /^\s*\[[^[\]]*\]\s*,/.test(text);
  if (isInside || /^[^[]*['"]/.test(text)) return `[${text.trim()}]`;
  if (/^\s*\[/.test(text)) return text;
  const isNumber = of === "int" || of === "float";
  const parts = text.split(",").map((it) => it.trim()).filter((it) => it !== "");
  return `[${parts.map((it) => (!isNumber ? written(it) : Number.isNaN(Number(it)) ? it : String(Number(it)))).join(", ")}]`;
}

function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (typeof value === "string") return value.includes("'") || value.includes("\n") ? JSON.stringify(value) : `'${value}'`;
  if (typeof value === "object" && value !== null) {
    return `{ ${Object.entries(value).map(([key, it]) => `${/^[\w-]+$/.test(key) ? key : JSON.stringify(key)} = ${written(it)}`).join(", ")} }`;
  }
  return String(value);
}
