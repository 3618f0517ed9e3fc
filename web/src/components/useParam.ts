import { useCallback } from "react";
import { useLocation, useSearch } from "wouter";
import { changed } from "../lib/links";

/** One value of the address' query; writing it makes no step in the history. */
export function useParam(name: string): [string, (value: string) => void] {
  const search = useSearch();
  const [, navigate] = useLocation();
  const value = new URLSearchParams(search).get(name) ?? "";
  const set = useCallback(
    // The address as it is now: several values may be written before the page is drawn again.
    (to: string) => navigate(location.pathname + changed(location.search, { [name]: to }), { replace: true }),
    [navigate, name],
  );
  return [value, set];
}
