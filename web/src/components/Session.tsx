// Who is not signed in sees how to get in; everybody else sees the page, with the event stream open.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { api, ApiError, asApiError, whenUnauthorised } from "../api/client";
import { follow } from "../api/events";
import { SignIn } from "../pages/SignIn";

type State = { is: "asking" } | { is: "in" } | { is: "out"; error: ApiError | null };

/** The token of a first visit, out of the address bar before anybody sees it. */
function takeToken(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (token !== null) history.replaceState(null, "", location.pathname + location.search);
  return token;
}

// Once a load of the page: strict mode runs effects twice.
let first: Promise<State> | null = null;

/** Says of a key that is refused what may be the matter with it. */
async function withKey(token: string) {
  try {
    await api.signIn(token);
  } catch (failure) {
    const { kind, hint, status } = asApiError(failure);
    throw status === 401 ? new ApiError({ kind, message: "this key is not valid, was used or has expired", causes: [], hint }, status) : failure;
  }
}

async function enter(): Promise<State> {
  const token = takeToken();
  try {
    // Whoever is in already needs no key: that of a link that is opened again was used.
    await (token === null ? api.session() : withKey(token).catch((failure: unknown) => api.session().catch(() => Promise.reject(failure))));
    return { is: "in" };
  } catch (failure) {
    const error = asApiError(failure);
    // A server that is away says nothing about the session; the page shows that by itself.
    if (error.status === 0) return { is: "in" };
    return { is: "out", error: token === null && error.status === 401 ? null : error };
  }
}

export function Session({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [state, setState] = useState<State>({ is: "asking" });

  useEffect(() => {
    first ??= enter();
    void first.then(setState);
    whenUnauthorised(() => setState((old) => (old.is === "in" ? { is: "out", error: null } : old)));
    // A link that is pasted where the page is open already loads nothing anew.
    const pasted = () => {
      if (new URLSearchParams(location.hash.slice(1)).has("t")) void enter().then(setState);
    };
    addEventListener("hashchange", pasted);
    return () => removeEventListener("hashchange", pasted);
  }, []);
  useEffect(() => {
    if (state.is !== "in") return;
    return follow(client);
  }, [state.is, client]);

  if (state.is === "asking") return null;
  if (state.is === "in") return children;
  const signIn = async (token: string) => {
    await withKey(token);
    client.clear();
    setState({ is: "in" });
  };
  return <SignIn error={state.error} signIn={signIn} />;
}
