// The pieces of one choice as completions tell it: text with its tokens, log-probabilities and offsets. Whole and streamed replies are
// made of the same pieces.
import { z } from "@hono/zod-openapi";
import type { FrameToken, GenerationEvent } from "../../serving/index.ts";
import type { Tokenizer } from "../../tokenizer/index.ts";
import { tokenText } from "../shared/logprobs.ts";

export const completionLogprobsSchema = z
  .object({
    tokens: z.array(z.string()).openapi({
      description:
        "Each token's text; where its bytes are not UTF-8 by themselves, `bytes:` and each of them as `\\x` and two digits. The token that ended the text is among them, with no text of its own in the choice.",
    }),
    token_logprobs: z.array(z.number().nullable()).openapi({
      description:
        "Natural logarithms, in the model's own distribution before any sampling option; null for a prompt's first token.",
    }),
    top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).openapi({
      description:
        "For each token, the likeliest in its place by their text, and the token itself if it is not one of them; null for a prompt's first token.",
    }),
    text_offset: z
      .array(z.int())
      .openapi({ description: "Where in the choice's text each token begins, in Unicode code points." }),
  })
  .openapi("CompletionLogprobs");
export type CompletionLogprobs = z.infer<typeof completionLogprobsSchema>;

export interface Piece {
  readonly text: string;
  /** Null when none were asked for. */
  readonly logprobs: CompletionLogprobs | null;
}

export interface PiecesOptions {
  readonly tokenizer: Tokenizer;
  readonly promptIds: readonly number[];
  readonly echo: boolean;
  readonly logprobs: number | undefined;
}

/** Turns what comes of one choice into pieces; undefined where there is nothing to tell. */
export interface PieceWriter {
  begin(): Piece | undefined;
  write(event: GenerationEvent): Piece | undefined;
}

export function createPieceWriter({ tokenizer, promptIds, echo, logprobs }: PiecesOptions): PieceWriter {
  const told = logprobs !== undefined;
  const echoed = echo && told ? tokenizer.createEcho() : undefined;
  const decoding = tokenizer.createDecoding();
  let offset = 0;
  /** The prompt's last bytes, if they are no whole character. */
  let rest = (): string => {
    rest = () => "";
    const text = echoed?.end() ?? "";
    offset += codePoints(text);
    return text;
  };
  const pieceOf = (text: string, tokens: readonly FrameToken[], textOf: (id: number) => string): Piece => {
    if (!told) return { text, logprobs: null };
    const offsets = tokens.map(({ id }) => {
      const at = offset;
      offset += codePoints(textOf(id));
      return at;
    });
    return { text, logprobs: describe(tokenizer, tokens, offsets) };
  };
  const echoTokens = (tokens: readonly FrameToken[]): Piece | undefined => {
    if (!echoed) return undefined;
    const texts = tokens.map(({ id }) => echoed.push(id));
    let at = 0;
    return pieceOf(texts.join(""), tokens, () => texts[at++] as string);
  };
  return {
    begin() {
      if (echoed) return echoTokens([{ id: promptIds[0] as number }]);
      if (!echo) return undefined;
      const whole = tokenizer.createEcho();
      return { text: promptIds.map(whole.push).join("") + whole.end(), logprobs: null };
    },
    write(event) {
      if (event.type === "idle") return undefined;
      if (event.type === "prompt") return echoTokens(event.tokens);
      const before = rest();
      if (event.type === "text") return pieceOf(before + event.text, event.tokens, decoding.push);
      const { token } = event;
      return token || before ? pieceOf(before, token ? [token] : [], decoding.push) : undefined;
    },
  };
}

/** Of several pieces one. */
export function joinPieces(pieces: readonly Piece[]): Piece {
  const all = pieces.flatMap(({ logprobs }) => logprobs ?? []);
  const text = pieces.map((piece) => piece.text).join("");
  if (all.length === 0) return { text, logprobs: null };
  return {
    text,
    logprobs: {
      tokens: all.flatMap(({ tokens }) => tokens),
      token_logprobs: all.flatMap(({ token_logprobs }) => token_logprobs),
      top_logprobs: all.flatMap(({ top_logprobs }) => top_logprobs),
      text_offset: all.flatMap(({ text_offset }) => text_offset),
    },
  };
}

function describe(tokenizer: Tokenizer, tokens: readonly FrameToken[], offsets: readonly number[]): CompletionLogprobs {
  const textOf = (id: number): string => tokenText(tokenizer.bytesOf(id));
  return {
    tokens: tokens.map(({ id }) => textOf(id)),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? null),
    top_logprobs: tokens.map(({ id, logprob, top = [] }) =>
      logprob === undefined ? null : byText([...top, [id, logprob] as const], textOf),
    ),
    text_offset: [...offsets],
  };
}

/** Of tokens that show as the same text, the likeliest counts: the highest value must be the likeliest token's. */
function byText(
  entries: readonly (readonly [number, number])[],
  textOf: (id: number) => string,
): Record<string, number> {
  const likeliest = new Map<string, number>();
  for (const [id, logprob] of entries) {
    const text = textOf(id);
    likeliest.set(text, Math.max(logprob, likeliest.get(text) ?? Number.NEGATIVE_INFINITY));
  }
  return Object.fromEntries(likeliest);
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
