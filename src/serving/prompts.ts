// Reads a request's prompts: chats, texts and token ids, each as far as the model's context goes.
import type { ChatMessage, Encoded, Tokenizer } from "../tokenizer/index.ts";
import { ServingError } from "./errors.ts";
import { fitPrompt, type Prompt } from "./prompt.ts";

/** Of all texts of a request together. */
export const MAX_CHARACTERS = 1_000_000;

/** Text, or token ids. */
export type PromptInput = string | readonly number[];

interface ReplyLength {
  /** Most tokens of a reply; undefined when the request does not say. */
  readonly maxTokens: number | undefined;
  /** The request's field that says so. */
  readonly maxTokensParam: string;
  /** Where it does not say. Default: `DEFAULT_MAX_TOKENS`. */
  readonly defaultMaxTokens?: number;
}

export type PromptSource = ReplyLength &
  (
    | {
        readonly kind: "chat";
        /** What the client calls it, which is the request's field too. */
        readonly name: "messages" | "input";
        readonly messages: readonly ChatMessage[];
      }
    /** A chat whose oldest items are left out where they do not all fit. */
    | {
        readonly kind: "conversation";
        readonly name: "input";
        /** Numbers of items that can be left out, in rising order, the first 0. */
        readonly cuts: readonly number[];
        /** The chat without its oldest items. */
        messagesAfter(cut: number): readonly ChatMessage[];
      }
    | { readonly kind: "texts"; readonly prompts: readonly PromptInput[] }
  );

export interface ReadPrompts {
  readonly prompts: readonly Prompt[];
  /** Oldest items of a conversation that were left out. */
  readonly dropped: number;
}

/**
 * @param room tokens that a prompt and its reply may have together
 * @throws ServingError `prompt_too_long`, or `invalid_request` for what cannot be read
 */
export async function readPrompts(source: PromptSource, tokenizer: Tokenizer, room: number): Promise<ReadPrompts> {
  if (source.kind === "texts") return { prompts: await readTexts(source, tokenizer, room), dropped: 0 };
  const readChat = (messages: readonly ChatMessage[], needsRoom: boolean): Promise<Prompt> =>
    fitPrompt(
      {
        ...source,
        characters: messages.reduce((total, { content }) => total + content.length, 0),
        encode: (limit) => tokenizer.encodeChat(messages, { limit }),
        needsRoom,
      },
      room,
    );
  if (source.kind === "chat") return { prompts: [await readChat(source.messages, false)], dropped: 0 };
  const { cuts, messagesAfter } = source;
  const found = await firstThatFits(cuts, (cut) => readChat(messagesAfter(cut), true));
  if (found) return found;
  // The reply is shortened only where there is nothing more to drop.
  const last = cuts.at(-1) as number;
  return { prompts: [await readChat(messagesAfter(last), false)], dropped: last };
}

/**
 * The first cut after which the prompt fits; undefined when there is none. Fewer items are always fewer tokens, so that
 * halving finds it.
 */
async function firstThatFits(
  cuts: readonly number[],
  read: (cut: number) => Promise<Prompt>,
): Promise<ReadPrompts | undefined> {
  let low = 0;
  let high = cuts.length - 1;
  let found: ReadPrompts | undefined;
  // The whole is likeliest to fit.
  for (let at = 0; low <= high; at = (low + high) >> 1) {
    const dropped = cuts[at] as number;
    const prompt = await read(dropped).catch((error: unknown) => {
      if (error instanceof ServingError && error.code === "prompt_too_long") return undefined;
      throw error;
    });
    if (prompt) {
      found = { prompts: [prompt], dropped };
      high = at - 1;
    } else low = at + 1;
  }
  return found;
}

type Texts = Extract<PromptSource, { readonly kind: "texts" }>;

async function readTexts(source: Texts, tokenizer: Tokenizer, room: number): Promise<Prompt[]> {
  const { prompts } = source;
  const characters = prompts.reduce((sum, input) => sum + (typeof input === "string" ? input.length : 0), 0);
  if (prompts.length > 1 && characters > MAX_CHARACTERS) {
    throw wrong("prompt", `the prompts have ${characters} characters together; one request can have ${MAX_CHARACTERS}`);
  }
  const encoded: Prompt[] = [];
  for (const [i, input] of prompts.entries()) {
    const param = prompts.length > 1 ? `prompt.${i}` : "prompt";
    if (typeof input !== "string") checkIds(input, param, tokenizer.size);
    encoded.push(
      await fitPrompt(
        {
          ...source,
          name: "prompt",
          param,
          characters: typeof input === "string" ? input.length : 0,
          encode: (limit) => encode(tokenizer, input, limit),
        },
        room,
      ),
    );
  }
  return encoded;
}

async function encode(tokenizer: Tokenizer, input: PromptInput, limit: number): Promise<Encoded> {
  if (input === "") return { ids: [tokenizer.bosId], complete: true };
  if (typeof input === "string") return tokenizer.encode(input, { limit });
  return { ids: [...input], complete: true };
}

function checkIds(ids: readonly number[], param: string, size: number): void {
  const at = ids.findIndex((id) => id >= size);
  if (at < 0) return;
  throw wrong(`${param}.${at}`, `token id ${ids[at]} is not in the model's vocabulary, whose ids are below ${size}`);
}

const wrong = (param: string, problem: string): ServingError =>
  new ServingError("invalid_request", `Invalid value for '${param}': ${problem}.`, { param });
