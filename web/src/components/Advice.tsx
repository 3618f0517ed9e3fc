import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { Link, useLocation } from "wouter";
import { machine } from "../api/queries";
import { anywhere, here, onPage, type Flags } from "../lib/here";
import { Copy } from "./Copy";

/** The flags that have a control where an advice is shown. */
const Nearby = createContext<Flags>({});
export const Controls = Nearby.Provider;

/** What to do next, as `Prose`; but a command or a flag is what the page has for it, else something to paste into a terminal. */
export function Advice({ text }: { text: string }) {
  const flags = useContext(Nearby);
  const parts = onPage(text).split(/`([^`\n]+)`/);
  return <>{parts.map((part, index) => (index % 2 === 1 ? <Part key={index} text={part} flags={flags} /> : part))}</>;
}

function Part({ text, flags }: { text: string; flags: Flags }) {
  const [path] = useLocation();
  const it = here(text, flags);
  if (it.is === "text") return <code>{text}</code>;
  if (it.is === "command") return <Command text={text} />;
  // A link to where one is leads nowhere.
  return it.href === null || it.href === path ? <strong>{it.name}</strong> : <Link href={it.href}>{it.name}</Link>;
}

function Command({ text }: { text: string }) {
  // As far as it is known: without a session nobody says.
  const { data } = useQuery({ ...machine, enabled: false });
  return <span className="to-paste"><code>{text}</code><Copy text={anywhere(text, data?.workspace)} label="Copy the command" /></span>;
}
