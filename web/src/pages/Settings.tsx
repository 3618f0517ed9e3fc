import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { settings } from "../api/queries";
import { Action } from "../components/Action";
import { Advice } from "../components/Advice";
import { Copy } from "../components/Copy";
import { Dialog } from "../components/Dialog";
import { ErrorNote } from "../components/ErrorNote";
import { Page } from "../components/Page";
import { Panel } from "../components/Panel";
import { Prose } from "../components/Prose";
import { Code } from "../components/Scroll";
import { Toml } from "../components/Toml";
import { setTheme, theme, type Theme } from "../lib/theme";

const THEMES: [Theme, string][] = [["system", "As the system"], ["dark", "Dark"], ["light", "Light"]];

export function Settings() {
  const { data, error, refetch } = useQuery(settings);
  return (
    <Page title="Settings" lead={<>What dpgui goes by. It is set in <code>dpgui.toml</code> and in the environment of <code>dpgui ui</code>.</>}>
      <div className="stack">
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        <div className="columns">
          <Appearance />
          <Access />
        </div>
        {data && (
          <>
            <Panel title="Paths">
              <dl className="facts">
                <dt>Workspace</dt><dd><Path text={data.workspace} /></dd>
                <dt>Settings</dt><dd><Path text={data.settings_file} /></dd>
                <dt>Cache</dt><dd><Path text={data.cache_dir} /></dd>
                <dt>Folders you may choose</dt><dd>{data.roots.map((it) => <div key={it}><Path text={it} /></div>)}</dd>
              </dl>
            </Panel>
            <div className="columns">
              <Panel title="Where things come from">
                <dl className="facts">
                  <dt>PyTorch</dt><dd>{data.torch_profile}</dd>
                  {data.mirrors.map((it) => <Fact key={it.name} name={it.name} value={it.value} />)}
                </dl>
              </Panel>
              <Panel title="Secrets">
                {data.secrets.length === 0 ? <p className="muted">None is known.</p> : (
                  <dl className="facts">
                    {data.secrets.map((it) => (
                      <div key={it.name} style={{ display: "contents" }}><dt><code>{it.name}</code></dt><dd>{it.set ? <span className="badge tone-ok">set</span> : <span className="badge tone-idle">not set</span>}</dd></div>
                    ))}
                  </dl>
                )}
                <p className="small muted">Their values never leave the machine, nor get to this page.</p>
              </Panel>
            </div>
            {data.settings_problem && <div className="note tone-bad"><p><Prose text={data.settings_problem} /></p></div>}
            <Panel title="dpgui.toml" actions={data.settings_text !== null && <Copy text={data.settings_text} label="Copy dpgui.toml" />}>
              {data.settings_text === null
                ? <p className="muted">There is none: everything is as usual. Make it at <code>{data.settings_file}</code> to change that.</p>
                : <Code label="dpgui.toml"><Toml text={data.settings_text} /></Code>}
            </Panel>
            <p className="small muted">dpgui {data.version} at {data.host}:{data.port}</p>
          </>
        )}
      </div>
    </Page>
  );
}

const Path = ({ text }: { text: string }) => <span className="row" style={{ gap: 2 }}><code>{text}</code><Copy text={text} label={`Copy ${text}`} /></span>;
const Fact = ({ name, value }: { name: string; value: string }) => <><dt>{name}</dt><dd><code>{value}</code></dd></>;

function Appearance() {
  const [chosen, setChosen] = useState(theme);
  return (
    <Panel title="Appearance">
      <fieldset className="row">
        <legend className="hidden">Colours</legend>
        {THEMES.map(([it, title]) => (
          <label key={it} className="check"><input type="radio" name="theme" checked={chosen === it} onChange={() => { setTheme(it); setChosen(it); }} />{title}</label>
        ))}
      </fieldset>
    </Panel>
  );
}

function Access() {
  const [asking, setAsking] = useState(false);
  const leave = () => location.assign("/");
  const signOut = async () => { await api.signOut(); leave(); };
  const rotate = async () => { await api.rotate(); leave(); };
  return (
    <Panel title="Access">
      <div className="row">
        <Action act={signOut} title="This browser alone">Log out</Action>
        <Action act={() => setAsking(true)} className="danger">New key…</Action>
      </div>
      <p className="small muted"><Advice text="A new key ends every session and makes the old link useless; `dpgui ui --link` prints the new one." /></p>
      {asking && (
        <Dialog title="Make a new key?" close={() => setAsking(false)}
          footer={<><button className="button" onClick={() => setAsking(false)}>Keep the old one</button><Action act={rotate} className="danger">Make a new key</Action></>}>
          <p>Every browser and script is logged out, this one too. <Advice text="You come back with the link that `dpgui ui --link` prints." /></p>
        </Dialog>
      )}
    </Panel>
  );
}
