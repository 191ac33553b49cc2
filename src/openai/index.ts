// The door of the wire contract: what routes and the app use of it.
export { MAX_BODY_BYTES, readJson } from "./body.ts";
export {
  BUDGET_HEADERS,
  budgetSchema,
  limitParam,
  parseBudgetDefaults,
  readBudget,
  type WireBudget,
} from "./budget.ts";
export { AUTO, type ChatRequest, chatRequestSchema, parseChatRequest } from "./chat-request.ts";
export { chatChunkSchema, chatCompletion, chatCompletionSchema, chunksOf, type ReplyOptions } from "./chat-response.ts";
export {
  ApiError,
  type ErrorCode,
  errorEnvelopeSchema,
  errorResponse,
  errorResponses,
  toApiError,
  toEnvelope,
} from "./errors.ts";
export { fetchFingerprint } from "./fingerprint.ts";
export { type FinishReason, type Generation, type GenerationEvent, startGeneration } from "./generate.ts";
export { fitPrompt } from "./prompt.ts";
export { ClientGoneError, createEventStream } from "./sse.ts";
