// What the page has in the place of a command or a flag that an advice names. The one list of it.
import { links, RUN_ID } from "./links";

export type Here =
  /** Something to press or to look at, and on which page. */
  | { is: "control"; name: string; href: string | null }
  /** Only a terminal does it. */
  | { is: "command"; text: string }
  /** Neither: a name, or a command with something to fill in. */
  | { is: "text" };

/** Flags mean something only beside what they belong to: the names of the controls that stand there. */
export type Flags = Record<string, string>;

/** Those of the dialog that starts a training. */
export const START_FLAGS: Flags = {
  "--queue": "Wait in the queue if they are busy", "--share": "Share GPUs with another training", "--gpus": "GPUs", "--name": "Name", "--hostfile": "Machines",
  "--restarts": "Restarts after a failure", "--on-nan": "When the loss is not a number", "--on-stall": "When it hangs",
};

const CONTROLS: [command: RegExp, name: string, href: (found: string | undefined) => string][] = [
  [/^dpgui setup$/, "Set up", () => links.overview],
  [/^dpgui doctor$/, "Look again", () => links.overview],
  [/^dpgui doctor --fix$/, "Fix what is safe", () => links.overview],
  [/^dpgui demo$/, "Run the demo", () => links.overview],
  [/^dpgui runs$/, "Runs", () => links.runs],
  [/^dpgui queue$/, "Queue", () => links.queue],
  [/^dpgui config (?:new MODEL(?: NAME)?|models)$/, "New training", () => links.fresh()],
  [/^dpgui config check(?: (?:\S*\/)?([^/ ]+\.toml))?$/, "Configurations", (name) => (name ? links.config(name) : links.configs)],
  [/^dpgui data check(?: (?:\S*\/)?([^/ ]+\.toml))?$/, "Data", links.data],
  [new RegExp(`^dpgui (?:logs|logs -f|watch) (${RUN_ID})$`), "its log", (id) => links.run(id ?? "", "log")],
  [new RegExp(`^dpgui diagnose (${RUN_ID})$`), "Diagnosis", (id) => links.run(id ?? "", "diagnosis")],
  [new RegExp(`^dpgui stop (${RUN_ID})$`), "Stop…", (id) => links.run(id ?? "")],
  [new RegExp(`^dpgui resume (${RUN_ID})$`), "Resume", (id) => links.run(id ?? "")],
  [/^dpgui (?:stop|resume) RUN$/, "Runs", () => links.runs],
];

/** What a piece of an advice in backticks is here. */
export function here(text: string, flags: Flags = {}): Here {
  // `--gpus 0,1` as well.
  const flag = flags[text.split(" ", 1)[0] ?? ""];
  if (flag !== undefined) return { is: "control", name: flag, href: null };
  for (const [command, name, href] of CONTROLS) {
    const found = command.exec(text);
    if (found) return { is: "control", name, href: href(found[1]) };
  }
  const isCommand = /^(dpgui \S|nvidia-smi$|git |venv\/bin\/)/.test(text) && text !== "dpgui train";
  return isCommand && !/(^|[ =/])[A-Z]{2,}/.test(text) ? { is: "command", text } : { is: "text" };
}

/** An advice as the page has it: here nobody has run a command. */
export const onPage = (text: string): string => text.replace(/\brun the same command again\b/, "try it again");

/** A command of dpgui's as it works from any folder. */
export function anywhere(command: string, workspace: string | undefined): string {
  if (workspace === undefined || !command.startsWith("dpgui ")) return command;
  const quoted = /^[\w./-]+$/.test(workspace) ? workspace : `'${workspace.replaceAll("'", `'\\''`)}'`;
  return `dpgui -C ${quoted} ${command.slice("dpgui ".length)}`;
}
