import { useMemo } from "react";
import { sparkline } from "../lib/spark";

/** The course of a few numbers without axes; the value beside it says the rest. */
export function Spark({ values, max, tone = "--series-1" }: { values: (number | null)[]; max: number; tone?: string }) {
  const path = useMemo(() => sparkline(values, max), [values, max]);
  return (
    <svg className="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      <path d={`${path}V30H0Z`} fill={`var(${tone})`} opacity="0.12" />
      <path d={path} fill="none" stroke={`var(${tone})`} strokeWidth="1.4" />
    </svg>
  );
}
