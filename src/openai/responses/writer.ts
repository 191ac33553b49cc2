// Builds a response from what the model says, and tells each step of it as OpenAI's typed events. A response that is not streamed is built
// the same way, its events unread.
import type { FinishReason, FrameToken, GenerationEvent } from "../../serving/index.ts";
import type { Told } from "../chat/response.ts";
import type { ApiError } from "../shared/errors.ts";
import { chatLogprobs } from "../shared/logprobs.ts";
import type { ServerEvent } from "../shared/sse.ts";
import { createReplyReader, type ReplyPiece } from "../shared/tool-calls.ts";
import type { FunctionCallItem, MessageItem, OutputText } from "./items.ts";
import { type ResponseObject, responseUsage } from "./object.ts";

export interface ResponseWriterOptions {
  /** A new one, in progress; the writer fills it in. */
  readonly response: ResponseObject;
  readonly answer: Pick<Told, "tokenizer" | "downshifts" | "usage">;
  /** Whether tokens come with log-probabilities. */
  readonly tellsLogprobs: boolean;
  /** Whether the reply may be calls of tools. */
  readonly mayCall: boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** A new id, of letters and digits. */
  newId(): string;
}

export interface ResponseWriter {
  /** `response.created` first. */
  begin(): ServerEvent[];
  write(event: GenerationEvent): ServerEvent[];
  /** Completes the response. */
  finish(): ResponseObject;
  /** The last event of a response that is finished. */
  end(): ServerEvent[];
  /** The `error` event, after what a reader needs to have read before. */
  fail(error: ApiError): ServerEvent[];
}

export function createResponseWriter(options: ResponseWriterOptions): ResponseWriter {
  const { response, answer, tellsLogprobs, mayCall, now, newId } = options;
  const { output } = response;
  const reader = createReplyReader(mayCall);
  let sequence = 0;
  let finishReason: FinishReason | undefined;
  /** Ends the item that is being written, which is the last one. */
  let close: ((status: "completed" | "incomplete") => ServerEvent[]) | undefined;

  const event = (type: string, fields: object): ServerEvent => ({
    event: type,
    // The response and its items go on changing: what was told stays as it was.
    data: structuredClone({ type, sequence_number: sequence++, ...fields }),
  });
  const place = (item: { readonly id: string }) => ({ item_id: item.id, output_index: output.length - 1 });

  /** The text that is being written. */
  let message: { readonly item: MessageItem; readonly part: OutputText } | undefined;
  const openMessage = (): ServerEvent[] => {
    const id = `msg_${newId()}`;
    const item: MessageItem = { type: "message", id, role: "assistant", status: "in_progress", content: [] };
    const part: OutputText = { type: "output_text", text: "", annotations: [], logprobs: [] };
    message = { item, part };
    output.push(item);
    close = (status) => {
      item.status = status;
      const at = { ...place(item), content_index: 0 };
      return [
        event("response.output_text.done", { ...at, text: part.text, logprobs: part.logprobs }),
        event("response.content_part.done", { ...at, part }),
        event("response.output_item.done", { output_index: at.output_index, item }),
      ];
    };
    const added = event("response.output_item.added", { output_index: output.length - 1, item });
    item.content.push(part);
    return [added, event("response.content_part.added", { ...place(item), content_index: 0, part })];
  };
  const writeText = (text: string, tokens: readonly FrameToken[]): ServerEvent[] => {
    const before = message ? [] : openMessage();
    const { item, part } = message as NonNullable<typeof message>;
    const logprobs = tellsLogprobs ? chatLogprobs(answer.tokenizer, tokens).content : [];
    part.text += text;
    part.logprobs.push(...logprobs);
    return [
      ...before,
      event("response.output_text.delta", { ...place(item), content_index: 0, delta: text, logprobs }),
    ];
  };

  let call: FunctionCallItem | undefined;
  const openCall = (name: string): ServerEvent[] => {
    const before = close?.("completed") ?? [];
    const item: FunctionCallItem = {
      type: "function_call",
      id: `fc_${newId()}`,
      call_id: `call_${newId()}`,
      name,
      arguments: "",
      status: "in_progress",
    };
    call = item;
    output.push(item);
    close = (status) => {
      item.status = status;
      return [
        event("response.function_call_arguments.done", { ...place(item), name, arguments: item.arguments }),
        event("response.output_item.done", { output_index: output.length - 1, item }),
      ];
    };
    return [...before, event("response.output_item.added", { output_index: output.length - 1, item })];
  };

  const writePiece = (piece: ReplyPiece): ServerEvent[] => {
    if (piece.type === "content") return writeText(piece.text, piece.tokens);
    if (piece.type === "call") return openCall(piece.name);
    const item = call as FunctionCallItem;
    item.arguments += piece.text;
    return [event("response.function_call_arguments.delta", { ...place(item), delta: piece.text })];
  };

  const begin = (): ServerEvent[] => [
    event("response.created", { response }),
    event("response.in_progress", { response }),
  ];
  return {
    begin,
    write(given) {
      if (given.type === "text") return reader.push(given.text, given.tokens).flatMap(writePiece);
      if (given.type !== "end") return [];
      finishReason = given.finishReason;
      const events = reader.end().flatMap(writePiece);
      // A reply of nothing is still a message.
      if (output.length === 0 && !reader.isCalls) events.push(...openMessage());
      return [...events, ...(close?.(finishReason === "length" ? "incomplete" : "completed") ?? [])];
    },
    finish() {
      if (!finishReason) throw new Error("a generation ended without its last event");
      response.status = finishReason === "length" ? "incomplete" : "completed";
      if (finishReason === "length") response.incomplete_details = { reason: "max_output_tokens" };
      else response.completed_at = Math.floor(now() / 1000);
      response.usage = responseUsage(answer.usage());
      if (answer.downshifts.length > 0) response.franken = { downshifts: [...answer.downshifts] };
      return response;
    },
    end: () => [event(`response.${response.status}`, { response })],
    fail: ({ code, message, param }) => [
      ...(sequence === 0 ? begin() : []),
      event("error", { code, message, param: param ?? null }),
    ],
  };
}
