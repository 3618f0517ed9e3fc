import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, expect, test, vi } from "vitest";
import { api } from "./client";
import { take } from "./events";
import { comparison, metrics, runGpus } from "./queries";
import type { Metrics, RunRow } from "./types";

const row = (id: string, live: boolean) => ({ id, live, queued: false, state: live ? "training" : "stopped" }) as RunRow;
const numbers = (from: number, to: number): Metrics => {
  const step = Array.from({ length: to - from }, (_, at) => from + at + 1);
  const none = step.map(() => null);
  return { next: to, step, time: step, loss: step, smoothed: step, seconds_per_step: step, lr: none, grad_norm: none, epoch: none, scalars: [] };
};

/** A server whose run has done so many steps. */
function served(client: QueryClient, steps: { done: number }) {
  const asked: string[] = [];
  vi.spyOn(api, "metrics").mockImplementation((id, from) => (asked.push(`${id} from ${from}`), Promise.resolve(numbers(from, steps.done))));
  take(client, { type: "runs", runs: [row("a", true), row("b", true)] });
  return asked;
}

afterEach(() => void vi.restoreAllMocks());

test("what came while a run was live is asked for again, whole, by whoever looks after its end", async () => {
  const [client, steps] = [new QueryClient(), { done: 1 }];
  const asked = served(client, steps);
  await client.fetchQuery(metrics("a", true));
  await client.fetchQuery(metrics("b", true));
  steps.done = 598;
  take(client, { type: "runs", runs: [row("a", false), row("b", true)] });
  expect((await client.fetchQuery(metrics("a", false))).step.length).toBe(598);
  // It does not change any more, and nobody asks again.
  await client.fetchQuery(metrics("a", false));
  expect(asked).toEqual(["a from 0", "b from 0", "a from 0"]);
});

test("who looks on while a run ends sees its last seconds", async () => {
  const [client, steps] = [new QueryClient(), { done: 1 }];
  const asked = served(client, steps);
  const watched = new QueryObserver(client, metrics("a", true));
  const leave = watched.subscribe(() => {});
  await vi.waitFor(() => expect(watched.getCurrentResult().data?.next).toBe(1));
  steps.done = 7;
  take(client, { type: "runs", runs: [row("a", false), row("b", true)] });
  await vi.waitFor(() => expect(watched.getCurrentResult().data?.next).toBe(7));
  expect(asked).toEqual(["a from 0", "a from 0"]);
  leave();
});

test("what its GPUs did and how it compares are not what they were either once a run is over", async () => {
  const client = new QueryClient();
  served(client, { done: 1 });
  const gpus = vi.spyOn(api, "runGpus").mockResolvedValue({} as never);
  const compare = vi.spyOn(api, "compare").mockResolvedValue({ runs: [], differences: [] });
  const look = async () => {
    await client.fetchQuery(runGpus("a", false));
    await client.fetchQuery({ ...comparison(["a", "b"]), staleTime: Infinity });
    return [gpus.mock.calls.length, compare.mock.calls.length];
  };
  expect([await look(), await look()]).toEqual([[1, 1], [1, 1]]);
  take(client, { type: "runs", runs: [row("a", false), row("b", true)] });
  expect([await look(), await look()]).toEqual([[2, 2], [2, 2]]);
});
