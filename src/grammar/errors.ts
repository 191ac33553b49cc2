// What is wrong with a schema, said so that its author can find and mend the place.

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

/** A pointer's next step (RFC 6901). */
export const pointerStep = (path: string, step: string | number): string =>
  `${path}/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`;
