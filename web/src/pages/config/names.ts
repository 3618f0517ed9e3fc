// What a new pair of files may be called: the server knows.
import { queryOptions } from "@tanstack/react-query";
import { api } from "../../api/client";
import { stem } from "../../lib/form";

/** The name nearest to a wish that is free, asked once for each time that it is wanted. */
export const freeName = (wish: string) =>
  queryOptions({ queryKey: ["free-name", wish], queryFn: async () => (await api.nameOf(`${stem(wish)}.toml`)).free, staleTime: Infinity, gcTime: 0 });

/** What is wrong with a name that is being typed, or `true`. */
export async function isName(wish: string): Promise<string | true> {
  const name = stem(wish.trim());
  if (name === "") return "it needs a name";
  try {
    const { problem, free } = await api.nameOf(`${name}.toml`);
    return problem === null || `${problem}; \`${free}\` is free`;
  } catch {
    // A server that is away says so itself, and looks again when the files are made.
    return true;
  }
}
