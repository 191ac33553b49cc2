// How much the service measures, from the gateway's variables.
import { type Environment, readNumbers, type Variables, whole } from "../variables.ts";
import type { MonitorSettings } from "./slice.ts";

type Name = "SCORES_ITEMS_PER_SLICE" | "SCORES_ITEMS_PER_RUN" | "SCORES_NULL_RATE";

const VARIABLES: Variables<Name> = {
  SCORES_ITEMS_PER_SLICE: {
    ...{ ...whole(0), fallback: "5" },
    allowed: "a whole number from 0, which switches measuring off",
  },
  SCORES_ITEMS_PER_RUN: { ...whole(1), fallback: "200" },
  SCORES_NULL_RATE: {
    ...{ fallback: "0.001", isAllowed: (value) => value > 0 && value <= 0.5 },
    allowed: "a number above 0 and up to 0.5",
  },
};

/** @throws Error that names the variable that is no number or out of its range */
export function monitorSettings(env: Environment<Name>): MonitorSettings {
  const read = readNumbers(VARIABLES, env);
  return {
    itemsPerSlice: read.SCORES_ITEMS_PER_SLICE,
    itemsPerRun: read.SCORES_ITEMS_PER_RUN,
    nullRate: read.SCORES_NULL_RATE,
  };
}
