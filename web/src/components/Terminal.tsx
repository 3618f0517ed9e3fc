// A terminal that only shows: xterm, fitted to its place, in the page's colours.
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Terminal as Xterm, type ITheme } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useEffect, useRef, type RefObject } from "react";
import { Bars, cut, WRAPS } from "../lib/bars";
import { colour, onTheme } from "../lib/theme";

/** Lines that can be scrolled back to. More costs memory (about 2 KB a line), and what is older can be read in pieces. */
export const SCROLLBACK = 20_000;

/** The least on a desk; wider for bars that are drawn anew. */
const COLUMNS = 96;

/** Narrower is a phone: nobody reads a log sideways there, so its letters are smaller, its lines wrap and its bars are cut. */
const PHONE_PX = 560;

const FONT = { desk: 12.5, phone: 10 };

/** Lower it is of no use, and the page scrolls. */
const LEAST_PX = 300;

export type Screen = {
  term: Xterm;
  search: SearchAddon;
  /** Writes what a log has; bars that are drawn anew stay in one line, however narrow the window is. */
  write: (bytes: Uint8Array, then?: () => void) => void;
};

function palette(): ITheme {
  const light = colour("--bg") === "rgb(245, 246, 247)";
  const shared = { background: colour("--sunken"), foreground: colour("--text"), cursor: "#0000", selectionBackground: light ? "#0b745340" : "#41d6a450" };
  const [red, green, yellow, blue, magenta, cyan] = light
    ? ["#b3261e", "#18713f", "#835400", "#1a5fb4", "#8f3fb5", "#00707c"]
    : ["#ff7b72", "#56d08a", "#e8b44c", "#6cb6ff", "#d48cf2", "#5fd0dd"];
  const plain = { red, green, yellow, blue, magenta, cyan, black: light ? "#161b21" : "#37434f", white: light ? "#505c68" : "#e3e8ed" };
  const bright = Object.fromEntries(
    Object.entries(plain).map(([name, it]) => [`bright${name[0]?.toUpperCase()}${name.slice(1)}`, it]),
  );
  return { ...shared, ...plain, ...bright };
}

/** A log is to be read: what would hide or clear it, or answer to whoever wrote it, is left out. */
function tame({ parser }: Xterm) {
  const ignore = () => true;
  for (const final of ["h", "l"]) parser.registerCsiHandler({ prefix: "?", final }, ([mode]) => mode !== 25 && mode !== 7);
  parser.registerCsiHandler({ final: "J" }, ([what]) => what === 2 || what === 3);
  for (const final of ["n", "c", "t"]) parser.registerCsiHandler({ final }, ignore);
  // Bars go up some lines and back to the left; nobody else goes anywhere, least of all to what was said long before.
  for (const final of ["H", "f", "d", "r", "u"]) parser.registerCsiHandler({ final }, ignore);
  for (const final of ["c", "8"]) parser.registerEscHandler({ final }, ignore);
  // Letters that are drawn as lines from here on.
  for (const intermediates of ["(", ")", "*", "+"]) parser.registerEscHandler({ intermediates, final: "0" }, ignore);
  for (const code of [0, 1, 2, 4, 8, 10, 11, 12, 52]) parser.registerOscHandler(code, ignore);
}

export function Terminal({ screen, ready }: { screen: RefObject<Screen | null>; ready: (it: Screen) => () => void }) {
  const place = useRef<HTMLDivElement>(null);
  // The caller's first answer counts: a terminal is made once.
  const begin = useRef(ready);

  useEffect(() => {
    if (!place.current) return;
    const term = new Xterm({
      // Decorations, which mark a line.
      allowProposedApi: true,
      convertEol: true,
      disableStdin: true,
      scrollback: SCROLLBACK,
      fontSize: FONT.desk,
      lineHeight: 1.25,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      theme: palette(),
      minimumContrastRatio: 4.5,
      // A log may name any address under any text.
      linkHandler: { activate: () => {} },
    });
    tame(term);
    const [fit, search] = [new FitAddon(), new SearchAddon()];
    term.loadAddon(fit);
    term.loadAddon(search);
    term.open(place.current);
    const host = place.current;
    const bars = new Bars();
    let isPhone = false;
    const fill = () => {
      // To the lower edge of the window, whatever stands above it.
      const top = host.getBoundingClientRect().top + window.scrollY;
      host.style.height = `${Math.max(LEAST_PX, window.innerHeight - top - 28)}px`;
      const wasPhone = isPhone;
      isPhone = host.clientWidth < PHONE_PX;
      if (isPhone !== wasPhone) {
        term.options.fontSize = isPhone ? FONT.phone : FONT.desk;
        term.write(WRAPS);
      }
      const size = fit.proposeDimensions();
      // Before the first letter was measured there is no size.
      if (!size || !Number.isFinite(size.cols + size.rows)) return;
      term.resize(isPhone ? size.cols : Math.max(size.cols, COLUMNS, bars.columns), Math.max(size.rows, 5));
    };
    fill();
    term.attachCustomKeyEventHandler((event) => {
      if (event.type === "keydown" && event.key === "End") term.scrollToBottom();
      if (event.type === "keydown" && event.key === "Home") term.scrollToTop();
      // Tab leaves the terminal, as it leaves everything else.
      return !["End", "Home", "Tab"].includes(event.key);
    });
    const resized = new ResizeObserver(fill);
    resized.observe(document.body);
    window.addEventListener("resize", fill);
    const noTheme = onTheme(() => (term.options.theme = palette()));
    const write = (bytes: Uint8Array, then?: () => void) => {
      bars.add(bytes);
      if (!isPhone && bars.columns > term.cols) term.resize(bars.columns, term.rows);
      term.write(isPhone ? cut(bytes) : bytes, then);
    };
    const it = { term, search, write };
    screen.current = it;
    const end = begin.current(it);
    return () => {
      end();
      noTheme();
      resized.disconnect();
      window.removeEventListener("resize", fill);
      screen.current = null;
      term.dispose();
    };
  }, [screen]);

  return <div className="screen" ref={place} />;
}
