// What a criterion is: something that ranks a model's parts by how little is lost without them.
import type { Forward, Tokens } from "../forward/forward.ts";
import type { Model } from "../forward/model.ts";
import type { StateMeans } from "./states.ts";
import type { Target, Unit } from "./units.ts";
import type { WorkLog } from "./work.ts";

export interface Context {
  readonly forward: Forward;
  readonly model: Model;
  /** Tokens that perplexities are measured on, some of the calibration tokens. */
  readonly evaluation: Tokens;
  /** Most units that a search removes. */
  readonly removals: number;
  /** Perplexities that were measured before, by the slots that they are of. */
  readonly perplexities: WorkLog<number>;
  /** What hidden states say, measured once for all criteria. */
  states(): Promise<StateMeans>;
  /** Called before work begins with how many steps it has, and after each step. */
  readonly progress: (total: number) => { readonly step: (note: () => string) => void; readonly end: () => void };
}

export interface Value extends Unit {
  readonly value: number;
}

/** `layers` consecutive layers that can go together. */
export interface Run {
  readonly layers: number;
  readonly first: number;
  readonly value: number;
}

export interface Ranking {
  /** One a unit, in the model's order; of a search, in the order of removal. */
  readonly values: readonly Value[];
  /** The most dispensable first. Units that the criterion protects are left out. */
  readonly order: readonly Unit[];
  /** Of a criterion that looks at runs of layers: the best for each length, the shortest first. */
  readonly runs?: readonly Run[] | undefined;
}

export interface Criterion {
  readonly id: string;
  readonly title: string;
  /** The paper. */
  readonly source: string;
  /** What its values are, in a few words. */
  readonly value: string;
  readonly targets: readonly Target[];
  /** Targets that are measured when none is asked for. */
  readonly usual: readonly Target[];
  measure(context: Context, target: Target): Promise<Ranking>;
}

/** Ranks by value; equal ones in the model's order. */
export function rank(values: readonly Value[], most: "highest" | "lowest"): Unit[] {
  const sign = most === "highest" ? -1 : 1;
  return values
    .toSorted((a, b) => sign * (a.value - b.value) || a.layer - b.layer)
    .map(({ layer, part }) => ({ layer, part }));
}
