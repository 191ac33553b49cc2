// Tokens with their log-probabilities as chat completions tell them.
import { z } from "@hono/zod-openapi";
import type { FrameToken } from "../../serving/index.ts";
import type { Tokenizer } from "../../tokenizer/index.ts";

const tokenShape = {
  token: z.string().openapi({
    description:
      "The token's text; where its bytes are not UTF-8 by themselves, `bytes:` and each of them as `\\x` and two digits.",
  }),
  logprob: z
    .number()
    .openapi({ description: "Natural logarithm, in the model's own distribution before any sampling option." }),
  bytes: z.array(z.int()),
};

export const logprobsSchema = z
  .object({
    content: z.array(z.object({ ...tokenShape, top_logprobs: z.array(z.object(tokenShape)) })),
    refusal: z.null(),
  })
  .openapi("ChatLogprobs");
export type Logprobs = z.infer<typeof logprobsSchema>;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text by which a token is told. Two tokens have the same one only where a vocabulary has single bytes besides what they spell. */
export function tokenText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

export function chatLogprobs(tokenizer: Tokenizer, tokens: readonly FrameToken[]): Logprobs {
  const describe = (id: number, logprob: number) => {
    const bytes = tokenizer.bytesOf(id);
    return { token: tokenText(bytes), logprob, bytes: [...bytes] };
  };
  return {
    content: tokens.map(({ id, logprob = 0, top = [] }) => ({
      ...describe(id, logprob),
      top_logprobs: top.map(([other, likelihood]) => describe(other, likelihood)),
    })),
    refusal: null,
  };
}
