import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { runs } from "../api/queries";
import { links } from "../lib/links";
import { named } from "../lib/waits";
import { Prose } from "./Prose";

/** What a queued training waits for; runs that are here by their names. */
export function Waits({ text }: { text: string }) {
  const names = new Map(useQuery(runs).data?.map((it) => [it.id, it.name]));
  return <>waits for {named(text, names).map((it, index) => "id" in it ? <Link key={index} href={links.run(it.id)}>{it.name}</Link> : <Prose key={index} text={it.text} />)}</>;
}
