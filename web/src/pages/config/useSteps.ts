import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api } from "../../api/client";
import { configs, errorsOf, jobs, stepsOf } from "../../api/queries";
import type { Derived, Job } from "../../api/types";
import type { DataFinding } from "../../lib/data";
import { baseName } from "../../lib/format";
import { bearing, isNewer, type Counted } from "../../lib/steps";
import type { Draft } from "./useDraft";

const NONE: DataFinding[] = [];

export type Steps = {
  /** With steps, if they were counted. */
  derived: Derived | null | undefined;
  counted: Counted | null;
  /** The newest look at the data. */
  job: Job | null;
  /** What it found wrong with the data. */
  errors: DataFinding[];
  /** It has seen what is on the disk now. */
  isOfNow: boolean;
};

/** What follows from the settings, with the steps that a data check has counted as long as they hold. */
export function useSteps(draft: Draft, gpus: number | undefined): Steps {
  const { checked, settled } = draft;
  const job = useQuery(jobs).data?.find((it) => it.kind === "data-check" && it.subject === draft.name) ?? null;
  const found = useQuery(stepsOf(job)).data ?? null;
  const files = useQuery(configs).data;
  const training = files?.find((it) => it.name === draft.name);
  const dataset = files?.find((it) => it.name === baseName(training?.dataset ?? ""));
  const key = bearing(checked?.values, checked?.dataset_values);
  const isOfNow = !draft.isChanged && !draft.isChecking && training !== undefined && job !== null && isNewer(job, [training.modified, dataset?.modified]);

  // What was counted for the saved files stays true while only other settings are changed.
  const [known, setKnown] = useState<(Counted & { key: string }) | null>(null);
  useEffect(() => {
    if (isOfNow && found) setKnown({ ...found, key });
  }, [isOfNow, found, key]);
  const copies = checked?.derived?.copies ?? null;
  const counted = known?.key === key && (copies === null || copies === known.copies) ? known : null;

  const asked = useQuery({
    queryKey: ["derived", draft.name, settled.training, settled.dataset, gpus, counted?.steps],
    queryFn: ({ signal }) => api.check({ name: draft.name, ...settled, ...(gpus === undefined ? {} : { gpus }), batches_per_epoch: counted?.steps }, signal),
    enabled: counted !== null,
    placeholderData: keepPreviousData,
    gcTime: 30_000,
    staleTime: 30_000,
  });
  const errors = useQuery(errorsOf(job)).data ?? NONE;
  return { errors, isOfNow, derived: (counted && asked.data?.derived) ?? checked?.derived, counted, job };
}
