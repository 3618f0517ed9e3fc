import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { settings } from "../api/queries";
import type { Settings as Shown } from "../api/types";
import { Copy } from "../components/Copy";
import { ErrorNote } from "../components/ErrorNote";
import { Page } from "../components/Page";
import { Panel } from "../components/Panel";
import { Prose } from "../components/Prose";
import { Code } from "../components/Scroll";
import { Toml } from "../components/Toml";
import { onTheme, setTheme, theme, type Theme } from "../lib/theme";
import { Access } from "./settings/Access";
import { SettingsForm } from "./settings/Form";

const THEMES: [Theme, string][] = [["system", "As the system"], ["dark", "Dark"], ["light", "Light"]];

export function Settings() {
  const { data, error, refetch } = useQuery(settings);
  return (
    <Page title="Settings" lead={<>What dpgui goes by: <code>dpgui.toml</code>, and the environment of <code>dpgui ui</code>.</>}>
      <div className="stack">
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        <div className="columns">
          <Appearance />
          <Access />
        </div>
        {data && (
          <>
            {data.settings_problem && <div className="note tone-bad"><p><Prose text={data.settings_problem} /></p></div>}
            <SettingsForm shown={data} />
            <ByHand shown={data} />
            <div className="columns">
              <Paths shown={data} />
              <Environment shown={data} />
            </div>
            <Panel title="dpgui.toml" actions={data.settings_text !== null && <Copy text={data.settings_text} label="Copy dpgui.toml" />}>
              {data.settings_text === null
                ? <p className="muted">There is none: everything is as usual.</p>
                : <Code label="dpgui.toml"><Toml text={data.settings_text} /></Code>}
            </Panel>
            <p className="small muted">dpgui {data.version} at {data.host}:{data.port}</p>
          </>
        )}
      </div>
    </Page>
  );
}

/** What would let the page reach or run more is not for the page. */
function ByHand({ shown }: { shown: Shown }) {
  return (
    <Panel title="In the terminal alone">
      <p className="small muted">What decides what runs here, who may come in and what this page may see is not set from the page: write it in <code>{shown.settings_file}</code>, or use the command.</p>
      <dl className="by-hand">
        {shown.by_hand.map((it) => (
          <div key={it.key}><dt>{it.about}</dt><dd className="small"><Prose text={it.how} /></dd></div>
        ))}
      </dl>
    </Panel>
  );
}

function Paths({ shown }: { shown: Shown }) {
  return (
    <Panel title="Paths">
      <dl className="facts">
        <dt>Workspace</dt><dd><Path text={shown.workspace} /></dd>
        <dt>Settings</dt><dd><Path text={shown.settings_file} /></dd>
        <dt>Cache</dt><dd><Path text={shown.cache_dir} /></dd>
        <dt>Folders you may choose</dt><dd>{shown.roots.map((it) => <div key={it}><Path text={it} /></div>)}</dd>
      </dl>
    </Panel>
  );
}

function Environment({ shown }: { shown: Shown }) {
  return (
    <Panel title="Environment">
      <dl className="facts">
        {shown.mirrors.map((it) => <Fact key={`${it.name} ${it.value}`} name={it.name}><code>{it.value}</code></Fact>)}
        {shown.secrets.map((it) => (
          <Fact key={it.name} name={<code>{it.name}</code>}>{it.set ? <span className="badge tone-ok">set</span> : <span className="badge tone-idle">not set</span>}</Fact>
        ))}
      </dl>
      <p className="small muted">Variables of <code>dpgui ui</code> and where things come from by them. What a secret is never gets to this page.</p>
    </Panel>
  );
}

const Path = ({ text }: { text: string }) => <span className="row" style={{ gap: 2 }}><code>{text}</code><Copy text={text} label={`Copy ${text}`} /></span>;
const Fact = ({ name, children }: { name: React.ReactNode; children: React.ReactNode }) => <><dt>{name}</dt><dd>{children}</dd></>;

function Appearance() {
  const [chosen, setChosen] = useState(theme);
  useEffect(() => onTheme(() => setChosen(theme())), []);
  return (
    <Panel title="Appearance">
      <fieldset className="row choices">
        <legend className="hidden">Colours</legend>
        {THEMES.map(([it, title]) => (
          <label key={it} className="check"><input type="radio" name="theme" checked={chosen === it} onChange={() => setTheme(it)} />{title}</label>
        ))}
      </fieldset>
    </Panel>
  );
}
