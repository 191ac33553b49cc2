// Chats as they are served: how a variant's next tokens agree with its base's on answers that the
// base gave, and what its own answers are like. The chats are the base's own and held from training
// (data/README.md).
import { answerOf, defineTask, jsonLines } from "../task.ts";

interface ChatDocument {
  readonly user: string;
  readonly answer: string;
  /** Whether the model ended the answer. */
  readonly ended: boolean;
}

/** As many as two variants of this size read in some ten minutes of one core. */
const COMPARED = 64;
const ANSWERED = 200;
/** Most tokens of an answer. */
const MAX_TOKENS = 400;
/** Tokens of what may be repeated, and how often it may come. */
const REPEATED = { length: 4, most: 6 };
/** Answers whose text stands in the result, so that it can be read. */
const SHOWN = 20;

export const chatAgreement = defineTask<ChatDocument>({
  id: "chat-agreement",
  title: `answers of ${COMPARED} held chats: top-1 agreement with the base, KL divergence from it in nats a token`,
  version: 1,
  source: "chats",
  comparesWithBase: true,
  metrics: [
    { name: "agreement", kind: "ratio", of: "agreements", over: "tokens", higherIsBetter: true },
    { name: "kl", kind: "ratio", of: "kl", over: "tokens", higherIsBetter: false },
  ],
  documents: (text) => jsonLines<ChatDocument>(text).slice(0, COMPARED),
  async item({ user, answer, ended }, tools) {
    const reply = [...(await tools.encode(answer)), ...(ended ? tools.endIds.slice(0, 1) : [])];
    return {
      requests: [{ type: "divergence", context: await tools.encodeChat(user), reply }],
      read([answer]) {
        const { agreements, kl, tokens } = answerOf("divergence", answer);
        return { agreements, kl, tokens };
      },
    };
  },
});

export const chatAnswers = defineTask<ChatDocument & { readonly isShown: boolean }>({
  id: "chat-answers",
  title: `greedy answers to ${ANSWERED} held prompts: shares that end within ${MAX_TOKENS} tokens, and that repeat themselves`,
  version: 1,
  source: "chats",
  metrics: [
    { name: "ends", kind: "mean", of: "ended", higherIsBetter: true },
    { name: "repeats", kind: "mean", of: "repeated", higherIsBetter: false },
  ],
  documents: (text) =>
    jsonLines<ChatDocument>(text)
      .slice(0, ANSWERED)
      .map((document, i) => ({ ...document, isShown: i < SHOWN })),
  async item({ user, isShown }, tools) {
    const context = await tools.encodeChat(user);
    return {
      requests: [{ type: "greedy", context, maxTokens: MAX_TOKENS, stopIds: tools.endIds }],
      read([answer]) {
        const { ids } = answerOf("greedy", answer);
        const ended = tools.endIds.includes(ids.at(-1) ?? -1);
        const words = ended ? ids.slice(0, -1) : ids;
        return {
          ended: Number(ended),
          repeated: Number(mostRepeated(words) > REPEATED.most),
          tokens: ids.length,
          answer: isShown ? tools.decode(words) : "",
        };
      },
    };
  },
});

/** How often the tokens' most frequent 4-gram comes; 0 of fewer than four tokens. */
export function mostRepeated(ids: readonly number[]): number {
  const counts = new Map<string, number>();
  for (let at = 0; at + REPEATED.length <= ids.length; at++) {
    const gram = ids.slice(at, at + REPEATED.length).join(" ");
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}
