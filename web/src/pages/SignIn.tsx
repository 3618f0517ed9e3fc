import { useState, type FormEvent } from "react";
import { asApiError, type ApiError } from "../api/client";
import { Copy } from "../components/Copy";
import { ErrorNote } from "../components/ErrorNote";
import { Logo } from "../components/Icon";
import { useTitle } from "../components/Page";
import { tokenIn } from "../lib/token";

export function SignIn({ error, signIn }: { error: ApiError | null; signIn: (token: string) => Promise<void> }) {
  useTitle("Sign in");
  const [text, setText] = useState("");
  const [failure, setFailure] = useState(error);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await signIn(tokenIn(text));
    } catch (problem) {
      setFailure(asApiError(problem));
      setBusy(false);
    }
  };

  return (
    <main className="sign-in">
      <div className="stack">
        <div className="brand"><Logo /> dpgui</div>
        <h1>Open this page by its link</h1>
        <p className="muted">
          Only who can read the workspace may come in. In a terminal on the machine where dpgui runs, this prints the
          address with the key:
        </p>
        <div className="row command"><code className="grow">dpgui ui --link</code><Copy text="dpgui ui --link" /></div>
        {failure && <ErrorNote error={failure} />}
        <form className="stack tight" onSubmit={(event) => void submit(event)}>
          <label className="field">
            <span className="label">Or paste the link, or the key alone</span>
            <input className="input mono" type="password" autoComplete="off" value={text} required
              onChange={(event) => setText(event.target.value)} />
          </label>
          <div><button className="button primary" disabled={busy || text.trim() === ""}>Sign in</button></div>
        </form>
      </div>
    </main>
  );
}
