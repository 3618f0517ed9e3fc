import { Link } from "wouter";
import type { RunDetail } from "../../api/types";
import { Copy } from "../../components/Copy";
import { Panel } from "../../components/Panel";
import { Code } from "../../components/Scroll";
import { Toml } from "../../components/Toml";
import { baseName } from "../../lib/format";
import { links } from "../../lib/links";

export function Files({ run }: { run: RunDetail }) {
  return (
    <div className="stack">
      <Panel title="Where it is" actions={<Link className="button small" href={links.config(baseName(run.source))}>Open {baseName(run.source)}</Link>}>
        <dl className="facts">
          <dt>Folder</dt><dd><code>{run.folder}</code></dd>
          <dt>Made from</dt><dd><code>{run.source}</code></dd>
          <dt>Output</dt><dd><code>{run.output_dir}</code></dd>
          <dt>Launcher</dt><dd><code>{run.launcher}</code></dd>
          {run.args.length > 0 && <><dt>Arguments</dt><dd><code>{run.args.join(" ")}</code></dd></>}
          {run.continues && <><dt>Goes on from</dt><dd><Link className="mono small" href={links.run(run.continues)}>{run.continues}</Link></dd></>}
          {run.resumes && <><dt>Goes on with</dt><dd><code>{run.resumes}</code></dd></>}
          {run.restarts > 0 && <><dt>Restarts</dt><dd>{run.restarts}</dd></>}
        </dl>
      </Panel>
      {run.files.map((file) => (
        <Panel key={file.name} title={file.name} actions={<Copy text={file.text} label={`Copy ${file.name}`} />}>
          <Code label={file.name}><Toml text={file.text} /></Code>
        </Panel>
      ))}
    </div>
  );
}
