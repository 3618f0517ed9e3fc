// Fails when what a first visit loads (the page, its script and style, and what the script imports at once) is too big.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 300;
const dist = new URL("../dist/", import.meta.url);
const size = (path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length;

const html = readFileSync(new URL("index.html", dist), "utf8");
const named = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1]);

// What a script imports statically comes with it; `import()` does not.
const first = new Set();
const visit = (path) => {
  if (first.has(path)) return;
  first.add(path);
  if (!path.endsWith(".js")) return;
  const text = readFileSync(new URL(path, dist), "utf8");
  for (const [, name] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) visit(`assets/${name}`);
};
named.forEach(visit);

const kb = (bytes) => (bytes / 1024).toFixed(1).padStart(7);
let total = gzipSync(html).length;
for (const path of first) total += size(path);
console.log(`first load, gzipped (limit ${LIMIT_KB} KiB):`);
for (const path of first) console.log(`  ${kb(size(path))} KiB  ${path}`);
console.log(`  ${kb(total)} KiB  in all`);

const later = readdirSync(new URL("assets/", dist)).map((name) => `assets/${name}`).filter((path) => !first.has(path));
console.log("later, when asked for:");
for (const path of later) console.log(`  ${kb(size(path))} KiB  ${path}`);
if (total > LIMIT_KB * 1024) {
  console.error("the first load is over its budget");
  process.exit(1);
}
