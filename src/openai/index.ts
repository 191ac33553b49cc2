// The door of the wire contract: what routes and the app use of it.

export { type ChatRequest, chatRequestSchema, parseChatRequest } from "./chat/request.ts";
export { chatCompletion, createChatWriter } from "./chat/response.ts";
export { chatChunkSchema, chatCompletionSchema } from "./chat/schema.ts";
export { parseIds } from "./completions/prompt.ts";
export { type CompletionRequest, completionRequestSchema, parseCompletionRequest } from "./completions/request.ts";
export {
  completion,
  completionChunkSchema,
  completionSchema,
  createCompletionWriter,
} from "./completions/response.ts";
export { checkCalls, type Item } from "./responses/items.ts";
export { itemPageSchema, pageOf, pageQuerySchema } from "./responses/list.ts";
export {
  isResponseObject,
  newResponse,
  type ResponseObject,
  responseEventSchema,
  responseSchema,
} from "./responses/object.ts";
export {
  includeSchema,
  parseResponseRequest,
  type ResponseRequest,
  responseRequestSchema,
} from "./responses/request.ts";
export { createResponseWriter } from "./responses/writer.ts";
export {
  BUDGET_HEADERS,
  budgetSchema,
  parseBudgetDefaults,
  readBudget,
  type WireBudget,
} from "./shared/budget.ts";
export { ERROR_EXAMPLES } from "./shared/error-examples.ts";
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
} from "./shared/errors.ts";
export { parseBody, writeExactly } from "./shared/exact-json.ts";
export type { ParsedRequest } from "./shared/generation-fields.ts";
export {
  createReplyFormat,
  type FunctionTool,
  type ReplyFormat,
  type ReplyWish,
  type TextFormat,
  type ToolChoice,
} from "./shared/reply-format.ts";
export type { ReplyOptions } from "./shared/reply-head.ts";
export { commentText, eventText, type ServerEvent } from "./shared/sse.ts";
export {
  createReplyReader,
  type ReadReply,
  type ReplyPiece,
  type ReplyReader,
  readReply,
} from "./shared/tool-calls.ts";
export { validate } from "./shared/validate.ts";
