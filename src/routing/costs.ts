// What a request would take on the reference machine, from nothing but its plan: the seed of every prediction. What the machine at hand
// makes of it is learnt as a ratio to this, so only the proportions between variants and lengths have to be right.
import type { Plan } from "../variants/plan.ts";

/** Milliseconds on the reference machine. */
export interface Costs {
  /** Of one prompt token, attention over the context aside. */
  readonly prefillMs: number;
  /** Of one generated token, attention over the context aside. */
  readonly decodeMs: number;
  /** Of attention, for each token of the context. */
  readonly contextMs: number;
}

/**
 * The machine of the README's table of speeds (`npm run bench:engine`), fitted to its rows: decoding is bound by reading weights, prefill by
 * multiply-adds, and both read the KV cache.
 */
const REFERENCE = {
  decodeMsPerByte: 0.1256e-6,
  decodeMs: 0.5,
  prefillMsPerMultiplyAdd: 51.6e-9,
  contextMsPerValue: 0.235e-6,
} as const;

export function costsOf({ costs, head }: Plan): Costs {
  // Of the prompt, only the last token goes through the output head.
  const inner = Math.max(0, costs.multiplyAdds - head.rows * head.cols);
  return {
    prefillMs: inner * REFERENCE.prefillMsPerMultiplyAdd,
    decodeMs: REFERENCE.decodeMs + costs.weightBytes * REFERENCE.decodeMsPerByte,
    contextMs: costs.kvValues * REFERENCE.contextMsPerValue,
  };
}

/** Time to take in `tokens` of a prompt whose first `position` are cached, and to give the first token. */
export const prefillTime = ({ prefillMs, contextMs, decodeMs }: Costs, tokens: number, position = 0): number =>
  tokens * prefillMs + tokens * (position + tokens / 2) * contextMs + decodeMs - prefillMs;

/** Time of a generated token while the context has this many. */
export const stepTime = ({ decodeMs, contextMs }: Costs, context: number): number => decodeMs + context * contextMs;
