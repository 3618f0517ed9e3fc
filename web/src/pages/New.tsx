import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { api } from "../api/client";
import { models } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { ImportButton } from "../components/ImportButton";
import { Page } from "../components/Page";
import { useParam } from "../components/useParam";
import { forget, taken } from "../lib/imported";
import { changed, links } from "../lib/links";
import { Editor } from "./config/Editor";
import { freeName } from "./config/names";
import { ModelDialog } from "./config/ModelDialog";
import { NOTHING, type Origin } from "./config/useDraft";
import { ModelCards } from "./config/ModelCards";

export function New() {
  const [model] = useParam("model");
  const [name] = useParam("name");
  const [imported] = useParam("import");
  if (imported !== "" && taken()) return <Imported />;
  if (model !== "" && name !== "") return <Drafted key={`${model} ${name}`} model={model} name={name} />;
  return <Choose />;
}

function Choose() {
  const list = useQuery(models);
  const [words, setWords] = useParam("q");
  const [model, setModel] = useParam("model");
  const [, navigate] = useLocation();
  // A model that is looked at is a step in the history: the browser's Back leads to all of them again.
  const stepped = useRef(false);
  const choose = (it: string) => {
    stepped.current = true;
    navigate(location.pathname + changed(location.search, { model: it }));
  };
  const close = () => {
    if (!stepped.current) return setModel("");
    stepped.current = false;
    history.back();
  };
  const chosen = list.data?.find((it) => it.name === model);
  return (
    <Page title="New training" lead="What do you want to train? Every setting can be changed later." actions={<ImportButton done={() => navigate(`${links.fresh()}?import=1`)} />}>
      <div className="stack">
        {list.error && <ErrorNote error={list.error} retry={() => void list.refetch()} />}
        <input className="input search" type="search" placeholder="Find a model: wan, flux, video…" aria-label="Find a model" value={words} onChange={(event) => setWords(event.target.value)} />
        <ModelCards models={list.data ?? []} words={words} choose={choose} />
        {chosen && <ModelDialog model={chosen} close={close} />}
      </div>
    </Page>
  );
}

function Drafted({ model, name }: { model: string; name: string }) {
  const [preset] = useParam("preset");
  const [full] = useParam("full");
  const wish = { model, name, ...(preset === "" ? {} : { preset }), ...(full === "" ? {} : { full_finetune: true }) };
  const { data, error, refetch } = useQuery({ queryKey: ["draft", wish], queryFn: () => api.draft(wish), staleTime: Infinity });
  const origin = useMemo((): Origin | null => data ? { name: `${name}.toml`, saved: null, start: data, digests: NOTHING } : null, [data, name]);
  if (origin) return <Editor origin={origin} />;
  return (
    <Page title="New training" up={{ href: links.fresh(), text: "Models" }}>
      {error ? <ErrorNote error={error} retry={() => void refetch()} /> : <p className="empty" role="status">Loading…</p>}
    </Page>
  );
}

function Imported() {
  const [it] = useState(taken);
  const { data: free, error } = useQuery({ ...freeName(it?.name ?? ""), enabled: it !== null });
  useEffect(() => () => void forget(), []);
  const origin = useMemo((): Origin | null => {
    if (!it || free === undefined) return null;
    return { name: `${free}.toml`, saved: null, start: { training: it.training ?? "", dataset: it.dataset }, digests: NOTHING };
  }, [it, free]);
  if (error) return <Page title="New training" up={{ href: links.fresh(), text: "Models" }}><ErrorNote error={error} /></Page>;
  return origin && <Editor origin={origin} />;
}
