// Public API of serving: from a parsed request to its reply's events.
export { type StatedBudget, statedBudget } from "./budget.ts";
export { type ChoiceCollector, createChoiceCollector, type WholeChoice } from "./collect.ts";
export { ClientGoneError, ReplicaGoneError, ServingError, type ServingErrorCode } from "./errors.ts";
export type {
  ChoiceEvent,
  Downshift,
  FinishReason,
  FrameToken,
  GenerationEvent,
  TokenCounts,
} from "./events.ts";
export { prepare, weightsToChooseFrom } from "./prepare.ts";
export { DEFAULT_MAX_TOKENS, type Prompt } from "./prompt.ts";
export { MAX_CHARACTERS, type PromptInput, type PromptSource } from "./prompts.ts";
export { type GenerationRequest, MAX_LIKELIEST, type UnbudgetedRequest } from "./request.ts";
export type { GenerationRun } from "./run.ts";
export type { RequestScope, ServingDeps } from "./scope.ts";
export { serve } from "./serve.ts";
