// What every endpoint that generates makes of its request.
import type { Grammar } from "../grammar/index.ts";
import type { WireBudget } from "../openai/budget.ts";
import type { Seed } from "../openai/seed.ts";
import type { Sampling } from "../replica/protocol.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { Prompt } from "./prompt.ts";

/** The model that stands for the best variant within the budget. */
export const AUTO = "auto";

/** A request that is to be answered, whatever endpoint it came to. */
export interface Ask {
  /** A variant's id, or `auto`. */
  readonly model: string;
  /** The client's name for who asks, if it has one. */
  readonly user: string | undefined;
  /** The body's field, without what headers and the key say. */
  readonly budget: WireBudget | undefined;
  readonly stream: boolean;
  /** What the reply's warning says of the request: what was left out of it. */
  readonly warnings: readonly string[];
  /** Reads the prompts, one or more. @param room tokens that prompt and reply may have together */
  prompts(tokenizer: Tokenizer, room: number): Promise<readonly Prompt[]>;
  /** The length of replies is a default, and not the client's wish. */
  readonly mayShorten: boolean;
  /** Choices for each prompt. */
  readonly n: number;
  readonly stop: readonly string[];
  /** A reply that begins with this is not cut at `stop`. Default: there is no such text. */
  readonly unstopped?: string | undefined;
  readonly sampling: Omit<Sampling, "choice" | "seed">;
  /** Undefined when any will do. */
  readonly seed: Seed | undefined;
  /** As in `GenerateRequest`. */
  readonly logprobs?: number | undefined;
  readonly promptLogprobs?: number | undefined;
  readonly grammar?: Grammar | undefined;
  /** As `ReplyFormat` has it. */
  readonly grammarField?: ((text: string) => string | undefined) | undefined;
}
