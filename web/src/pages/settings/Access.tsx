import { useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { api } from "../../api/client";
import { Action } from "../../components/Action";
import { Advice } from "../../components/Advice";
import { Dialog } from "../../components/Dialog";
import { Panel } from "../../components/Panel";
import { useTell } from "../../components/Toasts";

/** Who may come in: this browser, and whoever has the token. */
export function Access() {
  const [asking, setAsking] = useState(false);
  const client = useQueryClient();
  const tell = useTell();
  const signOut = async () => { await api.signOut(); location.assign("/"); };
  const rotate = async () => {
    await api.rotate();
    setAsking(false);
    tell.say("There is a new token. Every other browser and script is logged out; `dpgui ui --link` prints a link that lets one in.");
    await client.invalidateQueries();
  };
  return (
    <Panel title="Access">
      <div className="row">
        <Action act={signOut} title="This browser alone">Log out</Action>
        <Action act={() => setAsking(true)} className="danger">New token…</Action>
      </div>
      <p className="small muted"><Advice text="Whoever has the token, or a link made with it, can use this page. `dpgui ui --token` prints it for scripts, `dpgui ui --link` a link for another browser." /></p>
      {asking && (
        <Dialog title="Make a new token?" close={() => setAsking(false)}
          footer={<><button className="button" onClick={() => setAsking(false)}>Keep the old one</button><Action act={rotate} className="danger">Make a new token</Action></>}>
          <p>The old token lets nobody in any more: every other browser is logged out, scripts that bring it are refused, and links that were not opened are useless. This browser stays logged in. Trainings and the queue go on.</p>
          <p className="muted"><Advice text="`dpgui ui --link` prints a new link, `dpgui ui --token` the new token for scripts." /></p>
        </Dialog>
      )}
    </Panel>
  );
}
