// What a request would take on the reference machine, from nothing but its plan: the seed of every prediction. What the machine at hand
// makes of it is learnt as a ratio to this, so only the proportions between variants and lengths have to be right.
import { type Plan, tensorsOf } from "../variants/index.ts";

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
 * The machine of the table of speeds in docs/engine.md (`npm run bench:engine`), fitted to its rows: decoding is
 * bound by reading weights, prefill by multiply-adds, and both read the KV cache.
 */
const REFERENCE = {
  decodeMsPerByte: 0.1256e-6,
  decodeMs: 0.5,
  prefillMsPerMultiplyAdd: 51.6e-9,
  contextMsPerValue: 0.235e-6,
  /**
   * What linears of 8 bits take of a multiply-add's and of a byte's time: all linears at 8 bits instead of 4 take 1.27 to 1.35 times as long
   * in prefill and 1.15 to 1.25 times in decode, though they are 1.7 times as many bytes.
   */
  eightBits: { prefill: 1.3, decode: 0.8 },
} as const;

export function costsOf({ costs, head, slots }: Plan): Costs {
  // Of the prompt, only the last token goes through the output head.
  const inner = Math.max(0, costs.multiplyAdds - head.rows * head.cols);
  const eight = slots
    .flatMap(({ attn, mlp }) => [...(attn ? tensorsOf(attn) : []), ...(mlp ? tensorsOf(mlp) : [])])
    .filter(({ type }) => type === "q8_0");
  const more = eight.reduce((sum, { rows, cols }) => sum + rows * cols, 0) * (REFERENCE.eightBits.prefill - 1);
  const fewer = eight.reduce((sum, { bytes }) => sum + bytes, 0) * (1 - REFERENCE.eightBits.decode);
  return {
    prefillMs: (inner + more) * REFERENCE.prefillMsPerMultiplyAdd,
    decodeMs: REFERENCE.decodeMs + (costs.weightBytes - fewer) * REFERENCE.decodeMsPerByte,
    contextMs: costs.kvValues * REFERENCE.contextMsPerValue,
  };
}

/** Milliseconds of a machine to those of the reference machine. */
export interface Pace {
  readonly prefill: number;
  readonly decode: number;
}
export const REFERENCE_PACE: Pace = { prefill: 1, decode: 1 };

/** Time to take in `tokens` of a prompt after the `position` before them; `ends` with the first token of the reply. */
export function chunkTime(
  { prefillMs, contextMs, decodeMs }: Costs,
  { prefill, decode }: Pace,
  position: number,
  tokens: number,
  ends: boolean,
): number {
  const inner = prefill * tokens * (prefillMs + (position + tokens / 2) * contextMs);
  return ends ? inner + decode * decodeMs - prefill * prefillMs : inner;
}

/** Time to take in a prompt, and to give the first token. */
export const prefillTime = (costs: Costs, tokens: number, pace = REFERENCE_PACE): number =>
  chunkTime(costs, pace, 0, tokens, true);

/** Time of a generated token on the reference machine, while the context has this many. */
export const stepTime = ({ decodeMs, contextMs }: Costs, context: number): number => decodeMs + context * contextMs;
