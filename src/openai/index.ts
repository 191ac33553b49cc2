// The door of the wire contract: what routes and the app use of it.

export { drainBody, MAX_BODY_BYTES, readJson } from "./body.ts";
export {
  BUDGET_HEADERS,
  budgetSchema,
  parseBudgetDefaults,
  readBudget,
  type WireBudget,
} from "./budget.ts";
export { chatChunkSchema, chatCompletionSchema } from "./chat-reply-schema.ts";
export { type ChatRequest, chatRequestSchema, parseChatRequest } from "./chat-request.ts";
export { chatCompletion, createChatWriter } from "./chat-response.ts";
export { parseIds } from "./completion-prompt.ts";
export { type CompletionRequest, completionRequestSchema, parseCompletionRequest } from "./completion-request.ts";
export {
  completion,
  completionChunkSchema,
  completionSchema,
  createCompletionWriter,
} from "./completion-response.ts";
export {
  ApiError,
  type ErrorCode,
  type ErrorEnvelope,
  errorEnvelopeSchema,
  errorResponse,
  errorResponses,
  kindOf,
  retryAfter,
  toEnvelope,
} from "./errors.ts";
export { parseBody, writeExactly } from "./exact-json.ts";
export type { ParsedRequest } from "./generation-fields.ts";
export {
  createReplyFormat,
  type FunctionTool,
  type ReplyFormat,
  type ReplyWish,
  type TextFormat,
  type ToolChoice,
} from "./reply-format.ts";
export type { ReplyOptions } from "./reply-head.ts";
export { createReplyStream, type ReplyStream } from "./reply-stream.ts";
export { checkCalls, type Item } from "./response-items.ts";
export { itemPageSchema, pageOf, pageQuerySchema } from "./response-list.ts";
export {
  isResponseObject,
  newResponse,
  type ResponseObject,
  responseEventSchema,
  responseSchema,
} from "./response-object.ts";
export {
  includeSchema,
  parseResponseRequest,
  type ResponseRequest,
  responseRequestSchema,
} from "./response-request.ts";
export { createResponseWriter } from "./response-writer.ts";
export { commentText, eventText, type ServerEvent } from "./sse.ts";
export { createReplyReader, type ReadReply, type ReplyPiece, type ReplyReader, readReply } from "./tool-calls.ts";
export { validate } from "./validate.ts";
