import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useParams } from "wouter";
import { api } from "../api/client";
import { ErrorNote } from "../components/ErrorNote";
import { Page } from "../components/Page";
import { links } from "../lib/links";
import { Editor } from "./config/Editor";
import type { Origin, Texts } from "./config/useDraft";

export function Config() {
  const { name = "" } = useParams<{ name: string }>();
  // Asked for anew at each visit; while the editor is open its text is what counts.
  const { data, error, refetch } = useQuery({ queryKey: ["config", name], queryFn: () => api.config(name), staleTime: Infinity, gcTime: 0 });
  const origin = useMemo((): Origin | null => {
    if (!data) return null;
    const saved: Texts = { training: data.training.text, dataset: data.dataset?.text ?? null };
    return { name, saved, start: saved, digests: { training: data.training.digest, dataset: data.dataset?.digest ?? null } };
  }, [data, name]);
  if (origin) return <Editor key={name} origin={origin} />;
  return (
    <Page title={name} up={{ href: links.configs, text: "Configurations" }}>
      {error ? <ErrorNote error={error} retry={() => void refetch()} /> : <p className="empty" role="status">Loading…</p>}
    </Page>
  );
}
