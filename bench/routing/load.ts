// The loads that routing is measured on: requests with their times, lengths and budgets, recorded or made up from a seed.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../../build/paths.ts";
import { mulberry32 } from "../../evaluation/random.ts";

/** What a request is allowed, as draws: `milliseconds` come of them once it is known how fast the machine is. */
export interface Wish {
  readonly kind: "latency" | "ttft" | "tpot" | "latency_and_quality" | "none";
  /** 0 to 1: from what the fastest variant needs to what the slowest does, with room to spare. */
  readonly tightness: number;
}

export interface LoadRequest {
  /** Milliseconds since the first, before they are stretched to a utilisation. */
  readonly at: number;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly wish: Wish;
}

export interface Load {
  readonly name: string;
  readonly requests: readonly LoadRequest[];
}

/** Every prompt has the chat template's tokens, and the default system prompt's. */
const TEMPLATE_TOKENS = 30;
const [MOST_PROMPT, MOST_REPLY] = [160, 24];

const KINDS: readonly (readonly [Wish["kind"], number])[] = [
  ["latency", 0.45],
  ["ttft", 0.2],
  ["tpot", 0.1],
  ["latency_and_quality", 0.1],
  ["none", 0.15],
];

function wishFrom(next: () => number): Wish {
  let left = next();
  const kind = KINDS.find(([, share]) => {
    left -= share;
    return left < 0;
  });
  return { kind: kind?.[0] ?? "none", tightness: next() };
}

const tokens = (wanted: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, Math.round(wanted)));

/** Poisson arrivals, log-normal lengths. */
export function syntheticLoad(count: number, seed = 1): Load {
  const next = mulberry32(seed);
  const logNormal = (median: number, sigma: number): number =>
    median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
  let at = 0;
  const requests = Array.from({ length: count }, (): LoadRequest => {
    at += -Math.log(1 - next()) * 1000;
    const promptTokens = tokens(TEMPLATE_TOKENS + logNormal(20, 0.8), TEMPLATE_TOKENS + 1, MOST_PROMPT);
    return { at, promptTokens, maxTokens: tokens(logNormal(8, 0.5), 2, MOST_REPLY), wish: wishFrom(next) };
  });
  return { name: `synthetic (seed ${seed})`, requests };
}

/** A trace's rows: milliseconds, context tokens, generated tokens. */
export interface Trace {
  readonly rows: readonly (readonly [number, number, number])[];
}

/** Its lengths are of large models on large machines: a sixteenth of them is what fits these. It has no budgets; they are drawn. */
const SHRINK = 16;

export function recordedLoad({ rows }: Trace, count: number, seed = 1): Load {
  const next = mulberry32(seed);
  const requests = rows.slice(0, count).map(
    ([at, context, generated]): LoadRequest => ({
      at,
      promptTokens: tokens(TEMPLATE_TOKENS + context / SHRINK, TEMPLATE_TOKENS + 1, MOST_PROMPT),
      maxTokens: tokens(generated / SHRINK, 2, MOST_REPLY),
      wish: wishFrom(next),
    }),
  );
  return { name: "recorded (Azure conversations)", requests };
}

export const readTrace = async (): Promise<Trace> =>
  JSON.parse(await readFile(join(root, "bench/routing/azure-conversations.json"), "utf8")) as Trace;

/** When each request comes, in milliseconds, such that the work is this share of the time. */
export function arrivals(load: Load, utilisation: number, workMs: (request: LoadRequest) => number): number[] {
  const first = load.requests[0]?.at ?? 0;
  const span = (load.requests.at(-1)?.at ?? 0) - first;
  const work = load.requests.reduce((sum, request) => sum + workMs(request), 0);
  const stretch = span > 0 ? work / utilisation / span : 0;
  return load.requests.map(({ at }) => (at - first) * stretch);
}
