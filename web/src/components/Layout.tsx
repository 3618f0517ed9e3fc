import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { api, onWorkspace, workspaceGone } from "../api/client";
import { linkState, onLink } from "../api/events";
import { machine, queue, runs } from "../api/queries";
import { baseName, plural } from "../lib/format";
import { links } from "../lib/links";
import { Icon, Logo, type IconName } from "./Icon";
import { MiniMachine } from "./MiniMachine";
import { Prose } from "./Prose";
import { reveal } from "./reveal";
import { useUnsaved } from "./unsaved";
import { useLeaving } from "./useLeaving";

const NAV: [href: string, name: string, icon: IconName][] = [
  [links.overview, "Overview", "overview"],
  [links.runs, "Runs", "runs"],
  [links.queue, "Queue", "queue"],
  [links.configs, "Configurations", "configs"],
  [links.data(), "Data", "data"],
  [links.settings, "Settings", "settings"],
];

export function Layout({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // A new page is announced from its beginning, as after a full load.
    if (before.current !== path) {
      before.current = path;
      window.scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
  }, [path]);

  useEffect(() => {
    // On a phone the list of pages is wider than the screen, and becomes wider when there is something to count.
    const show = () => reveal(nav.current, nav.current?.querySelector("[aria-current]"), "centre");
    const resized = new ResizeObserver(show);
    nav.current?.querySelectorAll("a").forEach((link) => resized.observe(link));
    return () => resized.disconnect();
  }, [path]);

  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to content</a>
      <aside className="side">
        <Brand />
        <Link className="button primary" href={links.fresh()}><Icon name="plus" /> New training</Link>
        <nav aria-label="Pages" ref={nav}>
          {NAV.map(([href, name, icon]) => {
            const here = href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`);
            return (
              <Link key={href} href={href} aria-current={here ? "page" : undefined}>
                <Icon name={icon} /> {name} <Tally of={href} /><Unsaved of={href} />
              </Link>
            );
          })}
        </nav>
        <div className="side-foot"><MiniMachine /></div>
      </aside>
      <main className="main" id="main" ref={main} tabIndex={-1} style={{ outline: "none" }}>
        <Leaving />
        <Disconnected />
        <Gone />
        {children}
      </main>
    </div>
  );
}

function Brand() {
  const { data } = useQuery(machine);
  return (
    <Link className="brand" href={links.overview} title={data?.workspace}>
      <Logo /> <span className="clip">dpgui {data && <span className="faint small">{baseName(data.workspace)}</span>}</span>
    </Link>
  );
}

function Tally({ of }: { of: string }) {
  const running = useQuery({ ...runs, enabled: of === links.runs });
  const waiting = useQuery({ ...queue, enabled: of === links.queue });
  const count = of === links.runs
    ? running.data?.filter((run) => run.live && !run.queued).length
    : of === links.queue ? waiting.data?.entries.length : 0;
  if (!count) return null;
  const what = of === links.runs ? "running" : "waiting";
  return <span className="tally" title={`${count} ${what}`}>{count}<span className="hidden"> {what}</span></span>;
}

/** What was typed there waits to be saved: whoever has gone to another page may have forgotten it. */
function Unsaved({ of }: { of: string }) {
  const { captions, drafts } = useUnsaved();
  const [names, what] = of === links.configs ? [drafts, "configuration"] : of === links.data() ? [captions.map(baseName), "caption"] : [[], ""];
  if (names.length === 0) return null;
  const text = `${plural(names.length, what)} not saved`;
  return <span className="tally warn" title={`${text}: ${names.join(", ")}`}><span aria-hidden="true">● {names.length}</span><span className="hidden"> {text}</span></span>;
}

/** The browser asks on every page: what is not saved is not only on the one that is shown. */
function Leaving() {
  const { captions, drafts } = useUnsaved();
  useLeaving(captions.length + drafts.length > 0);
  return null;
}

/** All that is shown is from before then, and nothing works. What the streams bring does not tell, so it is asked for. */
function Gone() {
  useQuery({ queryKey: ["workspace"], queryFn: () => api.queue().then(() => true), refetchInterval: 20_000, retry: false });
  const error = useSyncExternalStore(onWorkspace, workspaceGone);
  return <div role="alert">{error && <div className="banner"><span><Prose text={error.message} />{error.hint && <>: <Prose text={error.hint} /></>}</span></div>}</div>;
}

/** Calm: a server that restarts is back before most people have read it. */
function Disconnected() {
  const link = useSyncExternalStore(onLink, linkState);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (link !== "lost") {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), 700);
    return () => clearTimeout(timer);
  }, [link]);
  return (
    <div role="status">
      {shown && (
        <p className="banner">
          <span>No connection to dpgui. What you see is from before; trainings go on regardless. Trying again…</span>
        </p>
      )}
    </div>
  );
}
