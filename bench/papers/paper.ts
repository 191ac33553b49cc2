// A source paper's table as data: its figures, and which of our variants and scores stand beside
// them.
import type { Plan } from "../../src/variants/plan.ts";

/** A score of the task table, measured on these items. */
interface ScoreColumn {
  readonly kind: "score";
  readonly task: string;
  readonly metric: string;
  /** As `npm run eval -- --items` takes them. */
  readonly items: string;
}

/** What a plan takes. */
interface CostColumn {
  readonly kind: "cost";
  of(plan: Plan): number;
}

export type Column = (ScoreColumn | CostColumn) & {
  readonly id: string;
  readonly title: string;
  write(value: number): string;
};

/** By the id of a column. */
export type Figures = Readonly<Record<string, number>>;

/** A model that the paper measures. */
export interface Reference {
  readonly model: string;
  /** Columns whose figures are ratios to the model as it is: the paper has no others. */
  readonly ratios?: readonly string[];
  /** Of the model as it is; a column that it lacks has no ratios. */
  readonly unpruned: Figures;
  /** By the label of a row. */
  readonly rows: Readonly<Record<string, Figures>>;
}

export interface Row {
  readonly label: string;
  /** The variant's id: one that ships, or one that `make` makes. */
  readonly variant: string;
  /**
   * Arguments of `npx franken`, one command after the other. Absent: it ships, or training makes
   * it.
   */
  readonly make?: readonly (readonly string[])[];
}

export interface Paper {
  readonly id: string;
  readonly title: string;
  readonly source: string;
  /** What is done here as there, and what is not. */
  readonly about: string;
  readonly columns: readonly Column[];
  /** The base first. */
  readonly rows: readonly Row[];
  readonly references: readonly Reference[];
}

export const BASE = "smollm2-135m";

export const percent = (value: number): string => (100 * value).toFixed(1);
export const digits =
  (count: number) =>
  (value: number): string =>
    value.toFixed(count);

/** The parts of `franken compress …` that give a variant its id. */
export const compress = (variant: string, text: string): readonly string[] => [
  "compress",
  ...text.split(" "),
  "--id",
  variant,
];
