// What is measured: one table of prompts, lengths and what becomes of the arrival times.
import type { Arrivals, Subject } from "./subject.ts";

const BASE = "smollm2-135m";

export interface Measure {
  readonly id: string;
  readonly title: string;
  readonly unit: "tokens/s" | "ms";
  readonly variant: string;
  readonly sequences: number;
  /** Tokens of each prompt. */
  readonly prompt: number;
  /** Tokens generated for each sequence. */
  readonly count: number;
  /** In a subject started for this alone. */
  readonly fresh?: true;
  /** What the figure is a share of: the weights' bytes against the memory, or their multiply-adds against the int8 peak. */
  readonly bound?: "bandwidth" | "compute";
  readonly value: (arrivals: Arrivals) => number;
  readonly of: (subject: Subject) => boolean;
}

/** Tokens a second from the moment when every sequence has its first token; the time before is the prefill. */
export function decodeRate(arrivals: Arrivals): number {
  const from = Math.max(...arrivals.map((times) => times[0]!));
  const to = Math.max(...arrivals.map((times) => times.at(-1)!));
  const tokens = arrivals.flat().filter((at) => at > from).length;
  return (tokens / (to - from)) * 1000;
}

const prefillRate =
  (prompt: number) =>
  ([times]: Arrivals): number =>
    (prompt / times![0]!) * 1000;

const any = () => true;
const ours = ({ ours }: Subject) => ours;
/** Long contexts only on the fast engine: the other needs minutes for each. */
const fast = ({ id }: Subject) => id.startsWith("wasm-");

const decode = (
  id: string,
  title: string,
  prompt: number,
  count: number,
  of: Measure["of"],
  variant = BASE,
): Measure => ({
  id,
  title,
  unit: "tokens/s",
  variant,
  sequences: 1,
  prompt,
  count,
  bound: "bandwidth",
  value: decodeRate,
  of,
});

/** In this order: a prompt that begins like the one before lets a slow peer keep what it has of it. */
export const MEASURES: readonly Measure[] = [
  decode("decode", "decode, 64 tokens after 32", 32, 64, any),
  {
    id: "prefill",
    title: "prefill, 512 tokens",
    unit: "tokens/s",
    variant: BASE,
    sequences: 1,
    prompt: 512,
    count: 1,
    bound: "compute",
    value: prefillRate(512),
    of: any,
  },
  decode("decode-1024", "decode, 32 tokens after 1,024", 1024, 32, any),
  {
    id: "four",
    title: "decode, 4 sequences at once, total",
    unit: "tokens/s",
    variant: BASE,
    sequences: 4,
    prompt: 32,
    count: 64,
    value: decodeRate,
    of: ours,
  },
  decode("block-drop-6", "decode, block-drop-6, 64 tokens after 32", 32, 64, ours, `${BASE}-block-drop-6`),
  decode("attn-drop-15-1024", "decode, attn-drop-15, 32 tokens after 1,024", 1024, 32, ours, `${BASE}-attn-drop-15`),
  decode("decode-4096", "decode, 32 tokens after 4,096", 4096, 32, fast),
  decode("attn-drop-15-4096", "decode, attn-drop-15, 32 tokens after 4,096", 4096, 32, fast, `${BASE}-attn-drop-15`),
  {
    id: "cold",
    title: "cold start: first request to a fresh Worker until its first token (prompt of 32)",
    unit: "ms",
    variant: BASE,
    sequences: 1,
    prompt: 32,
    count: 1,
    fresh: true,
    value: ([times]) => times![0]!,
    of: ({ id }) => id.endsWith("-workerd"),
  },
];

/** Pairs of measures whose ratio says what a variant is worth. */
export const COMPARISONS: readonly (readonly [variant: string, base: string])[] = [
  ["block-drop-6", "decode"],
  ["attn-drop-15-1024", "decode-1024"],
  ["attn-drop-15-4096", "decode-4096"],
  ["four", "decode"],
];
