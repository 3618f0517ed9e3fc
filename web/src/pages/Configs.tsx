import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { configs } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { Icon } from "../components/Icon";
import { ImportButton } from "../components/ImportButton";
import { Page } from "../components/Page";
import { moment } from "../lib/format";
import { links } from "../lib/links";

export function Configs() {
  const { data, error, refetch } = useQuery(configs);
  const [, navigate] = useLocation();
  const trainings = data?.filter((it) => it.kind === "training") ?? [];
  const others = data?.filter((it) => it.kind !== "training") ?? [];
  return (
    <Page
      title="Configurations"
      lead={<>The files in <code>configs/</code>: what is trained, with which data, how.</>}
      actions={
        <>
          <ImportButton done={() => navigate(`${links.fresh()}?import=1`)} />
          <Link className="button primary" href={links.fresh()}><Icon name="plus" /> New training</Link>
        </>
      }
    >
      <div className="stack">
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        <div className="panel scroll-x">
          <table className="configs">
            <thead><tr><th>Training</th><th>Model</th><th>Dataset</th><th>Changed</th><th><span className="hidden">Actions</span></th></tr></thead>
            <tbody>
              {trainings.map((it) => (
                <tr key={it.name} className="hover">
                  <td><Link className="plain" href={links.config(it.name)}>{it.name}</Link></td>
                  <td>{it.model ?? "–"}</td>
                  <td className="small mono">{it.dataset ?? "–"}</td>
                  <td className="nowrap">{moment(it.modified)}</td>
                  <td><div className="row" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
                    <Link className="button small" href={links.data(it.name)}>Data</Link>
                    <Link className="button small" href={links.config(it.name)}>Edit and start</Link>
                  </div></td>
                </tr>
              ))}
            </tbody>
          </table>
          {data && trainings.length === 0 && (
            <div className="empty"><p>There is none yet.</p><Link className="button primary" href={links.fresh()}><Icon name="plus" /> New training</Link></div>
          )}
        </div>
        {others.length > 0 && (
          <section className="stack tight" aria-label="Other files">
            <h2>Other files</h2>
            <ul className="panel list">
              {others.map((it) => (
                <li key={it.name} className="row">
                  <span className="mono small grow">{it.name}</span>
                  {it.kind === "broken" ? <span className="badge tone-bad">cannot be read as TOML</span> : <span className="badge plain">dataset</span>}
                  <span className="small muted">{moment(it.modified)}</span>
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </Page>
  );
}
