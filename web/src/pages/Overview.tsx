import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { api } from "../api/client";
import { configs, machine, newestConfig, runs } from "../api/queries";
import { Action } from "../components/Action";
import { ErrorNote } from "../components/ErrorNote";
import { Page } from "../components/Page";
import { Prose } from "../components/Prose";
import { next } from "../lib/next";
import { links } from "../lib/links";
import { Active } from "./overview/Active";
import { Activity } from "./overview/Activity";
import { Doctor } from "./overview/Doctor";
import { MachinePanel } from "./overview/MachinePanel";
import { Setup } from "./overview/Setup";
import { useSetup } from "./overview/useSetup";

export function Overview() {
  const about = useQuery(machine);
  const rows = useQuery(runs);
  const setup = useSetup();
  const [, navigate] = useLocation();
  const newest = useQuery(newestConfig(useQuery(configs).data)).data ?? null;
  const it = about.data;
  const todo = it && rows.data && next({ machine: it, runs: rows.data, newest, setupMissing: setup.missing, setupRunning: setup.running !== null });
  const demo = async () => {
    await api.startJob({ kind: "demo" });
    navigate(links.overview);
  };
  return (
    <Page title="Overview" lead={it && <><span className="mono small">{it.workspace}</span> on {it.hostname}</>}>
      <div className="stack">
        {about.error && <ErrorNote error={about.error} retry={() => void about.refetch()} />}
        {todo && (
          <section className="next" aria-label="Next">
            <div className="grow"><h2>{todo.text}</h2><p className="muted"><Prose text={todo.why} /></p></div>
            {"href" in todo.do
              ? <Link className="button primary" href={todo.do.href}>{todo.do.title}</Link>
              : <Action className="primary" act={setup.start}>{todo.do.title}</Action>}
          </section>
        )}
        <Active />
        {it && <MachinePanel machine={it} />}
        <div className="columns">
          <Setup setup={setup} />
          <Doctor />
        </div>
        <Activity />
        {it && rows.data?.length === 0 && (
          <p className="small muted">
            Only looking? <Action className="small" act={demo}>Run the demo</Action> It sets up and trains a small model for real, without a GPU or
            model files.
          </p>
        )}
      </div>
    </Page>
  );
}
