// What is wrong with a schema, said so that its author can find and mend the place.

import { WorkLimitError } from "../work.ts";
import { GrammarTooLarge } from "./automaton.ts";

export interface SchemaErrorOptions {
  /** JSON pointer to the schema at fault; "" is the root. */
  readonly path: string;
  /** The keyword at fault, when it is one. */
  readonly keyword?: string | undefined;
  readonly problem: string;
  /** Whether it is no use to try again without the place. Default: false. */
  readonly final?: boolean;
}

/** A schema that is malformed, or asks for what is not enforced. The message names keyword and place. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
  readonly path: string;
  readonly keyword: string | undefined;
  readonly problem: string;
  readonly final: boolean;

  constructor({ path, keyword, problem, final = false }: SchemaErrorOptions) {
    super(`#${path}: ${keyword === undefined ? "" : `"${keyword}" `}${problem}`);
    this.path = path;
    this.keyword = keyword;
    this.problem = problem;
    this.final = final;
  }
}

/** What went wrong at a place, if it is the grammar's size or the work that it takes. */
export function named(error: unknown, path: string): unknown {
  if (error instanceof GrammarTooLarge) {
    const problem = "makes the grammar too large: lower what repeats in it (maxItems, maxLength, {m,n} in a pattern)";
    return new SchemaError({ path, problem });
  }
  if (!(error instanceof WorkLimitError)) return error;
  const problem = "takes too much work to read: make the schema smaller, and its patterns less ambiguous";
  return new SchemaError({ path, problem, final: true });
}

/** A pointer's next step (RFC 6901). */
export const pointerStep = (path: string, step: string | number): string =>
  `${path}/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`;
