// A request to generate, whatever endpoint it came to: what the wire's parsers make of it.
import type { Grammar } from "../grammar/index.ts";
import type { Sampling } from "../replica/index.ts";
import type { StatedBudget } from "./budget.ts";
import type { PromptSource } from "./prompts.ts";

/** The most of the likeliest tokens that a reply can tell in each place. */
export { MAX_LIKELIEST } from "../engine/index.ts";

/** A request whose budget is not read yet: headers and the key have a part in it. */
export interface UnbudgetedRequest {
  /** A variant's id, or `auto`. */
  readonly model: string;
  /** The client's name for who asks, if it has one. */
  readonly user: string | undefined;
  /** For the log alone. */
  readonly stream: boolean;
  /** What the reply's warning says of the request: what was left out of it. */
  readonly warnings: readonly string[];
  /** One prompt or more. */
  readonly prompt: PromptSource;
  /** The length of replies is a default, and not the client's wish. */
  readonly mayShorten: boolean;
  /** Choices for each prompt. */
  readonly n: number;
  readonly stop: readonly string[];
  /** A reply that begins with this is not cut at `stop`. Default: there is no such text. */
  readonly unstopped?: string | undefined;
  readonly sampling: Omit<Sampling, "choice" | "seed">;
  /** Its low 64 bits count. Undefined when any will do. */
  readonly seed: number | bigint | undefined;
  /** As in `GenerateRequest`. */
  readonly logprobs?: number | undefined;
  readonly promptLogprobs?: number | undefined;
  /** Log-probabilities that all choices may tell together. Default: as many as there are. */
  readonly maxLogprobs?: number | undefined;
  readonly grammar?: Grammar | undefined;
  /** Names the request's field that asks for what comes after a text, for error messages. */
  readonly grammarField?: ((text: string) => string | undefined) | undefined;
}

export interface GenerationRequest extends UnbudgetedRequest {
  readonly budget: StatedBudget;
}
