// Finds a request's model and reads its prompts: all that a client can mend by itself is known
// then.
import type { Tokenizer } from "../tokenizer/index.ts";
import { AUTO, type BaseModel } from "../variants/index.ts";
import { ServingError } from "./errors.ts";
import { type ReadPrompts, readPrompts } from "./prompts.ts";
import type { UnbudgetedRequest } from "./request.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

export interface Prepared extends ReadPrompts {
  /** Weight set of the variant that will answer, or the first to choose from. */
  readonly base: BaseModel;
  /** The variant that the request names. */
  readonly pinned: string | undefined;
  readonly tokenizer: Tokenizer;
  /** Of all prompts. */
  readonly promptTokens: number;
}

/**
 * @throws ServingError `unknown_model`, `prompt_too_long`, or `invalid_request` for a prompt that cannot be read or a
 *   reply that would be too much to tell
 */
export async function prepare(
  { catalogue, router, tokenizerOf }: Pick<ServingDeps, "catalogue" | "router" | "tokenizerOf">,
  scope: Pick<RequestScope, "log" | "warn">,
  request: UnbudgetedRequest,
): Promise<Prepared> {
  const { model, warnings } = request;
  const named = catalogue.get(model);
  // A request that leaves the choice to the gateway gets a variant of the weight set that is listed
  // first.
  const base = (named ?? [...catalogue.values()][0])?.plan.base;
  if (!base || (!named && model !== AUTO)) {
    throw new ServingError(
      "unknown_model",
      `The model '${model.slice(0, 100)}' does not exist. GET /v1/models lists the models there are.`,
      { param: "model" },
    );
  }
  scope.log.model = model;
  scope.log.stream = request.stream;
  const pinned = named && model;
  const tokenizer = tokenizerOf(base);
  const read = await readPrompts(request.prompt, tokenizer, router.roomOf(base.id, pinned));
  checkLogprobs(read, request);
  scope.warn(...warnings, ...read.prompts.flatMap(({ warning }) => warning ?? []));
  const promptTokens = read.prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  return { ...read, base, pinned, tokenizer, promptTokens };
}

/** @throws ServingError `invalid_request` for a reply that could tell more log-probabilities than it may */
function checkLogprobs({ prompts }: ReadPrompts, request: UnbudgetedRequest): void {
  const { n, logprobs = 0, promptLogprobs, maxLogprobs = Number.POSITIVE_INFINITY } = request;
  const tellsPrompt = promptLogprobs !== undefined;
  const perChoice = prompts.reduce((sum, { ids, maxTokens }) => sum + maxTokens + (tellsPrompt ? ids.length : 0), 0);
  const tokens = perChoice * n;
  const told = tokens * (1 + logprobs);
  if (told <= maxLogprobs) return;
  throw new ServingError(
    "invalid_request",
    `The reply could tell ${told} log-probabilities (${tokens} tokens, each with ${logprobs} of the likeliest); one request can have ${maxLogprobs}. Send fewer prompts at a time, or lower 'logprobs'.`,
    { param: "logprobs" },
  );
}

/** The weight sets among whose variants `auto` chooses: the one that is listed first, and what shares its memory. */
export async function weightsToChooseFrom({
  catalogue,
  replicaOf,
}: Pick<ServingDeps, "catalogue" | "replicaOf">): Promise<readonly string[]> {
  const first = [...catalogue.values()][0]?.plan.base.id;
  if (first === undefined) return [];
  const status = await replicaOf(first)
    .status(first, false)
    .catch(() => undefined);
  return status?.weights ?? [first];
}
